//! Where a model's files are kept: the layout of Python's `huggingface_hub`.
//!
//! `models--ORGANISATION--NAME/` has `blobs/` (the content of files), `snapshots/COMMIT/` (their names, as links to the
//! blobs) and `refs/REVISION` (the commit that a branch or tag was at).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ModelId;

/// The part of the cache that belongs to one model at one revision.
pub struct CachedModel {
    folder: PathBuf,
    revision: String,
}

/// Whether this names a commit, as git does: what else a server says is no part of a path.
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit())
}

impl CachedModel {
    pub fn new(cache: &Path, id: &ModelId) -> Self {
        let folder = cache.join(format!("models--{}", id.repository.replace('/', "--")));
        Self { folder, revision: id.revision.clone() }
    }

    fn reference(&self) -> PathBuf {
        self.folder.join("refs").join(&self.revision)
    }

    /// The folder of the files at the revision, as far as they are there.
    pub fn snapshot(&self) -> Option<PathBuf> {
        // Python keeps no reference for a commit that was asked for by its hash.
        let of_reference = fs::read_to_string(self.reference()).ok();
        let commit = of_reference.unwrap_or_else(|| self.revision.clone());
        is_commit(commit.trim()).then(|| self.snapshot_of(commit.trim()))
    }

    fn snapshot_of(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// A file at the revision, where it is there.
    pub fn get(&self, name: &str) -> Option<PathBuf> {
        self.snapshot().map(|snapshot| snapshot.join(name)).filter(|file| file.is_file())
    }

    /// The folder for the contents of files, which is made.
    pub fn blobs(&self) -> io::Result<PathBuf> {
        let blobs = self.folder.join("blobs");
        fs::create_dir_all(&blobs)?;
        Ok(blobs)
    }

    /// Gives a blob its name at a commit, which becomes that of the revision.
    pub fn name(&self, blob: &str, commit: &str, name: &str) -> io::Result<PathBuf> {
        let snapshot = self.snapshot_of(commit);
        fs::create_dir_all(&snapshot)?;
        let named = snapshot.join(name);
        // Where it leads to nothing, it is made anew.
        if !named.is_file() {
            let _ = fs::remove_file(&named);
            link(&self.folder.join("blobs").join(blob), &Path::new("../../blobs").join(blob), &named)?;
        }
        if self.revision != commit {
            let reference = self.reference();
            fs::create_dir_all(reference.parent().unwrap_or(&reference))?;
            fs::write(reference, commit)?;
        }
        Ok(named)
    }
}

/// A relative link, as the cache may be moved; a copy where there are no links.
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
