use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::dictionary::Entry;
use super::pattern::expand;
use super::templates::TEMPLATES;
use super::*;

/// The samples of the first seeds, generated once for all tests.
static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| (0..8).map(generate).collect());

fn sentences(sample: &Sample) -> impl Iterator<Item = &SampleSentence> {
    sample.train.iter().chain(&sample.dev).chain(&sample.test)
}

fn names(split: &[SampleSentence]) -> Vec<(&[String], &str)> {
    split
        .iter()
        .flat_map(|sentence| sentence.gold.iter().map(|span| (&sentence.tokens[span.start..=span.end], span.kind)))
        .collect()
}

/// Returns the FNV-1a hash of everything that is written out.
fn digest(sample: &Sample) -> u64 {
    let mut text = sample.dictionary.to_tsv();
    for sentence in sentences(sample) {
        text += &format!("{:?}\n", (&sentence.tokens, &sentence.gold, &sentence.distant));
    }
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn a_seed_fixes_every_byte() {
    assert_eq!(generate(7), SAMPLES[7]);
    assert_ne!(digest(&SAMPLES[6]), digest(&SAMPLES[7]));
    // The same on every platform. After an intended change, put the new value here and repeat all measurements on
    // the sample.
    assert_eq!(digest(&SAMPLES[1]), 14_360_474_542_391_594_354);
}

#[test]
fn the_program_brings_these_files() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../trainer/sample");
    for (name, expected) in files().unwrap() {
        let compressed = std::fs::read(folder.join(format!("{name}.gz"))).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&compressed[..]), &mut text).unwrap();
        assert!(text == expected, "{name}: run `cargo run -p sample-text`");
    }
}

#[test]
fn spans_are_sound() {
    for sample in SAMPLES.iter() {
        for sentence in sentences(sample) {
            for spans in [&sentence.gold, &sentence.distant] {
                assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start), "{sentence:?}");
                for span in spans {
                    assert!(span.start <= span.end && span.end < sentence.tokens.len(), "{sentence:?}");
                    assert!(KINDS.contains(&span.kind));
                    assert!(span.end - span.start < 8, "wider than the model's candidates: {sentence:?}");
                }
            }
        }
    }
}

#[test]
fn size_and_balance() {
    for sample in SAMPLES.iter() {
        assert_eq!((sample.train.len(), sample.dev.len(), sample.test.len()), (1000, 200, 300));
        let tokens: usize = sample.train.iter().map(|sentence| sentence.tokens.len()).sum();
        assert!((14_000..18_000).contains(&tokens), "{tokens} tokens");
        assert!(sentences(sample).all(|sentence| sentence.tokens.len() < 40));
        let gold = names(&sample.train);
        assert!((1600..2000).contains(&gold.len()), "{} gold spans", gold.len());
        for kind in KINDS {
            let share = gold.iter().filter(|name| name.1 == kind).count() * 100 / gold.len();
            assert!((18..33).contains(&share), "{kind}: {share} %");
        }
        let bare = sample.train.iter().filter(|sentence| sentence.gold.is_empty()).count();
        assert!((150..300).contains(&bare), "{bare} sentences without a name");
    }
}

#[test]
fn distant_labels_are_wrong_in_all_the_usual_ways() {
    for (seed, sample) in SAMPLES.iter().enumerate() {
        let (mut gold, mut distant, mut right) = (0, 0, 0);
        let (mut wrong_type, mut wrong_boundary, mut no_name, mut missing) = (0, 0, 0, 0);
        for sentence in &sample.train {
            let same_span = |a: &Entity, b: &Entity| (a.start, a.end) == (b.start, b.end);
            gold += sentence.gold.len();
            distant += sentence.distant.len();
            for span in &sentence.distant {
                let count = if sentence.gold.contains(span) {
                    &mut right
                } else if sentence.gold.iter().any(|other| same_span(other, span)) {
                    &mut wrong_type
                } else if sentence.gold.iter().any(|other| other.start <= span.end && span.start <= other.end) {
                    &mut wrong_boundary
                } else {
                    &mut no_name
                };
                *count += 1;
            }
            missing += sentence
                .gold
                .iter()
                .filter(|span| !sentence.distant.iter().any(|other| same_span(other, span)))
                .count();
        }
        let (precision, recall) = (right * 100 / distant, right * 100 / gold);
        assert!((70..80).contains(&precision), "seed {seed}: precision {precision} %");
        assert!((60..70).contains(&recall), "seed {seed}: recall {recall} %");
        assert!((25..40).contains(&(missing * 100 / gold)), "seed {seed}: {missing} of {gold} missing");
        for (what, count) in [("type", wrong_type), ("boundary", wrong_boundary), ("no name", no_name)] {
            assert!(count * 100 >= distant * 2, "seed {seed}: only {count} of {distant} wrong by {what}");
        }
    }
}

