//! Checkpoints: the state of a training between two batches. A training that continues from it gives the same
//! result as one that never stopped.
//!
//! A checkpoint is a safetensors file. Weights, AdamW's state and the best weights so far are tensors. Everything
//! else is JSON in the metadata of the header, with a digest of everything. The state of random generators is not
//! stored: the seed and the epoch or step determine every random stream (see [`nn::random`]), so the position
//! is enough.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::{Device, Tensor};
use safetensors::tensor::View;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use shared::recording::dynamics::EpochScore;
use xxhash_rust::xxh3::Xxh3;

use crate::files::{Written, write_whole_at};
use crate::interrupt;

/// Version of the file layout.
const VERSION: u32 = 1;
/// The two entries of the metadata.
const STATE: &str = "dynclean_checkpoint";
const DIGEST: &str = "xxh3_128";

/// When to write checkpoints, in addition to the end of every epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// When this much time has passed since the last one.
    pub every: Option<Duration>,
    /// After this many steps.
    pub steps: Option<usize>,
}

/// Position of a training: everything except tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Current epoch, from 1. When all epochs are done, the number of epochs plus 1.
    pub epoch: u32,
    /// Number of finished batches in this epoch.
    pub batch: usize,
    /// Batches with a loss since the beginning of the training. Without `--accumulate` each is a step of the optimizer.
    pub step: usize,
    /// Sum of the losses of this epoch's batches.
    pub loss_sum: f64,
    /// Number of spans in these losses.
    pub spans_in_loss: usize,
    /// Scores of the finished epochs.
    pub scores: Vec<EpochScore>,
    /// Best epoch on dev so far, from 1; 0 before the first epoch ends.
    pub best_epoch: u32,
    /// What has been recorded of the finished epochs.
    pub recorded: Written,
    /// Wall-clock seconds since the beginning of the training.
    pub seconds: f64,
}

/// A checkpoint that was read from disk.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Position of the training.
    pub position: Position,
    /// The tensors that [`Checkpoints::save`] was given.
    pub tensors: HashMap<String, Tensor>,
}

#[derive(Serialize, Deserialize)]
struct State {
    version: u32,
    /// Identity of the training, see [`Checkpoints::open`].
    of: String,
    position: Position,
}

/// The checkpoint file of one training.
#[derive(Debug)]
pub struct Checkpoints {
    /// `None` if no checkpoints are kept.
    path: Option<PathBuf>,
    of: String,
    policy: Policy,
    last: Instant,
    last_step: usize,
}

impl Checkpoints {
    /// Opens the checkpoint file at `path` for the training that `of` identifies. Also returns the checkpoint in
    /// it.
    ///
    /// A checkpoint of another training (for example on labels cleaned with other thresholds) is not returned. The
    /// next checkpoint that is written replaces it.
    ///
    /// # Errors
    /// When the checkpoint is damaged or was written by a newer program.
    pub fn open(path: &Path, of: String, policy: Policy) -> Result<(Self, Option<Checkpoint>)> {
        let found = read(path).with_context(|| {
            format!(
                "the checkpoint {} cannot be used. Delete it: its training then starts again, and what is \
                 finished stays",
                path.display()
            )
        })?;
        let found = found.filter(|(about, _)| *about == of).map(|(_, checkpoint)| checkpoint);
        let last_step = found.as_ref().map_or(0, |c| c.position.step);
        Ok((Self { path: Some(path.to_owned()), of, policy, last: Instant::now(), last_step }, found))
    }

    /// Keeps no checkpoints: an interrupted training starts again.
    pub fn none() -> Self {
        Self { path: None, of: String::new(), policy: Policy::default(), last: Instant::now(), last_step: 0 }
    }

    /// Returns whether checkpoints are kept.
    pub fn are_kept(&self) -> bool {
        self.path.is_some()
    }

    /// Returns whether a checkpoint must be written after this step.
    pub fn is_due(&self, step: usize) -> bool {
        self.policy.every.is_some_and(|every| self.last.elapsed() >= every)
            || self.policy.steps.is_some_and(|steps| step >= self.last_step + steps)
            || interrupt::check().is_err()
    }

    /// Writes a checkpoint. The earlier one stays until the new one is complete.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&mut self, position: &Position, mut tensors: Vec<(String, Tensor)>) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let state = State { version: VERSION, of: self.of.clone(), position: position.clone() };
        let state = serde_json::to_string(&state).context("cannot write the position down")?;
        let digest = digest(&state, tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)));
        let metadata = HashMap::from([(STATE.to_owned(), state), (DIGEST.to_owned(), digest)]);
        let views = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        write_whole_at(path, |_, temporary| {
            // The library wraps I/O errors in its own type. Unwrap them, so that a full disk can be recognised.
            safetensors::serialize_to_file(views, Some(metadata), temporary).map_err(|error| match error {
                safetensors::SafeTensorError::IoError(error) => anyhow!(error),
                other => anyhow!(other),
            })
        })?;
        (self.last, self.last_step) = (Instant::now(), position.step);
        Ok(())
    }
}

