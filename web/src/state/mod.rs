//! The state of the page as signals, and the actions of a user. Every action is a method of [`App`].

mod changes;
mod files;
mod filters;
mod notices;
mod of_file;
mod review;
mod selection;
mod settings;

use std::ops::Deref;

use explorer::groups::GroupBy;
use explorer::surface_forms::FormOrder;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use web_sys::ImageData;

use crate::layout::Layout;
use crate::protocol::{Colouring, Opened, Reviewing};
use crate::{memory, theme};

/// The page's state. Every field is a handle, so copies share the same state.
#[derive(Clone, Copy)]
pub struct App {
    /// The state that belongs to the open file.
    of_file: OfFile,
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
    /// Whether counts are drawn on a logarithmic scale.
    pub log_counts: RwSignal<bool>,
    /// The name of the person, and the people whose decisions were merged.
    pub reviewing: RwSignal<Reviewing>,
    /// Colours on the data map.
    pub map_colouring: RwSignal<Colouring>,
    /// The pixels of the data map.
    pub map_pixels: RwSignal<Option<ImageData>, LocalStorage>,
    /// The order of the surface forms.
    pub form_order: RwSignal<FormOrder>,
    /// The first visible row, and the number of visible rows.
    pub sight: RwSignal<(usize, usize)>,
    /// The number of a row to scroll to.
    pub scroll_to: RwSignal<Option<usize>>,
    /// Whether the saved views are shown.
    pub saved_views: RwSignal<bool>,
    /// Number of wrong labels that may be left when the person stops.
    pub enough: RwSignal<Option<u32>>,
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

/// Name of the entry in the browser's storage with the number of wrong labels that may be left.
const ENOUGH: &str = "dynclean-enough";

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

/// The kind of rows in the list below the plots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listed {
    /// Spans.
    #[default]
    Spans,
    /// Surface forms: all spans with the same words and label.
    Words,
    /// Groups of like errors.
    Groups(GroupBy),
}

/// Fields of the open file are fields of the state.
impl Deref for App {
    type Target = OfFile;

    fn deref(&self) -> &OfFile {
        &self.of_file
    }
}

pub use files::{name_in_address, open_beside, open_from_address, open_sample, review_address, review_given};
pub use notices::Notice;
pub use of_file::OfFile;
pub use selection::is_of;

impl App {
    /// Returns the state without an open file.
    pub fn new() -> Self {
        Self {
            of_file: OfFile::new(),
            file: RwSignal::new(None),
            busy: RwSignal::new(None),
            review: RwSignal::new(None),
            kept: RwSignal::new(Kept::default()),
            said: RwSignal::new(None),
            notices: RwSignal::new(Vec::new()),
            log_counts: RwSignal::new(true),
            reviewing: RwSignal::new(Reviewing {
                name: memory::recall(NAME).unwrap_or_default(),
                ..Reviewing::default()
            }),
            map_colouring: RwSignal::new(Colouring::Density),
            map_pixels: RwSignal::new_local(None),
            form_order: RwSignal::new(FormOrder::default()),
            sight: RwSignal::new((0, 0)),
            scroll_to: RwSignal::new(None),
            saved_views: RwSignal::new(false),
            enough: RwSignal::new(memory::recall(ENOUGH).and_then(|most| most.parse().ok())),
            layout: RwSignal::new(Layout::recall()),
            letters: RwSignal::new(memory::recall(LETTERS).is_none()),
            dark: theme::watch(),
            help: RwSignal::new(false),
            guide: RwSignal::new(None),
        }
    }

    /// Returns whether surface forms are listed, without following it.
    pub fn lists_words(&self) -> bool {
        self.listed.get_untracked() == Listed::Words
    }

    /// Switches single letters, digits and signs on or off as keys, and remembers it.
    pub fn set_letters(&self, are_keys: bool) {
        self.letters.set(are_keys);
        memory::remember(LETTERS, (!are_keys).then_some("yes"));
    }

    /// Sets how many wrong labels may be left when the person stops, and remembers it.
    pub fn set_enough(&self, most: Option<u32>) {
        self.enough.set(most);
        memory::remember(ENOUGH, most.map(|most| most.to_string()).as_deref());
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
        self.of_file.reset();
        self.settings.set(opened.automatic.clone());
        self.map_pixels.set(None);
        self.passing.set(opened.n_spans);
        self.reviewing.update(|reviewing| reviewing.reviewers.clear());
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
