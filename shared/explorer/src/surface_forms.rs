//! Surface forms: all spans with the same words and the same distant label, as one thing to decide about. What a
//! dictionary gets wrong it gets wrong everywhere ("The" as a name, 156 times), and a model learns such labels as
//! easily as right ones: no threshold finds them, but a person sees them at once.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::filter::Selection;
use shared::corpus::Corpus;
use shared::corpus::decision::Decision;
use shared::corpus::labels::{LabelId, O};
use shared::corpus::span::{Span, SpanId, SpanIndex};
use shared::detection::judge::Judge;
use shared::detection::judgement::Judgement;

/// Number of a surface form with one distant label, in the order in which they first occur.
pub type FormId = u32;

/// Every surface form of a corpus by distant label. 4 bytes a span, 16 a form.
#[derive(Debug, Clone)]
pub struct SurfaceForms {
    /// Of every span.
    of_span: Vec<FormId>,
    forms: Vec<Form>,
}

#[derive(Debug, Clone, Copy)]
struct Form {
    label: LabelId,
    n: u32,
    first: SpanId,
    /// The same words with another label; the last has the first, so that they are a ring.
    sibling: FormId,
}

/// How the labels of every form were learned: one element per form. Changes with window and metric.
#[derive(Debug, Clone)]
pub struct Learned {
    /// Mean of the metric over those spans that have it; NaN where none has.
    mean: Vec<f32>,
    /// The span where it is lowest; the first where none has it.
    lowest: Vec<SpanId>,
}

/// In what order forms are listed; ties as they first occur.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FormOrder {
    /// Positives by number of labels, most first; then negatives by number judged wrong.
    #[default]
    Labels,
    /// By the mean of the metric, lowest first.
    Mean,
    /// By the share judged wrong, highest first; of the same share the most numerous first.
    Judged,
}

/// A surface form with one distant label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FormRow {
    /// Which.
    pub form: FormId,
    /// Its words, as they are written.
    pub words: Vec<String>,
    /// The distant label.
    pub label: LabelId,
    /// Spans with these words and this label.
    pub n: u32,
    /// Those that do not keep their label, decisions by hand included.
    pub judged: u32,
    /// Those decided by hand.
    pub by_hand: u32,
    /// What happens to all of them; `None`: not the same to all.
    pub decision: Option<Decision>,
    /// Mean of the metric.
    pub mean: f32,
    /// The span where it is lowest, and the metric there.
    pub lowest: (SpanId, f32),
    /// The other distant labels of these words, and how often.
    pub elsewhere: Vec<(LabelId, u32)>,
}

impl SurfaceForms {
    /// Groups all candidate spans. O(spans).
    pub fn new(corpus: &Corpus, index: &SpanIndex, assigned: &[LabelId]) -> Self {
        // Of every distinct sequence of words: its first span, its hash, and the last form that has it.
        let mut sequences: Vec<(Span, u64, FormId)> = Vec::new();
        let mut by_hash: HashTable<u32> = HashTable::new();
        let mut of_span = Vec::with_capacity(index.len());
        let mut forms: Vec<Form> = Vec::new();
        let mut hashes: Vec<u64> = Vec::new();
        for sentence in 0..corpus.n_sentences() as u32 {
            hashes.clear();
            hashes.extend(corpus.tokens.sentence(sentence).map(|token| xxh3_64(token.as_bytes())));
            let mut hash = 0;
            for (id, span) in index.of_sentence(sentence).zip(index.spans_of(sentence)) {
                // Spans with the same start come one after the other, each a word longer.
                let before = if span.start == span.end { 0 } else { hash };
                hash = mixed(before, hashes.get(span.end as usize).copied().unwrap_or_default());
                let same = |&known: &u32| {
                    let (first, its_hash, _) = sequences[known as usize];
                    its_hash == hash && corpus.tokens.words(first).eq(corpus.tokens.words(span))
                };
                let found = by_hash.find(hash, same).copied();
                let label = assigned.get(id as usize).copied().unwrap_or(O);
                let new = Form { label, n: 1, first: id, sibling: forms.len() as FormId };
                of_span.push(match found {
                    Some(known) => in_ring(&mut forms, &mut sequences[known as usize].2, new),
                    None => {
                        let number = sequences.len() as u32;
                        sequences.push((span, hash, new.sibling));
                        by_hash.insert_unique(hash, number, |&known| sequences[known as usize].1);
                        forms.push(new);
                        new.sibling
                    }
                });
            }
        }
        Self { of_span, forms }
    }

