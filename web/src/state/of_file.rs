//! The state that belongs to the open file: its settings and decisions, the data that the worker has sent about it, and
//! the user's choices.

use std::collections::BTreeMap;

use explorer::axis::Axes;
use explorer::compare::Agreement;
use explorer::density::Extent;
use explorer::filter::Filter;
use explorer::history::History;
use explorer::listing::{Listing, Order};
use explorer::matrix::Matrix;
use explorer::plots::distribution::SideHistogram;
use explorer::queue::{Next, Pace};
use explorer::review::Notes;
use leptos::prelude::*;
use shared::corpus::decision::Decision;
use shared::corpus::span::SpanId;
use shared::detection::threshold::Settings;
use shared::evaluation::quality::CurvePoint;

use super::Listed;
use super::changes::View;
use crate::protocol::{Bulk, Compared, Detail, Figures, FormRows, Groups, Hover, List, Map, Rows};

/// The list that is shown first.
const JUDGED: List = List::Ranked(Listing { judged_only: true });

/// Declares the signals of a file, each with its value for a file that has just been opened.
macro_rules! of_file {
    ($($(#[$about:meta])* $visible:vis $name:ident: $type:ty = $first:expr,)*) => {
        /// The state that belongs to the open file.
        #[derive(Clone, Copy)]
        pub struct OfFile {
            $($(#[$about])* $visible $name: RwSignal<$type>,)*
        }

        impl OfFile {
            pub(super) fn new() -> Self {
                Self { $($name: RwSignal::new($first),)* }
            }

            /// Begins with another file.
            pub(super) fn reset(&self) {
                $(self.$name.set($first);)*
            }
        }
    };
}

of_file! {
    /// Settings: thresholds, metric, window and the rest.
    pub settings: Settings = Settings::paper(),
    /// Decisions by hand.
    pub by_hand: BTreeMap<SpanId, Decision> = BTreeMap::new(),
    /// Notes by span. A span with a note and without a decision is one that the person is unsure about.
    pub notes: Notes = Notes::none(),
    /// The span that a note is being written about.
    pub noting: Option<SpanId> = None,
    /// The note as it is written so far.
    pub draft: String = String::new(),
    /// Suggestions that were chosen at random so far.
    pub checked: Vec<SpanId> = Vec::new(),
    /// Counts and quality.
    pub figures: Option<Figures> = None,
    /// Histograms of the metric: negatives, positives.
    pub histograms: [SideHistogram; 2] = Default::default(),
    /// The filter on spans. [`super::App::set_filter`] changes it.
    pub filter: Filter = Filter::default(),
    /// Number of spans that pass the filter.
    pub passing: usize = 0,
    /// The changes that can be undone and redone.
    pub history: History<View> = History::default(),
    /// Precision–recall curves: negatives, positives.
    pub curves: Option<[Vec<CurvePoint>; 2]> = None,
    /// The recording that the open one is compared with.
    pub compared: Option<Compared> = None,
    /// Distant labels against the labels that the model prefers and against gold.
    pub matrices: [Option<Matrix>; 2] = Default::default(),
    /// Agreement with that recording: negatives, positives.
    pub agreement: Option<[Agreement; 2]> = None,
    /// Axes of the data map.
    pub axes: Axes = Axes::default(),
    /// The range of the AUMs.
    pub aum: (f32, f32) = (-1.0, 1.0),
    /// The visible part of the data map; `None` shows all of it.
    pub zoom: Option<Extent> = None,
    /// The span under the pointer.
    pub hover: Option<Hover> = None,
    /// Description of the pixels of the data map.
    pub map: Option<Map> = None,
    /// The list that the table shows.
    pub list: List = JUDGED,
    /// The order of that list, and the number that it shows.
    pub order: Order = Order::default(),
    /// The list to return to when the filter by decision is dropped.
    pub(super) list_before: List = JUDGED,
    /// The rows of the table that are loaded.
    pub rows: Rows = Rows::default(),
    /// The kind of rows in the list.
    pub listed: Listed = Listed::Spans,
    /// The surface forms that are loaded.
    pub forms: FormRows = FormRows::default(),
    /// The groups of like errors.
    pub groups: Groups = Groups::default(),
    /// The span that is selected.
    pub selected: Option<SpanId> = None,
    /// Everything about the selected span.
    pub detail: Option<Detail> = None,
    /// The number of the layer of labels that the sentence shows.
    pub layer: usize = 0,
    /// Whether the selected span was chosen in its sentence, and not in a list.
    pub is_aside: bool = false,
    /// The spans that were shown as the next undecided ones.
    pub next: Option<Next> = None,
    /// The suggestion that was chosen at random last.
    pub sampled: Option<SpanId> = None,
    /// How fast the person decides.
    pub pace: Pace = Pace::default(),
    /// The spans that one decision is to be about. A dialog is open as long as there are any.
    pub bulk: Option<Bulk> = None,
}
