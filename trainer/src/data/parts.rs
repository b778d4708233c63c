//! Some sentences of a recording as a recording of their own: parts of it, or all parts as one file.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use shared::cleaning::Decisions;
use shared::corpus::select_entities;
use shared::corpus::span::{SpanId, SpanIndex};
use shared::recording::dyn_file::{self, EpochSection, RunKind};
use shared::recording::dynamics::{Run, RunInfo, ThresholdRun};
use shared::recording::whole::Origin;

use crate::data::recording::Recording;
use crate::files::write_whole_by;

/// Divides the sentences of a recording into `n` parts of about the same number of candidate spans. A recording of few
/// sentences has fewer parts.
///
/// # Errors
/// When there are too many spans to number.
pub fn divide(recording: &Recording, n: u32) -> Result<Vec<Range<u32>>> {
    let index = recording.dynamics.span_index()?;
    let n_sentences = recording.dynamics.corpus.n_sentences() as u32;
    let mut parts = Vec::new();
    let mut start = 0;
    for number in 1..=u64::from(n) {
        let until = (index.len() as u64 * number).div_ceil(u64::from(n));
        let mut end = start;
        while end < n_sentences {
            let spans = index.of_sentence(end);
            // A sentence without spans goes with the one before.
            if u64::from(spans.start) >= until && !(spans.is_empty() && end > start) {
                break;
            }
            end += 1;
        }
        if end > start {
            parts.push(start..end);
        }
        start = end;
    }
    Ok(parts)
}

/// Writes a recording of these sentences, which must be in ascending order. Needs memory for the text only.
///
/// # Errors
/// When the recording cannot be read any more, or the file cannot be written.
pub fn write(recording: &Recording, sentences: &[u32], out: &Path) -> Result<()> {
    ensure!(
        recording.dynamics.whole.is_none(),
        "{}: this is an extract. Divide or join the recordings that extracts come from",
        recording.path().display()
    );
    write_with(recording, &recording.dynamics.info, sentences, &[], out)
}

/// Writes a recording of the most suspicious sentences, which have at most `n_spans` candidate spans together. The file
/// has enough facts about the whole recording to judge its labels in the same way as there. Returns the number of
/// sentences and of candidate spans in the file.
///
/// # Errors
/// When the recording cannot be judged or is an extract itself, or the file cannot be written.
pub fn extract(recording: &Recording, n_spans: usize, out: &Path) -> Result<(usize, usize)> {
    let dynamics = &recording.dynamics;
    ensure!(dynamics.whole.is_none(), "{}: this is an extract already", recording.path().display());
    let settings = recording.settings();
    let judge = recording.judge(settings.window, settings.metric)?;
    let judgement = judge.under(&settings);
    let sentences = judgement.most_suspicious(n_spans);
    let n = sentences.iter().map(|&sentence| judge.index.of_sentence(sentence).len()).sum();
    let (own, all, name) = (sentences.len(), judge.index.n_sentences(), &dynamics.info.name);
    // Page and report show this name, so that nobody takes the extract for the whole.
    let name = format!("{name}, the {own} most suspicious of {all} sentences");
    let info = RunInfo { name, ..dynamics.info.clone() };
    let origin = Origin { digest: recording.digest.clone(), sentences: sentences.clone() };
    let facts = dyn_file::extract(&judgement.whole(&sentences), &origin);
    write_with(recording, &info, &sentences, &facts, out)?;
    Ok((sentences.len(), n))
}

/// Turns decisions about an extract into decisions about the whole recording.
///
/// # Errors
/// When a file cannot be read, the recording is no extract, or the decisions are about another one.
pub fn decisions_about_the_whole(extract: &Path, decisions: &Path) -> Result<Decisions> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let bytes = read(extract)?;
    let origin = dyn_file::origin(&bytes).with_context(|| extract.display().to_string())?;
    let origin = origin.with_context(|| format!("{} is no extract of a recording", extract.display()))?;
    let of_extract = Decisions::read(&read(decisions)?, &dyn_file::digest(&bytes));
    let mut about = of_extract.with_context(|| decisions.display().to_string())?;
    about.dynamics = origin.digest;
    about.move_sentences(|sentence| origin.sentences.get(sentence as usize).copied())?;
    Ok(about)
}