    /// Number of forms.
    pub fn len(&self) -> usize {
        self.forms.len()
    }

    /// Whether there is none: no candidate span.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// The spans of a form, ascending; none for a form that does not exist.
    fn spans(&self, form: FormId) -> Vec<SpanId> {
        (0..).zip(&self.of_span).filter(|&(_, &of)| of == form).map(|(span, _)| span).collect()
    }

    /// How the forms were learned, by the metric of this judge.
    pub fn learned(&self, judge: &Judge) -> Learned {
        let mut sums = vec![(0.0f64, 0u32); self.forms.len()];
        let mut lowest: Vec<SpanId> = self.forms.iter().map(|form| form.first).collect();
        for (span, &form) in (0..).zip(&self.of_span) {
            let value = judge.value(span);
            if value.is_nan() {
                continue;
            }
            let (Some(sum), Some(low)) = (sums.get_mut(form as usize), lowest.get_mut(form as usize)) else { continue };
            let before = judge.value(*low);
            // The first one may have none.
            if before.is_nan() || value < before {
                *low = span;
            }
            *sum = (sum.0 + f64::from(value), sum.1 + 1);
        }
        // 0/0 where no span has a value.
        Learned { mean: sums.into_iter().map(|(sum, n)| (sum / f64::from(n)) as f32).collect(), lowest }
    }

    /// Which forms have a span that passes a filter: one element per form.
    pub fn passing(&self, selection: &Selection) -> Vec<bool> {
        let mut passing = vec![false; self.forms.len()];
        for (span, &form) in (0..).zip(&self.of_span) {
            if selection.contains(span)
                && let Some(passes) = passing.get_mut(form as usize)
            {
                *passes = true;
            }
        }
        passing
    }
}

/// The form of these words (of which `last` is one) that has the label of `new`, which is added where there is none.
fn in_ring(forms: &mut Vec<Form>, last: &mut FormId, new: Form) -> FormId {
    let mut at = *last;
    loop {
        let form = &mut forms[at as usize];
        if form.label == new.label {
            form.n += 1;
            return at;
        }
        at = form.sibling;
        if at == *last {
            break;
        }
    }
    let number = forms.len() as FormId;
    let sibling = std::mem::replace(&mut forms[*last as usize].sibling, number);
    forms.push(Form { sibling, ..new });
    *last = number;
    number
}

/// The hash of words and one more. What collides is compared word by word.
fn mixed(words: u64, word: u64) -> u64 {
    let product = (words.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The table looks at the lowest bits too, which multiplication leaves poor.
    product ^ product >> 32
}

/// The forms to be decided about under one judgement: those with a type, and those labelled `O` of which a span is
/// judged wrong or decided by hand.
#[derive(Debug)]
pub struct FormList<'a> {
    forms: &'a SurfaceForms,
    learned: &'a Learned,
    judgement: &'a Judgement<'a>,
    by_hand: &'a BTreeMap<SpanId, Decision>,
    /// Of every form: spans that do not keep their label, and those decided by hand.
    counts: Vec<(u32, u32)>,
    listed: Vec<FormId>,
    total: usize,
}

