//! Surface forms: all spans with the same words and the same distant label, to be decided together. An error of a
//! dictionary repeats everywhere ("The" as a name, 156 times), and a model learns such labels as easily as right
//! ones. No threshold finds them, but a person sees them at once.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::filter::Selection;
use crate::sort::{ascending, by_key};
use shared::corpus::Corpus;
use shared::corpus::decision::Decision;
use shared::corpus::labels::{LabelId, O};
use shared::corpus::span::{Span, SpanId, SpanIndex};
use shared::detection::judge::Judge;
use shared::detection::judgement::Judgement;

/// Number of a surface form with one distant label, in order of first occurrence.
pub type FormId = u32;

/// All surface forms of a corpus, by distant label. They take 4 bytes per span and 16 per form.
#[derive(Debug, Clone)]
pub struct SurfaceForms {
    /// The form of every span.
    of_span: Vec<FormId>,
    forms: Vec<Form>,
}

#[derive(Debug, Clone, Copy)]
struct Form {
    label: LabelId,
    n: u32,
    first: SpanId,
    /// The next form with the same words and another label. The last one points to the first, so they make a ring.
    sibling: FormId,
}

/// How well the labels of each form were learned: one element per form. It depends on window and metric.
#[derive(Debug, Clone)]
pub struct Learned {
    /// Mean of the metric over the spans that have it; NaN if none has it.
    mean: Vec<f32>,
    /// The span with the lowest metric; the first span if none has a metric.
    lowest: Vec<SpanId>,
}

/// The order in which forms are listed. Ties are in order of first occurrence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FormOrder {
    /// Positives by number of spans, highest first; then negatives by number judged wrong, highest first.
    #[default]
    Labels,
    /// By the mean of the metric, lowest first.
    Mean,
    /// By the share judged wrong, highest first. With equal shares, the form with most spans comes first.
    Judged,
}

/// A surface form with one distant label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FormRow {
    /// Number of the form.
    pub form: FormId,
    /// The words, as written.
    pub words: Vec<String>,
    /// The distant label.
    pub label: LabelId,
    /// Number of spans with these words and this label.
    pub n: u32,
    /// Number of them that do not keep their label, including decisions by hand.
    pub judged: u32,
    /// Number of them that are decided by hand.
    pub by_hand: u32,
    /// The decision about all of them; `None` if it is not the same for all.
    pub decision: Option<Decision>,
    /// Mean of the metric.
    pub mean: f32,
    /// The span with the lowest metric, and its metric.
    pub lowest: (SpanId, f32),
    /// The other distant labels of these words, with the number of spans.
    pub elsewhere: Vec<(LabelId, u32)>,
}

impl SurfaceForms {
    /// Groups all candidate spans by form. O(spans).
    pub fn new(corpus: &Corpus, index: &SpanIndex, assigned: &[LabelId]) -> Self {
        // For each distinct sequence of words: its first span, its hash, and the last form of its ring.
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
                // Spans with the same start follow each other, each one word longer than the last.
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

    /// Whether there are no forms, because there are no candidate spans.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// The form of a span; `None` if there is no such span.
    pub fn form(&self, span: SpanId) -> Option<FormId> {
        self.of_span.get(span as usize).copied()
    }

    /// The spans of a form, in ascending order; empty if the form does not exist.
    fn spans(&self, form: FormId) -> Vec<SpanId> {
        (0..).zip(&self.of_span).filter(|&(_, &of)| of == form).map(|(span, _)| span).collect()
    }

    /// How well the forms were learned, by the metric of this judge.
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
            // The first span may have no metric.
            if before.is_nan() || value < before {
                *low = span;
            }
            *sum = (sum.0 + f64::from(value), sum.1 + 1);
        }
        // 0/0 is NaN, if no span has a value.
        Learned { mean: sums.into_iter().map(|(sum, n)| (sum / f64::from(n)) as f32).collect(), lowest }
    }

    /// Whether each form has a span that passes a filter: one element per form.
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

/// The form with the label of `new` in the ring that contains `last`. If there is none, `new` is added.
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

