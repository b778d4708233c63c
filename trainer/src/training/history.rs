//! What happened in every epoch of every training of a run: a file with one line of JSON per epoch.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use shared::recording::prf::Prf;

use crate::files::{in_turn, write_whole};

/// File name in a run's folder.
pub const HISTORY: &str = "history.jsonl";

/// One epoch of one training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Name of the training: `raw` (`model` in a single training), `threshold`, `cleaned-…` with the digest of the
    /// cleaned labels, ….
    pub training: String,
    /// Title of the training, for people.
    pub title: String,
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Mean loss per span in the loss.
    pub train_loss: f64,
    /// Learning rate of the encoder in the last step of the epoch.
    pub encoder_rate: f32,
    /// Learning rate of the span classifier in the last step of the epoch.
    pub head_rate: f32,
    /// Scores on dev, if it was scored.
    pub dev: Option<Prf>,
    /// Wall-clock seconds, with the passes over dev and for the dynamics. The time before an interruption does not
    /// count.
    pub seconds: f64,
    /// Training sentences per second; those passes do not count. `None` if an interruption left nothing to train.
    pub sentences_per_second: Option<f64>,
    /// Largest memory of the process so far, in MiB, if the system reports it.
    pub peak_mib: Option<f64>,
}

/// The history file of a run. Several trainings may write to it at the same time.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    lock: Mutex<()>,
    /// The file by which several processes take turns; `None` if there is only one process.
    turns: Option<File>,
}

impl History {
    /// Opens the file at `path`, which need not exist.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn open(path: PathBuf) -> Result<Self> {
        read(&path)?;
        Ok(Self { path, lock: Mutex::default(), turns: None })
    }

    /// Does the same as [`open`](Self::open) if other processes write to the file, too. They take turns by `turns`.
    ///
    /// # Errors
    /// The same as [`open`](Self::open).
    pub fn open_beside_others(path: PathBuf, turns: File) -> Result<Self> {
        Ok(Self { turns: Some(turns), ..Self::open(path)? })
    }

    /// Adds an epoch. It replaces this epoch and later ones of the same training, which an earlier start wrote.
    ///
    /// # Errors
    /// When the file is damaged or cannot be written.
    pub fn add(&self, epoch: Epoch) -> Result<()> {
        let _lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        in_turn(self.turns.as_ref(), || {
            let mut all = read(&self.path)?;
            all.retain(|earlier| earlier.training != epoch.training || earlier.epoch < epoch.epoch);
            all.push(epoch);
            let mut text = String::new();
            for epoch in &all {
                text += &serde_json::to_string(epoch)?;
                text.push('\n');
            }
            write_whole(&self.path, text)
        })
    }

    /// Returns the epochs of a training.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn of(&self, training: &str) -> Result<Vec<Epoch>> {
        let mut epochs = read(&self.path)?;
        epochs.retain(|epoch| epoch.training == training);
        Ok(epochs)
    }
}

fn read(path: &Path) -> Result<Vec<Epoch>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let line = |(i, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| {
            format!("{}, line {}: this is no epoch; delete the file, nothing else needs it", path.display(), i + 1)
        })
    };
    text.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(training: &str, epoch: u32, train_loss: f64) -> Epoch {
        Epoch {
            training: training.to_owned(),
            title: "your labels".to_owned(),
            epoch,
            train_loss,
            encoder_rate: 1e-4,
            head_rate: 1e-3,
            dev: None,
            seconds: 2.0,
            sentences_per_second: Some(10.0),
            peak_mib: None,
        }
    }

    #[test]
    fn an_epoch_that_is_repeated_replaces_what_followed_it() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::open(folder.path().join(HISTORY)).unwrap();
        for (training, number, loss) in
            [("raw", 1, 0.5), ("raw", 2, 0.4), ("threshold", 1, 0.9), ("raw", 3, 0.3), ("raw", 2, 0.45)]
        {
            history.add(epoch(training, number, loss)).unwrap();
        }
        let losses = |training: &str| history.of(training).unwrap().iter().map(|e| e.train_loss).collect::<Vec<_>>();
        assert_eq!(losses("raw"), [0.5, 0.45]);
        assert_eq!(losses("threshold"), [0.9]);
        assert!(losses("gold").is_empty());
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(HISTORY);
        let history = History::open(file.clone()).unwrap();
        history.add(epoch("raw", 1, 0.5)).unwrap();
        let whole = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, whole + "{\"training\": 1}\n").unwrap();
        assert!(history.add(epoch("raw", 2, 0.4)).is_err());
        let error = format!("{:#}", History::open(file).unwrap_err());
        assert!(error.contains("line 2") && error.contains("delete"), "{error}");
    }
}
