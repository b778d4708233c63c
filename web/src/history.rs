//! What was changed, to be taken back and done again.

use explorer::filter::Filter;
use shared::corpus::decision::Decision;
use shared::corpus::span::SpanId;
use shared::detection::threshold::Settings;

use crate::protocol::List;

/// Changes of the settings that follow each other within this time, as in dragging a line, are one.
const GESTURE_MS: f64 = 700.0;
/// Steps that are remembered.
const MOST: usize = 1000;

/// One change: each value before and after.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// Thresholds and all that.
    pub settings: Option<Box<(Settings, Settings)>>,
    /// Decisions by hand; `None`: left to the rules.
    pub by_hand: Vec<(SpanId, Option<Decision>, Option<Decision>)>,
    /// The words that the decisions are about, where all spans with them were decided about together.
    pub words: Option<String>,
    /// Which spans are looked at, where all of the filter was replaced.
    pub view: Option<Box<(View, View)>>,
}

/// Which spans are looked at, and listed.
pub type View = (Filter, List);

/// Values to be set: settings, decisions by hand, which spans are looked at.
pub type Values = (Option<Settings>, Vec<(SpanId, Option<Decision>)>, Option<View>);

impl Step {
    /// What it changes.
    pub fn before(&self) -> Values {
        let by_hand = self.by_hand.iter().map(|&(span, before, _)| (span, before));
        (
            self.settings.as_ref().map(|both| both.0.clone()),
            by_hand.collect(),
            self.view.as_ref().map(|both| both.0.clone()),
        )
    }

    /// What it changes to.
    pub fn after(&self) -> Values {
        let by_hand = self.by_hand.iter().map(|&(span, _, after)| (span, after));
        (
            self.settings.as_ref().map(|both| both.1.clone()),
            by_hand.collect(),
            self.view.as_ref().map(|both| both.1.clone()),
        )
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.settings.is_none() && self.by_hand.is_empty() && self.view.is_none()
    }
}

/// All changes since the file was opened.
#[derive(Debug, Default)]
pub struct History {
    done: Vec<Step>,
    undone: Vec<Step>,
    last_at: f64,
}

impl History {
    /// Remembers a change made at this time (milliseconds).
    pub fn push(&mut self, step: Step, now: f64) {
        self.undone.clear();
        let continues = now - self.last_at < GESTURE_MS;
        self.last_at = now;
        if let (true, Some(last), Some(new)) = (continues, self.done.last_mut(), &step.settings)
            && let (Some(old), true, true) = (&mut last.settings, last.by_hand.is_empty(), step.by_hand.is_empty())
        {
            old.1 = new.1.clone();
            return;
        }
        if self.done.len() == MOST {
            self.done.remove(0);
        }
        self.done.push(step);
    }

    /// What comes next is a change of its own, however soon.
    pub fn end_gesture(&mut self) {
        self.last_at = 0.0;
    }

    /// The change that is to be taken back.
    pub fn undo(&mut self) -> Option<Step> {
        let step = self.done.pop()?;
        self.undone.push(step.clone());
        self.last_at = 0.0;
        Some(step)
    }

    /// The change that is to be made again.
    pub fn redo(&mut self) -> Option<Step> {
        let step = self.undone.pop()?;
        self.done.push(step.clone());
        self.last_at = 0.0;
        Some(step)
    }

    /// Whether there is anything to take back, and to do again.
    pub fn can(&self) -> (bool, bool) {
        (!self.done.is_empty(), !self.undone.is_empty())
    }
}
