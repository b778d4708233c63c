//! The filter for spans, which all views share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::axis::Axes;
use crate::beside::Beside;
use crate::review::Notes;
use crate::same_form::{Form, spans_of};
use crate::sources::{Field, Source};
use shared::corpus::Corpus;
use shared::corpus::decision::{Decision, Side};
use shared::corpus::labels::{LabelId, O};
use shared::corpus::span::{SpanId, SpanIndex};
use shared::detection::judgement::Judgement;
use shared::detection::noise_model::Signal;

/// The conditions of a filter. A span must meet all that are set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Side of the span.
    pub side: Option<Side>,
    /// Distant label of the span.
    pub label: Option<LabelId>,
    /// Label that the model prefers.
    pub predicted: Option<LabelId>,
    /// Gold label of the span.
    pub gold: Option<LabelId>,
    /// Words inside the span, in any case. In double quotes: exactly the words of the span.
    pub text: String,
    /// Range of the metric value.
    pub values: Option<Values>,
    /// Corners of an area on the data map in which the span lies. Empty: no condition.
    pub region: Vec<(f32, f32)>,
    /// Axes of that map.
    pub axes: Axes,
    /// Whether the distant label must differ from gold.
    pub wrong_by_gold: bool,
    /// Words and distant label of the span.
    pub form: Option<Form>,
    /// A word beside the span.
    pub beside: Option<Beside>,
    /// The source of the sentence.
    pub source: Option<Source>,
    /// The decision about the span.
    pub decided: Option<Decided>,
}

/// The possible decisions about a span, by the settings or by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decided {
    /// The span keeps its label.
    Kept,
    /// The span is removed.
    Removed,
    /// The span takes another label.
    Relabelled,
    /// The decision is by hand, whatever it is.
    ByHand,
    /// The person has left a note, decided or not.
    Noted,
    /// The decision differs from that about the same span in the recording for comparison.
    Differently,
    /// Several people decided differently, and no decision by hand has settled it yet.
    Disputed,
    /// The settings judge the label wrong, and this is the strongest signal against it.
    Doubted(Signal),
}

/// The facts about spans that a filter needs.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The decisions of the settings.
    pub judgement: &'a Judgement<'a>,
    /// Decisions by hand, which overrule the settings.
    pub by_hand: &'a BTreeMap<SpanId, Decision>,
    /// Notes of the person.
    pub notes: &'a Notes,
    /// Spans about which the other recording decides differently.
    pub differing: &'a [SpanId],
    /// Spans that several people decided about differently.
    pub disputed: &'a [SpanId],
    /// AUM of every span in the other recording; empty if there is none.
    pub other_aum: &'a [f32],
    /// The text.
    pub corpus: &'a Corpus,
    /// The gold label of each span, if gold is known.
    pub gold: Option<&'a [LabelId]>,
    /// The fields that divide the sentences.
    pub fields: &'a [Field],
}

/// A range of the metric on one side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// The side.
    pub side: Side,
    /// Lowest value; `None` for no lower limit.
    pub low: Option<f32>,
    /// First value that is too high; `None` for no upper limit.
    pub high: Option<f32>,
}

impl Filter {
    /// Whether every span passes the filter.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Drops conditions that need another recording. Returns whether there were any.
    pub fn forget_other(&mut self) -> bool {
        let is_differently = self.decided.take_if(|decided| *decided == Decided::Differently).is_some();
        let is_area = self.axes.compare();
        if is_area {
            (self.region, self.axes) = Default::default();
        }
        is_differently || is_area
    }
}

/// The spans that pass a filter.
#[derive(Debug, Clone)]
pub struct Selection {
    /// One bit per span.
    bits: Vec<u64>,
    /// The rankable spans of both sides, in ascending order of the metric.
    ranked: [Vec<SpanId>; 2],
    len: usize,
}

