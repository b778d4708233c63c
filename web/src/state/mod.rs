//! The state of the page as signals, and the actions of a user. Every action is a method of [`App`].

mod changes;
mod files;
mod filters;
mod notices;
mod review;
mod selection;
mod settings;

use std::collections::BTreeMap;

use explorer::axis::Axes;
use explorer::compare::Agreement;
use explorer::density::Extent;
use explorer::filter::Filter;
use explorer::history::History;
use explorer::listing::{Listing, Order};
use explorer::matrix::Matrix;
use explorer::queue::Next;
use explorer::surface_forms::FormOrder;
use leptos::prelude::*;
use shared::corpus::decision::Decision;
use shared::corpus::span::SpanId;
use shared::detection::threshold::Settings;
use shared::evaluation::quality::CurvePoint;
use web_sys::ImageData;

use crate::layout::Layout;
use crate::protocol::{
    Bulk, Colouring, Compared, Detail, Figures, FormRows, Hover, List, Map, Opened, Reviewing, Rows, SideHistogram,
};
use crate::{memory, theme};

/// The page's state. Every field is a handle, so copies share the same state.
#[derive(Clone, Copy)]
pub struct App {
    /// The open file.
    pub file: RwSignal<Option<Opened>>,
    /// Long work that the worker is doing, in words.
    pub busy: RwSignal<Option<String>>,
    /// Address by which decisions are saved in the folder of the run, if the open file is the run that
    /// `trainer serve` shows.
    pub review: RwSignal<Option<String>>,
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

/// Name of the entry in the browser's storage that switches single letters off as keys.
const LETTERS: &str = "dynclean-no-letters";

/// Name of the entry in the browser's storage with the name of the person.
const NAME: &str = "dynclean-name";

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

use changes::View;
pub use files::{name_in_address, open_beside, open_from_address, open_sample, review_address, review_given};
pub use notices::Notice;
pub use selection::is_of;

impl App {
    /// Returns the state without an open file.
    pub fn new() -> Self {
        Self {
            file: RwSignal::new(None),
            busy: RwSignal::new(None),
            review: RwSignal::new(None),
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

    /// Shows a file that the worker has opened.
    pub fn show(&self, opened: Opened) {
        self.notices.set(Vec::new());
        if !opened.complete {
            let rest = match self.review.with_untracked(Option::is_some) {
                true => "The page shows the next ones when they are there",
                false => "Open it again later for the rest",
            };
            let (file, so_far) = (&opened.file, opened.n_epochs);
            self.tell(
                false,
                format!("The run that writes {file} has not finished. You see its epochs so far ({so_far}). {rest}."),
            );
        }
        if opened.scheme.is_none() && opened.complete {
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
}
