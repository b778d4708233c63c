//! Checkpoints: where a training stands between two batches, so that it can go on from there as if it had never
//! stopped.
//!
//! A safetensors file: weights, AdamW's state and the best weights so far as tensors, everything else as JSON in
//! the header's metadata, with a digest of all of it. No random generator is kept: every random stream has a name
//! made of the seed, the epoch and the step (see [`crate::random`]), so the position is its state.

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

use crate::interrupt;
use crate::run_dir::{Written, write_whole_at};

/// Version of the layout.
const VERSION: u32 = 1;
/// The metadata's two entries.
const STATE: &str = "dynclean_checkpoint";
const DIGEST: &str = "xxh3_128";

/// When checkpoints are written, besides the end of every epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// As soon as so much time has passed since the last one.
    pub every: Option<Duration>,
    /// After so many steps.
    pub steps: Option<usize>,
}

/// Where a training stands: all that is no tensor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch at work, from 1; one more than there are when all are done.
    pub epoch: u32,
    /// Batches of it that are done.
    pub batch: usize,
    /// Optimizer steps since the beginning.
    pub step: usize,
    /// Sum of the losses of this epoch's batches.
    pub loss_sum: f64,
    /// Number of spans in them.
    pub spans_in_loss: usize,
    /// Scores of the finished epochs.
    pub scores: Vec<EpochScore>,
    /// The epoch that is best on dev so far, from 1; 0 before the first ends.
    pub best_epoch: u32,
    /// What was recorded of the finished epochs.
    pub recorded: Written,
    /// Wall-clock seconds so far.
    pub seconds: f64,
}

/// A checkpoint as it is read.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where the training stood.
    pub position: Position,
    /// The tensors that [`Checkpoints::save`] was given.
    pub tensors: HashMap<String, Tensor>,
}

#[derive(Serialize, Deserialize)]
struct State {
    version: u32,
    /// What the training is about: see [`Checkpoints::open`].
    of: String,
    position: Position,
}

/// The checkpoint file of one training.
#[derive(Debug)]
pub struct Checkpoints {
    /// None where nothing is kept.
    path: Option<PathBuf>,
    of: String,
    policy: Policy,
    last: Instant,
    last_step: usize,
}

impl Checkpoints {
    /// The file at `path`, for the training that `of` identifies, and what it holds. One of another training (say,
    /// on labels cleaned by other thresholds) is not taken up, and replaced by the next that is written.
    ///
    /// # Errors
    /// When a checkpoint is there but damaged or of a newer program.
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

    /// For a training that starts anew if it is interrupted.
    pub fn none() -> Self {
        Self { path: None, of: String::new(), policy: Policy::default(), last: Instant::now(), last_step: 0 }
    }

    /// Whether any are kept.
    pub fn are_kept(&self) -> bool {
        self.path.is_some()
    }

    /// Whether one is to be written after this step.
    pub fn is_due(&self, step: usize) -> bool {
        self.policy.every.is_some_and(|every| self.last.elapsed() >= every)
            || self.policy.steps.is_some_and(|steps| step >= self.last_step + steps)
            || interrupt::check().is_err()
    }

    /// Writes one; the former stays until this one is whole.
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
            // The library flattens an I/O error into its own; a full disk must stay recognisable.
            safetensors::serialize_to_file(views, Some(metadata), temporary).map_err(|error| match error {
                safetensors::SafeTensorError::IoError(error) => anyhow!(error),
                other => anyhow!(other),
            })
        })?;
        (self.last, self.last_step) = (Instant::now(), position.step);
        Ok(())
    }
}

/// Digest of a checkpoint's content, whatever the layout of the file.
fn digest<V: View>(state: &str, tensors: impl Iterator<Item = (impl AsRef<str>, V)>) -> String {
    let mut hash = Xxh3::new();
    let mut update = |bytes: &[u8]| {
        // Lengths first, so that nothing can move from one part to the next unseen.
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

/// What a checkpoint is about, and its content; nothing where there is no file.
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
            // Padding of the header means nothing.
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