impl Selection {
    /// Finds all spans that pass the filter.
    pub fn new(filter: &Filter, facts: &Facts) -> Self {
        let Facts { corpus, gold, .. } = *facts;
        let judge = facts.judgement.judge();
        let metrics = &judge.metrics;
        // Conditions with lists of spans come first, so that fewer spans remain for the others.
        let mut set = match filter.decided {
            None => Bits::all(judge.index.len()),
            Some(decided) => facts.decided(decided),
        };
        if let Some(form) = &filter.form {
            set.intersect(&Bits::of(judge.index.len(), spans_of(corpus, judge, form).into_iter()));
        }
        if let Some(side) = filter.side {
            set.retain(|span| judge.side(span) == side);
        }
        if let Some(label) = filter.label {
            set.retain(|span| judge.assigned.get(span as usize) == Some(&label));
        }
        if let Some(label) = filter.predicted {
            set.retain(|span| judge.predicted(span) == Some(label));
        }
        let gold = gold.unwrap_or_default();
        if let Some(label) = filter.gold {
            set.retain(|span| gold.get(span as usize) == Some(&label));
        }
        if filter.wrong_by_gold {
            let differs = |at: usize| gold.get(at).is_some_and(|gold| judge.assigned.get(at) != Some(gold));
            set.retain(|span| differs(span as usize));
        }
        if let Some(Values { side, low, high }) = filter.values {
            set.retain(|span| {
                let value = judge.value(span);
                let inside = low.is_none_or(|low| value >= low) && high.is_none_or(|high| value < high);
                inside && !value.is_nan() && judge.side(span) == side
            });
        }
        if !filter.region.is_empty() {
            let area = Polygon::new(&filter.region);
            let [x, y] = [filter.axes.x, filter.axes.y].map(|axis| axis.column(metrics, facts.other_aum));
            set.retain(|span| {
                let at = |column: &[f32]| column.get(span as usize).copied().unwrap_or(f32::NAN);
                area.contains((at(&x), at(&y)))
            });
        }
        if let Some(source) = &filter.source {
            let field = facts.fields.iter().find(|field| field.name == source.field);
            for sentence in 0..corpus.n_sentences() as u32 {
                if !field.is_some_and(|field| field.has(sentence, &source.value)) {
                    set.clear(judge.index.of_sentence(sentence));
                }
            }
        }
        if let Some(beside) = &filter.beside {
            let is_beside = |span| Beside::of(corpus, span, beside.is_after) == *beside;
            set.retain(|span| judge.index.span(span).is_some_and(is_beside));
        }
        if let Some(words) = Words::new(&filter.text) {
            words.retain(&mut set, corpus, &judge.index);
        }
        let bits = set.0;
        let contains = |span: &SpanId| contains(&bits, *span);
        let ranked = Side::BOTH.map(|side| judge.ranked(side).spans().iter().copied().filter(contains).collect());
        let len = bits.iter().map(|word| word.count_ones() as usize).sum();
        Self { bits, ranked, len }
    }

    /// Whether a span passes the filter.
    pub fn contains(&self, span: SpanId) -> bool {
        contains(&self.bits, span)
    }

    /// Number of spans that pass.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no span passes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rankable spans of one side that pass, in ascending order of the metric.
    pub fn ranked(&self, side: Side) -> &[SpanId] {
        let [negatives, positives] = &self.ranked;
        match side {
            Side::Negatives => negatives,
            Side::Positives => positives,
        }
    }
}

#[cfg(test)]
impl<'a> Facts<'a> {
    /// Facts without notes, gold, another recording, other people or fields.
    pub fn alone(judgement: &'a Judgement<'a>, by_hand: &'a BTreeMap<SpanId, Decision>, corpus: &'a Corpus) -> Self {
        Self {
            judgement,
            by_hand,
            notes: const { &Notes::none() },
            differing: &[],
            disputed: &[],
            other_aum: &[],
            corpus,
            gold: None,
            fields: &[],
        }
    }
}

