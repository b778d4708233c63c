//! Text to be labelled: raw text, or a corpus in any format, from a file or standard input.
//!
//! Raw text, and texts in JSON Lines or Parquet, can be read in parts of bounded size, so a text may be larger than the
//! memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use shared::corpus::Corpus;
use shared::formats::{self, Container, Format, FormatError, Layout, ReadOptions, TextJson, plain_text};

use crate::console;
use crate::data::corpus_file::{at, bytes_of, read, read_bytes};
use crate::data::hub::DatasetPart;
use crate::data::parquet_corpus;

/// The file name that stands for standard input or output.
pub const STANDARD: &str = "-";

/// Number of bytes that are read at once from a text in parts. A sentence may be longer.
const PART: usize = 1 << 20;

/// Returns whether the path stands for standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path == Path::new(STANDARD)
}

/// A text, or a part of one, and the form in which it came.
pub struct TextInput {
    /// The sentences. If the text had labels, they are still there.
    pub corpus: Corpus,
    /// Whether it was raw text.
    pub is_plain: bool,
}

/// A text that was opened.
pub enum Opened {
    /// The whole text.
    Whole(TextInput),
    /// A text that is read in parts.
    Parts(Parts),
}

/// Opens raw text or a corpus.
///
/// Text from standard input or from a `.txt` file is raw text, unless it looks like JSON or columns of tags. `plain`
/// makes any text raw text. If the options name a format, the text has that format. With `in_parts`, a text of more
/// than [`PART`] bytes comes in parts if it is raw text, JSON Lines with texts or a Parquet file with texts. With
/// `as_rows` the caller writes Parquet, so only Parquet comes in parts.
///
/// # Errors
/// The error names the file, the line and what was expected.
pub fn open(path: &Path, plain: bool, options: &ReadOptions, in_parts: bool, as_rows: bool) -> Result<Opened> {
    open_by(path, plain, options, in_parts.then_some(PART), as_rows)
}

fn open_by(path: &Path, plain: bool, options: &ReadOptions, part: Option<usize>, as_rows: bool) -> Result<Opened> {
    let options = ReadOptions { unlabelled: true, ..options.clone() };
    if let Some(parts) = part.filter(|_| !plain).and_then(|part| rows_in_parts(path, &options, part, as_rows)) {
        return Ok(Opened::Parts(parts));
    }
    let part = part.filter(|_| !as_rows);
    if path.is_dir() {
        return whole(path, read(path, &options)?).map(Opened::Whole);
    }
    let is_standard = is_standard(path);
    let source: Box<dyn Read + Send> = match is_standard {
        true => Box::new(io::stdin()),
        // A data set of the hub is downloaded first.
        false if DatasetPart::parse(path).is_some() => Box::new(io::Cursor::new(bytes_of(path)?)),
        false => Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?),
    };
    let path = if is_standard { Path::new("standard input") } else { path };
    let mut blocks = Blocks::open(source, path, part.unwrap_or(usize::MAX))?;
    if blocks.is_empty() && is_standard {
        // No input from a pipe is no error: the pipe may bring an empty part of a larger text.
        console::note(empty(path));
        let layout = Layout::TextJsonl(TextJson::default());
        return Ok(Opened::Whole(TextInput { corpus: Corpus { layout, ..Corpus::default() }, is_plain: true }));
    }
    ensure!(!blocks.is_empty(), empty(path));
    let may_be_txt = is_standard || plain || path.extension().is_some_and(|extension| extension == "txt");
    let is_plain = |bytes: &[u8]| plain || options.format.is_none() && plain_text::is_plain(bytes);
    if !blocks.is_at_end {
        let reader = match may_be_txt && is_plain(blocks.whole_lines()) {
            true => Some(Reader { path: path.to_owned(), has_rows: false, kind: Kind::Plain }),
            false => {
                blocks.cut_between_records();
                json_lines(blocks.whole_lines(), path, &options)?
            }
        };
        if let Some(reader) = reader {
            return Ok(Opened::Parts(Parts { blocks, reader, rows: None }));
        }
    }
    let bytes = blocks.rest()?;
    let may_be_plain = is_plain(&bytes);
    if may_be_plain && may_be_txt {
        let corpus = plain_text::read(&bytes).map_err(at(path))?;
        ensure!(corpus.n_sentences() > 0, empty(path));
        return Ok(Opened::Whole(TextInput { corpus, is_plain: true }));
    }
    let layers = match is_standard {
        true if parquet_corpus::is_parquet(&bytes) => parquet_corpus::read(&bytes, path, &options, |_| Ok(None))?,
        true => formats::read(&bytes, &options).map_err(at(path))?,
        false => {
            let hint = "if it is raw text, a sentence a line, give --plain-text";
            if may_be_plain {
                console::note(format_args!("{} is read as columns, a token a line; {hint}", path.display()));
            }
            read_bytes(&bytes, path, &options)
                .map_err(|error| if may_be_plain { anyhow!("{error:#}; {hint}") } else { error })?
        }
    };
    whole(path, layers).map(Opened::Whole)
}

