//! The layout of a corpus file. It is kept so that the file can be written again in the same way.

use serde::{Deserialize, Serialize};

use super::counting::Counting;
pub use super::notation::Scheme;
use super::notation::{Notation, Spelling};

/// The entity type whose labels mean "unknown", in formats that have no other way to say this. The user can choose
/// another type.
pub const IGNORE: &str = "IGNORE";

/// A corpus file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// See [`crate::formats::dynclean_json`].
    DyncleanJson,
    /// See [`crate::formats::conll`].
    Conll,
    /// See [`crate::formats::tag_json`].
    Bond,
    /// See [`crate::formats::tag_json`].
    TagsJsonl,
    /// See [`crate::formats::text_json`].
    TextJsonl,
    /// See [`crate::formats::label_studio`].
    LabelStudio,
    /// See [`crate::formats::brat`].
    Brat,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 7] =
        [Self::DyncleanJson, Self::Conll, Self::Bond, Self::TagsJsonl, Self::TextJsonl, Self::LabelStudio, Self::Brat];

    /// The format's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::DyncleanJson => "dynclean",
            Self::Conll => "conll",
            Self::Bond => "bond",
            Self::TagsJsonl => "tags-jsonl",
            Self::TextJsonl => "text-jsonl",
            Self::LabelStudio => "label-studio",
            Self::Brat => "brat",
        }
    }

    /// The format's name in messages and on the page.
    pub fn title(self) -> &'static str {
        match self {
            Self::DyncleanJson => "DynClean JSON",
            Self::Conll => "CoNLL columns",
            Self::Bond => "BOND JSON",
            Self::TagsJsonl => "JSON with tokens and tags",
            Self::TextJsonl => "JSON with text and offsets",
            Self::LabelStudio => "Label Studio JSON",
            Self::Brat => "brat standoff",
        }
    }
}

/// How the JSON records of a file are joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Container {
    /// One JSON array.
    #[default]
    Array,
    /// JSON Lines: one value per line.
    Lines,
}

/// A corpus file format with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum Layout {
    /// DynClean JSON.
    DyncleanJson(DyncleanJson),
    /// CoNLL columns.
    Conll(Conll),
    /// BOND JSON.
    Bond(TagJson),
    /// JSON Lines with tokens and tags.
    TagsJsonl(TagJson),
    /// JSON Lines with text and character offsets.
    TextJsonl(TextJson),
    /// Label Studio's JSON export.
    LabelStudio(LabelStudio),
    /// brat standoff.
    Brat(Brat),
}

impl Default for Layout {
    fn default() -> Self {
        Self::DyncleanJson(DyncleanJson::default())
    }
}

