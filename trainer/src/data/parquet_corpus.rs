//! Corpora in Parquet files, with one sentence or text a row.
//!
//! Every row becomes a JSON record, which the readers of JSON Lines read. So options, schemes and messages are the
//! same as there. When a corpus is written, its records become rows of the same columns again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, Once};

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow_array::RecordBatch;
use arrow_json::reader::infer_json_schema_from_iterator;
use arrow_json::writer::{LineDelimited, Writer};
use arrow_json::{ReaderBuilder, WriterBuilder};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter};
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;
use serde::{Deserialize, Serialize};
use shared::formats::{self, FormatError, Layers, Layout, ReadOptions, TagNames};

/// The ending of the names of Parquet files, without the dot.
pub const EXTENSION: &str = "parquet";
/// The bytes at the start of every Parquet file.
const MAGIC: &[u8] = b"PAR1";
/// Number of rows that are converted at once.
const ROWS_PER_BATCH: usize = 1024;
/// A group of rows is written when it has about so many bytes.
const GROUP: usize = 16 << 20;
/// Key of the metadata in which `datasets` describes the columns.
const HUGGING_FACE: &str = "huggingface";

/// Returns whether these are the bytes of a Parquet file.
pub fn is_parquet(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Returns whether the name of a file says that it is a Parquet file.
pub fn has_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(EXTENSION))
}

/// The columns of a file, so that a file with the same columns can be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Columns {
    fields: Fields,
    /// The file's description of its columns, by key. The map is sorted, so that the order is always the same.
    metadata: BTreeMap<String, String>,
}

impl Columns {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.fields.clone()))
    }

    /// Returns the names of the ids in a column, if `datasets` stored them in a `ClassLabel`.
    fn names(&self, column: &str) -> Option<TagNames> {
        let description: serde_json::Value = serde_json::from_str(self.metadata.get(HUGGING_FACE)?).ok()?;
        class_names(description.get("info")?.get("features")?.get(column)?)
    }
}

/// Returns whether a Parquet file with this layout names these tag ids itself.
pub fn names_ids(layout: &Layout, ids: &[(i64, String)]) -> bool {
    let (Layout::Bond(tags) | Layout::TagsJsonl(tags)) = layout else { return false };
    let columns = tags.parquet.as_deref().and_then(|columns| serde_json::from_str::<Columns>(columns).ok());
    columns.and_then(|columns| columns.names(&tags.tags)).is_some_and(|names| names.pairs() == ids)
}

/// Returns the names of a `ClassLabel`, alone or in a list. Old versions of `datasets` wrote a list as an array of one
/// feature.
fn class_names(feature: &serde_json::Value) -> Option<TagNames> {
    if let Some(items) = feature.as_array() {
        return class_names(items.first()?);
    }
    match feature.get("names") {
        Some(names) => {
            let names: Option<Vec<&str>> = names.as_array()?.iter().map(serde_json::Value::as_str).collect();
            names.map(TagNames::from_list)
        }
        None => class_names(feature.get("feature")?),
    }
}

/// Reads a corpus from the bytes of a Parquet file.
///
/// If the options give no names of tag ids, they are read from the file's description by `datasets`, and if it has
/// none, from the file `tags_beside`.
///
/// # Errors
/// The error names the file, the row and what was expected.
pub fn read(
    bytes: &[u8],
    path: &Path,
    options: &ReadOptions,
    tags_beside: impl FnOnce(&ReadOptions) -> Result<Option<TagNames>>,
) -> Result<Layers> {
    let file = path.display();
    let (columns, records, note) = guarded(|| records(bytes)).with_context(|| {
        format!("cannot read {file} as Parquet; if it was copied or downloaded, see whether it is complete")
    })?;
    ensure!(!records.is_empty(), "{file} has no rows");
    let mut options = options.clone();
    options.format = Some(options.format.map_or_else(|| formats::detect(&records), Ok).map_err(at_row(path))?);
    if options.tags.is_none() {
        options.tags = match names(&columns, &options).with_context(|| file.to_string())? {
            Some(names) => Some(names),
            None => tags_beside(&options)?,
        };
    }
    let mut layers = formats::read(&records, &options).map_err(at_row(path))?;
    no_bytes_as_text(&columns, &layers.corpus.layout).with_context(|| file.to_string())?;
    layers.notes.extend(note.clone());
    if note.is_none() {
        layers.corpus.layout.set_parquet(serde_json::to_string(&columns)?);
        if layers.corpus.layout.parquet().is_none() {
            let format = layers.corpus.layout.format().title();
            layers.notes.push(format!("read as {format}, which cannot be written as Parquet again"));
        }
    }
    Ok(layers)
}

