//! A sweep tries several settings of the cleaning on the same dynamics. It takes the one whose model is best on
//! dev.
//!
//! Only retraining is repeated, once per cleaned corpus: settings that give the same cleaned corpus share the
//! training. Only the chosen model is scored on test. Otherwise the choice would be made on test.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use shared::corpus::labels::LabelSet;
use shared::detection::threshold::{Action, Metric, Rule, Settings, Thresholds};
use shared::evaluation::quality::NoiseDetection;
use shared::metrics::Window;
use shared::report::Tried;

use crate::data::inspect::check_classes;
use crate::run::results::Sides;

/// The settings to try: every combination of the lists. If a list is empty, the setting stays as given on the
/// command line, or automatic.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Sweep {
    /// Epochs over which the metric is computed, such as `"1-3"`, or `"auto"`.
    windows: Vec<WindowChoice>,
    /// `"aum"`, `"confidence"`.
    metrics: Vec<Metric>,
    /// Rules for negatives: `"auto"`, `{ quantile = 0.1 }`, `{ fixed = 0.5 }`, `"keep"`.
    negatives: Vec<Rule>,
    /// Rules for positives.
    positives: Vec<Rule>,
    /// Whether every entity type gets its own threshold.
    per_class: Vec<bool>,
    /// `"remove"`, `"relabel"`.
    on_wrong: Vec<Action>,
    /// Whether to judge every suspicious negative, even if several overlap.
    keep_overlaps: Vec<bool>,
    /// Whether to correct labels that dev contradicts, if the dynamics list them.
    dictionary_check: Vec<bool>,
    /// Whether to also try leaving one or both sides unjudged.
    sides: TrySides,
    /// Number of trainings on each cleaned corpus, each with its own seed. Dev F1 is their mean.
    pub(super) seeds: u32,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            windows: Vec::new(),
            metrics: Vec::new(),
            negatives: Vec::new(),
            positives: Vec::new(),
            per_class: Vec::new(),
            on_wrong: Vec::new(),
            keep_overlaps: Vec::new(),
            dictionary_check: Vec::new(),
            sides: TrySides::default(),
            seeds: 1,
        }
    }
}

/// Settings of the cleaning that a run tries on dev by itself, if the user has not set them
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Trials {
    /// Try nothing: clean as the settings say
    None,
    /// Clean once. If the model on your labels is better on dev, change no label
    Usual,
    /// Also try to judge only entities or only O spans, and to remove in place of relabelling: up to seven trainings
    All,
}

/// The sides that a sweep also tries to leave unjudged. The dictionary check is not a threshold: it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TrySides {
    /// Judge as the settings say.
    #[default]
    None,
    /// Judge as the settings say, or change no label at all.
    Both,
    /// Judge the positives or not, if their threshold is automatic. If all thresholds are automatic, also try
    /// changing no label at all.
    Positives,
    /// Like `Positives`, and also judge the negatives or not.
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
enum WindowChoice {
    /// The window of the base settings.
    Base,
    Epochs(Window),
}

impl TryFrom<String> for WindowChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Base);
        }
        text.parse().map(Self::Epochs).map_err(|error| format!("{text:?} is not a window: {error}; or \"auto\""))
    }
}

/// The content of `sweep.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepResult {
    /// Number of trainings per cleaned corpus.
    pub seeds: u32,
    /// Dev F1 of the model on the unchanged distant labels (one seed).
    pub raw_dev_f1: f64,
    /// Index of the chosen combination, from 0.
    pub chosen: usize,
    /// All combinations in the order of the lists. The last list varies fastest.
    pub combinations: Vec<Combination>,
}