/// The hash of a word sequence with one more word. On a collision, the words are compared.
fn mixed(words: u64, word: u64) -> u64 {
    let product = (words.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The table uses the lowest bits too, and a multiplication mixes those badly.
    product ^ product >> 32
}

/// The forms that can be decided under one judgement: all forms with an entity type, and those labelled `O` with a
/// span that is judged wrong or decided by hand.
#[derive(Debug)]
pub struct FormList<'a> {
    forms: &'a SurfaceForms,
    learned: &'a Learned,
    judgement: &'a Judgement<'a>,
    by_hand: &'a BTreeMap<SpanId, Decision>,
    /// For each form: the number of spans that do not keep their label, and of spans decided by hand.
    counts: Vec<(u32, u32)>,
    listed: Vec<FormId>,
    total: usize,
}

impl<'a> FormList<'a> {
    /// Makes the list, in time proportional to the number of forms and of decisions. With `passing`, only these
    /// forms are listed.
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

    /// Number of listed forms, and the number without `passing`.
    pub fn len(&self) -> (usize, usize) {
        (self.listed.len(), self.total)
    }

    /// Whether no form is listed.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The rows `offset..offset + limit` in this order.
    pub fn page(&self, corpus: &Corpus, order: FormOrder, offset: usize, limit: usize) -> Vec<FormRow> {
        let sorted = by_key(self.listed.iter().filter_map(|&form| Some((self.key(form, order)?, form))));
        sorted.into_iter().skip(offset).take(limit).filter_map(|form| self.row(corpus, form)).collect()
    }

    /// The sort key of a form. Forms with lower keys come first.
    fn key(&self, number: FormId, order: FormOrder) -> Option<u32> {
        let at = number as usize;
        let (form, &(judged, _)) = (self.forms.forms.get(at)?, self.counts.get(at)?);
        Some(match order {
            FormOrder::Labels if form.label == O => u32::MAX - judged,
            FormOrder::Labels => u32::MAX / 2 - form.n.min(u32::MAX / 2),
            FormOrder::Mean => ascending(self.learned.mean.get(at).copied().unwrap_or(f32::NAN)),
            FormOrder::Judged => {
                // Shares to four digits: with nearly equal shares, the form with most spans comes first.
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

    /// The decision about all spans of a form; `None` if it is not the same for all.
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
        let others: Vec<&Form> = others.filter_map(|form| self.forms.forms.get(form as usize)).collect();
        let labels = by_key(others.iter().map(|form| (u32::MAX - form.n, u32::from(form.label))));
        let number = |label: u32| others.iter().find(|form| u32::from(form.label) == label).map_or(0, |form| form.n);
        labels.into_iter().map(|label| (label as LabelId, number(label))).collect()
    }
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

    /// Spans of sentence 0: 0 The, 1 The New, 2 The New York, 3 New, 4 New York (X), 5 York. Sentence 1: 6 The
    /// (Y), 7 The The, 8 The (Y). Sentence 2: 9 New, 10 New York, 11 York (X). Sentence 3: 12 The (X).
    const CORPUS: &[u8] = br#"[
        {"tokens": ["The", "New", "York"], "entities": [[1, 2, "X"]]},
        {"tokens": ["The", "The"], "entities": [[0, 0, "Y"], [1, 1, "Y"]]},
        {"tokens": ["New", "York"], "entities": [[1, 1, "X"]]},
        {"tokens": ["The"], "entities": [[0, 0, "X"]]}]"#;

    /// Logits of X by span. The logits of O and Y are 0.
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

        // Margins: 0 − 0 for the Ys at spans 6 and 8; −4 for the X at span 12; 0 − max(x, 0) for the spans
        // labelled O.
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

        // By hand: one of the two Ys is changed, so the decision is not the same for all.
        let rows = list(&by_hand, None, FormOrder::Labels);
        assert_eq!((rows[0].judged, rows[0].by_hand, rows[0].decision), (1, 2, None));
        let all = BTreeMap::from([(6, Decision::Relabel(1)), (8, Decision::Relabel(1))]);
        assert_eq!(list(&all, None, FormOrder::Labels)[0].decision, Some(Decision::Relabel(1)));
        // A form labelled O that no threshold judges wrong is listed when one of its spans is decided by hand.
        let kept = BTreeMap::from([(0, Decision::Keep), (1, Decision::Keep)]);
        assert_eq!(shown(&list(&kept, None, FormOrder::Labels))[4..], [form("The", 0, 1, 0), form("The New", 0, 1, 0)]);

        // A filter selects forms, but does not change their counts.
        let facts = Facts::alone(&judgement, &none, corpus);
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
