//! The changes of a session, for undo and redo.

use crate::review::Notes;
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
    /// All notes.
    pub notes: Option<Box<(Notes, Notes)>>,
    /// The words of the spans, if all spans with these words were decided together.
    pub words: Option<String>,
    /// The view, if the whole filter was replaced.
    pub view: Option<Box<(V, V)>>,
}

/// Values to set. What is `None` or empty stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Values<V> {
    /// Thresholds and other settings.
    pub settings: Option<Settings>,
    /// Decisions by hand. `None` means that the rules decide.
    pub by_hand: Vec<(SpanId, Option<Decision>)>,
    /// All notes.
    pub notes: Option<Notes>,
    /// The view.
    pub view: Option<V>,
}

impl<V> Default for Values<V> {
    fn default() -> Self {
        Self { settings: None, by_hand: Vec::new(), notes: None, view: None }
    }
}

impl<V> Default for Step<V> {
    fn default() -> Self {
        Self { settings: None, by_hand: Vec::new(), notes: None, words: None, view: None }
    }
}

impl<V: Clone> Step<V> {
    /// The values before the change.
    pub fn before(&self) -> Values<V> {
        Values {
            settings: self.settings.as_ref().map(|both| both.0.clone()),
            by_hand: self.by_hand.iter().map(|&(span, before, _)| (span, before)).collect(),
            notes: self.notes.as_ref().map(|both| both.0.clone()),
            view: self.view.as_ref().map(|both| both.0.clone()),
        }
    }

    /// The values after the change.
    pub fn after(&self) -> Values<V> {
        Values {
            settings: self.settings.as_ref().map(|both| both.1.clone()),
            by_hand: self.by_hand.iter().map(|&(span, _, after)| (span, after)).collect(),
            notes: self.notes.as_ref().map(|both| both.1.clone()),
            view: self.view.as_ref().map(|both| both.1.clone()),
        }
    }

    /// Whether only settings change.
    fn is_of_settings(&self) -> bool {
        self.by_hand.is_empty() && self.notes.is_none() && self.view.is_none()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.settings.is_none() && self.by_hand.is_empty() && self.notes.is_none() && self.view.is_none()
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
        if continues
            && step.is_of_settings()
            && let Some(last) = self.done.last_mut().filter(|last| last.is_of_settings())
            && let (Some(old), Some(new)) = (&mut last.settings, &step.settings)
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
        assert_eq!(decided(1).before(), Values { by_hand: vec![(1, None)], ..Values::default() });
        assert_eq!(decided(1).after(), Values { by_hand: vec![(1, Some(Decision::Remove))], ..Values::default() });
        let notes = |text: &str| Notes::from_iter([(3, text.to_owned())]);
        let noted = Step::<u8> { notes: Some(Box::new((notes("a"), notes("b")))), ..Step::default() };
        assert!(!noted.is_empty());
        assert_eq!(noted.before(), Values { notes: Some(notes("a")), ..Values::default() });
        assert_eq!(noted.after(), Values { notes: Some(notes("b")), ..Values::default() });
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