impl Layout {
    /// Reads a layout from the JSON that it serialises to. It parses the text twice. The code that serde derives
    /// for an internally tagged enum would buffer all fields, and would make up one percent of the page's size.
    ///
    /// # Errors
    /// When `json` is not a JSON object or has an unknown format.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Tag {
            format: Format,
        }
        let Tag { format } = serde_json::from_str(json)?;
        Ok(match format {
            Format::DyncleanJson => Self::DyncleanJson(serde_json::from_str(json)?),
            Format::Conll => Self::Conll(serde_json::from_str(json)?),
            Format::Bond => Self::Bond(serde_json::from_str(json)?),
            Format::TagsJsonl => Self::TagsJsonl(serde_json::from_str(json)?),
            Format::TextJsonl => Self::TextJsonl(serde_json::from_str(json)?),
            Format::LabelStudio => Self::LabelStudio(serde_json::from_str(json)?),
            Format::Brat => Self::Brat(serde_json::from_str(json)?),
        })
    }

    /// The format without its parameters.
    pub fn format(&self) -> Format {
        match self {
            Self::DyncleanJson(_) => Format::DyncleanJson,
            Self::Conll(_) => Format::Conll,
            Self::Bond(_) => Format::Bond,
            Self::TagsJsonl(_) => Format::TagsJsonl,
            Self::TextJsonl(_) => Format::TextJsonl,
            Self::LabelStudio(_) => Format::LabelStudio,
            Self::Brat(_) => Format::Brat,
        }
    }

    /// The names of the file's tag ids; `None` if the file has tag names instead of ids.
    pub fn tag_ids(&self) -> Option<&[(i64, String)]> {
        match self {
            Self::Conll(layout) => layout.ids.as_deref(),
            Self::Bond(layout) | Self::TagsJsonl(layout) => layout.ids.as_deref(),
            _ => None,
        }
    }

    /// The columns of the Parquet file that the corpus came from. `None` if it came from a text file, or if it cannot
    /// be written as Parquet again.
    pub fn parquet(&self) -> Option<&str> {
        match self {
            Self::Bond(layout) | Self::TagsJsonl(layout) => layout.parquet.as_deref(),
            Self::TextJsonl(layout) => layout.parquet.as_deref(),
            _ => None,
        }
    }

    /// Keeps the columns of the Parquet file that the corpus came from. Formats that are not read from Parquet ignore
    /// this.
    pub fn set_parquet(&mut self, columns: String) {
        match self {
            Self::Bond(layout) | Self::TagsJsonl(layout) => layout.parquet = Some(columns),
            Self::TextJsonl(layout) => layout.parquet = Some(columns),
            _ => {}
        }
    }

    /// The usual file extension, without the dot; empty for brat, which is a folder.
    pub fn extension(&self) -> &'static str {
        let of = |container: Container| match container {
            Container::Array => "json",
            Container::Lines => "jsonl",
        };
        match self {
            Self::DyncleanJson(layout) => of(layout.container),
            Self::Conll(_) => "conll",
            Self::Bond(layout) | Self::TagsJsonl(layout) => of(layout.container),
            Self::TextJsonl(layout) => of(layout.container),
            Self::LabelStudio(layout) => of(layout.container),
            Self::Brat(_) => "",
        }
    }
}

/// Parameters of DynClean JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DyncleanJson {
    /// Whether the records are in an array or in lines.
    pub container: Container,
    /// Name of the field with the entities.
    pub entities: String,
}

impl Default for DyncleanJson {
    fn default() -> Self {
        Self { container: Container::Array, entities: "entities".into() }
    }
}

/// The separator of columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Separator {
    /// One tab.
    #[default]
    Tab,
    /// Any number of blanks and tabs.
    Blank,
}

/// Parameters of CoNLL columns. Columns count from 0 here, but from 1 for users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conll {
    /// The separator of columns.
    pub separator: Separator,
    /// Tag scheme.
    pub scheme: Scheme,
    /// How the tags are spelled.
    pub spelling: Spelling,
    /// Names of the tag ids; `None` if the tags are names.
    pub ids: Option<Vec<(i64, String)>>,
    /// The key of the tag in a column of the form `name=value|...`; `None` if the column holds the tag alone.
    pub key: Option<String>,
    /// Column of the token.
    pub token_column: usize,
    /// Column of the label.
    pub label_column: usize,
    /// Number of columns, including the mask.
    pub n_columns: usize,
    /// Whether the last column is a mask that marks unknown tokens.
    pub mask: bool,
    /// The entity type whose tags mean "unknown".
    pub ignore: String,
    /// Whether tags of the `ignore` type occur.
    pub has_ignore_tags: bool,
    /// Whether lines end in CR LF.
    pub crlf: bool,
    /// Whether the file begins with a byte order mark.
    pub bom: bool,
    /// The text after the last sentence.
    pub tail: String,
}

impl Conll {
    pub(crate) fn notation(&self) -> Notation {
        Notation { scheme: self.scheme, spelling: self.spelling }
    }
}

impl Default for Conll {
    fn default() -> Self {
        Self {
            separator: Separator::Tab,
            scheme: Scheme::Iob2,
            spelling: Spelling::default(),
            ids: None,
            key: None,
            token_column: 0,
            label_column: 1,
            n_columns: 2,
            mask: false,
            ignore: IGNORE.into(),
            has_ignore_tags: false,
            crlf: false,
            bom: false,
            tail: String::new(),
        }
    }
}

