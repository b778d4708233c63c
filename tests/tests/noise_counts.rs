//! Compares the enumeration of candidate spans with the noise counts that the paper's code publishes.

use shared::corpus::labels::O;
use shared::corpus::span::DEFAULT_MAX_WIDTH;
use shared::formats::dynclean_json;

/// Corpus, candidate spans, false negatives, false positives.
const PUBLISHED: [(&str, usize, usize, usize); 3] =
    [("conll03", 1_269_878, 8146, 3128), ("wikigold", 174_867, 978, 1188), ("wnut16", 286_407, 833, 537)];

#[test]
fn noise_counts_are_the_published_ones() {
    let Some(data) = tests::corpora("noise_counts_are_the_published_ones") else { return };
    for (name, spans, false_negatives, false_positives) in PUBLISHED {
        let read = |file: &str| {
            let path = data.join(name).join(file);
            dynclean_json::read(&std::fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{}, {e}", path.display()))
        };
        let (distant, gold) = (read("train-distant.json"), read("train-gold.json"));
        let index = distant.span_index(DEFAULT_MAX_WIDTH).unwrap();
        let labels = distant.labels.clone();
        let gold = gold.with_labels(&labels).unwrap().dense_labels(&index);
        let distant = distant.dense_labels(&index);
        let wrong =
            |positive: bool| distant.iter().zip(&gold).filter(|&(d, g)| d != g && (*d != O) == positive).count();
        assert_eq!((index.len(), wrong(false), wrong(true)), (spans, false_negatives, false_positives), "{name}");
    }
}

#[test]
fn real_corpora_survive_reading_and_writing() {
    let Some(data) = tests::corpora("real_corpora_survive_reading_and_writing") else { return };
    for (name, ..) in PUBLISHED {
        for file in ["train-distant.json", "train-gold.json", "dev.json", "test.json"] {
            let corpus = dynclean_json::read(&std::fs::read(data.join(name).join(file)).unwrap()).unwrap();
            assert_eq!(dynclean_json::read(dynclean_json::write(&corpus).as_bytes()).unwrap(), corpus);
        }
    }
}
