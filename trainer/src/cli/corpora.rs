//! Options on how corpus files are read and written.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use shared::formats::{Format, IGNORE, ReadOptions, Scheme, UnknownAs};
use trainer::data::corpus_file::{self, CorpusOptions};

use super::failure::input;

/// How corpus files are read and written.
#[derive(Args)]
#[command(next_help_heading = "Corpus files")]
pub struct CorpusArgs {
    /// Read files in this format, instead of recognising it. For Parquet, it says how each row is read
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    pub format: Option<Format>,
    /// Where the labels are: a column number from 1 (CoNLL; default: the last), the name of a field (JSON), or
    /// `annotations` or `predictions` (Label Studio)
    #[arg(long, value_name = "N|FIELD", visible_alias = "label-field")]
    pub label_column: Option<String>,
    /// Where the gold labels are, if the same file has them. They only measure
    #[arg(long, value_name = "N|FIELD", visible_alias = "gold-field")]
    pub gold_column: Option<String>,
    /// CoNLL: column of the tokens, from 1 [default: the first]
    #[arg(long, value_name = "N")]
    pub token_column: Option<usize>,
    /// File with the names of tag ids: tag_to_id.json, a JSON list, dataset_info.json, or one tag a line [default: the
    /// names in a Parquet file, else tag_to_id.json beside the corpus file]
    #[arg(long, value_name = "FILE")]
    pub tags: Option<PathBuf>,
    /// Read tags in this scheme, instead of recognising it. `plain`: every label but O is an entity type
    #[arg(long, value_name = "SCHEME", value_parser = scheme())]
    pub tag_scheme: Option<Scheme>,
    /// How removed spans are marked in formats with one tag per token. `mask`: beside the tags (CoNLL: a last column
    /// of 0 and 1; JSON: the field `unknown`). `tag`: by tags of the type IGNORE, or of NAME [default: as in the file,
    /// else mask; Parquet with tag ids: the id -100]
    #[arg(long, value_name = "mask|tag[:NAME]", value_parser = unknown)]
    pub unknown: Option<UnknownAs>,
}

/// The same for a training, whose dev, test and gold files may have their labels elsewhere.
#[derive(Args)]
pub struct TrainingCorpusArgs {
    /// The dev sentences again, labelled as the training sentences were: by the same language model, dictionary or
    /// tool. Without it, DynClean labels dev with a dictionary of all entities of --train, to see which ones are wrong
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub dev_distant: Option<PathBuf>,
    /// Where the labels of --dev, --test and --train-gold are [default: --gold-column if given, else --label-column]
    #[arg(long, value_name = "N|FIELD", help_heading = "Corpus files")]
    eval_column: Option<String>,
    #[command(flatten)]
    all: CorpusArgs,
}

impl TrainingCorpusArgs {
    /// Returns the options in the form that the library takes.
    ///
    /// # Errors
    /// The same as [`CorpusArgs::options`].
    pub fn options(&self) -> Result<CorpusOptions> {
        Ok(CorpusOptions { eval_label: self.eval_column.clone(), ..self.all.options()? })
    }
}

impl CorpusArgs {
    /// Returns the options in the form that the library takes.
    ///
    /// # Errors
    /// When the file of tag names cannot be read.
    pub fn options(&self) -> Result<CorpusOptions> {
        let read = ReadOptions {
            format: self.format,
            token_column: self.token_column,
            label: self.label_column.clone(),
            gold: self.gold_column.clone(),
            tags: self.tags.as_deref().map(|tags| input(corpus_file::read_tags(tags))).transpose()?,
            scheme: self.tag_scheme,
            ignore: match &self.unknown {
                Some(UnknownAs::Tag(name)) => Some(name.clone()),
                _ => None,
            },
            ..ReadOptions::default()
        };
        Ok(CorpusOptions { read, eval_label: None, unknown: self.unknown.clone() })
    }
}

/// Returns a parser for the name of a format. Shells can complete the names, because it lists them.
pub fn format() -> impl TypedValueParser<Value = Format> {
    let named = |name: String| Format::ALL.into_iter().find(|format| format.name() == name);
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(move |name| named(name).ok_or("no such format"))
}

/// Returns a parser for the name of a tag scheme. Shells can complete the names, because it lists them.
fn scheme() -> impl TypedValueParser<Value = Scheme> {
    let named = |name: String| Scheme::ALL.into_iter().find(|scheme| scheme.name() == name);
    PossibleValuesParser::new(Scheme::ALL.map(Scheme::name)).try_map(move |name| named(name).ok_or("no such scheme"))
}

fn unknown(text: &str) -> Result<UnknownAs, String> {
    match text.split_once(':').unwrap_or((text, IGNORE)) {
        ("mask", _) if text == "mask" => Ok(UnknownAs::Mask),
        ("tag", name) if !name.trim().is_empty() && !name.contains(char::is_whitespace) => {
            Ok(UnknownAs::Tag(name.to_owned()))
        }
        _ => Err("expected mask, tag or tag:NAME".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read() {
        assert_eq!(unknown("mask"), Ok(UnknownAs::Mask));
        assert_eq!(unknown("tag"), Ok(UnknownAs::Tag("IGNORE".into())));
        assert_eq!(unknown("tag:X-Y"), Ok(UnknownAs::Tag("X-Y".into())));
        assert!(["", "tag:", "mask:x", "tag:a b"].iter().all(|wrong| unknown(wrong).is_err()));
    }
}
