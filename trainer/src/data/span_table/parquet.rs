//! The table of spans as Parquet, for DuckDB, Polars or Spark.
//!
//! Whole numbers are unsigned, and texts are dictionary-encoded strings. Unknown values are null: gold without a
//! gold corpus, probabilities if only margins were recorded, and metrics of flagged spans. Margins are a list with one
//! value for each epoch, so that AUM over any window can be computed from the table.
//!
//! Columns are written group by group in small batches, so the whole table is never in memory.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result};
use parquet::basic::{Compression, Encoding};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use crate::data::span_table::SpanTable;

/// Number of rows in a group. Readers load or skip a group as a whole.
const ROWS_PER_GROUP: usize = 1 << 20;
/// Number of rows in a part of a table in several files.
pub const ROWS_PER_PART: usize = 16 * ROWS_PER_GROUP;
/// Number of rows that the writer gets at once.
const ROWS_PER_BATCH: usize = 8192;

/// The columns in order. A `required` column has a value for every span.
const SCHEMA: &str = "message spans {
    required int32 span_id (INTEGER(32, false));
    required int32 sentence (INTEGER(32, false));
    required int32 start (INTEGER(32, false));
    required int32 end (INTEGER(32, false));
    required binary text (STRING);
    required binary label (STRING);
    optional binary gold (STRING);
    optional binary predicted (STRING);
    optional float predicted_probability;
    optional float aum;
    optional float confidence;
    optional float variability;
    required int32 correctness (INTEGER(16, false));
    required int32 forgetting (INTEGER(16, false));
    required binary decision (STRING);
    optional float trust;
    required binary because (STRING);
    required group margins (LIST) {
        repeated group list {
            required float element;
        }
    }
}";

/// Columns of positions. Their values rise, so differences take the least space.
const POSITIONS: [&str; 4] = ["span_id", "sentence", "start", "end"];
/// Columns of measured values, which rarely repeat.
const MEASURED: [&str; 5] = ["predicted_probability", "aum", "confidence", "variability", "trust"];

