//! Makes `web/sample.dyn`, the file that "Open the sample" opens. It contains the first sentences and epochs of a
//! run on the bundled sample.
//!
//! cargo run --release -p tests --example sample -- RUN/dynamics.dyn web/sample.dyn

use shared::corpus::{Corpus, TokenTable};
use shared::recording::dyn_file;
use shared::recording::dynamics::{Dynamics, EpochLogits, Precision, Run, ThresholdRun};

const SENTENCES: usize = 110;
const EPOCHS: usize = 5;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let (from, to) = (arguments.next().expect("a .dyn file"), arguments.next().expect("where to write"));
    let whole = dyn_file::read(&std::fs::read(from).unwrap()).unwrap();
    std::fs::write(to, dyn_file::write(&first_sentences(whole))).unwrap();
}

fn first_sentences(whole: Dynamics) -> Dynamics {
    let n = SENTENCES.min(whole.corpus.n_sentences());
    let mut tokens = TokenTable::default();
    for sentence in 0..n as u32 {
        tokens.push(whole.corpus.tokens.sentence(sentence)).unwrap();
    }
    let is_in = |sentence: u32| (sentence as usize) < n;
    let corpus = Corpus {
        tokens,
        labels: whole.corpus.labels.clone(),
        entities: whole.corpus.entities.iter().copied().filter(|e| is_in(e.span.sentence)).collect(),
        unknown: whole.corpus.unknown.iter().copied().filter(|s| is_in(s.sentence)).collect(),
        extra: whole.corpus.extra.iter().filter(|(sentence, _)| is_in(*sentence)).cloned().collect(),
        layout: whole.corpus.layout.clone(),
    };
    let n_spans = corpus.span_index(whole.info.max_span_width).unwrap().len();
    let threshold_run = whole.threshold_run.map(|run| {
        let n_samples = run.spans.iter().filter(|&&span| (span as usize) < n_spans).count();
        ThresholdRun {
            scheme: run.scheme,
            spans: run.spans[..n_samples].to_vec(),
            assigned: run.assigned[..n_samples].to_vec(),
            run: first_rows(&run.run, n_samples),
        }
    });
    Dynamics {
        info: whole.info,
        gold: whole.gold.map(|gold| gold.into_iter().filter(|e| is_in(e.span.sentence)).collect()),
        contradicted: Vec::new(),
        run: first_rows(&whole.run, n_spans),
        corpus,
        threshold_run,
        complete: true,
        whole: None,
    }
}

/// Returns the rows of the first `n` spans at the first epochs. Spans are numbered by sentence.
fn first_rows(run: &Run, n: usize) -> Run {
    let epochs = run.epochs.iter().take(EPOCHS).map(|epoch| {
        let rows: Vec<f32> = (0..n).flat_map(|span| epoch.row(span)).collect();
        EpochLogits::from_rows(&rows, epoch.n_types(), Precision::F16).unwrap()
    });
    Run { epochs: epochs.collect(), scores: run.scores.iter().take(EPOCHS).copied().collect() }
}
