//! What the page shows, as signals, and what a user can do to it.

use std::collections::BTreeMap;

use leptos::prelude::*;
use shared::judge::{Decision, Side};
use shared::listing::Listing;
use shared::metrics::Window;
use shared::span::SpanId;
use shared::threshold::{Metric, Rule, Settings};
use web_sys::{File, ImageData};

use crate::link;
use crate::protocol::{Colouring, Detail, Export, Figures, List, Map, Opened, Rows, SideHistogram};
use crate::theme;

/// The page's state. Every field is a handle: copies are the same state.
#[derive(Clone, Copy)]
pub struct App {
    /// The open file.
    pub file: RwSignal<Option<Opened>>,
    /// What the worker is doing that takes long.
    pub busy: RwSignal<Option<String>>,
    /// What the user has to be told, oldest first.
    pub notices: RwSignal<Vec<Notice>>,
    /// Thresholds and all that.
    pub settings: RwSignal<Settings>,
    /// Decisions by hand.
    pub by_hand: RwSignal<BTreeMap<SpanId, Decision>>,
    /// Counts and quality.
    pub figures: RwSignal<Option<Figures>>,
    /// AUM distributions: negatives, positives.
    pub histograms: RwSignal<[SideHistogram; 2]>,
    /// Whether counts are drawn by their logarithm.
    pub log_counts: RwSignal<bool>,
    /// Sides on the data map.
    pub map_side: RwSignal<Option<Side>>,
    /// Colours on the data map.
    pub map_colouring: RwSignal<Colouring>,
    /// What the pixels show.
    pub map: RwSignal<Option<Map>>,
    /// The pixels.
    pub map_pixels: RwSignal<Option<ImageData>, LocalStorage>,
    /// Which spans the table lists.
    pub list: RwSignal<List>,
    /// The rows that are there.
    pub rows: RwSignal<Rows>,
    /// The span that is selected.
    pub selected: RwSignal<Option<SpanId>>,
    /// Everything about it.
    pub detail: RwSignal<Option<Detail>>,
    /// Dark theme.
    pub dark: RwSignal<bool>,
}

/// Something the user has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether something went wrong.
    pub is_error: bool,
    /// What to tell.
    pub text: String,
}

impl App {
    /// Nothing open.
    pub fn new() -> Self {
        Self {
            file: RwSignal::new(None),
            busy: RwSignal::new(None),
            notices: RwSignal::new(Vec::new()),
            settings: RwSignal::new(Settings::paper()),
            by_hand: RwSignal::new(BTreeMap::new()),
            figures: RwSignal::new(None),
            histograms: RwSignal::new(Default::default()),
            log_counts: RwSignal::new(true),
            map_side: RwSignal::new(None),
            map_colouring: RwSignal::new(Colouring::Density),
            map: RwSignal::new(None),
            map_pixels: RwSignal::new_local(None),
            list: RwSignal::new(List::Ranked(Listing { side: None, judged_only: true })),
            rows: RwSignal::new(Rows::default()),
            selected: RwSignal::new(None),
            detail: RwSignal::new(None),
            dark: theme::watch(),
        }
    }

    /// Tells the user something.
    pub fn tell(&self, is_error: bool, text: String) {
        self.notices.update(|notices| {
            // Said again, it is not said twice.
            notices.retain(|n| n.text != text);
            notices.push(Notice { is_error, text });
        });
    }

    /// Shows a file that the worker has opened.
    pub fn show(&self, opened: Opened) {
        self.notices.set(Vec::new());
        if !opened.complete {
            self.tell(
                false,
                format!(
                    "The run that writes {} has not finished: its {} recorded epochs are shown. Open it again later for the rest.",
                    opened.file, opened.n_epochs
                ),
            );
        }
        if opened.scheme.is_none() {
            self.tell(
                false,
                format!(
                    "{} has no threshold samples: the automatic threshold is AUM 0, and quantiles judge nothing.",
                    opened.file
                ),
            );
        }
        self.settings.set(opened.automatic.clone());
        self.by_hand.set(BTreeMap::new());
        self.figures.set(None);
        self.histograms.set(opened.histograms.clone());
        self.rows.set(Rows::default());
        self.selected.set(None);
        self.detail.set(None);
        self.map.set(None);
        self.map_pixels.set(None);
        if self.map_colouring.get_untracked() == Colouring::Gold && !opened.has_gold {
            self.map_colouring.set(Colouring::Density);
        }
        self.file.set(Some(opened));
    }