/// One combination of settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Combination {
    /// The settings.
    pub settings: Settings,
    /// The thresholds that these settings gave.
    pub thresholds: Thresholds,
    /// Spans that left the training data.
    pub removed: Sides,
    /// Spans that got another label.
    pub relabelled: Sides,
    /// Comparison with gold, if known. It does not affect the choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseDetection>,
    /// Digest of the cleaned corpus. Combinations with the same digest share their trainings.
    pub cleaned: String,
    /// Dev F1 by seed. Empty if the cleaning left no entity to learn from.
    pub dev_f1: Vec<f64>,
    /// Mean of `dev_f1`.
    pub mean_dev_f1: Option<f64>,
}

impl Sweep {
    /// Returns the sweep that a run does by itself. With `action_is_open`, [`Trials::All`] also tries both
    /// removing and relabelling.
    pub fn of_trials(trials: Trials, action_is_open: bool) -> Self {
        let (sides, tries_actions) = match trials {
            Trials::None => (TrySides::None, false),
            Trials::Usual => (TrySides::Both, false),
            Trials::All => (TrySides::All, action_is_open),
        };
        let actions = [Action::Relabel, Action::Remove].into_iter().filter(|_| tries_actions);
        Self { sides, on_wrong: actions.collect(), ..Self::default() }
    }

    /// Reads the `[sweep]` table of a TOML file.
    ///
    /// # Errors
    /// The error names the file, the line and what was expected.
    pub fn read(path: &Path) -> Result<Self> {
        // The file may have other tables for other purposes.
        #[derive(Deserialize)]
        struct File {
            sweep: Sweep,
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let File { sweep } = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let rules = sweep.negatives.iter().chain(&sweep.positives);
        for rule in rules {
            match rule {
                Rule::Quantile(q) if !(0.0..=1.0).contains(q) => {
                    bail!("{}: the quantile {q} is not between 0 and 1", path.display())
                }
                Rule::Fixed(value) if !value.is_finite() => bail!("{}: a threshold must be a number", path.display()),
                _ => {}
            }
        }
        ensure!(sweep.seeds > 0, "{}: seeds must be at least 1", path.display());
        Ok(sweep)
    }

    /// Returns the lists that set the same thing as a command-line option.
    pub fn lists_of(option: &str) -> &'static [&'static str] {
        match option {
            "threshold" => &["negatives", "positives"],
            "window" => &["windows"],
            "metric" => &["metrics"],
            "negatives_threshold" | "negatives_quantile" => &["negatives"],
            "positives_threshold" | "positives_quantile" => &["positives"],
            "per_class" => &["per-class"],
            "on_wrong" => &["on-wrong"],
            "keep_overlaps" => &["keep-overlaps"],
            "dev_for" => &["dictionary-check"],
            _ => &[],
        }
    }