/// Returns the error for a text without sentences.
pub fn empty(path: &Path) -> anyhow::Error {
    anyhow!("{} has no sentences", path.display())
}

fn whole(path: &Path, layers: formats::Layers) -> Result<TextInput> {
    layers.notes.iter().for_each(|note| console::note(format_args!("{}: {note}", path.display())));
    ensure!(layers.corpus.n_sentences() > 0, empty(path));
    Ok(TextInput { corpus: layers.corpus, is_plain: false })
}

/// Opens a Parquet file with texts, if it is longer than a part. Returns `None` for any other file, and if the file
/// cannot be read. The caller then reads the file as a whole, and that error says what is wrong.
fn rows_in_parts(path: &Path, options: &ReadOptions, size: usize, as_rows: bool) -> Option<Parts> {
    if !parquet_corpus::has_extension(path) {
        return None;
    }
    let (lines, columns) = parquet_corpus::Lines::open(File::open(path).ok()?, as_rows).ok()?;
    let number = lines.n_rows;
    let mut blocks = Blocks::open(Box::new(lines), path, size).ok()?;
    if blocks.is_at_end {
        return None;
    }
    blocks.cut_between_records();
    let reader = json_lines(blocks.whole_lines(), path, options).ok()??;
    parquet_corpus::has_text(&columns, reader.layout()?).ok()?;
    Some(Parts { blocks, reader: Reader { has_rows: true, ..reader }, rows: Some(Rows { columns, number }) })
}

