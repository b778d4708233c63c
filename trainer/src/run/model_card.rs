//! The card of a model that a run saved: `README.md`, in the form that the Hugging Face hub shows.
//!
//! A card may be published. It names files without their folders, and holds no text of the corpora.

use std::fmt::Write;
use std::path::Path;

use shared::corpus::Corpus;
use shared::corpus::decision::Side;
use shared::detection::estimate::Estimate;
use shared::evaluation::score::NerScore;

use crate::data::hub::{DatasetPart, ModelId};
use crate::data::inspect::threshold_line;
use crate::model::encoder::BUILTIN;
use crate::run::results::Metrics;
use crate::training::config::Config;

/// File of the card in a model's folder.
pub const FILE: &str = "README.md";

/// What a card tells.
pub struct Card<'a> {
    /// The corpora by their role, each with its file.
    pub data: Vec<(&'static str, &'a Path, &'a Corpus)>,
    /// Settings of the trainings.
    pub config: &'a Config,
    /// The result of the run.
    pub metrics: &'a Metrics,
    /// Estimates of the wrong labels by side, if there are any.
    pub estimates: [(Side, Option<Estimate>); 2],
    /// The command that does the run again, without folders.
    pub command: &'a str,
}

/// Returns the name of an encoder without the folders before it. The id of a model on the hub stays whole.
pub fn encoder_name(encoder: &str) -> String {
    match hub_id(encoder) {
        Some(id) => id.to_owned(),
        None => file_name(Path::new(encoder)),
    }
}

/// Returns the id of the encoder if it comes from the hub.
fn hub_id(encoder: &str) -> Option<&str> {
    (encoder != BUILTIN && !Path::new(encoder).is_dir() && ModelId::parse(encoder).is_some()).then_some(encoder)
}