    /// Empties the lists that a command-line option overrides. Returns the names of those that were not empty.
    pub fn leave_out(&mut self, option: &str) -> Vec<&'static str> {
        fn was_there<T>(list: &mut Vec<T>) -> bool {
            !std::mem::take(list).is_empty()
        }
        let mut is_left_out = |list: &str| match list {
            "windows" => was_there(&mut self.windows),
            "metrics" => was_there(&mut self.metrics),
            "negatives" => was_there(&mut self.negatives),
            "positives" => was_there(&mut self.positives),
            "per-class" => was_there(&mut self.per_class),
            "on-wrong" => was_there(&mut self.on_wrong),
            "keep-overlaps" => was_there(&mut self.keep_overlaps),
            "dictionary-check" => was_there(&mut self.dictionary_check),
            _ => false,
        };
        Self::lists_of(option).iter().copied().filter(|list| is_left_out(list)).collect()
    }

    /// Keeps overlaps in every combination, unless the file lists what to try.
    pub fn keep_overlaps(&mut self) {
        if self.keep_overlaps.is_empty() {
            self.keep_overlaps.push(true);
        }
    }

    /// Returns whether windows other than the one of the settings are tried.
    pub fn varies_windows(&self) -> bool {
        !self.windows.is_empty()
    }

    /// Checks entity types and epochs of the settings to try, before any training.
    ///
    /// # Errors
    /// The error names the entity type or the window that does not exist.
    pub fn check(&self, adjust: impl FnOnce(&mut Settings), labels: &LabelSet, epochs: u32) -> Result<()> {
        let mut settings = Settings { metric: Metric::Trust, ..Settings::paper() };
        adjust(&mut settings);
        for tried in self.combinations(&settings) {
            tried.check().map_err(|what| anyhow!("the cleaning asks for {what}"))?;
            let Settings { window, .. } = tried;
            ensure!(
                window.first <= epochs,
                "the window {}-{} begins after the last of {epochs} epochs",
                window.first,
                window.last
            );
        }
        check_classes(&settings, labels)
    }

    /// Returns whether there is more than one combination, or more than one seed.
    pub(super) fn is_choice(&self, base: &Settings) -> bool {
        self.seeds > 1 || self.combinations(base) != [base.clone()]
    }

    /// Returns the largest possible number of trainings, if `adjust` is applied to the automatic settings of the
    /// run.
    pub(super) fn most_trainings(&self, adjust: impl Fn(&mut Settings)) -> u32 {
        self.to_train(&expected(adjust)).len() as u32 * self.seeds
    }

    /// Returns the numbers of the trials, from 1, that need a training, as far as this is known before the first
    /// training. `None` if nothing is tried.
    pub(super) fn trials(&self, adjust: impl Fn(&mut Settings)) -> Option<Vec<usize>> {
        let base = expected(adjust);
        self.is_choice(&base).then(|| self.to_train(&base))
    }

    /// Returns the numbers of the combinations, from 1, that may need a training of their own.
    fn to_train(&self, base: &Settings) -> Vec<usize> {
        let (mut different, mut numbers): (Vec<Settings>, _) = (Vec::new(), Vec::new());
        for (number, mut settings) in (1..).zip(self.combinations(base)) {
            let judges = [settings.negatives, settings.positives] != [Rule::Keep; 2] || !settings.classes.is_empty();
            if !judges {
                // Without judging, removing and relabelling give the same result.
                settings.action = base.action;
            }
            // The model on unchanged labels exists already.
            let is_there = !judges && !settings.dictionary_check && self.seeds == 1;
            if !is_there && !different.contains(&settings) {
                different.push(settings);
                numbers.push(number);
            }
        }
        numbers
    }

    /// Returns all combinations, each once.
    pub(super) fn combinations(&self, base: &Settings) -> Vec<Settings> {
        let mut all = vec![base.clone()];
        vary(&mut all, &self.windows, |settings, window| match window {
            WindowChoice::Base => {}
            WindowChoice::Epochs(window) => settings.window = *window,
        });
        vary(&mut all, &self.metrics, |settings, &metric| {
            if settings.metric != metric {
                settings.judge_by(metric);
            }
        });
        vary(&mut all, &self.negatives, |settings, &rule| settings.negatives = rule);
        vary(&mut all, &self.positives, |settings, &rule| settings.positives = rule);
        vary(&mut all, &self.per_class, |settings, &per_class| settings.per_class = per_class);
        vary(&mut all, &self.on_wrong, |settings, &action| settings.action = action);
        vary(&mut all, &self.keep_overlaps, |settings, &keep| settings.overlap_suppression = !keep);
        vary(&mut all, &self.dictionary_check, |settings, &check| settings.dictionary_check = check);
        // A rule that the user gave is always applied. Only automatic rules are tried against not judging.
        let unless_judged = |rule: Rule, judged: bool| if judged || rule != Rule::Auto { rule } else { Rule::Keep };
        let judged = [true, false];
        if self.sides == TrySides::All {
            vary(&mut all, &judged, |s, &judged| s.negatives = unless_judged(s.negatives, judged));
        }
        if matches!(self.sides, TrySides::Positives | TrySides::All) && base.classes.is_empty() {
            vary(&mut all, &judged, |s, &judged| s.positives = unless_judged(s.positives, judged));
        }
        let is_open = [base.negatives, base.positives] == [Rule::Auto; 2] && base.classes.is_empty();
        if self.sides != TrySides::None && is_open {
            all.push(Settings {
                negatives: Rule::Keep,
                positives: Rule::Keep,
                dictionary_check: false,
                ..base.clone()
            });
        }
        let mut once: Vec<Settings> = Vec::new();
        for settings in all {
            if !once.contains(&settings) {
                once.push(settings);
            }
        }
        once
    }
}