/// Returns the reader of JSON Lines with texts, if the first part of a file has this format.
///
/// # Errors
/// When a record is wrong and ends inside the first part.
fn json_lines(first: &[u8], path: &Path, options: &ReadOptions) -> Result<Option<Reader>> {
    let format = options.format.or_else(|| formats::detect(first).ok());
    if format != Some(Format::TextJsonl) {
        return Ok(None);
    }
    let options = ReadOptions { format, ..options.clone() };
    let labelled = formats::read(first, &ReadOptions { unlabelled: false, ..options.clone() });
    let has_labels = labelled.is_ok();
    let layout = match labelled.or_else(|_| formats::read(first, &options)) {
        Ok(layers) => layers.corpus.layout,
        // The last line of the part may be the beginning of an array, or of a record with many lines, that ends later.
        Err(error) if error.line >= first.split(|&byte| byte == b'\n').count() => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let Layout::TextJsonl(of_text) = &layout else { return Ok(None) };
    if of_text.container != Container::Lines {
        return Ok(None);
    }
    // The first part decides for all parts how offsets count. If it has labels, it also decides which field they are
    // in.
    let label = has_labels.then(|| of_text.spans.clone()).or(options.label.clone());
    let options = ReadOptions { label, counting: Some(of_text.counting), ..options };
    let kind = Kind::JsonLines(Box::new(JsonLines { options, layout }));
    Ok(Some(Reader { path: path.to_owned(), has_rows: false, kind }))
}

/// A text in parts of bounded size. The parts must be read by its [`Reader`].
pub struct Parts {
    /// The bytes of the parts, in the order of the text.
    pub blocks: Blocks,
    /// Turns the bytes of a part into sentences, on any thread.
    pub reader: Reader,
    /// Columns and number of rows, if the text is a Parquet file.
    pub rows: Option<Rows>,
}

/// The rows of a Parquet file.
pub struct Rows {
    /// The columns, for [`parquet_corpus::RowWriter`].
    pub columns: String,
    /// Number of rows.
    pub number: u64,
}

/// Bytes of a text, cut at the ends of lines.
#[derive(Debug)]
pub struct Block {
    bytes: Vec<u8>,
    /// Number of line ends before the block.
    lines_before: usize,
}

impl Block {
    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether the block holds only white space.
    pub fn is_empty(&self) -> bool {
        std::str::from_utf8(&self.bytes).is_ok_and(|text| text.trim().is_empty())
    }

    /// Returns the block without the line end at its beginning, and the number of line ends before the rest.
    fn without_line_end(&self) -> (&[u8], usize) {
        let bytes = self.bytes.as_slice();
        match bytes.strip_prefix(b"\r\n").or_else(|| bytes.strip_prefix(b"\n")) {
            Some(rest) => (rest, self.lines_before + 1),
            None => (bytes, self.lines_before),
        }
    }
}

/// Reads a text block by block.
///
/// A line end belongs to the block after it. So only the first block begins like the file. This matters, because the
/// first bytes tell what kind of file it is.
pub struct Blocks {
    source: Box<dyn Read + Send>,
    path: PathBuf,
    size: usize,
    /// Bytes that were read but are not in a block yet.
    held: Vec<u8>,
    lines_before: usize,
    is_at_end: bool,
    /// The first byte of every record in JSON. There, a block begins with a record. `None` for raw text, where a block
    /// begins with any line.
    record: Option<u8>,
}

impl Blocks {
    /// Opens a text and reads its beginning.
    fn open(source: Box<dyn Read + Send>, path: &Path, size: usize) -> Result<Self> {
        let (held, record) = (Vec::new(), None);
        let mut blocks = Self { source, path: path.to_owned(), size, held, lines_before: 0, is_at_end: false, record };
        blocks.fill(size)?;
        Ok(blocks)
    }

    /// Returns whether the text has ended and holds only white space.
    fn is_empty(&self) -> bool {
        self.is_at_end && self.held.trim_ascii().is_empty()
    }

    /// Reads until there are more than `n` bytes, or the end.
    fn fill(&mut self, n: usize) -> Result<()> {
        let missing = n.saturating_add(1).saturating_sub(self.held.len()) as u64;
        if self.is_at_end || missing == 0 {
            return Ok(());
        }
        let read = self.source.by_ref().take(missing).read_to_end(&mut self.held);
        let read = read.with_context(|| format!("cannot read {}", self.path.display()))?;
        self.is_at_end = (read as u64) < missing;
        Ok(())
    }

    /// From now on, cuts blocks only between records. A record in JSON may have several lines.
    fn cut_between_records(&mut self) {
        let text = self.held.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.held);
        self.record = text.trim_ascii_start().first().copied();
    }

    /// Returns the held bytes up to the last place where a block may end, or all of them if there is no such place.
    fn whole_lines(&self) -> &[u8] {
        self.held.get(..self.cut().unwrap_or(self.held.len())).unwrap_or_default()
    }

    /// Reads the text to its end. Returns all bytes that are not in a block yet.
    fn rest(mut self) -> Result<Vec<u8>> {
        self.fill(usize::MAX - 1)?;
        Ok(self.held)
    }

    /// Returns the last place where a block may end. It is before a line end.
    fn cut(&self) -> Option<usize> {
        let is_between = |end: usize| {
            let Some(first) = self.record else { return true };
            let last = if first == b'[' { b']' } else { b'}' };
            let before = self.held.get(..end).unwrap_or_default().trim_ascii_end();
            self.held.get(end + 1) == Some(&first) && before.last() == Some(&last)
        };
        let end = (1..self.held.len()).rev().find(|&i| self.held.get(i) == Some(&b'\n') && is_between(i))?;
        let is_crlf = end > 1 && self.held.get(end - 1) == Some(&b'\r');
        Some(if is_crlf { end - 1 } else { end })
    }

    fn next_block(&mut self) -> Result<Option<Block>> {
        let mut wanted = self.size;
        let end = loop {
            self.fill(wanted)?;
            if self.is_at_end {
                break self.held.len();
            }
            match self.cut() {
                Some(end) => break end,
                // One record is longer than a block.
                None => wanted = wanted.saturating_mul(2),
            }
        };
        if end == 0 {
            return Ok(None);
        }
        let rest = self.held.split_off(end);
        let block = Block { bytes: std::mem::replace(&mut self.held, rest), lines_before: self.lines_before };
        self.lines_before += block.bytes.iter().filter(|&&byte| byte == b'\n').count();
        Ok(Some(block))
    }
}

