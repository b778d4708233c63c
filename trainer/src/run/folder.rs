//! The folder of a run: its files, and how to write them whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

/// Prefix and suffix of temporary files, so that files left by a killed process can be recognised.
const TEMPORARY: (&str, &str) = (".dynclean-", ".tmp");
const LOCK: &str = ".lock";

/// A run's folder.
pub struct RunDir(PathBuf);

/// Lock on a run's folder. While it exists, no other trainer works in the folder. The system releases it when the
/// process ends.
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
        let path = self.path(LOCK);
        let about = || format!("cannot write in the folder {}", self.0.display());
        let mut file = OpenOptions::new().create(true).append(true).open(&path).with_context(about)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                bail!("another trainer is at work in {}: wait until it is done, or end it", self.0.display())
            }
            // On a file system that has no locks, work without one.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            locked => locked.with_context(about)?,
        }
        // Creating a file may succeed although writing data fails, for example on a full disk. Write a byte to
        // find out now.
        file.write_all(b".").and_then(|()| file.set_len(0)).with_context(about)?;
        Ok(Lock { _file: file })
    }

    fn is_empty_or_has(&self, binding: &str) -> Result<()> {
        if self.path(binding).is_file() {
            return Ok(());
        }
        let about = || format!("cannot read the folder {}", self.0.display());
        for entry in fs::read_dir(&self.0).with_context(about)? {
            let name = entry.with_context(about)?.file_name();
            let name = name.to_string_lossy();
            ensure!(
                name == LOCK || is_temporary(&name),
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
                // `computed_by` is a field of the pipeline's `Bound`.
                let rounding = if shown.iter().any(|line| line.starts_with("computed_by")) {
                    " (computed_by: another build of this program, or another kind of CPU, rounds differently; what it \
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

/// Adds to an error what a person can do if a file cannot be written.
fn cannot_write(path: &Path, error: anyhow::Error) -> anyhow::Error {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kind = error.root_cause().downcast_ref::<io::Error>().map(io::Error::kind);
    let advice = match kind {
        Some(StorageFull | QuotaExceeded | FileTooLarge) => format!(
            "cannot write {}. Whatever was whole still is: make room, then give the same command again",
            path.display()
        ),
        Some(io::ErrorKind::PermissionDenied | ReadOnlyFilesystem) => {
            format!("cannot write {}: make it writable, or choose another place", path.display())
        }
        _ => format!("cannot write {}", path.display()),
    };
    error.context(advice)
}

/// Writes a file whole: temporary file beside it, flush to disk, rename.
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    write_whole_by(path, |file| Ok(file.write_all(bytes.as_ref())?))
}

/// Writes a file whole, piece by piece: it gets its name only after `write` has succeeded.
///
/// # Errors
/// When it cannot be written, or `write` fails.
pub fn write_whole_by(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    write_whole_at(path, |file, _| write(file))
}

/// Does the same as [`write_whole_by`], for writers that need a path. The second argument of `write` is the path
/// of the temporary file.
///
/// If `path` is a link, its target is replaced. A device or pipe is written directly.
///
/// # Errors
/// When it cannot be written, or `write` fails.
pub fn write_whole_at(path: &Path, write: impl FnOnce(&mut File, &Path) -> Result<()>) -> Result<()> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let straight = || write(&mut OpenOptions::new().write(true).open(path)?, path);
        return straight().map_err(|error| cannot_write(path, error));
    }
    let path = &fs::canonicalize(path).unwrap_or(path.to_owned());
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let whole = || -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
        // Temporary files are private by default. Results get the usual permissions of new files; the system
        // applies the umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        let permissions = file.as_file().metadata()?.permissions();
        let temporary = file.path().to_owned();
        write(file.as_file_mut(), &temporary)?;
        // Open the file by its name: some writers replace the given file with a new one.
        OpenOptions::new().write(true).open(&temporary)?.sync_all()?;
        fs::set_permissions(&temporary, permissions)?;
        file.persist(path)?;
        // The name must survive a power cut, too. Not every file system can promise that.
        #[cfg(unix)]
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    };
    whole().map_err(|error| cannot_write(path, error))
}

/// Copies a file whole. It copies only the bytes, not the permissions.
///
/// # Errors
/// When the file cannot be read, or the copy cannot be written.
pub fn copy_whole(from: &Path, to: &Path) -> Result<()> {
    let mut original = File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
    write_whole_by(to, |copy| Ok(io::copy(&mut original, copy).map(drop)?))
}