impl<'a> FormList<'a> {
    /// Time proportional to the number of forms and of spans judged wrong. `passing`: only these forms are listed.
    pub fn new(
        forms: &'a SurfaceForms,
        learned: &'a Learned,
        judgement: &'a Judgement<'a>,
        by_hand: &'a BTreeMap<SpanId, Decision>,
        passing: Option<&[bool]>,
    ) -> Self {
        let mut counts = vec![(0, 0); forms.len()];
        let of = |span: SpanId| forms.of_span.get(span as usize).map(|&form| form as usize);
        for (span, decision) in judgement.decided(by_hand) {
            let Some(form) = of(span) else { continue };
            if let (Some(count), Some(Form { label, .. })) = (counts.get_mut(form), forms.forms.get(form)) {
                count.0 += u32::from(!decision.keeps(*label));
                count.1 += u32::from(by_hand.contains_key(&span));
            }
        }
        let is_listed = |form: &Form, &(judged, by_hand): &(u32, u32)| form.label != O || judged > 0 || by_hand > 0;
        let all = (0..).zip(forms.forms.iter().zip(&counts));
        let mut listed: Vec<FormId> =
            all.filter(|(_, (form, count))| is_listed(form, count)).map(|(number, _)| number).collect();
        let total = listed.len();
        if let Some(passing) = passing {
            listed.retain(|&form| passing.get(form as usize) == Some(&true));
        }
        Self { forms, learned, judgement, by_hand, counts, listed, total }
    }

    /// How many are listed, and how many would be if all passed.
    pub fn len(&self) -> (usize, usize) {
        (self.listed.len(), self.total)
    }

    /// Whether none is listed.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Rows `offset..offset + limit` in this order.
    pub fn page(&self, corpus: &Corpus, order: FormOrder, offset: usize, limit: usize) -> Vec<FormRow> {
        // Order and number packed into one integer sort several times faster than pairs.
        let key = |&form: &FormId| Some(u64::from(self.key(form, order)?) << 32 | u64::from(form));
        let mut keys: Vec<u64> = self.listed.iter().filter_map(key).collect();
        keys.sort_unstable();
        keys.into_iter().skip(offset).take(limit).filter_map(|key| self.row(corpus, key as FormId)).collect()
    }

    /// The less, the earlier in the list.
    fn key(&self, number: FormId, order: FormOrder) -> Option<u32> {
        let at = number as usize;
        let (form, &(judged, _)) = (self.forms.forms.get(at)?, self.counts.get(at)?);
        Some(match order {
            FormOrder::Labels if form.label == O => u32::MAX - judged,
            FormOrder::Labels => u32::MAX / 2 - form.n.min(u32::MAX / 2),
            FormOrder::Mean => ascending(self.learned.mean.get(at).copied().unwrap_or(f32::NAN)),
            FormOrder::Judged => {
                // Shares to four digits: of those that all but equal each other, the most numerous first.
                let kept = u64::from(form.n - judged.min(form.n)) * 10_000 / u64::from(form.n.max(1));
                (kept as u32) << 16 | (0xffff - form.n.min(0xffff))
            }
        })
    }

    fn row(&self, corpus: &Corpus, number: FormId) -> Option<FormRow> {
        let judge = self.judgement.judge();
        let at = number as usize;
        let (form, &(judged, by_hand)) = (*self.forms.forms.get(at)?, self.counts.get(at)?);
        let span = judge.index.span(form.first)?;
        let words = corpus.tokens.words(span);
        let lowest = *self.learned.lowest.get(at)?;
        Some(FormRow {
            form: number,
            words: words.map(str::to_owned).collect(),
            label: form.label,
            n: form.n,
            judged,
            by_hand,
            decision: self.decision(number, form, judged),
            mean: *self.learned.mean.get(at)?,
            lowest: (lowest, judge.value(lowest)),
            elsewhere: self.elsewhere(number),
        })
    }