impl Facts<'_> {
    /// The spans with this decision.
    fn decided(&self, decided: Decided) -> Bits {
        let judge = self.judgement.judge();
        let n = judge.index.len();
        let label = |span: SpanId| judge.assigned.get(span as usize).copied().unwrap_or(O);
        let changes = |span: SpanId, decision: Decision| !decision.keeps(label(span));
        let meeting = |condition: &dyn Fn(SpanId, Decision) -> bool| {
            let decided = self.judgement.decided(self.by_hand).into_iter();
            Bits::of(n, decided.filter(|&(span, decision)| condition(span, decision)).map(|(span, _)| span))
        };
        match decided {
            Decided::ByHand => Bits::of(n, self.by_hand.keys().copied()),
            Decided::Noted => Bits::of(n, self.notes.iter().map(|(span, _)| span)),
            Decided::Differently => Bits::of(n, self.differing.iter().copied()),
            Decided::Disputed => {
                let is_open = |span: &SpanId| !self.by_hand.contains_key(span);
                Bits::of(n, self.disputed.iter().copied().filter(is_open))
            }
            Decided::Doubted(reason) => {
                let judged = Side::BOTH.map(|side| self.judgement.judged_wrong(side));
                let spans = judged.iter().flat_map(|spans| spans.iter().copied());
                Bits::of(n, spans.filter(|&span| judge.main_reason(span) == Some(reason)))
            }
            Decided::Removed => meeting(&|_, decision| decision == Decision::Remove),
            Decided::Relabelled => meeting(&|span, decision| decision != Decision::Remove && changes(span, decision)),
            Decided::Kept => {
                let changed = meeting(&changes);
                let mut kept = Bits::all(n);
                kept.0.iter_mut().zip(&changed.0).for_each(|(word, changed)| *word &= !changed);
                kept
            }
        }
    }
}

fn contains(bits: &[u64], span: SpanId) -> bool {
    bits.get(span as usize / 64).is_some_and(|word| word >> (span % 64) & 1 == 1)
}

struct Bits(Vec<u64>);

impl Bits {
    fn all(n: usize) -> Self {
        let mut words = vec![u64::MAX; n.div_ceil(64)];
        if let Some(last) = words.last_mut()
            && !n.is_multiple_of(64)
        {
            *last = (1 << (n % 64)) - 1;
        }
        Self(words)
    }

    /// The set of these spans, out of `n`.
    fn of(n: usize, spans: impl Iterator<Item = SpanId>) -> Self {
        let mut words = vec![0; n.div_ceil(64)];
        for span in spans.filter(|&span| (span as usize) < n) {
            if let Some(word) = words.get_mut(span as usize / 64) {
                *word |= 1 << (span % 64);
            }
        }
        Self(words)
    }

    fn intersect(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    /// Keeps the spans of the set that meet a condition. It looks only at spans in the set.
    fn retain(&mut self, keep: impl Fn(SpanId) -> bool) {
        for (at, word) in self.0.iter_mut().enumerate() {
            let mut left = *word;
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                if !keep(at as SpanId * 64 + bit) {
                    *word &= !(1 << bit);
                }
            }
        }
    }

    fn clear(&mut self, spans: std::ops::Range<SpanId>) {
        for span in spans {
            if let Some(word) = self.0.get_mut(span as usize / 64) {
                *word &= !(1 << (span % 64));
            }
        }
    }
}

/// A polygon, given by its corners.
struct Polygon<'a> {
    corners: &'a [(f32, f32)],
    low: (f32, f32),
    high: (f32, f32),
}

impl<'a> Polygon<'a> {
    fn new(corners: &'a [(f32, f32)]) -> Self {
        let fold = |pick: fn(f32, f32) -> f32, start: f32| {
            corners.iter().fold((start, start), |(x, y), corner| (pick(x, corner.0), pick(y, corner.1)))
        };
        Self { corners, low: fold(f32::min, f32::INFINITY), high: fold(f32::max, f32::NEG_INFINITY) }
    }

