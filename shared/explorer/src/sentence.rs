//! A sentence with all labels in it, in layers: as in the corpus, after cleaning, as the model predicts, gold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use shared::corpus::decision::Decision;
use shared::corpus::labels::{LabelId, O};
use shared::corpus::span::{Span, SpanId, SpanIndex};
use shared::corpus::{Corpus, Entity};
use shared::detection::judgement::Judgement;

/// The labels of a sentence from one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layer {
    /// The labels of the corpus.
    Distant,
    /// The labels of the corpus after all decisions.
    Cleaned,
    /// The labels that the model prefers.
    Predicted,
    /// The gold labels.
    Gold,
}

impl Layer {
    /// All layers.
    pub const ALL: [Self; 4] = [Self::Distant, Self::Cleaned, Self::Predicted, Self::Gold];
}

/// A labelled span of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// First token.
    pub start: u32,
    /// Last token.
    pub end: u32,
    /// The label. `O` only if the span is unknown.
    pub label: LabelId,
    /// Whether the label is unknown because it was removed. `label` is then the label before.
    pub is_unknown: bool,
    /// Line below the text, from 0. Marks on one line do not overlap.
    pub lane: u32,
}

/// A sentence with its layers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// The tokens.
    pub tokens: Vec<String>,
    /// The layers that are known, in the order of [`Layer`].
    pub layers: Vec<(Layer, Vec<Mark>)>,
    /// Id of the first candidate span of the sentence.
    first: SpanId,
    /// Width of the widest candidate span.
    max_width: u32,
}

/// The selected span and the decision about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// First token.
    pub start: u32,
    /// Last token.
    pub end: u32,
    /// The decision in force.
    pub decision: Decision,
    /// The decision without a person.
    pub by_rule: Decision,
}

/// Decisions to make; `None` takes a decision back.
pub type Decisions = Vec<(SpanId, Option<Decision>)>;

impl Sentence {
    /// Collects the layers of a sentence.
    pub fn new(
        corpus: &Corpus,
        gold: Option<&[Entity]>,
        judgement: &Judgement,
        by_hand: &BTreeMap<SpanId, Decision>,
        sentence: u32,
    ) -> Self {
        let judge = judgement.judge();
        let entities = |all: &[Entity]| -> Vec<Mark> {
            let from = all.partition_point(|entity| entity.span.sentence < sentence);
            let own = all.iter().skip(from).take_while(|entity| entity.span.sentence == sentence);
            own.map(|entity| mark(entity.span, entity.label, false)).collect()
        };
        let distant = entities(&corpus.entities);
        // Entities that are wider than the candidates never change.
        let mut cleaned: Vec<Mark> =
            distant.iter().copied().filter(|mark| mark.end - mark.start >= judge.index.max_width()).collect();
        let mut predicted = Vec::new();
        for (id, span) in judge.index.of_sentence(sentence).zip(judge.index.spans_of(sentence)) {
            let label = judge.assigned.get(id as usize).copied().unwrap_or(O);
            let decision = by_hand.get(&id).copied().unwrap_or_else(|| judgement.decide(id));
            cleaned.push(match decision {
                Decision::Keep => mark(span, label, false),
                Decision::Remove => mark(span, label, true),
                Decision::Relabel(new) => mark(span, new, false),
            });
            predicted.extend(judge.predicted(id).map(|label| mark(span, label, false)));
        }
        let knows_predictions = judge.metrics.has_probabilities();
        let layers = [
            (Layer::Distant, Some(distant)),
            (Layer::Cleaned, Some(cleaned)),
            (Layer::Predicted, knows_predictions.then_some(predicted)),
            (Layer::Gold, gold.map(entities)),
        ];
        Self {
            tokens: corpus.tokens.sentence(sentence).map(str::to_owned).collect(),
            layers: layers.into_iter().filter_map(|(layer, marks)| Some((layer, in_lanes(marks?)))).collect(),
            first: judge.index.of_sentence(sentence).start,
            max_width: judge.index.max_width(),
        }
    }

