//! A synthetic run of the size of CoNLL-2003's training set. It is the same on every machine.

use shared::corpus::labels::{LabelId, LabelSet, O};
use shared::corpus::span::{Span, SpanId, SpanIndex};
use shared::corpus::{Corpus, Entity, TokenTable};
use shared::recording::dynamics::{
    Dynamics, EpochLogits, Negatives, Precision, Run, RunInfo, SampleScheme, ThresholdRun,
};

/// 13,804 sentences of 15 tokens, spans of up to 8: 1,269,968 candidates.
const SENTENCES: u32 = 13_804;
const TOKENS: u32 = 15;
const WIDTH: u32 = 8;
const TYPES: usize = 4;
const EPOCHS: usize = 5;

/// xorshift32: it is fast, and its quality is good enough here.
struct Dice(u32);

impl Dice {
    /// A number in −1..1, more often near 0.
    fn bell(&mut self) -> f32 {
        self.uniform() + self.uniform() - 1.0
    }

    /// A number in 0..1.
    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }
}

/// A run with two entities per sentence. The model has learned another label for about every fifth positive and
/// for one in 150 negatives.
pub fn run() -> Dynamics {
    let mut dice = Dice(1);
    let mut tokens = TokenTable::default();
    let (mut distant, mut gold) = (Vec::new(), Vec::new());
    for sentence in 0..SENTENCES {
        // A fifth of the words are capitalised, most of them where entities are.
        let word = |token: u32| {
            let initial = if matches!(token % 7, 2 | 3) || (sentence + token).is_multiple_of(17) { 'W' } else { 'w' };
            format!("{initial}{}", (sentence * 31 + token * 7) % 4999)
        };
        tokens.push((0..TOKENS).map(word)).expect("fits");
        for start in [2, 9] {
            let label = 1 + (sentence + start) as LabelId % TYPES as LabelId;
            let span = Span { sentence, start, end: start + sentence % 3 };
            distant.push(Entity { span, label });
            if dice.uniform() > 0.2 {
                gold.push(Entity { span, label });
            }
        }
    }
    let labels = LabelSet::from_types(["LOC", "MISC", "ORG", "PER"]);
    let corpus = Corpus { tokens, labels, entities: distant, ..Corpus::default() };
    let index = corpus.span_index(WIDTH).expect("1.27 million spans");
    let assigned = corpus.dense_labels(&index);
    let run = Run { epochs: epochs(&mut dice, &assigned, TYPES), scores: vec![] };
    let (spans, wrong) = samples(&index, &assigned);
    let sample_epochs = epochs(&mut dice, &wrong, TYPES + 1);
    Dynamics {
        info: RunInfo {
            name: "made up".into(),
            max_span_width: WIDTH,
            negatives: Negatives::Top,
            ..RunInfo::default()
        },
        corpus,
        gold: Some(gold),
        contradicted: Vec::new(),
        run,
        threshold_run: Some(ThresholdRun {
            scheme: SampleScheme::FakeClass,
            spans,
            assigned: wrong,
            run: Run { epochs: sample_epochs, scores: vec![] },
        }),
        complete: true,
        whole: None,
    }
}

fn epochs(dice: &mut Dice, assigned: &[LabelId], n_types: usize) -> Vec<EpochLogits> {
    // The lead of each span's own label over the others, over all epochs.
    let lead: Vec<f32> = assigned
        .iter()
        .map(|&label| {
            let is_doubtful = dice.uniform() < if label == O { 1.0 / 150.0 } else { 0.2 };
            if is_doubtful { -1.0 + 2.0 * dice.bell() } else { 5.0 + 4.0 * dice.bell() }
        })
        .collect();
    let epoch = |dice: &mut Dice| {
        let mut rows = Vec::with_capacity(assigned.len() * (n_types + 1));
        for (&label, &lead) in assigned.iter().zip(&lead) {
            for other in 0..=n_types {
                rows.push(dice.bell() + if usize::from(label) == other { lead } else { 0.0 });
            }
        }
        EpochLogits::from_rows(&rows, n_types, Precision::F16).expect("whole rows")
    };
    (0..EPOCHS).map(|_| epoch(dice)).collect()
}

/// A quarter of the positives and about as many negatives, with the extra class as label.
fn samples(index: &SpanIndex, assigned: &[LabelId]) -> (Vec<SpanId>, Vec<LabelId>) {
    let n = index.len() as SpanId;
    let spans: Vec<SpanId> =
        (0..n).filter(|&span| if assigned[span as usize] == O { span % 180 == 0 } else { span % 4 == 0 }).collect();
    let wrong = vec![TYPES as LabelId + 1; spans.len()];
    (spans, wrong)
}
