//! The state of the page as signals, and the actions of a user.

use std::collections::BTreeMap;

use explorer::axis::Axes;
use explorer::compare::Agreement;
use explorer::density::Extent;
use explorer::filter::{Decided, Filter};
use explorer::history::{self, History};
use explorer::listing::{Listing, Order};
use explorer::matrix::Matrix;
use explorer::queue::Next;
use explorer::reviewers::{self, Reviewer};
use explorer::same_form::Form;
use explorer::sentence::{Chosen, Layer};
use explorer::surface_forms::{FormOrder, FormRow};
use leptos::prelude::*;
use shared::corpus::decision::{Decision, Side};
use shared::corpus::span::SpanId;
use shared::detection::threshold::{Metric, Rule, Settings};
use shared::evaluation::quality::CurvePoint;
use shared::metrics::Window;
use web_sys::{File, ImageData};

use crate::format;
use crate::layout::Layout;
use crate::protocol::{
    Alike, Bulk, BulkQuery, Colouring, Compared, Detail, Export, Figures, FormRows, Hover, List, Map, Opened,
    Reviewing, Rows, SideHistogram,
};
use crate::work::{self, Work};
use crate::{link, memory, theme};

/// The page's state. Every field is a handle, so copies share the same state.
#[derive(Clone, Copy)]
pub struct App {
    /// The open file.
    pub file: RwSignal<Option<Opened>>,
    /// Long work that the worker is doing, in words.
    pub busy: RwSignal<Option<String>>,
    /// Whether settings and decisions are stored.
    pub kept: RwSignal<Kept>,
    /// A short message about the last action, such as an undo.
    pub said: RwSignal<Option<String>>,
    /// Notices to the user, oldest first.
    pub notices: RwSignal<Vec<Notice>>,
    /// Settings: thresholds, metric, window and the rest.
    pub settings: RwSignal<Settings>,
    /// Decisions by hand.
    pub by_hand: RwSignal<BTreeMap<SpanId, Decision>>,
    /// Counts and quality.
    pub figures: RwSignal<Option<Figures>>,
    /// Histograms of the metric: negatives, positives.
    pub histograms: RwSignal<[SideHistogram; 2]>,
    /// Whether counts are drawn on a logarithmic scale.
    pub log_counts: RwSignal<bool>,
    /// The filter on spans. [`App::set_filter`] changes it.
    pub filter: RwSignal<Filter>,
    /// Number of spans that pass the filter.
    pub passing: RwSignal<usize>,
    /// The changes that can be undone and redone.
    pub history: RwSignal<History<View>>,
    /// Precision–recall curves: negatives, positives.
    pub curves: RwSignal<Option<[Vec<CurvePoint>; 2]>>,
    /// The recording that the open one is compared with.
    pub compared: RwSignal<Option<Compared>>,
    /// Distant labels against the labels that the model prefers and against gold.
    pub matrices: RwSignal<[Option<Matrix>; 2]>,
    /// Agreement with that recording: negatives, positives.
    pub agreement: RwSignal<Option<[Agreement; 2]>>,
    /// The name of the person, and the people whose decisions were merged.
    pub reviewing: RwSignal<Reviewing>,
    /// Axes of the data map.
    pub axes: RwSignal<Axes>,
    /// The range of the AUMs.
    pub aum: RwSignal<(f32, f32)>,
    /// The visible part of the data map; `None` shows all of it.
    pub zoom: RwSignal<Option<Extent>>,
    /// The span under the pointer.
    pub hover: RwSignal<Option<Hover>>,
    /// Colours on the data map.
    pub map_colouring: RwSignal<Colouring>,
    /// Description of the pixels of the data map.
    pub map: RwSignal<Option<Map>>,
    /// The pixels of the data map.
    pub map_pixels: RwSignal<Option<ImageData>, LocalStorage>,
    /// The list that the table shows.
    pub list: RwSignal<List>,
    /// The order of that list, and the number that it shows.
    pub order: RwSignal<Order>,
    /// The list to return to when the filter by decision is dropped.
    list_before: RwSignal<List>,
    /// The rows of the table that are loaded.
    pub rows: RwSignal<Rows>,
    /// Whether surface forms are listed in place of spans.
    pub words: RwSignal<bool>,
    /// The order of the surface forms.
    pub form_order: RwSignal<FormOrder>,
    /// The surface forms that are loaded.
    pub forms: RwSignal<FormRows>,
    /// The span that is selected.
    pub selected: RwSignal<Option<SpanId>>,
    /// The first visible row, and the number of visible rows.
    pub sight: RwSignal<(usize, usize)>,
    /// The number of a row to scroll to.
    pub scroll_to: RwSignal<Option<usize>>,
    /// Everything about the selected span.
    pub detail: RwSignal<Option<Detail>>,
    /// The number of the layer of labels that the sentence shows.
    pub layer: RwSignal<usize>,
    /// Whether the selected span was chosen in its sentence, and not in a list.
    pub is_aside: RwSignal<bool>,
    /// The spans that were shown as the next undecided ones.
    pub next: RwSignal<Option<Next>>,
    /// The spans that one decision is to be about. A dialog is open as long as there are any.
    pub bulk: RwSignal<Option<Bulk>>,
    /// The room of the panels.
    pub layout: RwSignal<Layout>,
    /// Whether single letters, digits and signs work as keys.
    pub letters: RwSignal<bool>,
    /// Whether the theme is dark.
    pub dark: RwSignal<bool>,
    /// Whether the help is open.
    pub help: RwSignal<bool>,
    /// The step of the guide that is shown.
    pub guide: RwSignal<Option<usize>>,
}