/// Returns what the settings will most likely be.
fn expected(adjust: impl Fn(&mut Settings)) -> Settings {
    let mut base =
        Settings { negatives: Rule::Auto, positives: Rule::Auto, dictionary_check: true, ..Settings::paper() };
    adjust(&mut base);
    base
}

/// Combines each of `all` with each value of a list. An empty list changes nothing.
fn vary<T>(all: &mut Vec<Settings>, values: &[T], set: impl Fn(&mut Settings, &T)) {
    if values.is_empty() {
        return;
    }
    let with = |settings: &Settings, value: &T| {
        let mut settings = settings.clone();
        set(&mut settings, value);
        settings
    };
    *all =
        all.iter().flat_map(|settings| values.iter().map(|value| with(settings, value)).collect::<Vec<_>>()).collect();
}

impl Combination {
    /// Returns whether no label is changed. The model on the unchanged labels exists already.
    pub(super) fn changes_nothing(&self) -> bool {
        let Sides { positives, negatives } = self.removed;
        let relabelled = &self.relabelled;
        positives + negatives + relabelled.positives + relabelled.negatives == 0
    }

    pub(super) fn set_scores(&mut self, dev_f1: Vec<f64>) {
        self.mean_dev_f1 = (!dev_f1.is_empty()).then(|| dev_f1.iter().sum::<f64>() / dev_f1.len() as f64);
        self.dev_f1 = dev_f1;
    }
}

impl SweepResult {
    /// Returns the combinations as the report shows them.
    pub fn tried(&self) -> Vec<Tried> {
        // Show only one of the combinations that change no label.
        let unchanged = |(_, c): &(usize, &Combination)| c.changes_nothing();
        let all = || self.combinations.iter().enumerate();
        let shown = all().filter(unchanged).find(|(i, _)| *i == self.chosen).or(all().find(unchanged)).map(|(i, _)| i);
        let tried = |(i, c): (usize, &Combination)| Tried {
            settings: if c.changes_nothing() { "no label changed".to_owned() } else { describe(&c.settings) },
            positives: c.removed.positives + c.relabelled.positives,
            negatives: c.removed.negatives + c.relabelled.negatives,
            dev_f1: c.mean_dev_f1,
            chosen: i == self.chosen,
        };
        all().filter(|(i, c)| !c.changes_nothing() || Some(*i) == shown).map(tried).collect()
    }

    /// Returns a line per combination, for a terminal.
    pub fn summary(&self) -> String {
        let percent = |f1: f64| format!("{:5.1}", 100.0 * f1);
        // The usual trial: cleaned labels against unchanged ones.
        if let ([cleaned, unchanged], true) = (&self.tried()[..], self.seeds == 1)
            && self.combinations.last().is_some_and(Combination::changes_nothing)
        {
            let score = cleaned.dev_f1.map_or("no score".to_owned(), |f1| percent(f1).trim().to_owned());
            let so = if unchanged.chosen { "no label is changed" } else { "the labels are cleaned" };
            return format!(
                "Dev F1 is {score} with cleaned labels and {} with your labels, so {so}\n",
                percent(self.raw_dev_f1).trim()
            );
        }
        let n = self.combinations.len();
        let seeds = if self.seeds == 1 { "one seed".to_owned() } else { format!("{} seeds", self.seeds) };
        let mut text = format!("Tried {n} settings, {seeds} each: dev F1, spans removed or relabelled\n");
        text += &format!("    {}  your labels as they came (one seed)\n", percent(self.raw_dev_f1));
        for t in self.tried() {
            text += &format!(
                "  {} {}  {}: {} positives, {} negatives\n",
                if t.chosen { "→" } else { " " },
                t.dev_f1.map_or("    –".to_owned(), percent),
                t.settings,
                t.positives,
                t.negatives
            );
        }
        text + "→ is the best on dev; only its model was scored on test. Its dev score is a little too good, because it \
                was the best of several\n"
    }
}