/// Adds the file to an error about a row.
pub fn at_row(path: &Path) -> impl FnOnce(FormatError) -> anyhow::Error + '_ {
    |FormatError { line, message }| anyhow!("{}, row {line}: {message}", path.display())
}

/// Returns the names of the tag ids in the label columns.
fn names(columns: &Columns, options: &ReadOptions) -> Result<Option<TagNames>> {
    let label = options.label.as_deref().or_else(|| {
        formats::tag_json::TAG_FIELDS.into_iter().find(|name| columns.fields.iter().any(|field| field.name() == name))
    });
    let of_label = label.and_then(|label| columns.names(label));
    let of_gold = options.gold.as_deref().and_then(|gold| columns.names(gold));
    match (of_label, of_gold) {
        (Some(of_label), Some(of_gold)) if of_label != of_gold => bail!(
            "the columns `{}` and `{}` have other names for the same tag ids; write both columns with the same names",
            label.unwrap_or_default(),
            options.gold.as_deref().unwrap_or_default()
        ),
        (of_label, of_gold) => Ok(of_label.or(of_gold)),
    }
}

/// Checks that the text columns hold text. Bytes would be read as hexadecimal digits, because JSON shows them so.
fn no_bytes_as_text(columns: &Columns, layout: &Layout) -> Result<()> {
    let read = match layout {
        Layout::Bond(layout) | Layout::TagsJsonl(layout) => [layout.tokens.as_str(), &layout.tags],
        Layout::TextJsonl(layout) => [layout.text.as_str(), &layout.spans],
        _ => return Ok(()),
    };
    let has_bytes = |field: &&Arc<Field>| read.contains(&field.name().as_str()) && holds_bytes(field.data_type());
    match columns.fields.iter().find(has_bytes) {
        Some(field) => bail!("the column `{}` holds bytes; write it as strings", field.name()),
        None => Ok(()),
    }
}

fn holds_bytes(kind: &DataType) -> bool {
    match kind {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => true,
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            holds_bytes(field.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| holds_bytes(field.data_type())),
        _ => false,
    }
}

/// Returns the column with the offset `+00:00` in place of the name of a time zone. The writer of JSON has no table of
/// time zones.
fn with_offsets(field: &Field) -> Field {
    let kind = match field.data_type() {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        DataType::List(item) => DataType::List(Arc::new(with_offsets(item))),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| with_offsets(field)).collect()),
        other => other.clone(),
    };
    field.clone().with_data_type(kind)
}

/// Runs `decode`, and turns a panic into an error. The library that reads Parquet panics on some damaged files.
fn guarded<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    thread_local! {
        static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                usual(info);
            }
        }));
    });
    IS_GUARDED.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(decode));
    IS_GUARDED.set(false);
    outcome.unwrap_or_else(|_| bail!("the file is damaged"))
}