/// A message to the user.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Whether it reports an error.
    pub is_error: bool,
    /// The text.
    pub text: String,
    /// An action that the user can choose, with the text of its button.
    pub act: Option<(&'static str, Act)>,
    /// A link to copy by hand.
    pub link: Option<String>,
}

/// An action that a notice offers.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Returns to the automatic settings, without decisions by hand.
    StartAfresh,
    /// Applies this work.
    TakeUp(Box<Work>),
}

/// Name of the entry in the browser's storage that switches single letters off as keys.
const LETTERS: &str = "dynclean-no-letters";

/// Name of the entry in the browser's storage with the name of the person.
const NAME: &str = "dynclean-name";

/// The filter, and the list that the table shows.
type View = (Filter, List);
type Step = history::Step<View>;
type Values = history::Values<View>;

/// Whether settings and decisions are in the browser's database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kept {
    /// There is nothing to store.
    #[default]
    Nothing,
    /// They will be stored in a moment.
    Soon,
    /// They are stored.
    Stored,
    /// They cannot be stored. They last as long as the page.
    Failed,
}

/// The list that is shown when a file is opened.
const JUDGED: List = List::Ranked(Listing { judged_only: true });

impl App {
    /// Returns the state without an open file.
    pub fn new() -> Self {
        Self {
            file: RwSignal::new(None),
            busy: RwSignal::new(None),
            kept: RwSignal::new(Kept::default()),
            said: RwSignal::new(None),
            notices: RwSignal::new(Vec::new()),
            settings: RwSignal::new(Settings::paper()),
            by_hand: RwSignal::new(BTreeMap::new()),
            figures: RwSignal::new(None),
            histograms: RwSignal::new(Default::default()),
            log_counts: RwSignal::new(true),
            filter: RwSignal::new(Filter::default()),
            passing: RwSignal::new(0),
            history: RwSignal::new(History::default()),
            curves: RwSignal::new(None),
            compared: RwSignal::new(None),
            matrices: RwSignal::new(Default::default()),
            agreement: RwSignal::new(None),
            reviewing: RwSignal::new(Reviewing {
                name: memory::recall(NAME).unwrap_or_default(),
                ..Reviewing::default()
            }),
            axes: RwSignal::new(Axes::default()),
            aum: RwSignal::new((-1.0, 1.0)),
            zoom: RwSignal::new(None),
            hover: RwSignal::new(None),
            map_colouring: RwSignal::new(Colouring::Density),
            map: RwSignal::new(None),
            map_pixels: RwSignal::new_local(None),
            list: RwSignal::new(JUDGED),
            order: RwSignal::new(Order::default()),
            list_before: RwSignal::new(JUDGED),
            rows: RwSignal::new(Rows::default()),
            words: RwSignal::new(false),
            form_order: RwSignal::new(FormOrder::default()),
            forms: RwSignal::new(FormRows::default()),
            selected: RwSignal::new(None),
            sight: RwSignal::new((0, 0)),
            scroll_to: RwSignal::new(None),
            detail: RwSignal::new(None),
            layer: RwSignal::new(0),
            is_aside: RwSignal::new(false),
            next: RwSignal::new(None),
            bulk: RwSignal::new(None),
            layout: RwSignal::new(Layout::recall()),
            letters: RwSignal::new(memory::recall(LETTERS).is_none()),
            dark: theme::watch(),
            help: RwSignal::new(false),
            guide: RwSignal::new(None),
        }
    }