    /// What happens to all spans of a form.
    fn decision(&self, number: FormId, form: Form, judged: u32) -> Option<Decision> {
        match judged {
            0 => return Some(Decision::Keep),
            some if some < form.n => return None,
            _ => {}
        }
        let decide = |span: &SpanId| self.by_hand.get(span).copied().unwrap_or_else(|| self.judgement.decide(*span));
        let spans = self.forms.spans(number);
        let mut decisions = spans.iter().map(decide);
        let first = decisions.next()?;
        decisions.all(|decision| decision == first).then_some(first)
    }

    fn elsewhere(&self, number: FormId) -> Vec<(LabelId, u32)> {
        let sibling = |form: FormId| self.forms.forms.get(form as usize).map(|form| form.sibling);
        let others = std::iter::successors(sibling(number), |&form| sibling(form)).take_while(|&form| form != number);
        let mut labels: Vec<_> =
            others.filter_map(|form| self.forms.forms.get(form as usize)).map(|form| (form.label, form.n)).collect();
        labels.sort_unstable_by_key(|&(label, n)| (Reverse(n), label));
        labels
    }
}

/// Sorts as numbers do, NaN last.
fn ascending(value: f32) -> u32 {
    // −0 counts as 0, and every NaN as the same.
    let bits = if value.is_nan() { f32::NAN.to_bits() } else { (value + 0.0).to_bits() };
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Facts, Filter};
    use crate::one_epoch::of_one_epoch;
    use crate::same_form::SameForm;
    use shared::detection::threshold::{Metric, Rule, Settings};
    use shared::formats::dynclean_json;
    use shared::metrics::Window;
    use shared::recording::dynamics::Dynamics;

    /// Spans of sentence 0: 0 The, 1 The New, 2 The New York, 3 New, 4 New York (X), 5 York. Sentence 1: 6 The (Y),
    /// 7 The The, 8 The (Y). Sentence 2: 9 New, 10 New York, 11 York (X). Sentence 3: 12 The (X).
    const CORPUS: &[u8] = br#"[
        {"tokens": ["The", "New", "York"], "entities": [[1, 2, "X"]]},
        {"tokens": ["The", "The"], "entities": [[0, 0, "Y"], [1, 1, "Y"]]},
        {"tokens": ["New", "York"], "entities": [[1, 1, "X"]]},
        {"tokens": ["The"], "entities": [[0, 0, "X"]]}]"#;

    /// Logits of X by span; those of O and Y are 0.
    const LOGITS: [f32; 13] = [0.5, -2.0, -2.0, -2.0, 2.0, f32::NAN, -1.0, -2.0, -3.0, -2.0, -2.0, 1.0, -4.0];

    fn example() -> (Dynamics, Judge) {
        let rows: Vec<f32> = LOGITS.iter().flat_map(|&x| [0.0, x, 0.0]).collect();
        let dynamics = of_one_epoch(dynclean_json::read(CORPUS).unwrap(), &rows);
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        (dynamics, judge)
    }

    fn below(threshold: f32) -> Settings {
        let rule = Rule::Fixed(threshold);
        Settings { negatives: rule, positives: rule, overlap_suppression: false, ..Settings::paper() }
    }

    #[test]
    fn forms_are_listed_with_what_is_decided_about_them() {
        let (dynamics, judge) = example();
        let corpus = &dynamics.corpus;
        let forms = SurfaceForms::new(corpus, &judge.index, &judge.assigned);
        let learned = forms.learned(&judge);
        let settings = below(0.0);
        let judgement = judge.under(&settings);
        let by_hand = BTreeMap::from([(6, Decision::Keep), (8, Decision::Relabel(0))]);
        let list = |by_hand, passing, order| {
            let list = FormList::new(&forms, &learned, &judgement, by_hand, passing);
            let rows = list.page(corpus, order, 0, 100);
            assert_eq!(rows.len(), list.len().0);
            for split in 0..=rows.len() + 1 {
                let mut pages = list.page(corpus, order, 0, split);
                pages.extend(list.page(corpus, order, split, 100));
                assert!(pages.iter().map(|row| row.form).eq(rows.iter().map(|row| row.form)), "split at {split}");
            }
            rows
        };
        let shown = |rows: &[FormRow]| -> Vec<(String, LabelId, u32, u32)> {
            rows.iter().map(|row| (row.words.join(" "), row.label, row.n, row.judged)).collect()
        };
        let form = |words: &str, label, n, judged| (words.to_owned(), label, n, judged);

        // Margins of the Ys: 0 − 0 against O at span 6 and 8; of X at 12: −4; of O: 0 − max(x, 0).
        let none = BTreeMap::new();
        let rows = list(&none, None, FormOrder::Labels);
        assert_eq!(
            shown(&rows),
            [
                form("The", 2, 2, 0),
                form("New York", 1, 1, 0),
                form("York", 1, 1, 0),
                form("The", 1, 1, 1),
                form("The", 0, 1, 1)
            ]
        );
        let the = &rows[0];
        assert_eq!((the.mean, the.lowest), (0.0, (6, 0.0)));
        assert_eq!(the.elsewhere, [(0, 1), (1, 1)]);
        assert_eq!(rows[3].lowest, (12, -4.0));
        assert_eq!(
            rows.iter().map(|row| row.decision).collect::<Vec<_>>()[2..],
            [Some(Decision::Keep), Some(Decision::Remove), Some(Decision::Remove)]
        );
        let by_mean = list(&none, None, FormOrder::Mean);
        assert_eq!(by_mean.iter().map(|row| row.mean).collect::<Vec<_>>(), [-4.0, -0.5, 0.0, 1.0, 2.0]);
        let by_share = list(&none, None, FormOrder::Judged);
        assert_eq!(by_share.iter().map(|row| row.judged).collect::<Vec<_>>(), [1, 1, 0, 0, 0]);

        // By hand: one of two Ys goes, which is not the same for all.
        let rows = list(&by_hand, None, FormOrder::Labels);
        assert_eq!((rows[0].judged, rows[0].by_hand, rows[0].decision), (1, 2, None));
        let all = BTreeMap::from([(6, Decision::Relabel(1)), (8, Decision::Relabel(1))]);
        assert_eq!(list(&all, None, FormOrder::Labels)[0].decision, Some(Decision::Relabel(1)));
        // What is labelled O and judged wrong by nobody is listed once it is decided by hand.
        let kept = BTreeMap::from([(0, Decision::Keep), (1, Decision::Keep)]);
        assert_eq!(shown(&list(&kept, None, FormOrder::Labels))[4..], [form("The", 0, 1, 0), form("The New", 0, 1, 0)]);

        // A filter chooses forms, and leaves their numbers whole.
        let facts = Facts { judgement: &judgement, by_hand: &none, differing: &[], other_aum: &[], corpus, gold: None };
        let only = Selection::new(&Filter { text: "york".to_owned(), ..Filter::default() }, &facts);
        let passing = forms.passing(&only);
        let rows = list(&none, Some(&passing), FormOrder::Labels);
        assert_eq!(shown(&rows), [form("New York", 1, 1, 0), form("York", 1, 1, 0)]);
    }

    #[test]
    fn forms_are_the_spans_with_the_same_words() {
        let (dynamics, judge) = example();
        let forms = SurfaceForms::new(&dynamics.corpus, &judge.index, &judge.assigned);
        assert_eq!(forms.of_span.len(), judge.index.len());
        let settings = below(0.0);
        let judgement = judge.under(&settings);
        for span in 0..judge.index.len() as SpanId {
            let same = SameForm::new(&dynamics.corpus, &judgement, &BTreeMap::new(), span).unwrap();
            assert_eq!(forms.spans(forms.of_span[span as usize]), same.groups[0].spans, "span {span}");
        }
        assert!(forms.spans(99).is_empty());
    }
}
