//! Options of the cleaning. Opens a dynamics file with the decisions that follow from these options.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use shared::cleaning::Decisions;
use shared::detection::judge::Judge;
use shared::detection::threshold::{Action, Metric, Rule, Settings};
use shared::metrics::Window;
use trainer::console;
use trainer::data::inspect;
use trainer::data::recording::Recording;

use super::failure::{input, usage};

/// Which labels are judged wrong, and what happens to them.
#[derive(Args)]
#[command(next_help_heading = "Cleaning")]
pub struct CleaningOptions {
    /// How thresholds are found. `auto`: an entity is judged wrong if its trust is below .5. For O spans the threshold
    /// is higher, up to .8, as long as half of the spans below it are expected to be missed entities. (With
    /// `--metric aum`: AUM < 0, or higher if the threshold samples support it.) `paper`: the rule of the DynClean
    /// paper, quantiles of the threshold samples' AUM (.10 for negatives, 0 for positives) over the first 3 epochs
    #[arg(long, value_enum, value_name = "RULE")]
    pub threshold: Option<Threshold>,
    /// Judge a negative (a span labelled O) wrong if its metric is below this value; `keep` judges none wrong
    #[arg(long, value_name = "VALUE|keep", value_parser = threshold, allow_negative_numbers = true)]
    pub negatives_threshold: Option<Rule>,
    /// Judge a positive (a labelled entity) wrong if its metric is below this value; `keep` judges none wrong
    #[arg(long, value_name = "VALUE|keep", value_parser = threshold, allow_negative_numbers = true)]
    pub positives_threshold: Option<Rule>,
    /// Take the threshold for negatives from the threshold samples: the metric at this quantile, counted from the
    /// highest
    #[arg(long, value_name = "Q", value_parser = quantile, conflicts_with = "negatives_threshold")]
    pub negatives_quantile: Option<f32>,
    /// The same for positives (the paper takes .10 for negatives and 0 for positives)
    #[arg(long, value_name = "Q", value_parser = quantile, conflicts_with = "positives_threshold")]
    pub positives_quantile: Option<f32>,
    /// What labels are judged by. `trust`: the probability that the label is right, from dynamics and text together.
    /// `aum`: the area under the margin. `confidence`: the mean probability of the label [default: trust]
    #[arg(long, value_enum)]
    pub metric: Option<MetricArg>,
    /// Find a threshold for each entity type, from its own threshold samples. By trust this has no effect, except
    /// with `--positives-quantile`. A type with fewer than 30 samples takes the threshold of all positives
    #[arg(long)]
    pub per_class: bool,
    /// Threshold of one entity type, or `keep`. Can be given several times
    #[arg(long, value_name = "TYPE=VALUE|keep", value_parser = class_threshold, allow_negative_numbers = true)]
    pub class_threshold: Vec<(String, Rule)>,
    /// Epochs over which the metrics are computed, such as 1-3 [default: three epochs, from the one at which the model
    /// has learned the positives]
    #[arg(long, value_name = "FIRST-LAST")]
    pub window: Option<Window>,
    /// What happens to a span that is judged wrong. `relabel`: it takes the most probable label if that is sure
    /// enough (.8 by trust, .5 by AUM), else it is removed. `remove`: it is always removed [default: relabel]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_wrong: Option<OnWrong>,
    /// What dev is used for. `epoch`: it chooses the best epoch, and nothing else. `calibration`: it also corrects
    /// dictionary entries that it contradicts, and `run` keeps your labels if the cleaned model is worse on dev.
    /// `training`: `run` also trains a last model on the cleaned labels and dev together [default: training]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub dev_for: Option<DevFor>,
    /// Judge every suspicious negative, whatever it overlaps. Without this option, `--metric aum` and `confidence`
    /// judge only the most suspicious of overlapping negatives, and none that overlaps a positive which the model has
    /// learned
    #[arg(long)]
    pub keep_overlaps: bool,
}

impl CleaningOptions {
    /// Returns whether the options leave open what happens to a span that is judged wrong.
    pub fn action_is_open(&self) -> bool {
        self.on_wrong.is_none() && !matches!(self.threshold, Some(Threshold::Paper))
    }