/// Parameters of JSON records with tokens and tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TagJson {
    /// Whether the records are in an array or in lines.
    pub container: Container,
    /// Name of the field with the tokens.
    pub tokens: String,
    /// Name of the field with the tags.
    pub tags: String,
    /// Tag scheme.
    pub scheme: Scheme,
    /// How the tags are spelled.
    pub spelling: Spelling,
    /// Names of the tag ids; `None` if the tags are names.
    pub ids: Option<Vec<(i64, String)>>,
    /// Whether the ids are written as strings.
    pub quoted: bool,
    /// The entity type whose tags mean "unknown". If the tags are ids, −100 means "unknown".
    pub ignore: String,
    /// Whether tags of the `ignore` type occur.
    pub has_ignore_tags: bool,
    /// The columns of the Parquet file that the records came from, in the form that the trainer keeps them; `None` if
    /// they came from a text file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parquet: Option<String>,
}

impl TagJson {
    pub(crate) fn notation(&self) -> Notation {
        Notation { scheme: self.scheme, spelling: self.spelling }
    }
}

impl Default for TagJson {
    fn default() -> Self {
        Self {
            container: Container::Lines,
            tokens: "tokens".into(),
            tags: "ner_tags".into(),
            scheme: Scheme::Iob2,
            spelling: Spelling::default(),
            ids: None,
            quoted: false,
            ignore: IGNORE.into(),
            has_ignore_tags: false,
            parquet: None,
        }
    }
}

/// How a labelled span is written in JSON with text and offsets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkShape {
    /// `{"start": 0, "end": 3, "label": "PER"}` (spaCy, Prodigy).
    #[default]
    Object,
    /// `{"start_offset": 0, "end_offset": 3, "label": "PER"}` (Doccano, with ids).
    OffsetObject,
    /// `[0, 3, "PER"]` (Doccano).
    Triple,
    /// `{"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}` (Label Studio's short export).
    LabelsObject,
}

/// Parameters of JSON records with text and offsets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextJson {
    /// Whether the records are in an array or in lines.
    pub container: Container,
    /// Name of the field with the text.
    pub text: String,
    /// Name of the field with the labelled spans.
    pub spans: String,
    /// How the labelled spans are written.
    pub shape: MarkShape,
    /// Whether a record is a pair: the text, and an object with the other fields (spaCy).
    pub pair: bool,
    /// How the offsets count.
    pub counting: Counting,
    /// The columns of the Parquet file that the records came from, in the form that the trainer keeps them; `None` if
    /// they came from a text file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parquet: Option<String>,
}

impl Default for TextJson {
    fn default() -> Self {
        Self {
            container: Container::Lines,
            text: "text".into(),
            spans: "spans".into(),
            shape: MarkShape::Object,
            pair: false,
            counting: Counting::default(),
            parquet: None,
        }
    }
}

/// Parameters of Label Studio's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LabelStudio {
    /// Whether the records are in an array or in lines.
    pub container: Container,
    /// Name of the text's field in `data`.
    pub text: String,
    /// Name of the field with the labels: `annotations` (formerly `completions`) or `predictions`.
    pub layer: String,
    /// How the offsets count.
    pub counting: Counting,
    /// `from_name` of new labels.
    pub from_name: String,
    /// `to_name` of new labels.
    pub to_name: String,
}

impl Default for LabelStudio {
    fn default() -> Self {
        Self {
            container: Container::Array,
            text: "text".into(),
            layer: "annotations".into(),
            counting: Counting::default(),
            from_name: "label".into(),
            to_name: "text".into(),
        }
    }
}

/// Parameters of brat standoff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Brat {
    /// The entity type whose text-bound annotations mean "unknown".
    pub ignore: String,
}

impl Default for Brat {
    fn default() -> Self {
        Self { ignore: IGNORE.into() }
    }
}