    /// Switches single letters, digits and signs on or off as keys, and remembers it.
    pub fn set_letters(&self, are_keys: bool) {
        self.letters.set(are_keys);
        memory::remember(LETTERS, (!are_keys).then_some("yes"));
    }

    /// Tells the user something.
    pub fn tell(&self, is_error: bool, text: String) {
        self.notices.update(|notices| {
            // A repeated notice replaces the earlier one.
            notices.retain(|n| n.text != text);
            notices.push(Notice { is_error, text, act: None, link: None });
        });
    }

    /// Tells the user something, and offers an action.
    pub fn offer(&self, text: String, label: &'static str, act: Act) {
        self.notices
            .update(|notices| notices.push(Notice { is_error: false, text, act: Some((label, act)), link: None }));
    }

    /// Shows the user a link that is to be copied by hand.
    pub fn tell_link(&self, text: String, link: String) {
        self.notices.update(|notices| {
            notices.retain(|n| n.link.is_none());
            notices.push(Notice { is_error: false, text, act: None, link: Some(link) });
        });
    }

    /// Removes a notice. Does its action if the user has accepted it.
    pub fn answer(&self, notice: &Notice, accepted: bool) {
        self.notices.update(|notices| notices.retain(|n| n.text != notice.text));
        let Some((_, act)) = &notice.act else { return };
        match act {
            Act::StartAfresh if !accepted => {}
            Act::StartAfresh => {
                if let Some(automatic) = self.file.with_untracked(|f| f.as_ref().map(|f| f.automatic.clone())) {
                    self.replace(automatic, Vec::new());
                    self.set_reviewers(Vec::new());
                }
            }
            Act::TakeUp(work) => work::answer(*self, work, accepted),
        }
    }

    /// Shows a file that the worker has opened.
    pub fn show(&self, opened: Opened) {
        self.notices.set(Vec::new());
        if !opened.complete {
            self.tell(
                false,
                format!(
                    "The run that writes {} has not finished. You see its {} epochs so far; open it again later for the rest.",
                    opened.file, opened.n_epochs
                ),
            );
        }
        if opened.scheme.is_none() {
            self.tell(
                false,
                format!(
                    "{} has no labels that were made wrong on purpose. So by AUM (area under the margin), only labels below 0 are doubted: the model preferred another label.",
                    opened.file
                ),
            );
        }
        self.settings.set(opened.automatic.clone());
        self.by_hand.set(BTreeMap::new());
        self.figures.set(None);
        self.histograms.set(Default::default());
        self.matrices.set(Default::default());
        self.rows.set(Rows::default());
        self.words.set(false);
        self.forms.set(FormRows::default());
        self.selected.set(None);
        self.detail.set(None);
        self.layer.set(0);
        self.next.set(None);
        self.bulk.set(None);
        self.map.set(None);
        self.map_pixels.set(None);
        self.filter.set(Filter::default());
        self.passing.set(opened.n_spans);
        self.history.set(History::default());
        self.curves.set(None);
        self.reviewing.update(|reviewing| reviewing.reviewers.clear());
        self.compared.set(None);
        self.agreement.set(None);
        self.axes.set(Axes::default());
        self.zoom.set(None);
        self.hover.set(None);
        self.list.set(JUDGED);
        self.order.set(Order::default());
        self.list_before.set(JUDGED);
        self.said.set(None);
        if self.map_colouring.get_untracked() == Colouring::Gold && !opened.has_gold {
            self.map_colouring.set(Colouring::Density);
        }
        self.file.set(Some(opened));
    }