    /// The marks of a layer; empty if the layer is not known.
    pub fn layer(&self, layer: Layer) -> &[Mark] {
        self.layers.iter().find(|(known, _)| *known == layer).map_or(&[], |(_, marks)| marks)
    }

    /// The id of a span; `None` if the span is too wide or not inside the sentence.
    pub fn id(&self, start: u32, end: u32) -> Option<SpanId> {
        let index = SpanIndex::new([self.tokens.len() as u32], self.max_width).ok()?;
        Some(self.first + index.id(Span { sentence: 0, start, end })?)
    }

    /// The span that a click on a token is about: the shortest mark that covers it, or else the token alone.
    pub fn at(&self, layer: Layer, token: u32) -> (u32, u32) {
        let covering = self.layer(layer).iter().filter(|mark| mark.start <= token && token <= mark.end);
        covering.min_by_key(|mark| mark.end - mark.start).map_or((token, token), |mark| (mark.start, mark.end))
    }

    /// Moves the ends of the chosen span by this many tokens. Returns the new span, and the decisions that give it
    /// the type of the old one, which becomes `O`. If the chosen span has no type, there are no decisions. Returns
    /// `None` if there is no such span.
    pub fn moved(&self, chosen: Chosen, start_by: i32, end_by: i32) -> Option<(SpanId, Decisions)> {
        let Chosen { start, end, decision, by_rule } = chosen;
        let old = self.id(start, end)?;
        let (new_start, new_end) = (start.checked_add_signed(start_by)?, end.checked_add_signed(end_by)?);
        let new = self.id(new_start, new_end)?;
        let (before, there) = (self.label_of(start, end), self.label_of(new_start, new_end));
        let kind = match decision {
            Decision::Relabel(label) if label != O => label,
            _ => before,
        };
        if kind == O {
            return Some((new, Vec::new()));
        }
        // A span that was `O` before needs no decision to be `O` again, unless the rules would change it.
        let away = (before != O || !by_rule.keeps(O)).then_some(Decision::Relabel(O));
        let here = if there == kind { Decision::Keep } else { Decision::Relabel(kind) };
        Some((new, vec![(old, away), (new, Some(here))]))
    }

    /// The label of a span in the corpus.
    fn label_of(&self, start: u32, end: u32) -> LabelId {
        let marks = self.layer(Layer::Distant).iter();
        marks.filter(|mark| (mark.start, mark.end) == (start, end)).map(|mark| mark.label).next().unwrap_or(O)
    }
}

fn mark(span: Span, label: LabelId, is_unknown: bool) -> Mark {
    Mark { start: span.start, end: span.end, label, is_unknown, lane: 0 }
}