/// Content of a growing file at some moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Length in bytes.
    pub bytes: u64,
    /// XXH3-128 of the bytes, as 32 hexadecimal digits.
    pub digest: String,
}

/// A file that grows piece by piece as `NAME.partial`. Each piece is on disk before the next is written.
pub struct GrowingFile {
    file: File,
    partial: PathBuf,
    bytes: u64,
    hash: Xxh3,
}

impl GrowingFile {
    /// Creates `path.partial`, which grows in place of `path`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let partial = Self::partial(path);
        let file = File::create(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
        Ok(Self { file, partial, bytes: 0, hash: Xxh3::new() })
    }

    /// Opens `path.partial` and goes back to its content at an earlier moment. Later bytes are cut off.
    ///
    /// # Errors
    /// When the file does not begin with these bytes.
    pub fn go_back(path: &Path, to: &Written) -> Result<Self> {
        let partial = Self::partial(path);
        let about = || format!("cannot read {}", partial.display());
        let mut file = OpenOptions::new().read(true).write(true).open(&partial).with_context(about)?;
        let mut hash = Xxh3::new();
        let bytes = io::copy(&mut (&mut file).take(to.bytes), &mut HashWriter(&mut hash)).with_context(about)?;
        let mut growing = Self { file, partial, bytes, hash };
        ensure!(growing.written() == *to, "{} is damaged", growing.partial.display());
        let cut = growing.file.set_len(to.bytes).and_then(|()| growing.file.seek(SeekFrom::Start(to.bytes)));
        cut.with_context(|| format!("cannot write {}", growing.partial.display()))?;
        growing.bytes = to.bytes;
        Ok(growing)
    }

    /// Returns the path where `path` grows.
    pub fn partial(path: &Path) -> PathBuf {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        PathBuf::from(partial)
    }

    /// Returns the length and digest of the current content.
    pub fn written(&self) -> Written {
        Written { bytes: self.bytes, digest: format!("{:032x}", self.hash.digest128()) }
    }

    /// Appends bytes and flushes them to disk.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        written.map_err(|error| cannot_write(&self.partial, error.into()))?;
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
        Ok(())
    }
}

/// Hashes what is written to it.
struct HashWriter<'a>(&'a mut Xxh3);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let [real, link, null] = ["real", "link", "null"].map(|name| folder.path().join(name));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        write_whole(&link, "new").unwrap();
        write_whole(&null, "nothing").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!([link, null].iter().all(|path| fs::symlink_metadata(path).unwrap().is_symlink()));
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[cfg(unix)]
    #[test]
    fn results_are_as_open_as_other_files_whatever_they_are_copied_from() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [other, read_only, result] = ["other", "read-only", "result"].map(|name| folder.path().join(name));
        fs::write(&other, "").unwrap();
        fs::write(&read_only, "whole").unwrap();
        fs::set_permissions(&read_only, fs::Permissions::from_mode(0o444)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        copy_whole(&read_only, &result).unwrap();
        assert_eq!((fs::read(&result).unwrap().as_slice(), mode(&result)), (&b"whole"[..], mode(&other)));
        // Like the safetensors library: replace the file with a new, private one.
        write_whole_at(&result, |_, temporary| {
            fs::remove_file(temporary)?;
            fs::write(temporary, "new")?;
            Ok(fs::set_permissions(temporary, fs::Permissions::from_mode(0o600))?)
        })
        .unwrap();
        assert_eq!((fs::read(&result).unwrap().as_slice(), mode(&result)), (&b"new"[..], mode(&other)));
    }

    #[test]
    fn a_growing_file_goes_back_to_what_it_was_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.dyn");
        let mut file = GrowingFile::create(&path).unwrap();
        file.append(b"ab").unwrap();
        let earlier = file.written();
        file.append(b"cd").unwrap();
        drop(file);
        let mut file = GrowingFile::go_back(&path, &earlier).unwrap();
        file.append(b"e").unwrap();
        assert_eq!(fs::read(GrowingFile::partial(&path)).unwrap(), b"abe");
        let later = file.written();
        // One byte is missing; then one byte is changed.
        fs::write(GrowingFile::partial(&path), b"ab").unwrap();
        assert!(GrowingFile::go_back(&path, &later).err().unwrap().to_string().contains("damaged"));
        fs::write(GrowingFile::partial(&path), b"aBe").unwrap();
        assert!(GrowingFile::go_back(&path, &later).err().unwrap().to_string().contains("damaged"));
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
