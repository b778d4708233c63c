//! The thresholds and what they depend on.

use explorer::history::History;
use explorer::listing::Order;
use leptos::prelude::*;
use shared::corpus::decision::Side;
use shared::detection::threshold::{Metric, Rule, Settings};
use shared::metrics::Window;

use super::App;

impl App {
    /// Changes one side's rule.
    pub fn set_rule(&self, side: Side, rule: Rule) {
        self.change(|settings| {
            let rule = match rule {
                // Trust is a probability.
                Rule::Fixed(value) if settings.metric == Metric::Trust => Rule::Fixed(value.clamp(0.0, 1.0)),
                rule => rule,
            };
            match side {
                Side::Negatives => settings.negatives = rule,
                Side::Positives => settings.positives = rule,
            }
        });
    }

    /// Sets the window. Keeps it in order and inside the run.
    pub fn set_window(&self, first: u32, last: u32) {
        let n = self.file.with_untracked(|f| f.as_ref().map_or(1, |f| f.n_epochs)).max(1);
        let first = first.clamp(1, n);
        self.change(|settings| settings.window = Window { first, last: last.clamp(first, n) });
    }

    /// Returns the rule of one side.
    pub fn rule(&self, side: Side) -> Rule {
        self.settings.with(|settings| match side {
            Side::Negatives => settings.negatives,
            Side::Positives => settings.positives,
        })
    }

    /// Returns the metric by which spans are judged.
    pub fn metric(&self) -> Metric {
        self.settings.with(|settings| settings.metric)
    }

    /// Sets the metric, and resets the settings that depend on it. Fixed thresholds become automatic, because they
    /// mean nothing in the units of another metric.
    pub fn set_metric(&self, metric: Metric) {
        let change = |settings: &mut Settings| {
            if settings.metric != metric {
                settings.judge_by(metric);
                for rule in [&mut settings.negatives, &mut settings.positives] {
                    if matches!(rule, Rule::Fixed(_)) {
                        *rule = Rule::Auto;
                    }
                }
                settings.classes.clear();
            }
        };
        self.watch_metric(|| self.change(change));
    }

    /// Applies other settings as a whole.
    pub fn preset(&self, settings: Settings) {
        self.watch_metric(|| self.change(|now| *now = settings));
    }

    /// Changes settings as an undo step of its own. Drops the filter by metric values if the metric has changed,
    /// because the values mean nothing for another metric.
    pub(super) fn watch_metric(&self, change: impl FnOnce()) {
        let metric = || self.settings.with_untracked(|settings| settings.metric);
        let before = metric();
        // Ends the gesture, so that undo takes back only this change.
        self.history.update(History::end_gesture);
        change();
        self.history.update(History::end_gesture);
        if metric() != before {
            self.order.set(Order::default());
            self.filter_by(|filter| filter.values = None);
        }
    }

    /// Sets the threshold of one class; `None` leaves it to the rule for all positives.
    pub fn set_class(&self, class: &str, threshold: Option<f32>) {
        self.change(|settings| {
            match threshold {
                Some(value) => {
                    let value = if settings.metric == Metric::Trust { value.clamp(0.0, 1.0) } else { value };
                    settings.classes.insert(class.to_owned(), Rule::Fixed(value))
                }
                None => settings.classes.remove(class),
            };
        });
    }

    /// Returns the threshold of one side. A fixed threshold is known at once; others come with the worker's
    /// figures.
    pub fn threshold(&self, side: Side) -> f32 {
        match self.rule(side) {
            Rule::Fixed(value) => value,
            _ => self.figures.with(|f| f.as_ref().map_or(f32::NEG_INFINITY, |f| f.summary.thresholds.of(side).value)),
        }
    }
}