/// Drops spans that are simply `O`, and gives each of the others the first lane that is free.
fn in_lanes(mut marks: Vec<Mark>) -> Vec<Mark> {
    marks.retain(|mark| mark.label != O || mark.is_unknown);
    let mut ends: Vec<u32> = Vec::new();
    for mark in &mut marks {
        let free = ends.iter().position(|&end| end < mark.start);
        mark.lane = free.unwrap_or(ends.len()) as u32;
        match free.and_then(|lane| ends.get_mut(lane)) {
            Some(end) => *end = mark.end,
            None => ends.push(mark.end),
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one_epoch::of_one_epoch;
    use shared::detection::judge::Judge;
    use shared::detection::threshold::{Metric, Rule, Settings};
    use shared::formats::dynclean_json;
    use shared::metrics::Window;

    /// Sentence 1 has the candidates 1 A, 2 A B, 3 B, 4 B C, 5 C; the entity of three tokens is wider than these.
    const CORPUS: &[u8] = br#"[{"tokens": ["Z"], "entities": []},
        {"tokens": ["A", "B", "C"], "entities": [[0, 2, "X"], [0, 1, "X"], [1, 1, "Y"]]}]"#;

    fn example(by_hand: &[(SpanId, Decision)]) -> Sentence {
        // The model prefers X for span 4 and O for all others, so the threshold judges both entities wrong.
        let rows: Vec<f32> = (0..6).flat_map(|id| [0.0, if id == 4 { 3.0 } else { -3.0 }, -3.0]).collect();
        let mut dynamics = of_one_epoch(dynclean_json::read(CORPUS).unwrap(), &rows);
        dynamics.info.max_span_width = 2;
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let settings = Settings { negatives: Rule::Keep, positives: Rule::Fixed(0.0), ..Settings::paper() };
        let gold = [Entity { span: Span { sentence: 1, start: 1, end: 2 }, label: 1 }];
        let by_hand = by_hand.iter().copied().collect();
        Sentence::new(&dynamics.corpus, Some(&gold), &judge.under(&settings), &by_hand, 1)
    }

    fn shown(sentence: &Sentence, layer: Layer) -> Vec<(u32, u32, LabelId, bool, u32)> {
        sentence.layer(layer).iter().map(|m| (m.start, m.end, m.label, m.is_unknown, m.lane)).collect()
    }

    #[test]
    fn layers_show_every_label_and_overlaps_in_lanes() {
        let sentence = example(&[(3, Decision::Relabel(1))]);
        assert_eq!(sentence.tokens, ["A", "B", "C"]);
        assert_eq!(shown(&sentence, Layer::Distant), [(0, 2, 1, false, 0), (0, 1, 1, false, 1), (1, 1, 2, false, 2)]);
        assert_eq!(shown(&sentence, Layer::Cleaned), [(0, 2, 1, false, 0), (0, 1, 1, true, 1), (1, 1, 1, false, 2)]);
        assert_eq!(shown(&sentence, Layer::Predicted), [(1, 2, 1, false, 0)]);
        assert_eq!(shown(&sentence, Layer::Gold), [(1, 2, 1, false, 0)]);
    }

    #[test]
    fn a_click_is_about_the_shortest_entity_or_one_token() {
        let sentence = example(&[]);
        assert_eq!([0, 1, 2].map(|token| sentence.at(Layer::Distant, token)), [(0, 1), (1, 1), (0, 2)]);
        assert_eq!(sentence.at(Layer::Gold, 0), (0, 0));
        assert_eq!([(0, 1), (1, 2), (0, 2), (2, 3)].map(|(a, b)| sentence.id(a, b)), [Some(2), Some(4), None, None]);
    }

    #[test]
    fn a_moved_entity_takes_its_type_along_and_leaves_o() {
        let sentence = example(&[]);
        let chosen = |(start, end), decision, by_rule| Chosen { start, end, decision, by_rule };
        let (o, x) = (Some(Decision::Relabel(O)), Some(Decision::Relabel(1)));
        // The rules remove "A B"; the person corrects it to "A".
        let entity = chosen((0, 1), Decision::Remove, Decision::Remove);
        assert_eq!(sentence.moved(entity, 0, -1), Some((1, vec![(2, o), (1, x)])));
        // Moved back: "A" was `O` in the corpus, and "A B" had this label.
        let back = chosen((0, 0), Decision::Relabel(1), Decision::Keep);
        assert_eq!(sentence.moved(back, 0, 1), Some((2, vec![(1, None), (2, Some(Decision::Keep))])));
        // The rules would remove "A", so it needs a decision to stay `O`.
        let doubted = Chosen { by_rule: Decision::Remove, ..back };
        assert_eq!(sentence.moved(doubted, 0, 1), Some((2, vec![(1, o), (2, Some(Decision::Keep))])));
        // A span without a type is only selected.
        let none = chosen((2, 2), Decision::Keep, Decision::Keep);
        assert_eq!(sentence.moved(none, -1, 0), Some((4, vec![])));
        // Outside the sentence, too wide, or empty.
        for (start_by, end_by) in [(0, 1), (-2, 0), (1, 0), (-3, 0)] {
            assert_eq!(sentence.moved(none, start_by, end_by), None, "{start_by} {end_by}");
        }
    }
}
