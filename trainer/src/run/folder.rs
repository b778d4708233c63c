//! The folder of a run: its files, its lock, and the settings that bind it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::files::{TEMPORARY, cannot_write, write_whole};

const LOCK: &str = ".lock";
/// What the names of the locks of single steps begin with.
const LOCK_OF_STEP: &str = ".lock-";

/// A run's folder.
pub struct RunDir(PathBuf);

/// Lock on a run's folder, or on a step of a run. While it exists, no other trainer works there. The system releases it
/// when the process ends.
pub struct Lock {
    _file: File,
}

impl RunDir {
    /// Creates or opens the folder.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| cannot_write(folder, error.into()))?;
        Ok(Self(folder.to_owned()))
    }

    /// Locks the folder for this process, and checks that files can be written there. A problem then shows before
    /// hours of training.
    ///
    /// A run's folder contains the file `binding`. A folder without this file must be empty, because a run
    /// overwrites and removes files that have the names of its own files.
    ///
    /// # Errors
    /// When the folder holds anything but a run, another process works in it, or it cannot be written to.
    pub fn lock(&self, binding: &str) -> Result<Lock> {
        self.is_empty_or_has(binding)?;
        let elsewhere =
            || format!("another trainer is at work in {}: wait until it is done, or end it", self.0.display());
        self.checked(self.lock_file(LOCK, File::try_lock, elsewhere)?)
    }

    /// Does the same as [`lock`](Self::lock) for one step of the run. Other processes may do other steps at the same
    /// time, but none may work on the whole.
    ///
    /// # Errors
    /// The same as [`lock`](Self::lock). Also when another process does this step.
    pub fn lock_step(&self, binding: &str, step: &str) -> Result<[Lock; 2]> {
        self.is_empty_or_has(binding)?;
        let on_the_whole = || {
            format!("another trainer works on the whole run in {}: wait until it is done, or end it", self.0.display())
        };
        let on_this = || format!("another trainer does the step {step} in {}", self.0.display());
        let whole = Lock { _file: self.lock_file(LOCK, File::try_lock_shared, on_the_whole)? };
        let own = self.lock_file(&format!("{LOCK_OF_STEP}{step}"), File::try_lock, on_this)?;
        Ok([whole, self.checked(own)?])
    }

    /// Opens the file by which processes that do steps of the run take turns with what all of them write.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn turns(&self) -> Result<File> {
        self.open_lock(&format!("{LOCK_OF_STEP}turns"))
    }

    fn open_lock(&self, name: &str) -> Result<File> {
        let file = OpenOptions::new().create(true).append(true).open(self.path(name));
        file.with_context(|| self.cannot_be_written())
    }

    /// Removes the files of [`lock_step`](Self::lock_step) and [`turns`](Self::turns). The whole folder must be locked.
    pub fn remove_locks_of_steps(&self) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(LOCK_OF_STEP) {
                // A file that cannot be removed does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn lock_file(
        &self,
        name: &str,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
        elsewhere: impl FnOnce() -> String,
    ) -> Result<File> {
        let file = self.open_lock(name)?;
        match lock(&file) {
            Err(TryLockError::WouldBlock) => bail!(elsewhere()),
            // On a file system that has no locks, work without one.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            locked => locked.with_context(|| self.cannot_be_written())?,
        }
        Ok(file)
    }

    /// Checks that data can be written to a locked file. Creating a file may succeed although writing data fails, for
    /// example on a full disk.
    fn checked(&self, mut file: File) -> Result<Lock> {
        file.write_all(b".").and_then(|()| file.set_len(0)).with_context(|| self.cannot_be_written())?;
        Ok(Lock { _file: file })
    }

    fn cannot_be_written(&self) -> String {
        format!("cannot write in the folder {}", self.0.display())
    }

    fn is_empty_or_has(&self, binding: &str) -> Result<()> {
        if self.path(binding).is_file() {
            return Ok(());
        }
        let about = || format!("cannot read the folder {}", self.0.display());
        for entry in fs::read_dir(&self.0).with_context(about)? {
            let entry = entry.with_context(about)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_lock = name == LOCK || name.starts_with(LOCK_OF_STEP);
            // Snakemake makes the folders of its outputs beforehand.
            let is_empty_folder = || fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_none());
            ensure!(
                is_lock || is_temporary(&name) || is_empty_folder(),
                "{} is not empty ({name}), and has no {binding}, by which a run goes on: for --out, choose a new or empty \
                 folder",
                self.0.display()
            );
        }
        Ok(())
    }

    /// Removes temporary files of a killed process from this folder and from the given folders in it.
    pub fn remove_temporary_files(&self, folders: &[&str]) {
        let here = [self.0.clone()];
        let entries =
            here.into_iter().chain(folders.iter().map(|folder| self.path(folder))).filter_map(|f| fs::read_dir(f).ok());
        for entry in entries.flat_map(Iterator::flatten) {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && is_temporary(&entry.file_name().to_string_lossy()) {
                // A file that cannot be removed only takes space.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Removes a file. It is no error if the file does not exist.
    ///
    /// # Errors
    /// When the file exists and cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Returns the path of a file or folder in this folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file whole: it gets its name only when all bytes are on disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(name);
        write_whole(&path, bytes)?;
        Ok(path)
    }

    /// Writes JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<PathBuf> {
        let json = serde_json::to_string_pretty(value).with_context(|| format!("cannot write {name}"))?;
        self.write(name, json + "\n")
    }

    /// Reads JSON that an earlier run wrote. Returns `None` if there is no such file.
    ///
    /// # Errors
    /// When the file exists but cannot be read.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        let value = serde_json::from_slice(&bytes);
        value
            .map(Some)
            .with_context(|| format!("{} is damaged; delete it to do its stage again", self.path(name).display()))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Binds the folder to one set of settings. A run that goes on in this folder must have the same settings,
    /// except those in `not_binding` (written as `path.of.keys`).
    ///
    /// # Errors
    /// When an earlier run had other settings. The error names every setting that differs.
    pub fn bind(&self, name: &str, settings: &impl Serialize, not_binding: &[&str]) -> Result<()> {
        // Go through text, like the stored settings: an f32 has other digits as text than as a JSON value.
        let now: Value = serde_json::from_str(&serde_json::to_string(settings)?)?;
        match self.read(name)? {
            Some(bytes) => {
                let earlier = serde_json::from_slice(&bytes).with_context(|| {
                    let path = self.path(name);
                    format!(
                        "{} is damaged, and only it says of which settings the results in the folder are: choose another \
                         --out, or delete the folder",
                        path.display()
                    )
                })?;
                let mut differing = Vec::new();
                differences("", &earlier, &now, &mut differing);
                differing.retain(|(path, _)| !not_binding.contains(&path.as_str()));
                let shown: Vec<String> =
                    differing.into_iter().map(|(path, change)| format!("{path}: {change}")).collect();
                // `computed_by` is a field of the job's `Bound`.
                let rounding = if shown.iter().any(|line| line.starts_with("computed_by")) {
                    " (computed_by: another build of this program, another kind of CPU or another number of processes rounds differently; what it \
                     adds would not fit what is there to the last bit)"
                } else {
                    ""
                };
                ensure!(
                    shown.is_empty(),
                    "{} holds a run with other settings or data ({name} there → now):\n  {}\n\
                     Give the former ones to go on with it{rounding}; else choose another --out, or delete the folder",
                    self.0.display(),
                    shown.join("\n  ")
                );
                Ok(())
            }
            None => self.write_json(name, settings).map(|_| ()),
        }
    }
}