    /// Whether a point is inside: counts how often a ray from the point crosses the line. NaN is outside.
    fn contains(&self, (x, y): (f32, f32)) -> bool {
        let within = x >= self.low.0 && x <= self.high.0 && y >= self.low.1 && y <= self.high.1;
        if !within {
            return false;
        }
        let before = self.corners.iter().cycle().skip(self.corners.len().saturating_sub(1));
        let crossings = self
            .corners
            .iter()
            .zip(before)
            .filter(|&(&(ax, ay), &(bx, by))| (ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax);
        crossings.count() % 2 == 1
    }
}

/// The text to look for.
enum Words {
    /// In lower case, anywhere in the span.
    Inside(String),
    /// The whole text of the span.
    Exactly(String),
}

impl Words {
    fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(words) if !words.is_empty() => Some(Self::Exactly(words.to_owned())),
            _ if text.is_empty() => None,
            // Letter by letter, like the text below: `str::to_lowercase` would convert a capital sigma according
            // to its place.
            _ => Some(Self::Inside(text.chars().flat_map(char::to_lowercase).collect())),
        }
    }

    fn retain(&self, set: &mut Bits, corpus: &Corpus, index: &SpanIndex) {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for sentence in 0..corpus.n_sentences() as u32 {
            text.clear();
            ends.clear();
            for token in corpus.tokens.sentence(sentence) {
                if !ends.is_empty() {
                    text.push(' ');
                }
                let start = text.len();
                match self {
                    Self::Inside(_) => text.extend(token.chars().flat_map(char::to_lowercase)),
                    Self::Exactly(_) => text.push_str(token),
                }
                ends.push((start, text.len()));
            }
            let words = match self {
                Self::Inside(words) | Self::Exactly(words) => words,
            };
            // The search runs once per sentence. Matches are in ascending order, so the first one that begins
            // inside a span also ends first.
            let found: Vec<usize> = overlapping(&text, words).collect();
            let ids = index.of_sentence(sentence);
            if found.is_empty() {
                set.clear(ids);
                continue;
            }
            for (id, span) in ids.zip(index.spans_of(sentence)) {
                let edge = |token: u32| ends.get(token as usize).copied().unwrap_or_default();
                let (start, end) = (edge(span.start).0, edge(span.end).1);
                let first = found.get(found.partition_point(|&at| at < start));
                let passes = first.is_some_and(|&at| match self {
                    Self::Inside(_) => at + words.len() <= end,
                    Self::Exactly(_) => (at, at + words.len()) == (start, end),
                });
                if !passes {
                    set.clear(id..id + 1);
                }
            }
        }
    }
}

