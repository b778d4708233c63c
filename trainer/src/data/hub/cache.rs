//! The cache for files of models and data sets, in the layout of Python's `huggingface_hub`.
//!
//! `models--ORGANISATION--NAME/` (or `datasets--…`) contains `blobs/` (the content of files), `snapshots/COMMIT/` (the
//! names of files, as links to the blobs) and `refs/REVISION` (the commit of a branch or tag).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ModelId;

/// The branch with the Parquet files of every data set.
pub(super) const BRANCH: &str = "refs/convert/parquet";

/// The part of the cache that belongs to one revision of one model or data set.
pub struct Cached {
    folder: PathBuf,
    revision: String,
}

/// Returns whether this is a git commit hash. Other text from a server must not become part of a path.
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit())
}

impl Cached {
    pub fn new(cache: &Path, id: &ModelId) -> Self {
        let folder = cache.join(format!("models--{}", id.repository.replace('/', "--")));
        Self { folder, revision: id.revision.clone() }
    }

    /// Returns the part of the cache with the Parquet files of a data set.
    pub fn dataset(cache: &Path, repository: &str) -> Self {
        let folder = cache.join(format!("datasets--{}", repository.replace('/', "--")));
        Self { folder, revision: BRANCH.to_owned() }
    }

    fn reference(&self) -> PathBuf {
        self.folder.join("refs").join(&self.revision)
    }

    /// Returns the folder with the files of the revision. Some of its files may be missing.
    pub fn snapshot(&self) -> Option<PathBuf> {
        // For a commit that was requested by its hash, Python stores no reference.
        let of_reference = fs::read_to_string(self.reference()).ok();
        let commit = of_reference.unwrap_or_else(|| self.revision.clone());
        is_commit(commit.trim()).then(|| self.snapshot_of(commit.trim()))
    }

    fn snapshot_of(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Returns a file of the revision, if it is in the cache.
    pub fn get(&self, name: &str) -> Option<PathBuf> {
        self.snapshot().map(|snapshot| snapshot.join(name)).filter(|file| file.is_file())
    }

    /// Returns the folder for the contents of files, after creating it.
    pub fn blobs(&self) -> io::Result<PathBuf> {
        let blobs = self.folder.join("blobs");
        fs::create_dir_all(&blobs)?;
        Ok(blobs)
    }

    /// Gives a blob a file name in the snapshot of a commit, and makes the revision point to this commit.
    pub fn name(&self, blob: &str, commit: &str, name: &str) -> io::Result<PathBuf> {
        let named = self.snapshot_of(commit).join(name);
        fs::create_dir_all(named.parent().unwrap_or(&named))?;
        // A link whose target is gone is replaced.
        if !named.is_file() {
            let _ = fs::remove_file(&named);
            let up = "../".repeat(2 + name.matches('/').count());
            link(&self.folder.join("blobs").join(blob), &Path::new(&up).join("blobs").join(blob), &named)?;
        }
        if self.revision != commit {
            let reference = self.reference();
            fs::create_dir_all(reference.parent().unwrap_or(&reference))?;
            fs::write(reference, commit)?;
        }
        Ok(named)
    }
}

/// Makes a relative link, so that the cache can be moved. Where links are not possible, makes a copy.
fn link(original: &Path, relative: &Path, named: &Path) -> io::Result<()> {
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(relative, named);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(relative, named);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::copy(original, named).map(drop),
        _ => Ok(()),
    }
}