/// Returns the columns and the rows of a file, each row as a line of JSON. Also returns a note if the rows cannot be
/// written as they were.
fn records(bytes: &[u8]) -> Result<(Columns, Vec<u8>, Option<String>)> {
    let (columns, rows, _) = open_rows(Bytes::copy_from_slice(bytes))?;
    let schema = columns.schema();
    let mut records = Vec::new();
    let mut lost: Option<String> = None;
    for batch in rows {
        let batch = batch?.with_schema(schema.clone())?;
        let start = records.len();
        append(&batch, &mut records)?;
        if lost.is_none() {
            lost = changed_column(&batch, &schema, records.get(start..).unwrap_or_default());
        }
    }
    let note = lost.map(|column| {
        format!(
            "the values of the column `{column}` would not come back as they are, so the cleaned corpus is written as \
             JSON Lines"
        )
    });
    Ok((columns, records, note))
}

/// Returns the columns of a file, its rows, and their number.
fn open_rows(source: impl ChunkReader + 'static) -> Result<(Columns, ParquetRecordBatchReader, u64)> {
    // Use the file's own types, and not the Arrow types of the program that wrote it. So there are fewer kinds of text.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let own = ArrowReaderMetadata::load(&source, options)?;
    let fields: Fields = own.schema().fields().iter().map(|field| with_offsets(field)).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(source, options)?;
    let schema = builder.schema().clone();
    let described = builder.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let described = described.filter(|pair| pair.key != ARROW_SCHEMA_META_KEY);
    let metadata = described.filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?))).collect();
    let columns = Columns { fields: schema.fields().clone(), metadata };
    let n_rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    Ok((columns, builder.with_batch_size(ROWS_PER_BATCH).build()?, n_rows))
}

/// Appends rows as lines of JSON.
fn append(batch: &RecordBatch, records: &mut Vec<u8>) -> Result<()> {
    let start = records.len() as u64;
    let mut writer: Writer<_, LineDelimited> =
        WriterBuilder::new().with_explicit_nulls(true).build(Cursor::new(std::mem::take(records)));
    writer.get_mut().set_position(start);
    writer.write(batch)?;
    writer.finish()?;
    *records = writer.into_inner().into_inner();
    Ok(())
}

/// The rows of a Parquet file as lines of JSON, converted while they are read.
pub struct Lines {
    /// Number of rows of the file.
    pub n_rows: u64,
    rows: ParquetRecordBatchReader,
    schema: SchemaRef,
    /// Whether to refuse values that would change if the rows were written again.
    comes_back: bool,
    held: Vec<u8>,
    given: usize,
}

impl Lines {
    /// Opens a file. Also returns its columns, for a [`RowWriter`]. With `comes_back`, reading fails at values that
    /// would change if they were written again.
    ///
    /// # Errors
    /// When the file is no Parquet file, or is damaged.
    pub fn open(file: File, comes_back: bool) -> Result<(Self, String)> {
        let (columns, rows, n_rows) = guarded(|| open_rows(file))?;
        let (schema, described) = (columns.schema(), serde_json::to_string(&columns)?);
        Ok((Self { n_rows, rows, schema, comes_back, held: Vec::new(), given: 0 }, described))
    }

    /// Converts the next rows. Returns whether there were any.
    fn advance(&mut self) -> Result<bool> {
        self.held.clear();
        self.given = 0;
        let Some(batch) = self.rows.next() else { return Ok(false) };
        let batch = batch?.with_schema(self.schema.clone())?;
        append(&batch, &mut self.held)?;
        if self.comes_back
            && let Some(column) = changed_column(&batch, &self.schema, &self.held)
        {
            bail!("the values of the column `{column}` would not come back as they are: give --out a file .jsonl");
        }
        Ok(true)
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.held.len() {
            if !guarded(|| self.advance()).map_err(io::Error::other)? {
                return Ok(0);
            }
        }
        let mut rest = self.held.get(self.given..).unwrap_or_default();
        let n = rest.read(buffer)?;
        self.given += n;
        Ok(n)
    }
}

/// Checks that the text columns hold text. `columns` are the columns as [`Lines`] returns them.
///
/// # Errors
/// The error names the column that holds bytes.
pub fn has_text(columns: &str, layout: &Layout) -> Result<()> {
    no_bytes_as_text(&serde_json::from_str(columns)?, layout)
}