impl Iterator for Blocks {
    type Item = Result<Block>;

    fn next(&mut self) -> Option<Result<Block>> {
        self.next_block().transpose()
    }
}

/// Reads the parts of a text.
pub struct Reader {
    path: PathBuf,
    /// Whether a line is a row of a Parquet file.
    has_rows: bool,
    kind: Kind,
}

enum Kind {
    Plain,
    JsonLines(Box<JsonLines>),
}

/// Settings that the first part of JSON Lines decides for all parts.
struct JsonLines {
    options: ReadOptions,
    layout: Layout,
}

impl Reader {
    /// Returns what the text is called in messages.
    pub fn place(&self) -> &Path {
        &self.path
    }

    /// Returns the layout of the records; `None` for raw text.
    fn layout(&self) -> Option<&Layout> {
        match &self.kind {
            Kind::Plain => None,
            Kind::JsonLines(of_first) => Some(&of_first.layout),
        }
    }

    /// Returns the field in which labels are written; `None` for raw text.
    pub fn label_field(&self) -> Option<&str> {
        match self.layout()? {
            Layout::TextJsonl(of_text) => Some(&of_text.spans),
            _ => None,
        }
    }

    /// Returns the sentences of a part, and messages about content that could not be used. There may be no sentences.
    ///
    /// # Errors
    /// The error names the file, the line and what was expected.
    pub fn read(&self, block: &Block) -> Result<(TextInput, Vec<String>)> {
        let is_plain = matches!(self.kind, Kind::Plain);
        if block.is_empty() {
            return Ok((TextInput { corpus: Corpus::default(), is_plain }, Vec::new()));
        }
        let in_file = |lines_before: usize| {
            move |FormatError { line, message }| {
                let error = FormatError { line: line.saturating_add(lines_before), message };
                if self.has_rows { parquet_corpus::at_row(&self.path)(error) } else { at(&self.path)(error) }
            }
        };
        let JsonLines { options, layout } = match &self.kind {
            Kind::Plain => {
                let corpus = plain_text::read(&block.bytes).map_err(in_file(block.lines_before))?;
                return Ok((TextInput { corpus, is_plain }, Vec::new()));
            }
            Kind::JsonLines(of_first) => &**of_first,
        };
        let (bytes, lines_before) = block.without_line_end();
        let layers = formats::read(bytes, options).map_err(in_file(lines_before))?;
        let field = |layout: &Layout| match layout {
            Layout::TextJsonl(of_text) => Some(of_text.spans.clone()),
            _ => None,
        };
        let (own, of_first) = (field(&layers.corpus.layout), field(layout));
        ensure!(
            own == of_first,
            "{file}, from {unit} {line} on: records have labels in the field `{own}`, and no record before has; name the field \
             with --label-column {own}",
            file = self.path.display(),
            unit = if self.has_rows { "row" } else { "line" },
            line = lines_before + 1,
            own = own.unwrap_or_default()
        );
        let corpus = Corpus { layout: layout.clone(), ..layers.corpus };
        Ok((TextInput { corpus, is_plain }, layers.notes))
    }
}

#[cfg(test)]
mod tests {
    use shared::formats::{Content, WriteOptions};

    use super::*;

