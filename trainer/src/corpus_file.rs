//! Reading and checking corpora from disk.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use shared::corpus::Corpus;
use shared::formats::dynclean_json;
use shared::labels::LabelSet;

/// Reads a corpus in DynClean JSON.
///
/// # Errors
/// Names the file, the line and what was expected.
pub fn read(path: &Path) -> Result<Corpus> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    dynclean_json::read(&bytes).map_err(|e| anyhow!("{}, {e}", path.display()))
}

/// The files of a run.
#[derive(Debug, Clone)]
pub struct CorpusFiles {
    /// Distantly labelled training sentences.
    pub train: PathBuf,
    /// The same sentences with gold labels, for evaluating the cleaning only.
    pub train_gold: Option<PathBuf>,
    /// Held-out sentences with gold labels, to choose the best epoch.
    pub dev: PathBuf,
    /// Sentences with gold labels to measure the gain on.
    pub test: PathBuf,
}

/// The corpora of a run, all with one label set.
pub struct Corpora {
    /// See [`CorpusFiles`].
    pub train: Corpus,
    /// See [`CorpusFiles`].
    pub train_gold: Option<Corpus>,
    /// See [`CorpusFiles`].
    pub dev: Corpus,
    /// See [`CorpusFiles`].
    pub test: Corpus,
}

impl CorpusFiles {
    /// Reads all files and numbers their labels alike.
    ///
    /// # Errors
    /// When a file cannot be read, is empty, or the gold sentences are not the training sentences.
    pub fn read(&self) -> Result<Corpora> {
        let train = read(&self.train)?;
        let train_gold = self.train_gold.as_deref().map(read).transpose()?;
        let (dev, test) = (read(&self.dev)?, read(&self.test)?);
        for (corpus, path) in [(&train, &self.train), (&dev, &self.dev), (&test, &self.test)] {
            ensure!(corpus.n_sentences() > 0, "{} has no sentences", path.display());
        }
        ensure!(
            !train.entities.is_empty(),
            "{} has no entities: the distant labels are what a model learns from",
            self.train.display()
        );
        if let (Some(gold), Some(path)) = (&train_gold, &self.train_gold) {
            same_text(&train, &self.train, gold, path)?;
        }
        let all = [Some(&train), train_gold.as_ref(), Some(&dev), Some(&test)];
        let types = all.into_iter().flatten().flat_map(|corpus| corpus.labels.types().iter().cloned());
        let labels = LabelSet::from_types(types);
        Ok(Corpora {
            train: train.with_labels(&labels)?,
            train_gold: train_gold.map(|gold| gold.with_labels(&labels)).transpose()?,
            dev: dev.with_labels(&labels)?,
            test: test.with_labels(&labels)?,
        })
    }

    /// Digests of all files, in order: to notice when one changes under a run.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digests(&self) -> Result<Vec<String>> {
        let files = [Some(&self.train), self.train_gold.as_ref(), Some(&self.dev), Some(&self.test)];
        let digest = |path: &PathBuf| {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(shared::dyn_file::digest(&bytes))
        };
        files.into_iter().flatten().map(digest).collect()
    }
}

/// Checks that two corpora have the same sentences.
///
/// # Errors
/// Names the first sentence that differs.
pub fn same_text(a: &Corpus, a_path: &Path, b: &Corpus, b_path: &Path) -> Result<()> {
    let n = a.n_sentences().min(b.n_sentences()) as u32;
    if let Some(sentence) = (0..n).find(|&s| !a.tokens.sentence(s).eq(b.tokens.sentence(s))) {
        let text = |corpus: &Corpus| corpus.tokens.sentence(sentence).take(8).collect::<Vec<_>>().join(" ");
        return Err(anyhow!(
            "sentence {sentence} (from 0) differs: {} has \"{}…\", {} has \"{}…\"; both must hold the same \
             sentences in the same order",
            a_path.display(),
            text(a),
            b_path.display(),
            text(b)
        ));
    }
    ensure!(
        a.n_sentences() == b.n_sentences(),
        "{} has {} sentences, {} has {}; both must hold the same sentences",
        a_path.display(),
        a.n_sentences(),
        b_path.display(),
        b.n_sentences()
    );
    Ok(())
}