    /// Closes the file.
    pub fn close(&self) {
        self.file.set(None);
        self.map_pixels.set(None);
    }

    /// Changes the settings.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.settings.get_untracked();
        change(&mut settings);
        self.apply(Some(settings), Vec::new(), None);
    }

    /// Changes settings and decisions by hand, as one step that can be undone. `words` are the words that all
    /// decisions are about, if there are such words. Returns how many decisions changed.
    pub fn apply(
        &self,
        settings: Option<Settings>,
        by_hand: Vec<(SpanId, Option<Decision>)>,
        words: Option<String>,
    ) -> usize {
        let now = self.settings.get_untracked();
        let settings = settings.filter(|settings| *settings != now).map(|settings| Box::new((now, settings)));
        let by_hand = self.by_hand.with_untracked(|before| {
            let steps = by_hand.into_iter().map(|(span, after)| (span, before.get(&span).copied(), after));
            steps.filter(|(_, before, after)| before != after).collect()
        });
        let step = Step { settings, by_hand, words, view: None };
        let n = step.by_hand.len();
        if step.is_empty() {
            return n;
        }
        self.said.set(None);
        let values = step.after();
        self.history.update(|history| history.push(step, js_sys::Date::now()));
        self.enact(values);
        n
    }

    /// Replaces all settings and decisions by hand, as one step that can be undone.
    pub fn replace(&self, settings: Settings, by_hand: Vec<(SpanId, Decision)>) {
        let mut new: BTreeMap<SpanId, Option<Decision>> =
            self.by_hand.with_untracked(|now| now.keys().map(|&span| (span, None)).collect());
        new.extend(by_hand.into_iter().map(|(span, decision)| (span, Some(decision))));
        self.watch_metric(|| {
            self.apply(Some(settings), new.into_iter().collect(), None);
        });
    }

    /// Undoes the last change. Returns whether there was one.
    pub fn undo(&self) -> bool {
        let step = self.history.try_update(|history| history.undo()).flatten();
        step.map(|step| self.go(&step, step.before(), "Undone")).is_some()
    }

    /// Redoes the change that was undone last. Returns whether there was one.
    pub fn redo(&self) -> bool {
        let step = self.history.try_update(|history| history.redo()).flatten();
        step.map(|step| self.go(&step, step.after(), "Done again")).is_some()
    }

    /// Applies the values before or after a change. Tells the user what the change was, and shows its span.
    fn go(&self, step: &Step, values: Values, how: &str) {
        self.watch_metric(|| self.enact(values));
        let labels = self.file.with_untracked(|f| f.as_ref().map(|f| f.labels.clone()).unwrap_or_default());
        let mut parts = Vec::new();
        if step.settings.is_some() {
            parts.push("settings".to_owned());
        }
        if step.view.is_some() {
            parts.push("filters".to_owned());
        }
        if let [(span, _, first), others @ ..] = step.by_hand.as_slice() {
            let times = format::count(others.len() as u64 + 1);
            parts.extend(step.words.as_ref().map(|words| match others {
                [] => format!("“{words}”"),
                _ => format!("{times} times “{words}”"),
            }));
            parts.push(match first {
                _ if others.iter().any(|(_, _, other)| other != first) => format::decisions(others.len() + 1),
                Some(decision) => format::decision(*decision, &labels),
                None => "decision taken back".to_owned(),
            });
            // Two spans: an entity with its old and new boundaries.
            if others.len() < 2 {
                self.show_span(*span);
            } else if step.words.is_none() {
                parts.push(format!("of {times} spans"));
            }
        }
        self.said.set(Some(format!("{how}: {}", parts.join(" "))));
    }

    /// Selects a span. Scrolls to its row if the row is loaded.
    fn show_span(&self, span: SpanId) {
        self.select(span);
        if let Some(at) = self.rows.with_untracked(|rows| rows.rows.iter().position(|row| row.id == span)) {
            self.scroll_to.set(Some(self.rows.with_untracked(|rows| rows.offset) + at));
        }
    }

    fn enact(&self, (settings, by_hand, view): Values) {
        if let Some((mut filter, list)) = view {
            // The other recording may have been closed in the meantime.
            let is_compared = self.compared.with_untracked(Option::is_some);
            if !is_compared {
                filter.forget_other();
            }
            self.set_filter(filter);
            if is_compared || list != List::Flips {
                self.list.set(list);
            }
        }
        if settings.is_none() && by_hand.is_empty() {
            return;
        }
        if let Some(settings) = &settings {
            self.settings.set(settings.clone());
        }
        if !by_hand.is_empty() {
            self.by_hand.update(|all| {
                for &(span, decision) in &by_hand {
                    match decision {
                        Some(decision) => all.insert(span, decision),
                        None => all.remove(&span),
                    };
                }
            });
        }
        link::look(|look| {
            if settings.is_some() {
                look.settings = settings;
            }
            look.by_hand.extend(by_hand);
        });
        work::keep_soon(*self);
    }

    /// Sets the filter.
    pub fn set_filter(&self, filter: Filter) {
        let before = self.filter.get_untracked();
        if filter != before {
            if filter.decided != before.decided {
                // A filter by decision also chooses the list.
                if before.decided.is_none() {
                    self.list_before.set(self.list.get_untracked());
                }
                self.list.set(match filter.decided {
                    None => self.list_before.get_untracked(),
                    Some(Decided::ByHand) => List::ByHand,
                    Some(Decided::Differently) => List::Flips,
                    Some(_) => List::Ranked(Listing { judged_only: false }),
                });
            }
            self.filter.set(filter.clone());
            link::look(|look| look.filter = Some(filter));
        }
    }

    /// Sets the filter and the list, as one step that can be undone.
    pub fn replace_filter(&self, filter: Filter, list: Option<List>) {
        let view = || (self.filter.get_untracked(), self.list.get_untracked());
        let before = view();
        self.set_filter(filter);
        if let Some(list) = list {
            self.list.set(list);
        }
        if view() != before {
            let step = Step { view: Some(Box::new((before, view()))), ..Step::default() };
            self.history.update(|history| history.push(step, 0.0));
        }
    }

    /// Clears the filter, as one step that can be undone.
    pub fn clear_filter(&self) {
        if self.filter.with_untracked(|filter| !filter.is_empty()) {
            self.replace_filter(Filter::default(), None);
            self.said.set(Some("All filters are cleared; undo brings them back.".to_owned()));
        }
    }

    /// Changes a part of the filter.
    pub fn filter_by(&self, change: impl FnOnce(&mut Filter)) {
        let mut filter = self.filter.get_untracked();
        change(&mut filter);
        self.set_filter(filter);
    }

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
    fn watch_metric(&self, change: impl FnOnce()) {
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

    /// Decides about a span by hand; `None` leaves it to the rules again. If the span is the next undecided one,
    /// goes on.
    pub fn decide(&self, span: SpanId, decision: Option<Decision>) {
        self.apply(None, vec![(span, decision)], None);
        if decision.is_some() && self.is_next(span) {
            self.go_on();
        }
    }

    /// Whether a dialog is open, so that keys do not act on the spans behind it.
    pub fn is_in_dialog(&self) -> bool {
        self.help.get_untracked() || self.bulk.with_untracked(Option::is_some)
    }

    /// Asks for all spans of the list, with ten of them as a sample. The answer opens a dialog.
    pub fn ask_about_all(&self) {
        let seed = (js_sys::Math::random() * 2f64.powi(52)) as u64;
        let query = BulkQuery { list: self.list.get_untracked(), seed };
        link::look(|look| look.bulk = Some(query));
    }

    /// Decides about all spans of the dialog as one step, and closes it.
    pub fn decide_about_all(&self, decision: Option<Decision>) {
        let Some(Bulk { spans, .. }) = self.bulk.get_untracked() else { return };
        self.bulk.set(None);
        let n = self.apply(None, spans.into_iter().map(|span| (span, decision)).collect(), None);
        self.said.set(Some(match n {
            0 => "Nothing changed.".to_owned(),
            n => format!("{} at once. Undo takes them back.", format::decisions(n)),
        }));
    }

    /// Returns whether this span is shown as the next undecided one.
    pub fn is_next(&self, span: SpanId) -> bool {
        self.next.with_untracked(|next| next.is_some_and(|next| next.span == span))
    }

    /// Shows the next undecided span. If it is shown already and still undecided, skips it.
    pub fn go_on(&self) {
        let undecided = |next: &Next| self.by_hand.with_untracked(|by_hand| !by_hand.contains_key(&next.span));
        let skipped = self.next.get_untracked().filter(undecided).map(|next| next.span);
        self.words.set(false);
        link::next(skipped);
    }

    /// Takes the worker's answer about the next undecided span.
    pub fn set_next(&self, next: Option<Next>, has_skipped: bool) {
        if next.is_none() {
            let told = if has_skipped {
                "Only skipped labels are left: Next shows them again."
            } else {
                "Every suspicious label is reviewed."
            };
            self.said.set(Some(told.to_owned()));
        }
        self.next.set(next);
        self.is_aside.set(false);
    }

    /// Selects a span of the sentence that is shown.
    pub fn choose(&self, start: u32, end: u32) {
        match self.detail.with_untracked(|detail| detail.as_ref().and_then(|detail| detail.sentence.id(start, end))) {
            Some(span) => {
                self.select(span);
                self.is_aside.set(true);
            }
            None => self.said.set(Some("This span is too long to decide about it.".to_owned())),
        }
    }

    /// Selects the entity at a token of the sentence, or the token alone.
    pub fn choose_at(&self, token: u32) {
        let layer = Layer::ALL[self.layer.get_untracked() % Layer::ALL.len()];
        let span = self.detail.with_untracked(|detail| detail.as_ref().map(|detail| detail.sentence.at(layer, token)));
        if let Some((start, end)) = span {
            self.choose(start, end);
        }
    }

    /// Moves the start and the end of the selected span by so many tokens. An entity takes its type along.
    pub fn move_edge(&self, start_by: i32, end_by: i32) {
        let moved = self.detail.with_untracked(|detail| {
            let detail = detail.as_ref().filter(|detail| self.selected.get_untracked() == Some(detail.row.id))?;
            let Detail { start, end, by_rule, .. } = *detail;
            detail.sentence.moved(Chosen { start, end, decision: detail.row.decision, by_rule }, start_by, end_by)
        });
        if let Some((span, decisions)) = moved {
            if !decisions.is_empty() {
                self.layer.set(Layer::Cleaned as usize);
                self.apply(None, decisions, None);
            }
            self.select(span);
            self.is_aside.set(true);
        }
    }

    /// Decides about all spans with the same words and label as this one.
    pub fn decide_alike(&self, span: SpanId, decision: Option<Decision>) {
        self.decide_all(Alike::Span(span), decision);
    }

    fn decide_all(&self, alike: Alike, decision: Option<Decision>) {
        if link::is_opening() {
            self.tell(true, "Nothing was decided, because a file is being opened.".to_owned());
        } else {
            link::look(|look| look.decided_alike.push((alike, decision)));
        }
    }

    /// Returns the chosen surface form and its number, if it is loaded.
    pub fn chosen_form(&self) -> Option<(usize, FormRow)> {
        let chosen = self.filter.with_untracked(|filter| filter.form.clone())?;
        self.forms.with_untracked(|forms| {
            let mut rows = (forms.offset..).zip(&forms.rows);
            rows.find(|(_, row)| is_of(row, &chosen)).map(|(number, row)| (number, row.clone()))
        })
    }

    /// Chooses a surface form, and shows its most suspicious span in detail.
    pub fn choose_form(&self, row: &FormRow) {
        self.filter_by(|filter| filter.form = Some(Form { words: row.words.clone(), label: row.label }));
        self.select(row.lowest.0);
    }

    /// Returns this row if it is visible.
    fn in_sight(&self, row: Option<usize>) -> Option<usize> {
        let (first, n) = self.sight.get_untracked();
        row.filter(|row| (first..first + n).contains(row))
    }

    /// Returns the number of the row after (1) or before (−1) this one. Without a row, returns the first visible
    /// one.
    fn beside(&self, row: Option<usize>, by: isize) -> Option<usize> {
        row.map_or(Some(self.sight.get_untracked().0), |row| row.checked_add_signed(by))
    }

    /// Chooses the next (1) or previous (−1) surface form of the list. If no visible form is chosen, chooses the
    /// first visible one.
    pub fn step_form(&self, by: isize) {
        let next = self.beside(self.in_sight(self.chosen_form().map(|(number, _)| number)), by);
        let row = self.forms.with_untracked(|forms| {
            let at = next?.checked_sub(forms.offset)?;
            forms.rows.get(at).cloned()
        });
        if let (Some(number), Some(row)) = (next, row) {
            self.choose_form(&row);
            self.scroll_to.set(Some(number));
        }
    }

    /// Decides about all spans of the chosen surface form. Returns whether a form is chosen.
    pub fn decide_form(&self, decision: Option<Decision>) -> bool {
        let Some(form) = self.filter.with_untracked(|filter| filter.form.clone()) else { return false };
        self.decide_all(Alike::Form(form), decision);
        true
    }

    /// Selects the next (1) or previous (−1) span of the table. If no visible span is selected, selects the first
    /// visible one.
    pub fn step(&self, by: isize) {
        let (is_to_come, target) = self.rows.with_untracked(|rows| {
            let selected = self.selected.get_untracked();
            let now = rows.rows.iter().position(|row| Some(row.id) == selected).map(|at| rows.offset + at);
            let now = self.in_sight(now);
            let number = self.beside(now, by);
            let row = number.and_then(|number| rows.rows.get(number.checked_sub(rows.offset)?));
            let is_to_come = now.is_none() && number.is_some_and(|number| number < rows.total);
            (is_to_come, row.map(|row| row.id).zip(number))
        });
        match target {
            Some((span, number)) => {
                self.select(span);
                self.scroll_to.set(Some(number));
            }
            // The visible rows are not loaded yet. Nothing is selected, so that the next key does not act on a
            // span out of sight.
            None if is_to_come => self.selected.set(None),
            None => {}
        }
    }

    /// Shows a span in detail.
    pub fn select(&self, span: SpanId) {
        self.selected.set(Some(span));
        self.is_aside.set(false);
        link::look(|look| {
            look.detail = Some(span);
            look.pick = None;
        });
    }

    /// Opens the files that the user chose: one file, or several people's `decisions.json`, which are merged.
    pub fn open_all(&self, files: Vec<File>) {
        let n = files.len();
        if n > 1 && files.iter().all(|file| file.name().ends_with(".json")) {
            return match self.file.with_untracked(Option::is_some) {
                true => link::merge(files),
                false => self.tell(
                    true,
                    "Open the dynamics file first. Then open these files again: their decisions are then merged."
                        .to_owned(),
                ),
            };
        }
        let only_first = "The page shows one file at a time, so only the first file was opened.";
        if let Some(file) = files.into_iter().next() {
            self.open(file, (n > 1).then(|| only_first.to_owned()));
        }
    }

    /// Merges the decisions of several people. What all agree on is decided; the rest is left in dispute.
    pub fn merge(&self, mut reviewers: Vec<Reviewer>) {
        reviewers::rename(&mut reviewers);
        let mut merged = reviewers::merged(&reviewers);
        // What the person at this page has settled before stays settled.
        let settled = self.reviewing.with_untracked(|reviewing| reviewers::disputed(&reviewing.reviewers));
        self.by_hand.with_untracked(|by_hand| {
            let is_settled = |span: &SpanId| settled.binary_search(span).is_ok() && by_hand.contains_key(span);
            merged.retain(|span, decision| decision.is_some() || !is_settled(span));
        });
        let disputed = merged.values().filter(|decision| decision.is_none()).count();
        let n = format::count((merged.len() - disputed) as u64);
        let names: Vec<&str> = reviewers.iter().map(|reviewer| reviewer.name.as_str()).collect();
        self.tell(
            false,
            format!(
                "The decisions of {} are merged: {n} hold now, {} are in dispute. Your thresholds stay. Undo brings back your decisions.",
                names.join(", "),
                format::count(disputed as u64)
            ),
        );
        self.history.update(History::end_gesture);
        self.apply(None, merged.into_iter().collect(), None);
        self.history.update(History::end_gesture);
        self.set_reviewers(reviewers);
    }

    /// Sets the people whose decisions were merged.
    pub fn set_reviewers(&self, reviewers: Vec<Reviewer>) {
        if reviewers.is_empty() {
            if self.reviewing.with_untracked(|reviewing| reviewing.reviewers.is_empty()) {
                return;
            }
            self.filter_by(|filter| {
                filter.decided.take_if(|decided| *decided == Decided::Disputed);
            });
        }
        self.reviewing.update(|reviewing| reviewing.reviewers = reviewers);
        self.tell_reviewing();
    }

    /// Sets the name of the person, and remembers it.
    pub fn set_name(&self, name: &str) {
        let name = name.trim();
        memory::remember(NAME, (!name.is_empty()).then_some(name));
        self.reviewing.update(|reviewing| reviewing.name = name.to_owned());
        self.tell_reviewing();
    }

    fn tell_reviewing(&self) {
        if self.file.with_untracked(Option::is_some) {
            let reviewing = self.reviewing.get_untracked();
            link::look(|look| look.reviewing = Some(reviewing));
            work::keep_soon(*self);
        }
    }

    /// Opens a file that the user chose. Shows `notice` when it is open.
    pub fn open(&self, file: File, notice: Option<String>) {
        link::open(link::Source::File(file), notice);
    }

    /// Compares the open file with another recording of the same corpus.
    pub fn compare(&self, file: File) {
        link::compare(link::Source::File(file));
    }

    /// Ends the comparison.
    pub fn end_comparison(&self) {
        self.compared.set(None);
        self.agreement.set(None);
        self.axes.set(Axes::default());
        self.zoom.set(None);
        self.filter_by(|filter| {
            if filter.forget_other() {
                self.said.set(Some("Filters that need the other file are dropped".to_owned()));
            }
        });
        link::look(|look| look.forget_other = true);
    }

    /// Makes a file for download.
    pub fn export(&self, what: Export) {
        link::export(what);
    }
}

/// Returns whether a row is about this form.
pub fn is_of(row: &FormRow, form: &Form) -> bool {
    row.label == form.label && row.words == form.words
}

/// Opens the file that the page's address names (`?run=`).
pub fn open_from_address() {
    let Ok(search) = window().location().search() else { return };
    if let Some(run) = web_sys::UrlSearchParams::new_with_str(&search).ok().and_then(|p| p.get("run")) {
        open_url(run);
    }
}

/// Opens the sample that lies beside the page.
pub fn open_sample() {
    open_url("sample.dyn".to_owned());
}

/// Opens a file on the page's server. `run` is relative to the page.
fn open_url(run: String) {
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    let url = web_sys::Url::new_with_base(&run, &base).map_or(run, |url| url.href());
    link::open(link::Source::Url(url), None);
}