/// Returns the digest of a checkpoint's content. It does not depend on the layout of the file.
fn digest<V: View>(state: &str, tensors: impl Iterator<Item = (impl AsRef<str>, V)>) -> String {
    let mut hash = Xxh3::new();
    let mut update = |bytes: &[u8]| {
        // Hash the length before the bytes, so that moving bytes from one part to the next changes the digest.
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    update(state.as_bytes());
    for (name, tensor) in tensors {
        update(name.as_ref().as_bytes());
        update(format!("{:?} {:?}", tensor.dtype(), tensor.shape()).as_bytes());
        update(&tensor.data());
    }
    format!("{:032x}", hash.digest128())
}

/// Reads the identity of a checkpoint's training, and the checkpoint. Returns `None` if there is no file.
fn read(path: &Path) -> Result<Option<(String, Checkpoint)>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| anyhow!("it is damaged: {error}"))?;
    let entry = |name: &str| header.metadata().as_ref().and_then(|m| m.get(name)).cloned();
    let (state, expected) = entry(STATE).zip(entry(DIGEST)).context("it is damaged: it names no position")?;
    let content = SafeTensors::deserialize(&bytes).map_err(|error| anyhow!("it is damaged: {error}"))?;
    let mut views = content.tensors();
    views.sort_by(|a, b| a.0.cmp(&b.0));
    let found = digest(&state, views.iter().map(|(name, view)| (name, view)));
    ensure!(found == expected, "it is damaged: its content does not match its digest");
    let State { version, of, position } = serde_json::from_str(&state).context("it is damaged")?;
    ensure!(version <= VERSION, "it has version {version}, newer than the {VERSION} this program knows");
    let mut tensors = HashMap::new();
    for (name, view) in views {
        let dtype = match view.dtype() {
            Dtype::F32 => candle_core::DType::F32,
            Dtype::I64 => candle_core::DType::I64,
            other => return Err(anyhow!("it has {name} as {other:?}")),
        };
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
        tensors.insert(name, tensor);
    }
    Ok(Some((of, Checkpoint { position, tensors })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (Position, Vec<(String, Tensor)>) {
        let position = Position { epoch: 2, batch: 3, step: 40, loss_sum: 0.1 + 0.2, ..Position::default() };
        let tensors = [("weights/a", vec![1.5f32, f32::NAN, -0.0]), ("best/a", vec![0.1])];
        let tensor = |values: Vec<f32>| Tensor::new(values, &Device::Cpu).unwrap();
        let mut tensors: Vec<_> = tensors.map(|(name, values)| (name.to_owned(), tensor(values))).into();
        tensors.push(("steps/a".to_owned(), Tensor::new(40i64, &Device::Cpu).unwrap()));
        (position, tensors)
    }

    #[test]
    fn what_is_saved_is_read_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint/x.safetensors");
        let open = |of: &str| Checkpoints::open(&path, of.to_owned(), Policy::default()).unwrap();
        let (mut file, none) = open("labels A");
        assert!(none.is_none());
        let (position, tensors) = example();
        file.save(&position, tensors).unwrap();
        let found = open("labels A").1.unwrap();
        assert_eq!(found.position, position);
        assert_eq!(found.tensors["steps/a"].to_scalar::<i64>().unwrap(), 40);
        let bits: Vec<u32> = found.tensors["weights/a"].to_vec1::<f32>().unwrap().iter().map(|v| v.to_bits()).collect();
        assert_eq!(bits, [1.5f32, f32::NAN, -0.0].map(f32::to_bits));
        assert!(open("labels B").1.is_none(), "a checkpoint of another training is not taken up");
    }

    #[test]
    fn any_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let (position, tensors) = example();
        let open = || Checkpoints::open(&path, "a".to_owned(), Policy::default());
        open().unwrap().0.save(&position, tensors).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let error = format!("{:#}", open().err().unwrap());
            assert!(error.contains("x.safetensors") && error.contains("Delete it") && error.contains("damaged"));
        }
        let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x04;
            std::fs::write(&path, &damaged).unwrap();
            // A changed byte in the padding of the header has no effect.
            let is_padding = at < header && whole[at..header].iter().all(|&b| b == b' ');
            assert!(open().is_err() || is_padding, "byte {at}");
        }
    }

    #[test]
    fn they_are_due_by_steps_or_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let open = |every, steps| Checkpoints::open(&path, "a".to_owned(), Policy { every, steps }).unwrap().0;
        assert!(!open(None, None).is_due(1000));
        assert!(!open(Some(Duration::from_secs(3600)), None).is_due(1000));
        assert!(open(Some(Duration::ZERO), None).is_due(1));
        let mut by_steps = open(None, Some(10));
        assert!(!by_steps.is_due(9) && by_steps.is_due(10));
        by_steps.save(&Position { step: 12, ..Position::default() }, Vec::new()).unwrap();
        assert!(!by_steps.is_due(21) && by_steps.is_due(22));
    }
}
