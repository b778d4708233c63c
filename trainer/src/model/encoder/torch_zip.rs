//! Reads pytorch_model.bin, the format of `torch.save(model.state_dict())` since PyTorch 1.6. It is a zip archive
//! with a pickled dictionary and one file per storage. Nothing in the pickle is executed.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::pickle::{Object, Stack};
use candle_core::{Device, Tensor};
use half::{bf16, f16};
use zip::ZipArchive;

/// A tensor of the state dictionary. It is a view of a storage, and several tensors may share one storage.
struct Stored {
    name: String,
    storage: String,
    decode: fn(&[u8]) -> f32,
    bytes_per_value: usize,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// Reads the floating-point tensors, in single precision.
///
/// # Errors
/// When the file has the older format, is damaged, or holds no state dictionary.
pub fn read(file: &Path) -> Result<Vec<(String, Tensor)>> {
    let mut archive = match ZipArchive::new(BufReader::new(File::open(file)?)) {
        Ok(archive) => archive,
        Err(zip::result::ZipError::Io(error)) => return Err(error.into()),
        Err(error) => bail!(
            "{error}. Files that PyTorch wrote before version 1.6 are not zip archives; in Python, \
             `AutoModel.from_pretrained(FOLDER).save_pretrained(OTHER)` writes model.safetensors"
        ),
    };
    let names = archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<Vec<String>>>()?;
    let pickle = names.iter().find_map(|name| Some((name, name.strip_suffix("data.pkl")?)));
    let (pickle, root) = pickle.context("the archive has no data.pkl")?;
    let mut stack = Stack::empty();
    stack.read_loop(&mut BufReader::new(archive.by_name(pickle)?))?;
    let Object::Dict(entries) = stack.finalize()? else { bail!("data.pkl holds no state dictionary") };
    let mut stored: Vec<Stored> = entries.into_iter().filter_map(|(name, value)| stored(name, value)).collect();
    ensure!(!stored.is_empty(), "data.pkl holds no tensors of floating-point numbers");
    // Tied weights share a storage. Sort, so that each storage is read once.
    stored.sort_by(|a, b| a.storage.cmp(&b.storage));
    let (mut current, mut bytes) = (None, Vec::new());
    let mut tensors = Vec::with_capacity(stored.len());
    for tensor in stored {
        if current.as_ref() != Some(&tensor.storage) {
            bytes.clear();
            let name = format!("{root}data/{}", tensor.storage);
            let entry = archive.by_name(&name).with_context(|| format!("the archive has no {name}"))?;
            BufReader::new(entry).read_to_end(&mut bytes)?;
            current = Some(tensor.storage.clone());
        }
        let values = tensor.values(&bytes).with_context(|| format!("{} exceeds its storage", tensor.name))?;
        tensors.push((tensor.name, Tensor::from_vec(values, tensor.shape, &Device::Cpu)?));
    }
    Ok(tensors)
}

/// Returns an entry of the dictionary, if it is a tensor of floating-point numbers.
fn stored(name: Object, value: Object) -> Option<Stored> {
    let name = name.unicode().ok()?;
    let (callable, arguments) = value.reduce().ok()?;
    let (_, function) = callable.class().ok()?;
    let mut arguments = arguments.tuple().ok()?.into_iter();
    if function == "_rebuild_parameter" {
        // A parameter is a tensor with a flag.
        return stored(Object::Unicode(name), arguments.next()?);
    }
    if function != "_rebuild_tensor_v2" {
        return None;
    }
    let storage = arguments.next()?.persistent_load().ok()?.tuple().ok()?;
    let [_, class, key, ..] = <[Object; 5]>::try_from(storage).ok()?;
    let (_, class) = class.class().ok()?;
    let (bytes_per_value, decode): (usize, fn(&[u8]) -> f32) = match class.as_str() {
        "FloatStorage" => (4, |b| b.try_into().map_or(f32::NAN, f32::from_le_bytes)),
        "DoubleStorage" => (8, |b| b.try_into().map_or(f64::NAN, f64::from_le_bytes) as f32),
        "HalfStorage" => (2, |b| b.try_into().map_or(f16::NAN, f16::from_le_bytes).to_f32()),
        "BFloat16Storage" => (2, |b| b.try_into().map_or(bf16::NAN, bf16::from_le_bytes).to_f32()),
        _ => return None,
    };
    let offset = size(arguments.next()?)?;
    let mut sizes = || arguments.next()?.tuple().ok()?.into_iter().map(size).collect::<Option<Vec<usize>>>();
    let (shape, strides) = (sizes()?, sizes()?);
    Some(Stored { name, storage: key.unicode().ok()?, decode, bytes_per_value, offset, shape, strides })
}

fn size(object: Object) -> Option<usize> {
    object.int_or_long().ok()?.try_into().ok()
}

impl Stored {
    /// Returns the values in row-major order, or `None` if the view reaches beyond its storage.
    fn values(&self, bytes: &[u8]) -> Option<Vec<f32>> {
        let available = bytes.len() / self.bytes_per_value;
        let n = self.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size))?;
        // This also limits how much memory is allocated.
        if n > available || self.shape.len() != self.strides.len() {
            return None;
        }
        if self.is_contiguous() {
            let start = self.offset.checked_mul(self.bytes_per_value)?;
            let bytes = bytes.get(start..start.checked_add(n * self.bytes_per_value)?)?;
            return Some(bytes.chunks_exact(self.bytes_per_value).map(self.decode).collect());
        }
        let value = |at: usize| {
            let start = at.checked_mul(self.bytes_per_value)?;
            bytes.get(start..start.checked_add(self.bytes_per_value)?).map(self.decode)
        };
        (0..n).map(|i| value(self.position(i)?)).collect()
    }

    fn is_contiguous(&self) -> bool {
        let mut step = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let follows = size == 1 || stride == step;
            step *= size;
            follows
        })
    }

    /// Returns the position in the storage of the value with the row-major index `i`.
    fn position(&self, mut i: usize) -> Option<usize> {
        let mut at = self.offset;
        for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
            at = at.checked_add((i % size).checked_mul(stride)?)?;
            i /= size;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_read_by_their_strides_and_never_beyond() {
        let bytes: Vec<u8> = (0..8).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let view = |offset, shape: &[usize], strides: &[usize]| {
            let stored = Stored {
                name: String::new(),
                storage: String::new(),
                decode: |b| b.try_into().map_or(f32::NAN, f32::from_le_bytes),
                bytes_per_value: 4,
                offset,
                shape: shape.to_vec(),
                strides: strides.to_vec(),
            };
            stored.values(&bytes)
        };
        assert_eq!(view(2, &[2, 3], &[3, 1]), Some(vec![2.0, 3.0, 4.0, 5.0, 6.0, 7.0]));
        // A transposed view, and a view of every other column.
        assert_eq!(view(2, &[3, 2], &[1, 3]), Some(vec![2.0, 5.0, 3.0, 6.0, 4.0, 7.0]));
        assert_eq!(view(0, &[2, 2], &[4, 2]), Some(vec![0.0, 2.0, 4.0, 6.0]));
        assert_eq!(view(7, &[], &[]), Some(vec![7.0]));
        assert_eq!(view(0, &[0, 3], &[3, 1]), Some(vec![]));
        for (offset, shape, strides) in [
            (3, [2, 3], [3, 1]),
            (0, [9, 1], [0, 0]),
            (usize::MAX, [2, 2], [2, 1]),
            (0, [2, 2], [usize::MAX, 1]),
            (0, [usize::MAX, 2], [1, 1]),
        ] {
            assert_eq!(view(offset, &shape, &strides), None);
        }
    }
}
