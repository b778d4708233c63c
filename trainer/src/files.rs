//! Files that appear whole, files that grow, parts in a folder, and turns with a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// Prefix and suffix of temporary files, so that files left by a killed process can be recognised.
pub const TEMPORARY: (&str, &str) = (".dynclean-", ".tmp");

/// Adds to an error what a person can do if a file cannot be written.
pub fn cannot_write(path: &Path, error: anyhow::Error) -> anyhow::Error {
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

/// Does long work that writes a file whole, piece by piece. Unlike [`write_whole_by`], it returns an error of the work
/// as it is, because not every error is about this file.
///
/// # Errors
/// When the file cannot be created, or the work fails.
pub fn write_whole_during<T>(path: &Path, work: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    let mut outcome = None;
    let written = write_whole_by(path, |file| match work(file) {
        Ok(done) => {
            outcome = Some(Ok(done));
            Ok(())
        }
        Err(error) => {
            outcome = Some(Err(error));
            bail!("the work failed")
        }
    });
    match outcome {
        Some(Ok(done)) => written.map(|()| done),
        Some(Err(error)) => Err(error),
        None => Err(written.err().unwrap_or_else(|| anyhow!("{} was not written", path.display()))),
    }
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

/// Returns the paths of `n` parts in a folder, such as `part-01-of-12.dyn`. `what` names such files in the error.
///
/// # Errors
/// When the folder cannot be read, or has another file with this ending: it would count as a part, too.
pub fn part_paths(folder: &Path, n: usize, extension: &str, what: &str) -> Result<Vec<PathBuf>> {
    let digits = n.to_string().len();
    let paths: Vec<PathBuf> =
        (1..=n).map(|number| folder.join(format!("part-{number:0digits$}-of-{n}.{extension}"))).collect();
    let about = || format!("cannot read {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(paths),
        entries => entries.with_context(about)?,
    };
    for entry in entries {
        let path = entry.with_context(about)?.path();
        ensure!(
            path.extension().is_none_or(|other| other != extension) || paths.contains(&path),
            "{} has another {what}, {}, which would count as a part: choose an empty folder",
            folder.display(),
            path.display()
        );
    }
    Ok(paths)
}

/// Does work. If `turns` is given, processes that take turns by the same file do their work one after the other. On a
/// file system without locks, nobody waits.
pub fn in_turn<T>(turns: Option<&File>, work: impl FnOnce() -> T) -> T {
    let locked = turns.filter(|turns| turns.lock().is_ok());
    let done = work();
    if let Some(turns) = locked {
        // The system releases the lock at the end of the process, too.
        let _ = turns.unlock();
    }
    done
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
        let bytes =
            io::copy(&mut (&mut file).take(to.bytes), &mut HashWriter(&mut hash, io::sink())).with_context(about)?;
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
    /// When the bytes cannot be read or written.
    pub fn append(&mut self, mut bytes: impl Read) -> Result<()> {
        let Self { file, partial, hash, .. } = self;
        let written = io::copy(&mut bytes, &mut HashWriter(hash, &mut *file));
        let written = written.and_then(|written| file.sync_data().map(|()| written));
        self.bytes += written.map_err(|error| cannot_write(partial, error.into()))?;
        Ok(())
    }
}

/// Passes on what is written to it, and hashes it.
struct HashWriter<'a, W>(&'a mut Xxh3, W);

impl<W: Write> Write for HashWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.1.write(bytes)?;
        self.0.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        file.append(&b"ab"[..]).unwrap();
        let earlier = file.written();
        file.append(&b"cd"[..]).unwrap();
        drop(file);
        let mut file = GrowingFile::go_back(&path, &earlier).unwrap();
        file.append(&b"e"[..]).unwrap();
        assert_eq!(fs::read(GrowingFile::partial(&path)).unwrap(), b"abe");
        let later = file.written();
        // One byte is missing; then one byte is changed.
        fs::write(GrowingFile::partial(&path), b"ab").unwrap();
        assert!(GrowingFile::go_back(&path, &later).err().unwrap().to_string().contains("damaged"));
        fs::write(GrowingFile::partial(&path), b"aBe").unwrap();
        assert!(GrowingFile::go_back(&path, &later).err().unwrap().to_string().contains("damaged"));
    }
}
