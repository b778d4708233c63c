//! The tables of the aum package, with margins and no logits.
//!
//! `full_aum_records.csv` has a row per sample and measurement: `sample_id`, `num_measurements` (from 1; it is
//! used as the epoch), `target_logit` (index of the assigned label), `target_val`, `other_logit`, `other_val`,
//! `margin`, `aum`. One release of the package swaps the two: indices are in `target_val` and values in
//! `target_logit`. The column with whole numbers is taken as the index. `aum_values.csv` has `sample_id` and
//! `aum`, the mean margin. It is stored as the margin of one epoch.
//!
//! Columns are found by name, and other columns are ignored. An empty margin (NaN in pandas) flags its sample.

use std::io::BufRead;

use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::recording::{Guid, Measured, Measurement, Recording};
use super::{ImportError, Layout, Place};

/// Adds all rows of a table to a recording.
///
/// # Errors
/// When the columns are not those of the aum package, or a row does not fit them or the rows before.
pub fn read(reader: impl BufRead, file: &str, recording: &mut Recording) -> Result<Layout, ImportError> {
    let mut csv = ReaderBuilder::new().from_reader(reader);
    let header = csv.byte_headers().map_err(|e| failed(file, &e))?.clone();
    let columns = Columns::find(&header).ok_or_else(|| {
        Place { file, line: 1 }.error(
            "the layout is not known: expected JSON lines with guid, gold and logits_K, or the columns sample_id, \
         num_measurements, margin (full_aum_records.csv) or sample_id, aum (aum_values.csv)",
        )
    })?;
    let mut row = ByteRecord::new();
    let mut target = None;
    while csv.read_byte_record(&mut row).map_err(|e| failed(file, &e))? {
        let place = Place { file, line: row.position().map_or(0, csv::Position::line) };
        let target_column = *target.get_or_insert_with(|| columns.target(&row));
        let measurement = columns.measurement(&row, target_column).map_err(|message| place.error(message))?;
        recording.add(measurement, place)?;
    }
    Ok(if columns.measurements.is_some() { Layout::AumRecords } else { Layout::AumValues })
}

fn failed(file: &str, error: &csv::Error) -> ImportError {
    let line = error.position().map_or(1, csv::Position::line);
    let message = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} values, but the header names {expected_len} columns; was the file cut off?")
        }
        _ => error.to_string(),
    };
    Place { file, line }.error(message)
}

/// The positions of the columns.
struct Columns {
    sample: usize,
    /// If there is no such column, the table is `aum_values.csv`.
    measurements: Option<usize>,
    margin: usize,
    /// Positions of `target_logit` and `target_val`.
    targets: [Option<usize>; 2],
}

impl Columns {
    fn find(header: &ByteRecord) -> Option<Self> {
        let column = |name: &str| header.iter().position(|h| h.trim_ascii() == name.as_bytes());
        let measurements = column("num_measurements");
        Some(Self {
            sample: column("sample_id")?,
            measurements,
            margin: column(if measurements.is_some() { "margin" } else { "aum" })?,
            targets: [column("target_logit"), column("target_val")],
        })
    }

    /// The column with the indices of the labels, found from the first row. Pandas writes whole numbers without a
    /// decimal point, and other values with one.
    fn target(&self, row: &ByteRecord) -> Option<usize> {
        let is_index =
            |&column: &usize| row.get(column).is_some_and(|v| !v.is_empty() && v.iter().all(u8::is_ascii_digit));
        self.targets.into_iter().flatten().find(is_index)
    }

    fn measurement<'a>(&self, row: &'a ByteRecord, target: Option<usize>) -> Result<Measurement<'a>, String> {
        let text = |column: usize| std::str::from_utf8(row.get(column).unwrap_or_default()).map(str::trim);
        let field = |column: usize, name: &str| text(column).map_err(|_| format!("{name} is not UTF-8"));
        let whole = |column: usize, name: &str| {
            let text = field(column, name)?;
            text.parse::<u64>().map_err(|_| format!("{name} is {text:?}, expected a whole number"))
        };
        let sample = field(self.sample, "sample_id")?;
        let epoch = self.measurements.map_or(Ok(1), |column| whole(column, "num_measurements"))?;
        let epoch = u32::try_from(epoch).ok().filter(|&e| e > 0);
        let margin = field(self.margin, "the margin")?;
        let value = if margin.is_empty() { Some(f64::NAN) } else { margin.parse().ok() };
        Ok(Measurement {
            guid: Guid::Text(sample),
            label: target.map(|column| whole(column, "the target")).transpose()?,
            epoch: epoch.ok_or("num_measurements must be at least 1")?,
            measured: Measured::Margin(value.ok_or_else(|| format!("the margin is {margin:?}, expected a number"))?),
        })
    }
}
