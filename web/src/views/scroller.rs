//! Scrolling in lists of millions of rows. Only the visible rows exist as elements.

use leptos::html::Div;
use leptos::prelude::*;

use explorer::plots::Size;

use crate::plots::size_of;

/// Height of a row in CSS pixels. The stylesheet repeats it (`--row`).
pub const ROW: f64 = 32.0;
/// Height of the head, which always stays visible.
const HEAD: f64 = 24.0;
/// Spare rows above and below the visible rows.
const SPARE: usize = 12;
/// Largest number of rows. Browsers limit an element's height to about 30 million pixels.
pub const MOST: usize = 900_000;

/// The visible part of a list.
#[derive(Clone, Copy)]
pub struct Scroller {
    /// The element that scrolls.
    pub viewport: NodeRef<Div>,
    size: ReadSignal<Size>,
    /// Number of the first visible row.
    top: RwSignal<usize>,
}

impl Scroller {
    /// Keeps `sight` up to date: the first visible row, and the number of visible rows.
    pub fn new(sight: RwSignal<(usize, usize)>) -> Self {
        let viewport = NodeRef::new();
        let (size, top) = (size_of(viewport), RwSignal::new(0));
        Effect::new(move |_| sight.set((top.get(), ((size.get().1 - HEAD) / ROW).ceil() as usize)));
        Self { viewport, size, top }
    }

    /// Returns the number of the first row to load, and how many to load. Returns `None` until there is room.
    pub fn wanted(self) -> Option<(usize, usize)> {
        let height = self.size.get().1;
        let limit = (height / ROW).ceil() as usize + 2 * SPARE;
        let offset = self.top.get().saturating_sub(SPARE);
        (height > 0.0).then_some((offset, limit))
    }

    /// Updates the first visible row after scrolling.
    pub fn scrolled(self) {
        if let Some(viewport) = self.viewport.get_untracked() {
            let row = (f64::from(viewport.scroll_top()) / ROW) as usize;
            if row != self.top.get_untracked() {
                self.top.set(row);
            }
        }
    }

    /// Scrolls to the beginning when a value that `read` reads has changed, because the list is another one then.
    pub fn restart_with(self, read: impl Fn() + 'static) {
        Effect::new(move |before: Option<()>| {
            read();
            if before.is_some() {
                self.top.set(0);
                if let Some(viewport) = self.viewport.get_untracked() {
                    viewport.set_scroll_top(0);
                }
            }
        });
    }

    /// Scrolls to the row whose number `in_sight` holds.
    pub fn follow(self, in_sight: RwSignal<Option<usize>>) {
        Effect::new(move |before: Option<()>| {
            let number = in_sight.get();
            // The first value may be about another list.
            if let (Some(number), true) = (number, before.is_some()) {
                self.show(number);
            }
        });
    }

    /// Scrolls just far enough to make a row visible.
    fn show(self, number: usize) {
        let Some(viewport) = self.viewport.get_untracked() else { return };
        let (top, height) = (f64::from(viewport.scroll_top()), f64::from(viewport.client_height()));
        let row_top = number as f64 * ROW;
        if row_top < top {
            viewport.set_scroll_top(row_top as i32);
        } else if HEAD + row_top + ROW > top + height {
            viewport.set_scroll_top((HEAD + row_top + ROW - height).ceil() as i32);
        }
        // The browser reports scrolling a frame later. The next key may come before that.
        self.scrolled();
    }
}

/// Returns the height of all rows together, as a style.
pub fn height_of(rows: usize) -> String {
    format!("{}px", rows.min(MOST) as f64 * ROW)
}

/// Returns the position of the loaded rows, as a style.
pub fn shift_of(offset: usize) -> String {
    format!("translateY({}px)", offset as f64 * ROW)
}
