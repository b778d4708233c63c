//! The changes of a session, for undo and redo.

use shared::corpus::decision::Decision;
use shared::corpus::span::SpanId;
use shared::detection::threshold::Settings;

/// Changes of settings that follow each other within this time, as in dragging a line, count as one change.
const GESTURE_MS: f64 = 700.0;
/// Largest number of steps that are kept.
const MOST: usize = 1000;

/// One change, with each value before and after it. `V` is the type of the view (filter and listing).
#[derive(Debug, Clone, PartialEq)]
pub struct Step<V> {
    /// Thresholds and other settings.
    pub settings: Option<Box<(Settings, Settings)>>,
    /// Decisions by hand, before and after. `None` means that the rules decide.
    pub by_hand: Vec<(SpanId, Option<Decision>, Option<Decision>)>,
    /// The words of the spans, if all spans with these words were decided together.
    pub words: Option<String>,
    /// The view, if the whole filter was replaced.
    pub view: Option<Box<(V, V)>>,
}

/// Values to set: settings, decisions by hand, view.
pub type Values<V> = (Option<Settings>, Vec<(SpanId, Option<Decision>)>, Option<V>);

impl<V> Default for Step<V> {
    fn default() -> Self {
        Self { settings: None, by_hand: Vec::new(), words: None, view: None }
    }
}

impl<V: Clone> Step<V> {
    /// The values before the change.
    pub fn before(&self) -> Values<V> {
        let by_hand = self.by_hand.iter().map(|&(span, before, _)| (span, before));
        (
            self.settings.as_ref().map(|both| both.0.clone()),
            by_hand.collect(),
            self.view.as_ref().map(|both| both.0.clone()),
        )
    }

    /// The values after the change.
    pub fn after(&self) -> Values<V> {
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
#[derive(Debug)]
pub struct History<V> {
    done: Vec<Step<V>>,
    undone: Vec<Step<V>>,
    last_at: f64,
}

impl<V> Default for History<V> {
    fn default() -> Self {
        Self { done: Vec::new(), undone: Vec::new(), last_at: 0.0 }
    }
}

impl<V: Clone> History<V> {
    /// Adds a change made at this time (in milliseconds).
    pub fn push(&mut self, step: Step<V>, now: f64) {
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

    /// Ends a gesture: the next change is a separate step, even if it comes soon.
    pub fn end_gesture(&mut self) {
        self.last_at = 0.0;
    }

    /// Takes the last change back and returns it.
    pub fn undo(&mut self) -> Option<Step<V>> {
        let step = self.done.pop()?;
        self.undone.push(step.clone());
        self.last_at = 0.0;
        Some(step)
    }

    /// Makes the last undone change again and returns it.
    pub fn redo(&mut self) -> Option<Step<V>> {
        let step = self.undone.pop()?;
        self.done.push(step.clone());
        self.last_at = 0.0;
        Some(step)
    }

    /// Whether undo and redo are possible.
    pub fn can(&self) -> (bool, bool) {
        (!self.done.is_empty(), !self.undone.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use shared::detection::threshold::Rule;

    use super::*;

    fn threshold(before: f32, after: f32) -> Step<u8> {
        let at = |value| Settings { positives: Rule::Fixed(value), ..Settings::paper() };
        Step { settings: Some(Box::new((at(before), at(after)))), ..Step::default() }
    }

    fn decided(span: SpanId) -> Step<u8> {
        Step { by_hand: vec![(span, None, Some(Decision::Remove))], ..Step::default() }
    }

    #[test]
    fn what_was_changed_is_taken_back_and_done_again() {
        let mut history = History::default();
        assert_eq!((history.undo(), history.redo(), history.can()), (None, None, (false, false)));
        history.push(decided(1), 0.0);
        history.push(decided(2), 10.0);
        assert_eq!(history.undo(), Some(decided(2)));
        assert_eq!(history.can(), (true, true));
        assert_eq!(history.redo(), Some(decided(2)));
        history.undo();
        // After a new change, undone changes cannot be made again.
        history.push(decided(3), 20.0);
        assert_eq!((history.redo(), history.undo(), history.undo()), (None, Some(decided(3)), Some(decided(1))));
        let (settings, by_hand, view) = decided(1).before();
        assert_eq!((settings, by_hand, view), (None, vec![(1, None)], None));
        assert_eq!(decided(1).after().1, [(1, Some(Decision::Remove))]);
    }

    #[test]
    fn a_line_that_is_dragged_is_one_change() {
        let mut history = History::default();
        for (i, now) in [0.0, 100.0, 799.0].into_iter().enumerate() {
            history.push(threshold(i as f32, i as f32 + 1.0), now);
        }
        // One change that is too late to belong to the others, and one after a decision.
        history.push(threshold(3.0, 4.0), 799.0 + GESTURE_MS);
        history.push(decided(1), 1600.0);
        history.push(threshold(4.0, 5.0), 1610.0);
        history.end_gesture();
        history.push(threshold(5.0, 6.0), 1620.0);
        let undone: Vec<Step<u8>> = std::iter::from_fn(|| history.undo()).collect();
        let expected = [threshold(5.0, 6.0), threshold(4.0, 5.0), decided(1), threshold(3.0, 4.0), threshold(0.0, 3.0)];
        assert_eq!(undone, expected);
    }

    #[test]
    fn the_oldest_changes_are_forgotten() {
        let mut history = History::default();
        (0..MOST as SpanId + 5).for_each(|span| history.push(decided(span), f64::from(span)));
        let undone: Vec<Step<u8>> = std::iter::from_fn(|| history.undo()).collect();
        assert_eq!((undone.len(), undone.last()), (MOST, Some(&decided(5))));
        assert!(Step::<u8>::default().is_empty() && !decided(1).is_empty());
    }
}