/// Writes some rows of the table.
///
/// # Errors
/// When the writer fails.
pub fn write(table: &SpanTable, rows: Range<usize>, out: impl Write + Send) -> Result<()> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("DynClean ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::SNAPPY);
    for name in POSITIONS.into_iter().chain(MEASURED) {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    let margins = ["margins", "list", "element"].map(str::to_owned).to_vec();
    properties = properties.set_column_dictionary_enabled(ColumnPath::new(margins), false);
    for name in POSITIONS {
        properties = properties.set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    let mut file = SerializedFileWriter::new(out, schema, Arc::new(properties.build()))?;
    // A table without rows has no group.
    for start in rows.clone().step_by(ROWS_PER_GROUP) {
        let rows = start..(start + ROWS_PER_GROUP).min(rows.end);
        let mut group = Group { rows, writer: file.next_row_group()? };
        write_columns(table, &mut group)?;
        group.writer.close()?;
    }
    file.close()?;
    Ok(())
}

fn write_columns<W: Write + Send>(table: &SpanTable, group: &mut Group<W>) -> Result<()> {
    let metrics = &table.judge.metrics;
    let position = |id: usize| table.judge.index.span(id as u32).unwrap_or(NO_SPAN);
    let names: Vec<ByteArray> =
        (0..=table.recording.dynamics.corpus.labels.n_types()).map(|l| table.name(l as u16).into()).collect();
    let name = |label: u16| names.get(usize::from(label)).cloned();
    let finite = |column: &[f32], id: usize| column.get(id).copied().filter(|v| v.is_finite());
    let predicted_probability = |id: usize| Some(metrics.prediction(id)?.probability()).filter(|p| p.is_finite());

    // Parquet stores the bits of unsigned numbers in signed ones.
    group.required::<Int32Type>(|id| id as u32 as i32)?;
    group.required::<Int32Type>(|id| position(id).sentence as i32)?;
    group.required::<Int32Type>(|id| position(id).start as i32)?;
    group.required::<Int32Type>(|id| position(id).end as i32)?;
    group.required::<ByteArrayType>(|id| {
        table.recording.dynamics.corpus.tokens.surface(position(id)).into_bytes().into()
    })?;
    group.required::<ByteArrayType>(|id| name(table.label(id)).unwrap_or_default())?;
    group.optional::<ByteArrayType>(|id| name(table.gold(id)?))?;
    group.optional::<ByteArrayType>(|id| {
        predicted_probability(id)?;
        name(table.judge.predicted(id as u32)?)
    })?;
    group.optional::<FloatType>(predicted_probability)?;
    group.optional::<FloatType>(|id| finite(&metrics.aum, id))?;
    group.optional::<FloatType>(|id| finite(&metrics.confidence, id))?;
    group.optional::<FloatType>(|id| finite(&metrics.variability, id))?;
    group.required::<Int32Type>(|id| metrics.correctness.get(id).map_or(0, |&n| i32::from(n)))?;
    group.required::<Int32Type>(|id| metrics.forgetting.get(id).map_or(0, |&n| i32::from(n)))?;
    let mut decisions: HashMap<String, ByteArray> = HashMap::new();
    group.required::<ByteArrayType>(|id| {
        let decision = table.decision(id);
        decisions.entry(decision).or_insert_with_key(|d| d.as_str().into()).clone()
    })?;
    group.optional::<FloatType>(|id| finite(&metrics.trust, id))?;
    group.required::<ByteArrayType>(|id| table.because(id).into_bytes().into())?;
    group.lists(table.recording.n_epochs(), |rows| table.margins(rows))
}

/// Stands for the span of an id that does not exist. A group never contains such an id.
const NO_SPAN: shared::corpus::span::Span = shared::corpus::span::Span { sentence: 0, start: 0, end: 0 };

/// A group of rows. Its columns are written one after the other.
struct Group<'a, W: Write + Send> {
    rows: Range<usize>,
    writer: SerializedRowGroupWriter<'a, W>,
}

impl<W: Write + Send> Group<'_, W> {
    fn required<T: DataType>(&mut self, mut value: impl FnMut(usize) -> T::T) -> Result<()> {
        self.column::<T>(false, |id| Some(value(id)))
    }

    fn optional<T: DataType>(&mut self, value: impl FnMut(usize) -> Option<T::T>) -> Result<()> {
        self.column::<T>(true, value)
    }

    /// Writes lists that all have this many values. `values` returns those of some rows, one list after the other.
    fn lists(&mut self, length: usize, values: impl Fn(Range<usize>) -> Result<Vec<f32>>) -> Result<()> {
        let mut column = self.writer.next_column()?.context("the schema has fewer columns than are written")?;
        for start in self.rows.clone().step_by(ROWS_PER_BATCH) {
            let rows = start..(start + ROWS_PER_BATCH).min(self.rows.end);
            let n = rows.len() * length;
            // The first value of every list begins a row.
            let repeats: Vec<i16> = (0..n).map(|value| i16::from(value % length != 0)).collect();
            column.typed::<FloatType>().write_batch(&values(rows)?, Some(&vec![1; n]), Some(&repeats))?;
        }
        column.close()?;
        Ok(())
    }

    fn column<T: DataType>(&mut self, is_optional: bool, mut value: impl FnMut(usize) -> Option<T::T>) -> Result<()> {
        let mut column = self.writer.next_column()?.context("the schema has fewer columns than are written")?;
        let (mut values, mut is_known) = (Vec::with_capacity(ROWS_PER_BATCH), Vec::with_capacity(ROWS_PER_BATCH));
        for start in self.rows.clone().step_by(ROWS_PER_BATCH) {
            values.clear();
            is_known.clear();
            for id in start..(start + ROWS_PER_BATCH).min(self.rows.end) {
                let value = value(id);
                is_known.push(i16::from(value.is_some()));
                values.extend(value);
            }
            let levels = is_optional.then_some(is_known.as_slice());
            column.typed::<T>().write_batch(&values, levels, None)?;
        }
        column.close()?;
        Ok(())
    }
}