#[test]
fn distant_labels_are_what_a_naive_matcher_finds() {
    fn matches(entry: &Entry, tokens: &[String], exact: bool) -> bool {
        entry.form.len() <= tokens.len()
            && entry
                .form
                .iter()
                .zip(tokens)
                .all(|(form, token)| if exact { form == token } else { form.to_lowercase() == token.to_lowercase() })
    }
    let sample = &SAMPLES[5];
    let entries = &sample.dictionary.entries;
    // This is slow, because it tries every entry at every token. 500 sentences are checked without train.
    for sentence in sample.dev.iter().chain(&sample.test) {
        let (mut expected, mut start) = (Vec::new(), 0);
        while start < sentence.tokens.len() {
            let rest = &sentence.tokens[start..];
            let exact = entries.iter().filter(|entry| matches(entry, rest, true)).map(|entry| (entry, 1));
            let any_case =
                entries.iter().filter(|entry| entry.ignore_case && matches(entry, rest, false)).map(|entry| (entry, 0));
            match exact.chain(any_case).max_by_key(|(entry, exact)| (entry.form.len(), *exact)) {
                Some((entry, _)) => {
                    let end = start + entry.form.len() - 1;
                    expected.push(Entity { start, end, kind: entry.kind });
                    start = end + 1;
                }
                None => start += 1,
            }
        }
        assert_eq!(sentence.distant, expected, "{:?}", sentence.tokens);
    }
}

#[test]
fn dictionary_has_each_form_once() {
    let dictionary = &SAMPLES[1].dictionary;
    assert!(dictionary.entries.windows(2).all(|pair| pair[0].form < pair[1].form));
    assert_eq!(dictionary.to_tsv().lines().count(), dictionary.entries.len());
    assert!(dictionary.entries.iter().any(|entry| entry.ignore_case));
    for kind in KINDS {
        assert!(dictionary.entries.iter().any(|entry| entry.kind == kind));
    }
}

#[test]
fn test_holds_names_that_train_has_not() {
    for (seed, sample) in SAMPLES.iter().enumerate() {
        let known: BTreeSet<_> = names(&sample.train).into_iter().collect();
        let test = names(&sample.test);
        let unseen = test.iter().filter(|name| !known.contains(*name)).count() * 100 / test.len();
        assert!((25..60).contains(&unseen), "seed {seed}: {unseen} % unseen");
    }
}

#[test]
fn no_sentence_twice() {
    let sample = &SAMPLES[3];
    let distinct: BTreeSet<_> = sentences(sample).map(|sentence| &sentence.tokens).collect();
    assert_eq!(distinct.len(), sentences(sample).count());
}

#[test]
fn patterns_leave_no_traces_in_the_text() {
    for sample in SAMPLES.iter() {
        let forms = sample.dictionary.entries.iter().map(|entry| &entry.form);
        for words in sentences(sample).map(|sentence| &sentence.tokens).chain(forms) {
            for word in words {
                assert!(!word.is_empty() && !word.contains(['{', '}', '[', ']', '|', '@', ' ', '_']), "{words:?}");
            }
        }
    }
}

#[test]
fn templates_are_well_formed() {
    struct Nothing;
    impl pattern::Slots for Nothing {
        fn fill(&mut self, _: &str, _: &mut Dice, words: &mut Vec<String>) {
            words.push("X".to_owned());
        }
    }
    let all: Vec<&str> = TEMPLATES.iter().copied().flatten().copied().collect();
    assert!(all.len() > 300, "{}", all.len());
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "a template stands twice");
    for template in all {
        let mut depth = 0;
        let mut before = ' ';
        for letter in template.chars() {
            match letter {
                '[' | '{' => {
                    assert!(" [|".contains(before), "{template}");
                    depth += 1;
                }
                ']' | '}' => depth -= 1,
                _ => assert!(!"]}".contains(before) || " |".contains(letter), "{template}"),
            }
            assert!(depth >= 0, "{template}");
            before = letter;
        }
        assert_eq!(depth, 0, "{template}");
        let mut words = Vec::new();
        expand(template, &mut Nothing, &mut Dice::new(0, 0), &mut words);
        assert!(words.last().is_some_and(|word| ".?\"".contains(word.as_str())), "{template}");
    }
}

#[test]
fn sentences_read_well() {
    for sentence in sentences(&SAMPLES[2]) {
        let tokens = &sentence.tokens;
        let first = tokens.iter().find(|token| *token != "\"").expect("a word");
        assert!(!first.starts_with(char::is_lowercase), "{tokens:?}");
        for pair in tokens.windows(2) {
            let wrong = if pair[0] == "a" { "AEIO" } else { "BCDGJKPTVZ" };
            let article = pair[0] == "a" || pair[0] == "an";
            let next = pair[1].to_uppercase();
            assert!(
                !(article && next.starts_with(|letter| wrong.contains(letter))) || pair[1].starts_with("one"),
                "{tokens:?}"
            );
            assert!(pair[0] != pair[1] || pair[0] == "\"", "{tokens:?}");
        }
    }
}

#[test]
fn choices_nest_and_articles_agree() {
    struct Slot;
    impl pattern::Slots for Slot {
        fn fill(&mut self, slot: &str, _: &mut Dice, words: &mut Vec<String>) {
            words.push(slot.to_uppercase());
        }
    }
    let mut dice = Dice::new(0, 0);
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let mut words = Vec::new();
        expand("@a [old [oak|ash]||{elm}] tree", &mut Slot, &mut dice, &mut words);
        pattern::polish(&mut words);
        seen.insert(words.join(" "));
    }
    let expected = ["A tree", "An ELM tree", "An old ash tree", "An old oak tree"];
    assert_eq!(seen, expected.map(str::to_owned).into());
}