/// Writes some sentences of a recording, with sections of their own after the text.
fn write_with(recording: &Recording, info: &RunInfo, sentences: &[u32], own: &[u8], out: &Path) -> Result<()> {
    let dynamics = &recording.dynamics;
    let index = dynamics.span_index()?;
    let spans = spans_of(&index, sentences);
    let corpus = dynamics.corpus.select(sentences);
    let gold = dynamics.gold.as_deref().map(|gold| select_entities(gold, sentences));
    let begin = if dynamics.run.is_margins() { dyn_file::begin_margins } else { dyn_file::begin };
    write_whole_by(out, |file| {
        let mut file = BufWriter::new(file);
        file.write_all(&begin(info, &corpus, gold.as_deref()))?;
        file.write_all(own)?;
        file.write_all(&dyn_file::contradicted(&dynamics.contradicted))?;
        for epoch in 0..recording.n_epochs() {
            if let Some(section) = recording.section(epoch, &spans) {
                write_epoch(recording, epoch, &spans, section, &mut file)?;
            }
            if let Some(&score) = dynamics.run.scores.get(epoch) {
                file.write_all(&dyn_file::score(RunKind::Main, score))?;
            }
        }
        if let Some(threshold) = &dynamics.threshold_run {
            file.write_all(&dyn_file::threshold_run(&samples_of(threshold, &spans)))?;
        }
        if dynamics.complete {
            file.write_all(&dyn_file::end())?;
        }
        Ok(file.flush()?)
    })
}

/// Writes an epoch of the main run. Its checksum stands before its columns, so the beginning is written last.
fn write_epoch(
    recording: &Recording,
    epoch: usize,
    spans: &[Range<usize>],
    mut section: EpochSection,
    file: &mut BufWriter<&mut File>,
) -> Result<()> {
    let start = file.stream_position()?;
    file.write_all(&vec![0; section.opening_length()])?;
    recording.copy_columns(epoch, spans, Both(&mut section, &mut *file))?;
    let end = file.stream_position()?;
    file.seek(SeekFrom::Start(start))?;
    file.write_all(&section.opening())?;
    file.seek(SeekFrom::Start(end))?;
    Ok(())
}

/// Writes the same bytes to both.
struct Both<'a, A, B>(&'a mut A, &'a mut B);

impl<A: Write, B: Write> Write for Both<'_, A, B> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(bytes)?;
        self.1.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the candidate spans of these sentences. Spans that follow each other form one range.
fn spans_of(index: &SpanIndex, sentences: &[u32]) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    for own in sentences.iter().map(|&sentence| index.of_sentence(sentence)) {
        let own = own.start as usize..own.end as usize;
        match spans.last_mut() {
            Some(last) if last.end == own.start => last.end = own.end,
            _ => spans.push(own),
        }
    }
    spans
}