/// Returns the first column that would change if these records were written.
fn changed_column(batch: &RecordBatch, schema: &SchemaRef, records: &[u8]) -> Option<String> {
    let back = rows(records, schema).and_then(|mut rows| rows.next().context("no rows")?.map_err(Into::into));
    let is_same = |i: usize| back.as_ref().is_ok_and(|back| back.columns().get(i) == batch.columns().get(i));
    let changed = schema.fields().iter().enumerate().find(|(i, _)| !is_same(*i));
    changed.map(|(i, field)| {
        // If no row could be read back, the error says more than the name of the first column.
        match &back {
            Err(_) => first_that_fails(schema, records).unwrap_or_else(|| field.name().clone()),
            Ok(_) => schema.field(i).name().clone(),
        }
    })
}

/// Returns the first column that cannot be read back when it is alone.
fn first_that_fails(schema: &SchemaRef, records: &[u8]) -> Option<String> {
    let fails = |field: &&Arc<Field>| {
        let alone = Arc::new(Schema::new(vec![(*field).clone()]));
        !rows(records, &alone).is_ok_and(|mut rows| rows.next().is_some_and(|batch| batch.is_ok()))
    };
    schema.fields().iter().find(fails).map(|field| field.name().clone())
}

/// Returns the rows of these columns in lines of JSON.
fn rows<'a>(
    records: &'a [u8],
    schema: &SchemaRef,
) -> Result<impl Iterator<Item = Result<RecordBatch, ArrowError>> + 'a> {
    Ok(ReaderBuilder::new(schema.clone()).with_batch_size(ROWS_PER_BATCH).build(Cursor::new(records))?)
}

/// Returns the bytes of a Parquet file with these records, one a line. `columns` comes from the layout of a corpus.
///
/// A field that the file had no column for, such as `unknown`, becomes a new column.
///
/// # Errors
/// When the records do not fit the columns.
pub fn write(records: &str, columns: &str) -> Result<Vec<u8>> {
    let mut writer = RowWriter::new(Vec::new(), columns, records)?;
    writer.write(records)?;
    writer.finish()
}

/// Writes records as the rows of a Parquet file, part by part.
pub struct RowWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
}

