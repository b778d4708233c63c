//! What a corpus file looked like, so that it can be written the same way again.

use serde::{Deserialize, Serialize};

use super::counting::Counting;
pub use super::notation::Scheme;
use super::notation::{Notation, Spelling};

/// Entity type whose labels mean "unknown" where a format has no other way to say so, unless the
/// user names another.
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

    /// Its name on the command line.
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

    /// Its name for people.
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

/// How JSON records are strung together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Container {
    /// One array.
    #[default]
    Array,
    /// JSON Lines: one value a line.
    Lines,
}

/// The format of a corpus file with its parameters.
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
    /// Reads what it serialises to. Looks at the text twice: what serde derives for a tag among the fields keeps all of
    /// them for later, and is a hundredth of the page.
    ///
    /// # Errors
    /// When it is no JSON object, or of a format that is not known.
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

    /// What the tag ids of the file mean, where tags stand as ids.
    pub fn tag_ids(&self) -> Option<&[(i64, String)]> {
        match self {
            Self::Conll(layout) => layout.ids.as_deref(),
            Self::Bond(layout) | Self::TagsJsonl(layout) => layout.ids.as_deref(),
            _ => None,
        }
    }

    /// The usual extension of such a file, without the dot; empty for brat, which is a folder.
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
    /// Array or lines.
    pub container: Container,
    /// Field of the entities.
    pub entities: String,
}

impl Default for DyncleanJson {
    fn default() -> Self {
        Self { container: Container::Array, entities: "entities".into() }
    }
}

/// What stands between columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Separator {
    /// One tab.
    #[default]
    Tab,
    /// Any number of blanks and tabs.
    Blank,
}

/// Parameters of CoNLL columns. Columns count from 0 here (from 1 for users).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conll {
    /// What stands between columns.
    pub separator: Separator,
    /// Tag scheme.
    pub scheme: Scheme,
    /// How its tags are spelled.
    pub spelling: Spelling,
    /// Names of the tag ids; none where tags stand as names.
    pub ids: Option<Vec<(i64, String)>>,
    /// Under which name the tag stands, in a column of `name=value|...`; none where it has the column for itself.
    pub key: Option<String>,
    /// Column of the token.
    pub token_column: usize,
    /// Column of the label.
    pub label_column: usize,
    /// Number of columns, the mask included.
    pub n_columns: usize,
    /// Whether the last column is the mask of unknown tokens.
    pub mask: bool,
    /// Type whose tags mean "unknown".
    pub ignore: String,
    /// Whether such tags occur.
    pub has_ignore_tags: bool,
    /// Whether lines end in CR LF.
    pub crlf: bool,
    /// Whether the file begins with a byte order mark.
    pub bom: bool,
    /// What comes after the last sentence.
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
    /// Array or lines.
    pub container: Container,
    /// Field of the tokens.
    pub tokens: String,
    /// Field of the tags.
    pub tags: String,
    /// Tag scheme.
    pub scheme: Scheme,
    /// How its tags are spelled.
    pub spelling: Spelling,
    /// Names of the tag ids; none where tags stand as names.
    pub ids: Option<Vec<(i64, String)>>,
    /// Whether ids stand as strings.
    pub quoted: bool,
    /// Type whose tags mean "unknown" (for ids, −100 does).
    pub ignore: String,
    /// Whether such tags occur.
    pub has_ignore_tags: bool,
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
    /// Array or lines.
    pub container: Container,
    /// Field of the text.
    pub text: String,
    /// Field of the labelled spans.
    pub spans: String,
    /// How these are written.
    pub shape: MarkShape,
    /// Whether a record is a pair of the text and an object with the other fields (spaCy).
    pub pair: bool,
    /// What their offsets count.
    pub counting: Counting,
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
        }
    }
}

/// Parameters of Label Studio's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LabelStudio {
    /// Array or lines.
    pub container: Container,
    /// Field of the text in `data`.
    pub text: String,
    /// Field of the labels: `annotations` (once `completions`) or `predictions`.
    pub layer: String,
    /// What their offsets count.
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
    /// Type whose text-bound annotations mean "unknown".
    pub ignore: String,
}

impl Default for Brat {
    fn default() -> Self {
        Self { ignore: IGNORE.into() }
    }
}