/// Describes settings in one line.
pub(super) fn describe(settings: &Settings) -> String {
    let rule = |rule: Rule| match rule {
        Rule::Auto => "auto".to_owned(),
        Rule::Quantile(q) => format!("quantile {q}"),
        Rule::Keep => "kept".to_owned(),
        Rule::Fixed(value) => format!("{value}"),
    };
    let Window { first, last } = settings.window;
    let mut text = format!(
        "{} over epochs {first}-{last}, negatives {}, positives {}",
        settings.metric.name(),
        rule(settings.negatives),
        rule(settings.positives)
    );
    for (is_so, what) in [
        (settings.per_class, ", per class"),
        (settings.action == Action::Relabel, ", relabel"),
        (settings.action == Action::Remove, ", remove"),
        (!settings.overlap_suppression, ", overlapping spans judged, too"),
        (settings.dictionary_check, ", labels that dev contradicts corrected"),
    ] {
        if is_so {
            text += what;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Sweep> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweep.toml");
        std::fs::write(&path, toml).unwrap();
        Sweep::read(&path)
    }

    #[test]
    fn lists_are_multiplied_and_doubles_left_out() {
        let toml = r#"
            [sweep]
            windows = ["auto", "2-4", "1-3"]
            negatives = ["auto", { quantile = 0.05 }, { fixed = -0.5 }]
            on-wrong = ["remove", "relabel"]
            seeds = 2
        "#;
        // The base already has the window 1-3.
        let all = read(toml).unwrap().combinations(&Settings::paper());
        assert_eq!(all.len(), 2 * 3 * 2);
        assert_eq!((all[0].negatives, all[0].action), (Rule::Auto, Action::Remove));
        assert_eq!((all[1].negatives, all[1].action), (Rule::Auto, Action::Relabel));
        assert_eq!((all[4].negatives, all[4].window.first), (Rule::Fixed(-0.5), 1));
        assert_eq!((all[11].negatives, all[11].window.first), (Rule::Fixed(-0.5), 2));
        assert!(all.iter().all(|s| s.positives == Settings::paper().positives));
        let automatic = Settings { negatives: Rule::Auto, positives: Rule::Auto, ..Settings::paper() };
        let kept = |sides, base: &Settings| -> Vec<(bool, bool)> {
            let all = Sweep { sides, ..Sweep::default() }.combinations(base).into_iter();
            all.map(|s| (s.negatives == Rule::Keep, s.positives == Rule::Keep)).collect()
        };
        let unjudged = (true, true);
        assert_eq!(
            kept(TrySides::All, &Settings { dictionary_check: true, ..automatic.clone() }),
            [(false, false), (false, true), (true, false), (true, true), unjudged]
        );
        assert_eq!(kept(TrySides::Positives, &automatic), [(false, false), (false, true), unjudged]);
        let judged = (false, false);
        for by_hand in [
            Settings::paper(),
            Settings { classes: [("PER".to_owned(), Rule::Fixed(1.0))].into(), ..Settings::paper() },
        ] {
            for sides in [TrySides::Positives, TrySides::All] {
                assert_eq!(kept(sides, &by_hand), [judged], "given by hand");
            }
        }
        let negatives = Settings { negatives: Rule::Fixed(0.0), ..automatic.clone() };
        assert_eq!(kept(TrySides::All, &negatives), [judged, (false, true)]);
        let positives = Settings { positives: Rule::Keep, ..automatic.clone() };
        assert_eq!(kept(TrySides::Positives, &positives), [(false, true)]);
        let types = Settings { classes: [("PER".to_owned(), Rule::Keep)].into(), ..automatic.clone() };
        assert_eq!(kept(TrySides::All, &types), [judged, (true, false)]);
        assert_eq!(kept(TrySides::None, &automatic), [(false, false)]);
        let tried = |trials, action_is_open| -> Vec<(Action, Rule, Rule)> {
            let base = Settings { action: Action::Relabel, ..automatic.clone() };
            let all = Sweep::of_trials(trials, action_is_open).combinations(&base).into_iter();
            all.map(|s| (s.action, s.negatives, s.positives)).collect()
        };
        let judged = [Rule::Auto, Rule::Keep];
        let of = |action| judged.map(|negatives| judged.map(|positives| (action, negatives, positives))).concat();
        let untouched = [(Action::Relabel, Rule::Keep, Rule::Keep)];
        assert_eq!(tried(Trials::Usual, true), [&[(Action::Relabel, Rule::Auto, Rule::Auto)], &untouched[..]].concat());
        assert_eq!(tried(Trials::All, true), [of(Action::Relabel), of(Action::Remove)].concat());
        assert_eq!(tried(Trials::All, false), of(Action::Relabel));
        assert_eq!(Sweep::of_trials(Trials::None, true), Sweep::default());
        assert_eq!(read("[sweep]").unwrap().combinations(&Settings::paper()), [Settings::paper()]);
    }

    #[test]
    fn a_metric_comes_with_the_settings_that_depend_on_it() {
        let mut by_trust = Settings::paper();
        by_trust.judge_by(Metric::Trust);
        let all = read("[sweep]\nmetrics = [\"trust\", \"aum\"]").unwrap().combinations(&by_trust);
        let of = |s: &Settings| (s.metric, s.overlap_suppression, s.relabel_probability);
        let expected = [(Metric::Trust, false, 0.8), (Metric::Aum, true, 0.5)];
        assert_eq!(all.iter().map(of).collect::<Vec<_>>(), expected);
        let mut with_overlaps = read("[sweep]\nmetrics = [\"trust\", \"aum\"]").unwrap();
        with_overlaps.keep_overlaps();
        let all = with_overlaps.combinations(&by_trust);
        assert_eq!(all.iter().map(|s| s.overlap_suppression).collect::<Vec<_>>(), [false; 2]);
        // The paper's own settings for its own metric stay.
        let all = read("[sweep]\nmetrics = [\"aum\"]").unwrap().combinations(&Settings::paper());
        assert_eq!(all, [Settings::paper()]);
    }

    #[test]
    fn trainings_are_counted() {
        let most = |trials, adjust: fn(&mut Settings)| Sweep::of_trials(trials, true).most_trainings(adjust);
        assert_eq!(most(Trials::None, |_| ()), 1);
        assert_eq!(most(Trials::Usual, |_| ()), 1);
        // Eight combinations, of which two judge neither side.
        assert_eq!(most(Trials::All, |_| ()), 7);
        assert_eq!(most(Trials::All, |s| s.dictionary_check = false), 6);
        assert_eq!(most(Trials::Usual, |s| s.positives = Rule::Keep), 1);
        let twice = read("[sweep]\nnegatives = [\"keep\", \"auto\"]\nseeds = 2").unwrap();
        assert_eq!(twice.most_trainings(|_| ()), 4);
    }

    #[test]
    fn mistakes_are_named() {
        for (toml, expected) in [
            ("[sweep]\nquantiles = [0.1]", "quantiles"),
            ("[sweep]\nwindows = [\"3-2\"]", "3-2"),
            ("[sweep]\nnegatives = [{ quantile = 1.5 }]", "1.5"),
            ("[sweep]\nseeds = 0", "seeds"),
            ("windows = []", "sweep"),
        ] {
            let error = format!("{:#}", read(toml).unwrap_err());
            assert!(error.contains(expected) && error.contains("sweep.toml"), "{error}");
        }
    }
}
