//! The room of the panels: which are folded away, and how wide or high they are. The browser remembers it, whatever
//! file is open. In narrow windows the panels follow each other, and only folding has an effect.

use crate::memory;

/// Name of the entry in the browser's storage.
const LAYOUT: &str = "dynclean-layout";

/// Panels that can be folded away, with the class that folds them.
pub const FOLDS: [(&str, &str); 3] =
    [("no-settings", "Settings and figures"), ("no-pictures", "Map and distributions"), ("no-span", "Span and queue")];
/// Number of the bit that shows the settings that few people need. The bits before it fold the panels of [`FOLDS`].
pub const MORE: usize = FOLDS.len();

/// The room of the panels.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Layout {
    /// One bit for each of [`FOLDS`], then [`MORE`].
    pub bits: u32,
    /// Width of the settings, width of the span, height of the list, in pixels. 0 is the usual size.
    pub sizes: [u32; 3],
}

impl Layout {
    /// Returns the remembered layout, or the usual one.
    pub fn recall() -> Self {
        let text = memory::recall(LAYOUT).unwrap_or_default();
        let numbers: Result<Vec<u32>, _> = text.split(' ').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[bits, left, right, below]) => Self { bits, sizes: [left, right, below] },
            _ => Self::default(),
        }
    }

    /// Stores the layout.
    pub fn remember(&self) {
        let [left, right, below] = self.sizes;
        memory::remember(LAYOUT, Some(&format!("{} {left} {right} {below}", self.bits)));
    }

    /// Returns whether a bit is set.
    pub fn has(&self, bit: usize) -> bool {
        self.bits >> bit & 1 == 1
    }
}