    /// Shows nothing.
    pub fn close(&self) {
        self.file.set(None);
        self.map_pixels.set(None);
    }

    /// Changes the settings.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.settings.get_untracked();
        change(&mut settings);
        if settings != self.settings.get_untracked() {
            self.settings.set(settings.clone());
            link::look(|look| look.settings = Some(settings));
        }
    }

    /// Changes one side's rule.
    pub fn set_rule(&self, side: Side, rule: Rule) {
        self.change(|settings| match side {
            Side::Negatives => settings.negatives = rule,
            Side::Positives => settings.positives = rule,
        });
    }

    /// Changes the window, kept in order and inside the run.
    pub fn set_window(&self, first: u32, last: u32) {
        let n = self.file.with_untracked(|f| f.as_ref().map_or(1, |f| f.n_epochs)).max(1);
        let first = first.clamp(1, n);
        self.change(|settings| settings.window = Window { first, last: last.clamp(first, n) });
    }

    /// One side's rule.
    pub fn rule(&self, side: Side) -> Rule {
        self.settings.with(|settings| match side {
            Side::Negatives => settings.negatives,
            Side::Positives => settings.positives,
        })
    }

    /// By what spans are judged.
    pub fn metric(&self) -> Metric {
        self.settings.with(|settings| settings.metric)
    }

    /// Changes the metric; thresholds in the units of the other one mean nothing.
    pub fn set_metric(&self, metric: Metric) {
        self.change(|settings| {
            if settings.metric != metric {
                settings.metric = metric;
                for rule in [&mut settings.negatives, &mut settings.positives] {
                    if matches!(rule, Rule::Fixed(_)) {
                        *rule = Rule::Auto;
                    }
                }
                settings.classes.clear();
            }
        });
    }

    /// Sets the threshold of one class, or leaves it to the rule of all positives.
    pub fn set_class(&self, class: &str, threshold: Option<f32>) {
        self.change(|settings| {
            match threshold {
                Some(value) => settings.classes.insert(class.to_owned(), Rule::Fixed(value)),
                None => settings.classes.remove(class),
            };
        });
    }

    /// One side's threshold: known at once where the user gave it, else by the worker's figures.
    pub fn threshold(&self, side: Side) -> f32 {
        match self.rule(side) {
            Rule::Fixed(value) => value,
            _ => self.figures.with(|f| f.as_ref().map_or(f32::NEG_INFINITY, |f| f.summary.thresholds.of(side).value)),
        }
    }

    /// Decides about a span by hand; `None` leaves it to the rules again.
    pub fn decide(&self, span: SpanId, decision: Option<Decision>) {
        self.by_hand.update(|by_hand| {
            match decision {
                Some(decision) => by_hand.insert(span, decision),
                None => by_hand.remove(&span),
            };
        });
        link::look(|look| look.by_hand.push((span, decision)));
    }

    /// Shows a span in detail.
    pub fn select(&self, span: SpanId) {
        self.selected.set(Some(span));
        link::look(|look| {
            look.detail = Some(span);
            look.pick = None;
        });
    }

    /// Opens a file the user chose.
    pub fn open(&self, file: File) {
        link::open(link::Source::File(file));
    }

    /// Makes a file for download.
    pub fn export(&self, what: Export) {
        link::export(what);
    }
}

/// Opens the file that the page's address names (`?run=`).
pub fn open_from_address() {
    let Ok(search) = window().location().search() else { return };
    let Some(run) = web_sys::UrlSearchParams::new_with_str(&search).ok().and_then(|p| p.get("run")) else { return };
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    let url = web_sys::Url::new_with_base(&run, &base).map_or(run, |url| url.href());
    link::open(link::Source::Url(url));
}
