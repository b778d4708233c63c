//! Writes a real corpus in every format and reads it back.

use shared::corpus::Corpus;
use shared::formats::{self, Content, Format, Layers, Layout, ReadOptions, TagJson, TagNames, WriteOptions};

fn back(written: &formats::Written, format: Format) -> Layers {
    let mut options = ReadOptions { format: Some(format), ..ReadOptions::default() };
    if let Layout::Bond(TagJson { ids: Some(ids), .. }) = &written.layout {
        options.tags = Some(TagNames::from_list(ids.iter().map(|(_, name)| name.as_str())));
    }
    match &written.content {
        Content::Text(text) => {
            // DynClean JSON, BOND and Label Studio are all arrays. Each must be recognised by its fields.
            assert_eq!(formats::detect(text.as_bytes()), Ok(format));
            formats::read(text.as_bytes(), &options)
        }
        Content::Documents(documents) => formats::brat::read(documents, &options),
    }
    .unwrap_or_else(|e| panic!("{format:?}: {e}"))
}

/// Returns entities as (sentence, surface without blanks, type). Text formats keep all three.
fn surfaces(corpus: &Corpus) -> Vec<(u32, String, String)> {
    let surface = |e: &shared::corpus::Entity| {
        let text: String = corpus.tokens.surface(e.span).split(' ').collect();
        (e.span.sentence, text, corpus.labels.name(e.label).to_owned())
    };
    let mut surfaces: Vec<_> = corpus.entities.iter().map(surface).collect();
    surfaces.sort();
    surfaces
}

#[test]
fn wikigold_survives_every_format() {
    let Some(data) = tests::corpora("wikigold_survives_every_format") else { return };
    let bytes = std::fs::read(data.join("wikigold/train-distant.json")).unwrap();
    let corpus = formats::read(&bytes, &ReadOptions::default()).unwrap().corpus;
    assert!(corpus.entities.len() > 2000);
    for format in Format::ALL {
        let written = formats::write(&corpus, &WriteOptions { format: Some(format), unknown: None });
        let Layers { corpus: again, .. } = back(&written, format);
        assert_eq!(surfaces(&again), surfaces(&corpus), "{format:?}");
        let keeps_tokens = !matches!(format, Format::LabelStudio | Format::Brat);
        if keeps_tokens {
            assert_eq!(again.tokens, corpus.tokens, "{format:?}");
            assert!(written.notes.is_empty(), "{format:?}: {:?}", written.notes);
        }
        // Writing the corpus that was read gives the same bytes again.
        assert_eq!(formats::write(&again, &WriteOptions::default()).content, written.content, "{format:?}");
    }
}
