//! The logits of one epoch while they are recorded. They are kept in a file without a name, for two reasons. The logits
//! of a large corpus do not fit in memory. And a dynamics file has them in another order than the model computes them.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Result;
use shared::recording::dyn_file::{EpochSection, RunKind};
use shared::recording::dynamics::{EpochLogits, Precision};

use crate::files::cannot_write;

const WIDTH: usize = Precision::F16.bytes();

/// One column per entity type, of logits relative to `O` in half precision.
pub(super) struct EpochColumns<'a> {
    folder: &'a Path,
    file: File,
    n_spans: usize,
    n_types: usize,
}

impl<'a> EpochColumns<'a> {
    /// Begins the columns of an epoch, on the disk of this folder.
    pub fn create(folder: &'a Path, n_spans: usize, n_types: usize) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|error| cannot_write(folder, error.into()))?;
        Ok(Self { folder, file, n_spans, n_types })
    }

    /// Takes the logits of spans that follow each other, from `first` on: `n_types + 1` for each, `O` first.
    pub fn take(&mut self, first: usize, rows: &[f32]) -> Result<()> {
        self.take_logits(first, &EpochLogits::from_rows(rows, self.n_types, Precision::F16)?)
    }

    /// Takes such logits in half precision.
    pub fn take_logits(&mut self, first: usize, logits: &EpochLogits) -> Result<()> {
        let mut bytes = Vec::new();
        logits.write_bytes(&mut bytes);
        let length = (logits.n_spans() * WIDTH).max(1);
        for (column, bytes) in bytes.chunks(length).enumerate() {
            let at = (column * self.n_spans + first) * WIDTH;
            let written = self.file.seek(SeekFrom::Start(at as u64)).and_then(|_| self.file.write_all(bytes));
            written.map_err(|error| cannot_write(self.folder, error.into()))?;
        }
        Ok(())
    }

    /// Returns the section of the dynamics file. All spans must have been taken.
    pub fn section(self, run: RunKind, epoch: u32) -> io::Result<impl Read> {
        let Self { mut file, n_spans, n_types, .. } = self;
        let mut section = EpochSection::new(run, epoch, n_spans, n_types);
        file.rewind()?;
        io::copy(&mut file, &mut section)?;
        file.rewind()?;
        Ok(Cursor::new(section.opening()).chain(file))
    }
}

#[cfg(test)]
mod tests {
    use shared::recording::dyn_file;

    use super::*;

    #[test]
    fn parts_in_any_order_give_the_section_of_the_whole() {
        // Seven spans, three types.
        let rows: Vec<f32> = (0..28).map(|i| (i * i % 11) as f32 - 4.5).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut columns = EpochColumns::create(folder.path(), 7, 3).unwrap();
        for (first, last) in [(3, 5), (0, 2), (6, 6)] {
            columns.take(first, &rows[4 * first..4 * (last + 1)]).unwrap();
        }
        columns.take(7, &[]).unwrap();
        let mut section = Vec::new();
        columns.section(RunKind::Main, 2).unwrap().read_to_end(&mut section).unwrap();
        let whole = EpochLogits::from_rows(&rows, 3, Precision::F16).unwrap();
        assert_eq!(section, dyn_file::epoch(RunKind::Main, 2, &whole));
    }
}