/// Lists the leaves that differ between two JSON values, as path and `old → new`.
fn differences(path: &str, old: &Value, new: &Value, found: &mut Vec<(String, String)>) {
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        let added = new.keys().filter(|key| !old.contains_key(*key));
        for key in old.keys().chain(added) {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let absent = Value::Null;
            differences(&path, old.get(key).unwrap_or(&absent), new.get(key).unwrap_or(&absent), found);
        }
    } else if old != new {
        let shown = |value: &Value| if value.is_null() { "none".to_owned() } else { value.to_string() };
        found.push((path.to_owned(), format!("{} → {}", shown(old), shown(new))));
    }
}

/// Returns whether a file with this name was left half written.
fn is_temporary(name: &str) -> bool {
    (name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1)) || is_of_safetensors(name)
}

/// Returns whether this is a temporary file of the safetensors library: `.tmp` and six letters or digits.
fn is_of_safetensors(name: &str) -> bool {
    name.strip_prefix(".tmp").is_some_and(|rest| rest.len() == 6 && rest.chars().all(|c| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_whole_and_settings_bind() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(&folder.path().join("a/b")).unwrap();
        assert_eq!(run.read_json::<u32>("x.json").unwrap(), None);
        run.bind("config.json", &7u32, &[]).unwrap();
        run.bind("config.json", &7u32, &[]).unwrap();
        assert!(run.bind("config.json", &8u32, &[]).unwrap_err().to_string().contains("other settings"));
        let settings = |rate: f32, schedule: &str| serde_json::json!({ "rate": rate, "schedule": schedule, "n": 1 });
        run.bind("settings.json", &settings(0.25, "linear"), &[]).unwrap();
        let refused = run.bind("settings.json", &settings(0.5, "linear"), &[]).unwrap_err().to_string();
        assert!(refused.contains("rate: 0.25 → 0.5") && !refused.contains("schedule"), "{refused}");
        run.bind("settings.json", &settings(0.5, "linear"), &["rate"]).unwrap();
        run.remove("settings.json").unwrap();
        run.remove("settings.json").unwrap();
        run.write("config.json", "{").unwrap();
        assert!(run.read_json::<u32>("config.json").is_err());
        assert_eq!(fs::read_dir(run.path("")).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn one_trainer_at_a_time_and_it_tidies_up() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path()).unwrap();
        let lock = run.lock("config.json").unwrap();
        assert!(run.lock("config.json").err().unwrap().to_string().contains("another trainer"));
        drop(lock);
        for (name, text) in [
            ("model/.dynclean-killed.tmp", "half a model"),
            ("model/.tmpA1b2C3", "half the weights"),
            ("model/weights", "whole"),
            ("notes/.tmpA1b2C3", "somebody's"),
        ] {
            run.write(name, text).unwrap();
        }
        run.remove_temporary_files(&["model", "checkpoint"]);
        let left = |folder| fs::read_dir(run.path(folder)).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!((left("model"), left("notes")), (vec!["weights".into()], vec![".tmpA1b2C3".into()]));
    }

    #[test]
    fn a_folder_with_other_things_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path()).unwrap();
        // Files that a run leaves if it is killed at once.
        run.write(".lock", "").unwrap();
        run.write(".dynclean-killed.tmp", "half the settings").unwrap();
        run.lock("config.json").unwrap();
        run.write("dynamics.dyn", "of a run whose settings are gone").unwrap();
        let error = run.lock("config.json").err().unwrap().to_string();
        assert!(error.contains("dynamics.dyn") && error.contains("--out"), "{error}");
        run.bind("config.json", &7u32, &[]).unwrap();
        run.lock("config.json").unwrap();
        run.write("config.json", "{").unwrap();
        let error = run.bind("config.json", &7u32, &[]).unwrap_err().to_string();
        assert!(error.contains("delete the folder"), "{error}");
    }
}
