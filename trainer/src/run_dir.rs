//! The folder of a run: what is in it, and how files get there whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A run's folder.
pub struct RunDir(PathBuf);

impl RunDir {
    /// Creates or opens the folder.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        Ok(Self(folder.to_owned()))
    }

    /// A file or folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file whole: it appears under its name only when all bytes are on disk.
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

    /// Reads JSON that an earlier run wrote; `None` where there is none.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => {
                let value = serde_json::from_slice(&bytes);
                value
                    .map(Some)
                    .with_context(|| format!("{} is damaged; delete it to do its stage again", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Binds the folder to one set of settings: a run that goes on in it must have the same.
    ///
    /// # Errors
    /// When an earlier run with other settings is there.
    pub fn bind<T: Serialize + DeserializeOwned + PartialEq>(&self, name: &str, settings: &T) -> Result<()> {
        match self.read_json::<T>(name)? {
            Some(earlier) if earlier != *settings => {
                bail!(
                    "{} holds a run with other settings or data (see {name}); choose another --out, or delete the folder",
                    self.0.display()
                )
            }
            Some(_) => Ok(()),
            None => self.write_json(name, settings).map(|_| ()),
        }
    }
}

/// Writes a file whole: temporary file beside it, flush to disk, rename.
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    write_whole_by(path, |file| Ok(file.write_all(bytes.as_ref())?))
}

/// Writes a file whole, piece by piece: it gets its name when `write` has succeeded.
///
/// # Errors
/// When it cannot be written, or `write` fails.
pub fn write_whole_by(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let whole = || -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        write(file.as_file_mut())?;
        file.as_file().sync_all()?;
        // Temporary files are private; results are as open as any other file.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path)?;
        Ok(())
    };
    whole().with_context(|| format!("cannot write {}", path.display()))
}

/// A file that grows piece by piece, each on disk before the next, and gets its name at the end.
pub struct GrowingFile {
    file: File,
    partial: PathBuf,
    path: PathBuf,
}

impl GrowingFile {
    /// Starts `path` as `path.partial`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
        Ok(Self { file, partial, path: path.to_owned() })
    }

    /// Appends and flushes to disk.
    ///
    /// # Errors
    /// When the disk is full or gone.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let append = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        append.with_context(|| format!("cannot write {}", self.partial.display()))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn finish(self) -> Result<()> {
        self.file.sync_all().with_context(|| format!("cannot write {}", self.partial.display()))?;
        fs::rename(&self.partial, &self.path).with_context(|| format!("cannot write {}", self.path.display()))
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
        run.bind("config.json", &7u32).unwrap();
        run.bind("config.json", &7u32).unwrap();
        assert!(run.bind("config.json", &8u32).unwrap_err().to_string().contains("other settings"));
        run.write("config.json", "{").unwrap();
        assert!(run.read_json::<u32>("config.json").is_err());
        assert_eq!(fs::read_dir(run.path("")).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_growing_file_gets_its_name_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.dyn");
        let mut file = GrowingFile::create(&path).unwrap();
        file.append(b"ab").unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read(folder.path().join("x.dyn.partial")).unwrap(), b"ab");
        file.append(b"c").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"abc");
    }
}
