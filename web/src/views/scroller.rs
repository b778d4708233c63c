//! Lists of millions of rows: only those in sight exist.

use leptos::html::Div;
use leptos::prelude::*;

use crate::plots::{Size, size_of};

/// Height of a row in CSS pixels; also in the stylesheet (`--row`).
pub const ROW: f64 = 32.0;
/// Height of the head, which stays in sight.
const HEAD: f64 = 24.0;
/// Rows kept ready above and below those in sight.
const SPARE: usize = 12;
/// Browsers end an element at some 30 million pixels.
pub const MOST: usize = 900_000;

/// The window through which a list is seen.
#[derive(Clone, Copy)]
pub struct Scroller {
    /// The element that scrolls.
    pub viewport: NodeRef<Div>,
    size: ReadSignal<Size>,
    /// Number of the first row in sight.
    top: RwSignal<usize>,
}

impl Scroller {
    /// `sight` follows which rows are in sight: the first, and how many.
    pub fn new(sight: RwSignal<(usize, usize)>) -> Self {
        let viewport = NodeRef::new();
        let (size, top) = (size_of(viewport), RwSignal::new(0));
        Effect::new(move |_| sight.set((top.get(), ((size.get().1 - HEAD) / ROW).ceil() as usize)));
        Self { viewport, size, top }
    }

    /// Number of the first row that is to be there, and how many; none until there is room.
    pub fn wanted(self) -> Option<(usize, usize)> {
        let height = self.size.get().1;
        let limit = (height / ROW).ceil() as usize + 2 * SPARE;
        let offset = self.top.get().saturating_sub(SPARE);
        (height > 0.0).then_some((offset, limit))
    }

    /// What to do when it was scrolled.
    pub fn scrolled(self) {
        if let Some(viewport) = self.viewport.get_untracked() {
            let row = (f64::from(viewport.scroll_top()) / ROW) as usize;
            if row != self.top.get_untracked() {
                self.top.set(row);
            }
        }
    }

    /// Whenever what this reads changes, the list is another one and begins at its beginning.
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

    /// Follows the row that is to be in sight.
    pub fn follow(self, in_sight: RwSignal<Option<usize>>) {
        Effect::new(move |before: Option<()>| {
            let number = in_sight.get();
            // What was in sight in another list means nothing here.
            if let (Some(number), true) = (number, before.is_some()) {
                self.show(number);
            }
        });
    }

    /// Scrolls as little as brings a row into sight.
    fn show(self, number: usize) {
        let Some(viewport) = self.viewport.get_untracked() else { return };
        let (top, height) = (f64::from(viewport.scroll_top()), f64::from(viewport.client_height()));
        let row_top = number as f64 * ROW;
        if row_top < top {
            viewport.set_scroll_top(row_top as i32);
        } else if HEAD + row_top + ROW > top + height {
            viewport.set_scroll_top((HEAD + row_top + ROW - height).ceil() as i32);
        }
        // The browser tells of it a frame later: the next key may come before.
        self.scrolled();
    }
}

/// Height of all rows together, as a style.
pub fn height_of(rows: usize) -> String {
    format!("{}px", rows.min(MOST) as f64 * ROW)
}

/// Where the rows that are there lie, as a style.
pub fn shift_of(offset: usize) -> String {
    format!("translateY({}px)", offset as f64 * ROW)
}