/// Finds where `words` begin in `text`, including overlapping occurrences.
fn overlapping<'a>(text: &'a str, words: &'a str) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + text.get(from..)?.find(words)?;
        from = at + text.get(at..)?.chars().next().map_or(1, char::len_utf8);
        Some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Axis;
    use crate::one_epoch::of_one_epoch;
    use shared::detection::judge::Judge;
    use shared::detection::threshold::{Action, Metric, Rule, Settings};
    use shared::formats::dynclean_json;
    use shared::metrics::Window;
    use shared::recording::dynamics::Dynamics;

    /// Spans 0 to 5 belong to "The New York", span 6 is "york". X is predicted for spans 4 and 5.
    fn example() -> (Dynamics, Judge, Vec<LabelId>) {
        let json =
            br#"[{"tokens": ["The", "New", "York"], "entities": [[1, 2, "X"]]}, {"tokens": ["york"], "entities": []}]"#;
        let rows: Vec<f32> = [-3.0, -2.0, -1.0, -4.0, 2.0, 1.0, f32::NAN].iter().flat_map(|&z| [0.0, z]).collect();
        let dynamics = of_one_epoch(dynclean_json::read(json).unwrap(), &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        (dynamics, judge, vec![0, 0, 0, 0, 1, 1, 0])
    }

    #[track_caller]
    fn passing(filter: Filter, expected: &[SpanId]) -> Selection {
        let (dynamics, judge, gold) = example();
        // By the rules, span 5 is removed: negatives of a top-negatives run are not relabelled. Span 4 is removed
        // by hand.
        let rule = Rule::Fixed(0.0);
        let settings = Settings {
            negatives: rule,
            positives: rule,
            action: Action::Relabel,
            relabel_probability: 0.5,
            ..Settings::paper()
        };
        let facts = Facts {
            judgement: &judge.under(&settings),
            by_hand: &[(0, Decision::Relabel(1)), (3, Decision::Relabel(0)), (4, Decision::Remove)].into(),
            notes: &[(2, String::new()), (4, "why?".to_owned())].into_iter().collect(),
            differing: &[6, 2, 99],
            disputed: &[1, 4],
            other_aum: &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
            corpus: &dynamics.corpus,
            gold: Some(&gold),
            fields: &[],
        };
        let selection = Selection::new(&filter, &facts);
        let found: Vec<SpanId> = (0..8).filter(|&span| selection.contains(span)).collect();
        assert_eq!(found, expected, "{filter:?}");
        assert_eq!(selection.len(), expected.len());
        selection
    }

    #[test]
    fn every_part_of_a_filter_holds() {
        let any = Filter::default();
        assert!(any.is_empty());
        let all = passing(any.clone(), &[0, 1, 2, 3, 4, 5, 6]);
        // In ascending order of the metric, without spans that have none. Spans 1 ("The New") and 5 overlap 4;
        // this is allowed.
        assert_eq!(all.ranked(Side::Negatives), [5, 2, 1, 0, 3]);
        assert_eq!(all.ranked(Side::Positives), [4]);
        passing(Filter { side: Some(Side::Positives), ..any.clone() }, &[4]);
        passing(Filter { label: Some(0), predicted: Some(1), ..any.clone() }, &[5]);
        passing(Filter { label: Some(7), ..any.clone() }, &[]);
        passing(Filter { wrong_by_gold: true, ..any.clone() }, &[5]);
        passing(Filter { gold: Some(1), ..any.clone() }, &[4, 5]);
        passing(Filter { gold: Some(1), label: Some(0), ..any.clone() }, &[5]);
        let values = |side, low, high| Filter { values: Some(Values { side, low, high }), ..any.clone() };
        // AUMs of the negatives: 3, 2, 1, 4, −1.
        passing(values(Side::Negatives, Some(1.0), Some(3.0)), &[1, 2]);
        passing(values(Side::Negatives, None, Some(3.0)), &[1, 2, 5]);
        passing(values(Side::Positives, Some(2.0), None), &[4]);
    }

    #[test]
    fn a_letter_that_stands_everywhere_in_a_long_sentence_is_looked_up_once() {
        // 160,000 spans and 40,000 matches: comparing each span with each match would take minutes.
        let tokens = vec!["ee"; 20_000].join("\",\"");
        let json = format!(r#"[{{"tokens": ["{tokens}", "x"], "entities": [[0, 0, "X"]]}}]"#);
        let corpus = shared::formats::dynclean_json::read(json.as_bytes()).unwrap();
        let index = corpus.span_index(8).unwrap();
        let mut found = Bits::all(index.len());
        Words::new("e").unwrap().retain(&mut found, &corpus, &index);
        let without: Vec<SpanId> = (0..index.len() as SpanId).filter(|&span| !contains(&found.0, span)).collect();
        assert_eq!(without, [index.len() as SpanId - 1], "the x alone");
    }

    #[test]
    fn text_is_looked_for_inside_spans() {
        let text = |text: &str| Filter { text: text.to_owned(), ..Filter::default() };
        passing(text(" yOrk "), &[2, 4, 5, 6]);
        passing(text("new y"), &[2, 4]);
        passing(text("\"york\""), &[6]);
        passing(text("\"New York\""), &[4]);
        passing(text("\"New\""), &[3]);
        passing(text("paris"), &[]);
        passing(text("\""), &[]);
    }

    #[test]
    fn the_word_beside_a_span_counts_in_any_case() {
        let beside = |is_after, word: &str| Filter {
            beside: Some(Beside { is_after, word: word.to_owned() }),
            ..Filter::default()
        };
        passing(beside(false, "the"), &[3, 4]);
        passing(beside(true, "york"), &[1, 3]);
        passing(beside(false, ""), &[0, 1, 2, 6]);
        passing(beside(true, ""), &[2, 4, 5, 6]);
        passing(beside(true, "York"), &[]);
    }

    #[test]
    fn forms_are_words_and_a_label() {
        let form = |words: &[&str], label| Filter {
            form: Some(Form { words: words.iter().map(|&word| word.to_owned()).collect(), label }),
            ..Filter::default()
        };
        passing(form(&["York"], 0), &[5]);
        passing(form(&["york"], 0), &[6]);
        passing(form(&["New", "York"], 1), &[4]);
        passing(form(&["New", "York"], 0), &[]);
        passing(form(&["New York"], 1), &[]);
        passing(form(&[], 0), &[]);
        passing(Filter { text: "the".to_owned(), ..form(&["York"], 0) }, &[]);
    }

    #[test]
    fn decisions_by_the_rules_and_by_hand_are_told_apart() {
        let decided = |decided| Filter { decided: Some(decided), ..Filter::default() };
        passing(decided(Decided::ByHand), &[0, 3, 4]);
        passing(decided(Decided::Noted), &[2, 4]);
        passing(decided(Decided::Differently), &[2, 6]);
        passing(decided(Decided::Removed), &[4, 5]);
        passing(decided(Decided::Relabelled), &[0]);
        // Span 3 is relabelled to O, which it already has, so this is no change.
        passing(decided(Decided::Kept), &[1, 2, 3, 6]);
        passing(Filter { side: Some(Side::Positives), ..decided(Decided::ByHand) }, &[4]);
    }

    #[test]
    fn regions_are_polygons() {
        // Confidence of spans 4 (σ(2) = .88) and 5 (1 − σ(1) = .27). The variability is 0 everywhere.
        let region = |y: (f32, f32)| Filter {
            region: vec![(-0.1, y.0), (0.1, y.0), (0.1, y.1), (-0.1, y.1)],
            ..Filter::default()
        };
        passing(region((0.8, 0.9)), &[1, 4]);
        passing(region((0.2, 0.3)), &[5]);
        // The AUM is 2 and −1, on both axes.
        let by_aum = |low: f32, high: f32| Filter {
            region: vec![(low, low), (high, low), (high, high), (low, high)],
            axes: Axes { x: Axis::Aum, y: Axis::Aum },
            ..Filter::default()
        };
        passing(by_aum(1.9, 2.1), &[1, 4]);
        passing(by_aum(-1.1, -0.9), &[5]);
        // Span 6 has no AUM in the other recording. Here the AUMs are 3, 2 and 1, there 0, 1 and 2.
        let of_both = Filter {
            region: vec![(0.5, 0.5), (9.0, 0.5), (9.0, 9.0), (0.5, 9.0)],
            axes: Axes { x: Axis::Aum, y: Axis::OtherAum },
            ..Filter::default()
        };
        passing(of_both.clone(), &[1, 2, 3, 4]);
        let mut alone = Filter { decided: Some(Decided::Differently), label: Some(1), ..of_both };
        assert!(alone.forget_other());
        assert_eq!(alone, Filter { label: Some(1), ..Filter::default() });
        assert!(!alone.forget_other() && !by_aum(0.0, 1.0).forget_other());
        let l_shape = [(0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (1.0, 1.0), (1.0, 2.0), (0.0, 2.0)];
        let area = Polygon::new(&l_shape);
        assert!(area.contains((0.5, 1.5)) && area.contains((1.5, 0.5)));
        assert!(!area.contains((1.5, 1.5)) && !area.contains((f32::NAN, 0.5)) && !area.contains((-0.5, 0.5)));
        assert!(!Polygon::new(&[(0.0, 0.0)]).contains((0.0, 0.0)));
    }

    #[test]
    fn overlapping_occurrences_are_found() {
        assert_eq!(overlapping("aaé aaé", "a").collect::<Vec<_>>(), [0, 1, 5, 6]);
        assert_eq!(overlapping("ééé", "éé").collect::<Vec<_>>(), [0, 2]);
    }
}