impl<W: Write + Send> RowWriter<W> {
    /// Begins a file. `columns` comes from the layout of a corpus, or from [`Lines`]. `further` has example records,
    /// one a line. Their fields that have no column yet get a new column.
    ///
    /// # Errors
    /// When the columns cannot be written.
    pub fn new(to: W, columns: &str, further: &str) -> Result<Self> {
        let mut columns: Columns = serde_json::from_str(columns)?;
        let further = further_columns(further, &columns)?;
        columns.fields = columns.fields.iter().cloned().chain(further).collect();
        let schema = columns.schema();
        let metadata = columns.metadata.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        let properties = WriterProperties::builder()
            .set_created_by(concat!("DynClean ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(metadata))
            .build();
        // The Arrow types of the program that wrote the file are not known any more. The file's own types are enough.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        Ok(Self { writer: ArrowWriter::try_new_with_options(to, schema.clone(), options)?, schema })
    }

    /// Writes records, one a line.
    ///
    /// # Errors
    /// When they do not fit the columns, or cannot be written.
    pub fn write(&mut self, records: &str) -> Result<()> {
        for batch in rows(records.as_bytes(), &self.schema)? {
            self.writer.write(&batch?)?;
            if self.writer.in_progress_size() > GROUP {
                self.writer.flush()?;
            }
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> Result<W> {
        Ok(self.writer.into_inner()?)
    }
}

/// Returns columns for the fields, such as `unknown`, that records have and the file did not have.
fn further_columns(records: &str, columns: &Columns) -> Result<Vec<Arc<Field>>> {
    let mut further = Vec::new();
    for line in records.lines() {
        let mut record: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)?;
        record.retain(|name, _| columns.fields.find(name).is_none());
        if !record.is_empty() {
            further.push(serde_json::Value::Object(record));
        }
    }
    let schema = infer_json_schema_from_iterator(further.iter().map(Ok))?;
    Ok(schema.fields().iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use shared::corpus::Corpus;
    use shared::formats::{UnknownAs, WriteOptions};

    use super::*;

    /// A list of values, as other programs write it.
    fn list(kind: DataType) -> DataType {
        DataType::new_list(kind, true)
    }

    fn columns(fields: &[(&str, DataType)], features: Option<&str>) -> String {
        let fields = fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
        let metadata = features.map(|f| (HUGGING_FACE.to_owned(), format!(r#"{{"info": {{"features": {f}}}}}"#)));
        serde_json::to_string(&Columns { fields, metadata: metadata.into_iter().collect() }).unwrap()
    }

    fn read_file(bytes: &[u8], options: &ReadOptions) -> Result<Layers> {
        read(bytes, Path::new("a.parquet"), options, |_| Ok(None))
    }

    fn error_of(bytes: &[u8]) -> String {
        format!("{:#}", read_file(bytes, &ReadOptions::default()).unwrap_err())
    }

    const NAMES: &str = r#"["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]"#;
    const ROWS: &str = concat!(
        r#"{"id":"7","tokens":["Ada","Lovelace","saw","Rom"],"pos_tags":[1,1,0,1],"ner_tags":[1,2,0,-100],"when":"2020-01-02T03:04:05"}"#,
        "\n",
        r#"{"id":null,"tokens":[],"pos_tags":null,"ner_tags":[],"when":null}"#,
        "\n",
        r#"{"id":"9","tokens":["Paris"],"pos_tags":[1],"ner_tags":[3],"when":null}"#,
        "\n"
    );

    fn tagged(features: &str) -> Vec<u8> {
        let time = DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, None);
        let fields = [
            ("id", DataType::Utf8),
            ("tokens", list(DataType::Utf8)),
            ("pos_tags", list(DataType::Int64)),
            ("ner_tags", list(DataType::Int16)),
            ("when", time),
        ];
        write(ROWS, &columns(&fields, Some(features))).unwrap()
    }

    /// The features in the three forms that versions of `datasets` wrote.
    fn features() -> [String; 3] {
        let class = format!(r#"{{"names": {NAMES}, "_type": "ClassLabel"}}"#);
        let of = |ner: String| {
            format!(
                r#"{{"pos_tags": {{"feature": {{"names": ["x", "y"], "_type": "ClassLabel"}}}}, "ner_tags": {ner}}}"#
            )
        };
        [
            of(format!(r#"{{"feature": {class}, "_type": "List"}}"#)),
            of(format!(r#"{{"feature": {class}, "length": -1, "_type": "Sequence"}}"#)),
            of(format!("[{class}]")),
        ]
    }

    fn written(corpus: &Corpus, options: &WriteOptions) -> Vec<u8> {
        let formats::Written { content: formats::Content::Text(records), layout, .. } = formats::write(corpus, options)
        else {
            panic!("text expected")
        };
        write(&records, layout.parquet().unwrap()).unwrap()
    }

    #[test]
    fn rows_are_read_as_json_lines_are() {
        let names: Vec<String> = serde_json::from_str(NAMES).unwrap();
        let tags = Some(TagNames::from_list(names.iter().map(String::as_str)));
        let as_lines = formats::read(ROWS.as_bytes(), &ReadOptions { tags, ..ReadOptions::default() }).unwrap();
        for features in features() {
            let mut layers = read_file(&tagged(&features), &ReadOptions::default()).unwrap();
            assert!(layers.corpus.layout.parquet().is_some());
            let Layout::TagsJsonl(layout) = &mut layers.corpus.layout else { panic!("{:?}", layers.corpus.layout) };
            layout.parquet = None;
            assert_eq!(layers, as_lines);
        }
        assert_eq!(as_lines.corpus.entities.len(), 2);
        assert_eq!(as_lines.corpus.unknown.len(), 1);
    }

    #[test]
    fn a_file_without_changes_comes_back() {
        let [features, ..] = features();
        let bytes = tagged(&features);
        let layers = read_file(&bytes, &ReadOptions::default()).unwrap();
        assert_eq!(written(&layers.corpus, &WriteOptions::default()), bytes);
    }

    #[test]
    fn unknown_tokens_get_the_id_that_losses_ignore() {
        let [features, ..] = features();
        let mut corpus = read_file(&tagged(&features), &ReadOptions::default()).unwrap().corpus;
        let removed = corpus.entities.pop().unwrap();
        corpus.unknown.push(removed.span);
        let (before, again, _) = records(&written(&corpus, &WriteOptions::default())).unwrap();
        assert_eq!(String::from_utf8(again).unwrap(), ROWS.replace(r#""ner_tags":[3]"#, r#""ner_tags":[-100]"#));
        assert_eq!(before.fields.len(), 5);
        // With a mask, there is one more column.
        let mask = WriteOptions { unknown: Some(UnknownAs::Mask), ..WriteOptions::default() };
        let again = read_file(&written(&corpus, &mask), &ReadOptions::default()).unwrap().corpus;
        let again = again.with_labels(&corpus.labels).unwrap();
        assert_eq!((again.entities, again.unknown), (corpus.entities, corpus.unknown));
    }

    #[test]
    fn texts_with_spans_are_read_and_written() {
        let span = [("start", DataType::Int64), ("end", DataType::Int64), ("label", DataType::Utf8)];
        let span: Fields = span.map(|(name, kind)| Field::new(name, kind, true)).into_iter().collect();
        let columns = columns(
            &[("text", DataType::Utf8), ("entities", list(DataType::Struct(span))), ("score", DataType::Float64)],
            None,
        );
        let rows = concat!(
            r#"{"text":"Ada saw Rom.","entities":[{"start":0,"end":3,"label":"PER"},{"start":8,"end":11,"label":"LOC"}],"score":0.1}"#,
            "\n",
            r#"{"text":"Nobody.","entities":[],"score":-1e300}"#,
            "\n"
        );
        let bytes = write(rows, &columns).unwrap();
        let mut corpus = read_file(&bytes, &ReadOptions::default()).unwrap().corpus;
        assert_eq!(corpus.entities.len(), 2);
        assert_eq!(written(&corpus, &WriteOptions::default()), bytes);
        corpus.unknown.push(corpus.entities.remove(0).span);
        let again = read_file(&written(&corpus, &WriteOptions::default()), &ReadOptions::default()).unwrap().corpus;
        assert_eq!((again.entities, again.unknown), (corpus.entities, corpus.unknown));
    }

    #[test]
    fn text_without_labels_gets_a_column_of_labels() {
        let rows = "{\"text\":\"Ada saw Rom.\",\"n\":1}\n{\"text\":\"Nobody.\",\"n\":2}\n";
        let bytes = write(rows, &columns(&[("text", DataType::Utf8), ("n", DataType::Int8)], None)).unwrap();
        let options = ReadOptions { unlabelled: true, ..ReadOptions::default() };
        let mut corpus = read_file(&bytes, &options).unwrap().corpus;
        corpus.labels = shared::corpus::labels::LabelSet::from_types(["LOC"]);
        let span = shared::corpus::span::Span { sentence: 0, start: 2, end: 2 };
        corpus.entities.push(shared::corpus::Entity { span, label: 1 });
        let (_, again, _) = records(&written(&corpus, &WriteOptions::default())).unwrap();
        let expected = concat!(
            r#"{"text":"Ada saw Rom.","n":1,"spans":[{"start":8,"end":11,"label":"LOC"}]}"#,
            "\n",
            r#"{"text":"Nobody.","n":2,"spans":null}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(again).unwrap(), expected);
    }

    #[test]
    fn errors_name_the_row() {
        let fields = [("tokens", list(DataType::Utf8)), ("ner_tags", list(DataType::Utf8))];
        let rows = "{\"tokens\":[\"Ada\"],\"ner_tags\":[\"B-PER\"]}\n{\"tokens\":[\"Bo\"],\"ner_tags\":[]}\n";
        let error = error_of(&write(rows, &columns(&fields, None)).unwrap());
        assert!(error.starts_with("a.parquet, row 2: 0 tags and 1 token"), "{error}");
        let no_labels = write("{\"words\":[\"Ada\"]}\n", &columns(&[("words", list(DataType::Utf8))], None)).unwrap();
        let error = error_of(&no_labels);
        assert!(error.starts_with("a.parquet, row 1: the first record has neither"), "{error}");
        let ids = [("tokens", list(DataType::Utf8)), ("ner_tags", list(DataType::Int32))];
        let error = error_of(&write("{\"tokens\":[\"Ada\"],\"ner_tags\":[1]}\n", &columns(&ids, None)).unwrap());
        assert!(error.contains("row 1") && error.contains("--tags"), "{error}");
        let bytes = [("tokens", list(DataType::Binary)), ("ner_tags", list(DataType::Utf8))];
        let error = error_of(&write("{\"tokens\":[\"41\"],\"ner_tags\":[\"B-X\"]}\n", &columns(&bytes, None)).unwrap());
        assert!(error.contains("the column `tokens` holds bytes"), "{error}");
        assert!(error_of(&write("", &columns(&fields, None)).unwrap()).contains("has no rows"));
    }

    #[test]
    fn labels_and_gold_need_the_same_names() {
        let [features, ..] = features();
        let options = ReadOptions { gold: Some("pos_tags".into()), ..ReadOptions::default() };
        let error = format!("{:#}", read_file(&tagged(&features), &options).unwrap_err());
        assert!(error.contains("`ner_tags` and `pos_tags` have other names"), "{error}");
    }

    #[test]
    fn values_that_json_cannot_hold_make_json_lines() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("text", DataType::Utf8, true),
            Field::new("spans", list(DataType::Int64), true),
            Field::new("score", DataType::Float64, true),
        ]));
        let row =
            ReaderBuilder::new(schema.clone()).build(Cursor::new("{\"text\":\"Ada\",\"spans\":[]}")).unwrap().next();
        let mut arrays = row.unwrap().unwrap().columns().to_vec();
        arrays[2] = Arc::new(arrow_array::Float64Array::from(vec![f64::NAN]));
        let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None).unwrap();
        writer.write(&RecordBatch::try_new(schema, arrays).unwrap()).unwrap();
        let layers = read_file(&writer.into_inner().unwrap(), &ReadOptions::default()).unwrap();
        assert!(layers.corpus.layout.parquet().is_none());
        assert!(layers.notes[0].contains("`score`") && layers.notes[0].contains("JSON Lines"), "{:?}", layers.notes);
        assert_eq!(
            crate::data::corpus_file::cleaned_name(Path::new("a.parquet"), &layers.corpus.layout),
            "cleaned.jsonl"
        );
    }

    #[test]
    fn damaged_files_are_errors() {
        let [features, ..] = features();
        let bytes = tagged(&features);
        for n in MAGIC.len()..bytes.len() {
            let error = error_of(&bytes[..n]);
            assert!(error.starts_with("cannot read a.parquet as Parquet"), "{n}: {error}");
        }
        for i in MAGIC.len()..bytes.len() {
            for bit in [0, 3, 7] {
                let mut damaged = bytes.clone();
                damaged[i] ^= 1 << bit;
                // A reader cannot notice a changed letter of a name, so this need not fail. It must only not panic.
                let _ = read_file(&damaged, &ReadOptions::default());
            }
        }
    }
}