/// Returns the last part of a path. A data set of the hub keeps its whole name.
pub fn file_name(path: &Path) -> String {
    if DatasetPart::parse(path).is_some() {
        return path.display().to_string();
    }
    path.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Returns a text so that it can stand in a table or a sentence of Markdown.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => out.extend(['\\', character]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

impl Card<'_> {
    /// Returns the card of the model trained on the cleaned labels, or with `learned_dev` of the one that also learned
    /// from dev.
    pub fn markdown(&self, learned_dev: bool) -> String {
        let mut out = self.head();
        let of_model = match (&self.metrics.test.with_dev, learned_dev) {
            (Some(with_dev), true) => with_dev,
            _ => &self.metrics.test.cleaned,
        };
        let parts = [
            self.introduction(of_model, learned_dev),
            self.usage(),
            self.data(),
            self.noise(),
            self.scores(of_model, learned_dev),
            self.settings(),
            format!(
                "## Repeat\n\nThe files are named without their folders.{}\n\n```sh\n{}\n```\n",
                match self.metrics.decided_by_hand {
                    0 => "",
                    _ =>
                        " Labels were decided by hand: give the command once as it stands, and again with `--decisions` and \
                          the `decisions.json` of this run.",
                },
                self.command.replace("```", "` ` `")
            ),
        ];
        parts.iter().for_each(|part| out.extend(["\n", part]));
        out
    }

    /// Returns the head of the card, in YAML. The language and the licence are not known.
    fn head(&self) -> String {
        let mut out = String::from("---\nlibrary_name: dynclean\n");
        if let Some(id) = hub_id(&self.config.encoder) {
            let id = id.split('@').next().unwrap_or(id);
            // A JSON string is also a YAML string.
            let _ = writeln!(out, "base_model: {}", serde_json::Value::from(id));
        }
        out.push_str(
            "tags:\n- named-entity-recognition\n- token-classification\n- span-classification\n- noisy-labels\n---\n",
        );
        out
    }

    fn introduction(&self, of_model: &NerScore, learned_dev: bool) -> String {
        let types: Vec<String> = of_model.per_type.iter().map(|(name, _)| plain(name)).collect();
        let labels = if learned_dev { "cleaned labels and the dev sentences" } else { "cleaned labels" };
        let width = self.config.max_span_width;
        format!(
            "# A model that finds entities\n\nIt finds these types: {}. DynClean {} trained it on {labels}.\n\nIt is a span \
             model: it scores every span of up to {width} words. It is **no** `AutoModelForTokenClassification`, and \
             `transformers` cannot load it.\n\nBefore you publish this model, add the language and the licence to the head \
             of this file. Weights and vocabulary can reveal parts of the training text.\n",
            types.join(", "),
            env!("CARGO_PKG_VERSION")
        )
    }

    fn usage(&self) -> String {
        let mut out = String::from("## Use\n\n`FOLDER` is the folder of this file.\n\n");
        // The package cannot open models with this encoder.
        if self.config.encoder != BUILTIN {
            out.push_str(
                "```python\nimport dynclean\n\nfind = dynclean.load_model(\"FOLDER\")\nfor entity in find(\"Ada Lovelace \
                 lived in London.\"):\n    print(entity.text, entity.label, entity.probability)\n```\n\n",
            );
        }
        out.push_str("```sh\ntrainer predict --model FOLDER --input text.txt --out found.jsonl\n```\n");
        out
    }

    fn data(&self) -> String {
        let mut out = String::from("## Data\n\n| | file | sentences | entities |\n|---|---|---|---|\n");
        for (role, path, corpus) in &self.data {
            let (sentences, entities) = (corpus.n_sentences(), corpus.entities.len());
            let _ = writeln!(out, "| {role} | {} | {sentences} | {entities} |", plain(&file_name(path)));
        }
        out
    }

    fn noise(&self) -> String {
        let mut out = String::from(
            "## Noise found\n\nDynClean judged these labels wrong. A removed label is unknown: the model learned nothing \
             from it.\n\n| label | spans | removed | relabelled |\n|---|---|---|---|\n",
        );
        for count in &self.metrics.cleaning.counts {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                plain(&count.label),
                count.total,
                count.removed,
                count.relabelled
            );
        }
        if self.metrics.decided_by_hand > 0 {
            let _ = write!(out, "\nDecided by hand: {} labels.\n", self.metrics.decided_by_hand);
        }
        for (side, estimate) in &self.estimates {
            let (Some(estimate), name) = (estimate, wrong_labels(*side)) else { continue };
            let (low, high) = estimate.wrong.interval;
            let _ = write!(
                out,
                "\nEstimate for {name}: about {:.0} ({low:.0} to {high:.0}) in total, {:.0} of them missed.\n",
                estimate.wrong.number, estimate.remaining
            );
        }
        if let Some(noise) = &self.metrics.noise {
            for (side, found) in [(Side::Positives, noise.false_positives), (Side::Negatives, noise.false_negatives)] {
                let _ = write!(
                    out,
                    "\nMeasured against gold, {}: precision {:.1}, recall {:.1}.\n",
                    wrong_labels(side),
                    100.0 * found.prf.precision,
                    100.0 * found.prf.recall
                );
            }
        }
        out
    }

    fn scores(&self, of_model: &NerScore, learned_dev: bool) -> String {
        let test = &self.metrics.test;
        let mut out = String::from("## Scores on test\n\n| trained on | P | R | F1 |\n|---|---|---|---|\n");
        let mut row = |name: &str, score: &NerScore| {
            let [p, r, f1] = [score.overall.precision, score.overall.recall, score.overall.f1].map(|v| 100.0 * v);
            let _ = writeln!(out, "| {name} | {p:.1} | {r:.1} | {f1:.1} |");
        };
        let this = |is_this: bool| if is_this { " (this model)" } else { "" };
        row("your labels", &test.raw);
        row(&format!("cleaned labels{}", this(!learned_dev)), &test.cleaned);
        if let Some(with_dev) = &test.with_dev {
            row(&format!("cleaned labels and dev{}", this(learned_dev)), with_dev);
        }
        out.push_str(
            "\nP, R and F1 are percentages over entities: boundaries and type must be right. One seed; expect 2 to 3 points \
             of noise.\n\n| type of this model | P | R | F1 | entities in test |\n|---|---|---|---|---|\n",
        );
        for (name, score) in &of_model.per_type {
            let [p, r, f1] = [score.precision, score.recall, score.f1].map(|v| 100.0 * v);
            let _ = writeln!(out, "| {} | {p:.1} | {r:.1} | {f1:.1} | {} |", plain(name), score.actual);
        }
        out
    }

    fn settings(&self) -> String {
        let Config { encoder, seed, epochs, batch, encoder_rate, head_rate, max_span_width, .. } = self.config;
        let cleaning = &self.metrics.settings;
        let thresholds = &self.metrics.cleaning.thresholds;
        let rows = [
            ("program", format!("DynClean {}", env!("CARGO_PKG_VERSION"))),
            ("encoder", encoder_name(encoder)),
            ("seed", seed.to_string()),
            ("epochs", epochs.to_string()),
            ("sentences per batch", batch.to_string()),
            ("learning rate of the encoder", encoder_rate.to_string()),
            ("learning rate of the span classifier", head_rate.to_string()),
            ("widest span, in words", max_span_width.to_string()),
            (
                "labels judged by",
                format!("{}, epochs {} to {}", cleaning.metric.name(), cleaning.window.first, cleaning.window.last),
            ),
            ("judged wrong", threshold_line("entities", thresholds.positives)),
            ("judged wrong", threshold_line("O spans", thresholds.negatives)),
        ];
        let mut out = String::from("## Settings\n\n| | |\n|---|---|\n");
        for (name, value) in rows {
            let _ = writeln!(out, "| {name} | {} |", plain(&value));
        }
        out
    }
}

/// Names the wrong labels of a side.
fn wrong_labels(side: Side) -> &'static str {
    match side {
        Side::Positives => "wrong entities",
        Side::Negatives => "missed entities",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = folder.path().join("MiniLM-L6");
        std::fs::create_dir(&encoder).unwrap();
        assert_eq!(encoder_name(&encoder.display().to_string()), "MiniLM-L6");
        assert_eq!(encoder_name("sentence-transformers/all-MiniLM-L6-v2"), "sentence-transformers/all-MiniLM-L6-v2");
        assert_eq!(encoder_name(BUILTIN), BUILTIN);
        assert_eq!(encoder_name("/gone/away/encoder"), "encoder");
        assert_eq!(hub_id(BUILTIN), None);
        assert_eq!(file_name(Path::new("/home/ada/train.json")), "train.json");
        assert_eq!(file_name(Path::new("hf://ada/notes@test")), "hf://ada/notes@test");
    }

    #[test]
    fn no_name_breaks_a_table() {
        assert_eq!(plain("A|B_<i>\n# `x`"), "A\\|B\\_&lt;i> \\# \\`x\\`");
    }
}