    /// Changes the automatic settings as the options say.
    pub fn adjust(&self, settings: &mut Settings) {
        match self.threshold {
            Some(Threshold::Auto) | None => {}
            Some(Threshold::Paper) => *settings = Settings::paper(),
        }
        if let Some(q) = self.negatives_quantile {
            settings.negatives = Rule::Quantile(q);
        }
        if let Some(q) = self.positives_quantile {
            settings.positives = Rule::Quantile(q);
        }
        if let Some(rule) = self.negatives_threshold {
            settings.negatives = rule;
        }
        if let Some(rule) = self.positives_threshold {
            settings.positives = rule;
        }
        if let Some(window) = self.window {
            settings.window = window;
        }
        if let Some(metric) = self.metric {
            settings.judge_by(metric.into());
        }
        settings.per_class |= self.per_class;
        settings.classes.extend(self.class_threshold.iter().cloned());
        match self.on_wrong {
            Some(OnWrong::Remove) => settings.action = Action::Remove,
            Some(OnWrong::Relabel) => settings.action = Action::Relabel,
            None => {}
        }
        if self.dev_for == Some(DevFor::Epoch) {
            settings.dictionary_check = false;
        }
        if self.keep_overlaps {
            settings.overlap_suppression = false;
        }
    }
}

fn threshold(text: &str) -> Result<Rule, String> {
    if text == "keep" {
        return Ok(Rule::Keep);
    }
    let value = text.parse().ok().filter(|value: &f32| value.is_finite());
    value.map(Rule::Fixed).ok_or_else(|| "expected a number or `keep`".to_owned())
}

fn quantile(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "expected a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("expected a number from 0 to 1".to_owned()) }
}

fn class_threshold(text: &str) -> Result<(String, Rule), String> {
    let parsed = text.rsplit_once('=').and_then(|(name, rule)| Some((name.to_owned(), threshold(rule.trim()).ok()?)));
    parsed.ok_or_else(|| "expected a type with a number or `keep`, such as PER=0.5 or PER=keep".to_owned())
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Threshold {
    Auto,
    Paper,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DevFor {
    Training,
    Calibration,
    Epoch,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum MetricArg {
    Trust,
    Aum,
    Confidence,
}

impl From<MetricArg> for Metric {
    fn from(arg: MetricArg) -> Self {
        match arg {
            MetricArg::Trust => Self::Trust,
            MetricArg::Aum => Self::Aum,
            MetricArg::Confidence => Self::Confidence,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum OnWrong {
    Remove,
    Relabel,
}

/// An open dynamics file, with its judge and the decisions about it.
pub struct Opened {
    pub file: Recording,
    pub judge: Judge,
    pub decisions: Decisions,
}

/// How much is computed about the spans.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// All metrics of all spans.
    All,
    /// The decisions, and the predictions for the spans that they are about. This takes half of the memory.
    Decisions,
}

/// Opens a dynamics file. The decisions come from the file `decisions` if it is given, otherwise from the options.
///
/// # Errors
/// When a file cannot be read, the decisions are about another file, or the options ask for something that does not
/// exist, such as an entity type that the dynamics file lacks.
pub fn open(path: &Path, options: &CleaningOptions, decisions: Option<&Path>, detail: Detail) -> Result<Opened> {
    let file = input(Recording::open(path))?;
    if !file.dynamics.complete {
        console::warning(format_args!("{} was cut off; only its finished epochs are used", path.display()));
    }
    let about = || path.display().to_string();
    let decisions = match decisions {
        Some(given) => input(file.read_decisions(given))?,
        None => {
            let mut settings = file.settings();
            options.adjust(&mut settings);
            usage(settings.check().map_err(|what| anyhow!("the options ask for {what}")))?;
            Decisions::new(file.digest.clone(), settings)
        }
    };
    usage(inspect::check_classes(&decisions.settings, &file.dynamics.corpus.labels))?;
    let judge = match detail {
        Detail::All => file.judge(decisions.settings.window, decisions.settings.metric),
        Detail::Decisions => file.judge_sparingly(&decisions),
    };
    let judge = input(judge.with_context(about))?;
    Ok(Opened { file, judge, decisions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_thresholds_are_read() {
        assert_eq!(class_threshold("a=b=-0.5"), Ok(("a=b".to_owned(), Rule::Fixed(-0.5))));
        assert_eq!(class_threshold("PER= keep"), Ok(("PER".to_owned(), Rule::Keep)));
        for wrong in ["PER", "PER=x", "PER=nan", "PER=inf"] {
            assert!(class_threshold(wrong).is_err(), "{wrong}");
        }
    }
}