    /// Returns the text as JSON Lines, read at once (`None`) or in parts of this size.
    fn rewritten(text: impl AsRef<[u8]>, name: &str, part: Option<usize>) -> Result<String> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        let corpora = match open_by(&path, false, &ReadOptions::default(), part, false)? {
            Opened::Whole(text) => vec![text.corpus],
            Opened::Parts(Parts { blocks, reader, .. }) => {
                blocks.map(|block| Ok(reader.read(&block?)?.0.corpus)).collect::<Result<_>>()?
            }
        };
        assert!(part.is_none() || corpora.len() > 1, "one part");
        let options = WriteOptions { format: Some(Format::TextJsonl), unknown: None };
        let written = corpora.iter().filter(|corpus| corpus.n_sentences() > 0).map(|corpus| {
            let Content::Text(text) = formats::write(corpus, &options).content else { panic!("one file") };
            text
        });
        Ok(written.collect())
    }

    #[test]
    fn parts_are_the_whole() {
        let plain = "\u{feff}Ada's letter.\r\n\r\nIn Zürich, \t1843.\nPAR1 is a line.\n\n  \nA longer line than a part can hold.\nEnd";
        let records = "{\"id\": 1, \"text\": \"Ada wrote.\", \"label\": [[0, 3, \"PER\"]]}\n{\"id\": 2, \"text\": \"x\\ny\"}\r\n\
                       \n{\"text\": \"In {\\n Zürich\",\n \"label\": []}\n{\"text\": \"End\", \"n\": 1.50}";
        for (text, name) in [(plain, "t.txt"), (records, "t.jsonl")] {
            let whole = rewritten(text, name, None).unwrap();
            assert!(whole.lines().count() >= 4, "{whole}");
            // From 70 bytes on, the first record with labels is in the first part.
            for part in 70..text.len() - 1 {
                assert_eq!(rewritten(text, name, Some(part)).unwrap(), whole, "{name} in parts of {part}");
            }
        }
        let whole = rewritten(plain, "t.txt", None).unwrap();
        for part in 4..70 {
            assert_eq!(rewritten(plain, "t.txt", Some(part)).unwrap(), whole, "in parts of {part}");
        }
    }

    #[test]
    fn errors_name_the_line_of_the_file() {
        let lines = |field: &str, last: &str| format!("{{\"text\": \"Ada\"{field}}}\n").repeat(9) + last;
        let error = |text: &str| rewritten(text, "t.jsonl", Some(64)).unwrap_err().to_string();
        let wrong = error(&lines(", \"spans\": []", "{\"text\": 1}"));
        assert!(wrong.contains("t.jsonl, line 10: ") && !wrong.contains("record"), "{wrong}");
        // An error in the first part is reported before the rest is read.
        assert!(error(&("{\"text\": 1}\n".to_owned() + &lines("", ""))).contains("t.jsonl, line 1: "));
        let other = error(&lines("", "{\"text\": \"Ada\", \"label\": [[0, 3, \"PER\"]]}"));
        assert!(other.contains("line 10 on") && other.contains("--label-column label"), "{other}");
        assert!(rewritten(" \n\n", "t.txt", None).unwrap_err().to_string().contains("no sentences"));
    }

    #[test]
    fn rows_are_the_lines() {
        let labelled =
            "{\"id\": 1, \"text\": \"Ada wrote.\", \"label\": [{\"start\":0,\"end\":3,\"label\":\"PER\"}]}\n";
        let lines = labelled.repeat(2) + &"{\"id\": 2, \"text\": \"In\\nZürich\", \"label\": []}\n".repeat(3_000);
        let file = parquet_corpus::write(&lines, "{\"fields\": [], \"metadata\": {}}").unwrap();
        let whole = rewritten(&file, "t.parquet", None).unwrap();
        assert_eq!(whole.lines().count(), 3_002);
        assert_eq!(whole, rewritten(&lines, "t.jsonl", None).unwrap());
        for part in [200, 1 << 12, 1 << 16] {
            assert_eq!(rewritten(&file, "t.parquet", Some(part)).unwrap(), whole, "in parts of {part}");
        }
        let wrong = lines + &labelled.replace("\"end\":3", "\"end\":300");
        let wrong = parquet_corpus::write(&wrong, "{\"fields\": [], \"metadata\": {}}").unwrap();
        let error = rewritten(&wrong, "t.parquet", Some(1 << 12)).unwrap_err().to_string();
        assert!(error.contains("t.parquet, row 3003: "), "{error}");
        // A file that is cut off is read as a whole, which reports the damage.
        let error = rewritten(&file[..file.len() - 9], "t.parquet", Some(200)).unwrap_err();
        assert!(format!("{error:#}").contains("t.parquet as Parquet"), "{error:#}");
    }

    #[test]
    fn the_first_part_says_how_offsets_count() {
        // In UTF-16, the emoji counts 2. A text without an emoji does not show how offsets count.
        let emoji =
            "{\"text\": \"😀 Ada\", \"spans\": [{\"start\": 3, \"end\": 6, \"label\": \"PER\", \"text\": \"Ada\"}]}\n";
        let plain =
            "{\"text\": \"An Ada\", \"spans\": [{\"start\": 3, \"end\": 6, \"label\": \"PER\", \"text\": \"Ada\"}]}\n";
        let text = emoji.to_owned() + plain + plain + plain;
        assert_eq!(rewritten(&text, "t.jsonl", Some(110)).unwrap(), rewritten(&text, "t.jsonl", None).unwrap());
    }
}