/// Returns the threshold samples among these spans, numbered anew.
fn samples_of(threshold: &ThresholdRun, spans: &[Range<usize>]) -> ThresholdRun {
    let mut before = 0;
    let mut own: Vec<(usize, SpanId)> = Vec::new();
    for range in spans {
        let first = threshold.spans.partition_point(|&span| (span as usize) < range.start);
        let samples = threshold.spans.iter().enumerate().skip(first);
        let samples = samples.take_while(|&(_, &span)| (span as usize) < range.end);
        own.extend(samples.map(|(row, &span)| (row, (span as usize - range.start + before) as SpanId)));
        before += range.len();
    }
    let rows: Vec<usize> = own.iter().map(|&(row, _)| row).collect();
    ThresholdRun {
        scheme: threshold.scheme,
        spans: own.iter().map(|&(_, span)| span).collect(),
        assigned: own.iter().filter_map(|&(row, _)| threshold.assigned.get(row).copied()).collect(),
        run: Run {
            epochs: threshold.run.epochs.iter().map(|epoch| epoch.select(&rows)).collect(),
            scores: threshold.run.scores.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use shared::corpus::Corpus;
    use shared::formats::dynclean_json;
    use shared::recording::dynamics::{Dynamics, EpochLogits, Precision, RunInfo, SampleScheme};

    use super::*;

    /// Eight sentences, of which two are empty, of 1, 3, 6, 10, … spans.
    fn corpus() -> Corpus {
        let sentence = |n: usize| {
            let tokens = vec!["\"Ada\""; n].join(",");
            let entities = if n > 1 { "[0, 1, \"X\"]" } else { "" };
            let unknown = if n > 2 { "[2, 2]" } else { "" };
            format!(r#"{{"tokens": [{tokens}], "entities": [{entities}], "unknown": [{unknown}], "id": {n}}}"#)
        };
        let json = format!("[{}]", [1, 0, 2, 3, 4, 5, 6, 0].map(sentence).join(","));
        dynclean_json::read(json.as_bytes()).unwrap()
    }

    fn logits(n: usize, types: usize, seed: usize) -> EpochLogits {
        let rows: Vec<f32> = (0..n * (types + 1)).map(|i| ((i * i + seed) % 37) as f32 - 9.5).collect();
        EpochLogits::from_rows(&rows, types, Precision::F16).unwrap()
    }

    fn dynamics() -> Dynamics {
        let corpus = corpus();
        let n = corpus.span_index(8).unwrap().len();
        assert_eq!(n, 56);
        Dynamics {
            info: RunInfo { max_span_width: 8, ..RunInfo::default() },
            gold: Some(corpus.entities[2..].to_vec()),
            corpus,
            contradicted: vec![],
            run: Run { epochs: (1..4).map(|epoch| logits(n, 1, epoch)).collect(), scores: vec![] },
            threshold_run: Some(ThresholdRun {
                scheme: SampleScheme::RandomOther,
                spans: vec![1, 3, 4, 20, 55],
                assigned: vec![0, 1, 1, 0, 1],
                run: Run { epochs: vec![logits(5, 1, 7)], scores: vec![] },
            }),
            complete: true,
            whole: None,
        }
    }

    fn recording(folder: &Path, dynamics: &Dynamics) -> Recording {
        let path = folder.join("whole.dyn");
        std::fs::write(&path, dyn_file::write(dynamics)).unwrap();
        Recording::open(&path).unwrap()
    }

    #[test]
    fn parts_have_whole_sentences_and_about_as_many_spans() {
        let folder = tempfile::tempdir().unwrap();
        let recording = recording(folder.path(), &dynamics());
        assert_eq!(divide(&recording, 1).unwrap(), std::slice::from_ref(&(0..8)));
        // 1, 0, 3, 6, 10, 15, 21, 0 spans: 35 are the first five sentences with spans.
        assert_eq!(divide(&recording, 2).unwrap(), [0..6, 6..8]);
        let many = divide(&recording, 100).unwrap();
        assert_eq!(many, [0..2, 2..3, 3..4, 4..5, 5..6, 6..8]);
    }

    #[test]
    fn parts_together_are_the_whole_byte_for_byte() {
        let mut margins = dynamics();
        for epoch in &mut margins.run.epochs {
            *epoch = EpochLogits::from_margins((0..56).map(|i| (i * 5 % 13) as f32 - 6.0).collect());
        }
        let cut_off = Dynamics { complete: false, threshold_run: None, ..dynamics() };
        for dynamics in [dynamics(), margins] {
            let folder = tempfile::tempdir().unwrap();
            let whole = recording(folder.path(), &dynamics);
            for n in [1, 2, 3, 100] {
                let parts = folder.path().join(format!("{n}"));
                std::fs::create_dir(&parts).unwrap();
                for (number, sentences) in divide(&whole, n).unwrap().into_iter().enumerate() {
                    let path = parts.join(format!("part-{number}.dyn"));
                    write(&whole, &sentences.collect::<Vec<_>>(), &path).unwrap();
                }
                let merged = folder.path().join("merged.dyn");
                let joined = Recording::open(&parts).unwrap();
                assert_eq!(joined.dynamics, whole.dynamics);
                write(&joined, &(0..8).collect::<Vec<_>>(), &merged).unwrap();
                assert!(std::fs::read(&merged).unwrap() == dyn_file::write(&dynamics), "{n} parts");
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let whole = recording(folder.path(), &cut_off);
        let copy = folder.path().join("copy.dyn");
        write(&whole, &(0..8).collect::<Vec<_>>(), &copy).unwrap();
        assert!(std::fs::read(copy).unwrap() == dyn_file::write(&cut_off), "without its end");
    }

    #[test]
    fn some_sentences_keep_what_belongs_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let dynamics = dynamics();
        let whole = recording(folder.path(), &dynamics);
        let some = folder.path().join("some.dyn");
        write(&whole, &[0, 2, 5], &some).unwrap();
        let some = dyn_file::read(&std::fs::read(some).unwrap()).unwrap();
        assert_eq!(some.corpus, dynamics.corpus.select(&[0, 2, 5]));
        // Spans 0, 1 to 3, and 20 to 34.
        let kept: Vec<usize> = [0, 1, 2, 3].into_iter().chain(20..35).collect();
        for (epoch, all) in some.run.epochs.iter().zip(&dynamics.run.epochs) {
            assert_eq!(*epoch, all.select(&kept));
        }
        let (samples, all) = (some.threshold_run.unwrap(), dynamics.threshold_run.unwrap());
        assert_eq!((samples.spans, samples.assigned), (vec![1, 3, 4], vec![0, 1, 0]));
        assert_eq!(samples.run.epochs[0], all.run.epochs[0].select(&[0, 1, 3]));
    }

    #[test]
    fn a_folder_says_which_part_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let whole = recording(folder.path(), &dynamics());
        let at = |name: &str| folder.path().join("parts").join(name);
        std::fs::create_dir(folder.path().join("parts")).unwrap();
        let open = || Recording::open(&folder.path().join("parts")).err().map(|error| format!("{error:#}"));
        assert!(open().unwrap().contains("without .dyn files"));
        write(&whole, &[0, 1], &at("part-9.dyn")).unwrap();
        write(&whole, &[2, 3], &at("part-10.dyn")).unwrap();
        std::fs::write(at("notes.txt"), "no part").unwrap();
        assert_eq!(open(), None);
        let bytes = std::fs::read(at("part-9.dyn")).unwrap();
        for damaged in [&bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat()] {
            std::fs::write(at("part-9.dyn"), damaged).unwrap();
            assert!(open().unwrap().contains("part-9.dyn is cut off, or has bytes after its end"));
        }
        std::fs::write(at("part-9.dyn"), &bytes).unwrap();
        std::fs::copy(at("part-9.dyn"), at("part-11.dyn")).unwrap();
        assert!(open().unwrap().contains("part-11.dyn: part 3"));
        std::fs::remove_file(at("part-11.dyn")).unwrap();
        for (old, new) in [("part-9.dyn", "part-1-of-3.dyn"), ("part-10.dyn", "part-2-of-3.dyn")] {
            std::fs::rename(at(old), at(new)).unwrap();
        }
        assert!(open().unwrap().contains("has 2 of the 3 parts"));
        write(&whole, &[4], &at("part-3-of-3.dyn")).unwrap();
        assert_eq!(open(), None);
    }
}
