//! Weights of a model folder, under the same names for all kinds of checkpoints.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use xxhash_rust::xxh3::Xxh3;

use super::torch_zip;
use crate::data::hub::layout::WEIGHTS;

/// Prefixes of the encoder's tensors in checkpoints of a whole task model.
const PREFIXES: [&str; 3] = ["bert.", "roberta.", "distilbert."];

/// Number of bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Returns the weights file of a model folder.
///
/// # Errors
/// When there is no weights file.
pub fn find(folder: &Path) -> Result<PathBuf> {
    let [safetensors, torch] = WEIGHTS.map(|name| folder.join(name));
    if safetensors.is_file() {
        return Ok(safetensors);
    }
    if torch.is_file() {
        return Ok(torch);
    }
    let split = WEIGHTS.iter().any(|name| folder.join(format!("{name}.index.json")).is_file());
    let more = if split { ": its weights are split over several files, which is not supported" } else { "" };
    bail!("{} has neither {} nor {}{more}", folder.display(), WEIGHTS[0], WEIGHTS[1])
}

/// Reads the floating-point tensors of a weights file, in single precision.
///
/// # Errors
/// When the file cannot be read. The error names the file.
pub fn read(file: &Path) -> Result<Vec<(String, Tensor)>> {
    let tensors = read_as_they_are(file).with_context(|| {
        format!("cannot read the weights in {} (if it is damaged, copy it again or train it anew)", file.display())
    })?;
    Ok(tensors.into_iter().map(|(name, tensor)| (usual_name(&name), tensor)).collect())
}

fn read_as_they_are(file: &Path) -> Result<Vec<(String, Tensor)>> {
    let mut start = Vec::new();
    std::fs::File::open(file)?.take(32).read_to_end(&mut start)?;
    if start.starts_with(b"version https://git-lfs") {
        bail!("this is a pointer of Git LFS, not the file itself; `git lfs pull` fetches it");
    }
    if file.extension().is_some_and(|e| e == "bin") {
        return torch_zip::read(file);
    }
    let tensors = candle_core::safetensors::load(file, &Device::Cpu)?;
    let floats = tensors.into_iter().filter(|(_, tensor)| tensor.dtype().is_float());
    floats.map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F32)?))).collect()
}

fn usual_name(name: &str) -> String {
    let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    // The first BERT checkpoints use these names.
    name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
}

/// Returns a digest of the content of several files.
///
/// # Errors
/// When a file cannot be read.
pub fn digest(files: &[PathBuf]) -> Result<String> {
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; CHUNK];
    for path in files {
        let mut read = || -> std::io::Result<()> {
            let mut file = std::fs::File::open(path)?;
            hash.update(&file.metadata()?.len().to_le_bytes());
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(()),
                    n => hash.update(&buffer[..n]),
                }
            }
        };
        read().with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(format!("{:032x}", hash.digest128()))
}
