//! The queue of undecided labels. The labels where one decision corrects most come first.

use explorer::queue::{Progress, next};
use explorer::review::Review;
use explorer::surface_forms::SurfaceForms;
use shared::corpus::decision::Decision;
use shared::detection::judge::Judge;

use crate::browser::{Page, Places, with_page};
use crate::made;

const SHIFT: char = '\u{e008}';
const CONTROL: char = '\u{e009}';

async fn until_at(page: &Page, words: &str) {
    page.until("same-form", "shows the words", |text| text.starts_with(&format!("{words} as "))).await;
}

#[test]
fn undecided_labels_come_in_the_order_that_saves_most_work() {
    let Some(places) = Places::find("undecided_labels_come_in_the_order_that_saves_most_work") else { return };
    let made = made(&places);
    let dynamics = shared::recording::dyn_file::read(&std::fs::read(made.dynamics()).unwrap()).unwrap();
    let (judge, settings) = Judge::automatic(&dynamics, |_| {}).unwrap();
    let judgement = judge.under(&settings);
    let forms = SurfaceForms::new(&dynamics.corpus, &judge.index, &judge.assigned);
    // The first words. The second ones come after a decision about the first. The third ones come if the second are
    // skipped.
    let mut review = Review::default();
    let first = next(&forms, &judgement, &review, &[]).unwrap();
    let label = judge.assigned[first.span as usize];
    let alike: Vec<u32> =
        (0..judge.index.len() as u32).filter(|&span| forms.form(span) == forms.form(first.span)).collect();
    review.by_hand.extend(alike.iter().map(|&span| (span, Decision::Remove)));
    let second = next(&forms, &judgement, &review, &[]).unwrap();
    let third = next(&forms, &judgement, &review, &[second.span]).unwrap();
    let before = Progress::new(&judgement, &Review::default());
    let after = Progress::new(&judgement, &review);
    assert!(first.n > 1 && before.reviewed == 0 && label != 0, "{first:?} {before:?}");
    let words = [first, second, third].map(|next| dynamics.corpus.tokens.surface(judge.index.span(next.span).unwrap()));
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let progress = |p: &Progress| {
            let counted = |n: usize| explorer::format::count(n as u64);
            let (reviewed, suggested) = (counted(p.reviewed), counted(p.suggested));
            format!(
                "{reviewed} of {suggested} reviewed, about {} wrong labels left",
                counted(p.wrong_left.round() as usize)
            )
        };
        page.until("progress", "counts none", |text| text == progress(&before)).await;
        page.press(&[], 'n').await;
        until_at(&page, &words[0]).await;
        page.until("like-it", "counts them", |text| text.starts_with(&format!("{} labels like this", first.n))).await;
        // One key decides about all of them, and the next words come.
        page.press(&[SHIFT], 'X').await;
        until_at(&page, &words[1]).await;
        page.until("progress", "counts them", |text| text == progress(&after)).await;
        page.until("agreed", "counts them", |text| {
            text == format!("Your reviews agreed with {} of {} suggestions.", after.agreed, after.reviewed)
        })
        .await;
        page.until("next", "offers to skip", |text| text.starts_with("skip")).await;
        page.click("next").await;
        until_at(&page, &words[2]).await;
        // Undo takes back the decision about all, which come first again.
        page.press(&[CONTROL], 'z').await;
        page.until("progress", "counts none", |text| text == progress(&before)).await;
        page.press(&[], 'n').await;
        until_at(&page, &words[0]).await;
    });
}

#[test]
fn suggestions_are_checked_at_random_and_sentences_decided_as_they_stand() {
    let Some(places) = Places::find("suggestions_are_checked_at_random_and_sentences_decided_as_they_stand") else {
        return;
    };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.press(&[], 'c').await;
        let mut shown = page.until("sentence", "shows one", |text| !text.is_empty()).await;
        // Every third suggestion is rejected. After each decision the next one comes.
        let mut seen = std::collections::BTreeSet::new();
        for n in 1..=20 {
            seen.insert(shown.clone());
            page.press(&[], if n % 3 == 0 { 'a' } else { 'x' }).await;
            let counted = format!("Checked at random: {} of {n} right", n - n / 3);
            page.until("sample", &counted, |text| text.starts_with(&counted)).await;
            shown = page.text("sentence").await;
        }
        assert!(seen.len() > 10, "other sentences each time");
        // 14 of 20.
        page.until("sample", "has an interval", |text| text.ends_with("(likely 48 to 85 %).")).await;
        page.until("progress", "knows the pace", |text| text.ends_with("minutes at your pace")).await;
        let suggested: f64 = {
            let text = page.text("progress").await;
            let (_, rest) = text.split_once("of ").unwrap();
            rest.split_once(' ').unwrap().0.replace(',', "").parse().unwrap()
        };
        let left =
            format!("about {} wrong labels left", explorer::format::count((0.7 * (suggested - 20.0)).round() as u64));
        page.until("progress", &left, |text| text.contains(&left)).await;

        page.press(&[], 's').await;
        page.until("busy", "says what was decided", |text| text.starts_with("This sentence is right as it stands"))
            .await;
        page.click("settle").await;
        page.until("busy", "says that nothing is left", |text| text.contains("were decided before")).await;
        page.press(&[CONTROL], 'z').await;
        page.click("settle").await;
        page.until("busy", "decides again", |text| text.starts_with("This sentence is right as it stands")).await;
    });
}

#[test]
fn what_a_person_is_unsure_about_waits_with_a_note() {
    let Some(places) = Places::find("what_a_person_is_unsure_about_waits_with_a_note") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.press(&[], 'n').await;
        page.until("next", "offers to skip", |text| text.starts_with("skip")).await;
        let place = "return document.querySelector('.detail .legend').textContent";
        let first = page.script(place).await;
        // Esc leaves no note.
        page.press(&[], 'q').await;
        page.find("note-text").await;
        page.type_into("note-text", "never mind").await;
        page.press(&[], '\u{e00c}').await;
        page.until_script("return document.querySelector('[data-testid=note-dialog]').open", false).await;
        assert!(page.has_changed_nothing().await && page.text("note").await.is_empty());
        // Letters in the note are no keys. After the note, the next label comes.
        page.click("unsure").await;
        page.type_into("note-text", "a river, or its town?\n").await;
        page.until("progress", "counts it", |text| text.contains(" reviewed, 1 unsure, about ")).await;
        page.until_script(&format!("{place} !== {first}"), true).await;
        assert!(!page.text("counts-panel").await.contains("decided by hand"));
        // The label is found again, as one with a note.
        page.choose("list-which", "noted").await;
        page.until("listed", "lists it", |text| text.starts_with("1 of ")).await;
        page.until("row", "says so", |text| text.contains("unsure")).await;
        page.click("row").await;
        page.until("note", "is shown", |text| text == "You are unsure: a river, or its town?").await;
        assert_eq!(page.script(place).await, first);
        // Undo takes the note back, and redo leaves it again.
        page.press(&[CONTROL], 'z').await;
        page.until("listed", "lists nothing", |text| text.starts_with("0 ")).await;
        page.press(&[CONTROL, SHIFT], 'Z').await;
        page.until("listed", "lists it again", |text| text.starts_with("1 of ")).await;
        // It is in the file, and is there after a reload.
        let file = page.download("export-decisions", "decisions.json").await;
        let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(file["notes"][0][1], "a river, or its town?");
        assert_eq!(file["overrides"], serde_json::json!([]));
        page.reload().await;
        page.until("banner", "tells of it", |text| text.contains("0 decisions by hand, 1 note, last changed")).await;
        page.until("progress", "counts it", |text| text.contains(", 1 unsure, ")).await;
        page.until("row", "says so", |text| text.contains("unsure")).await;
        // A decision settles it. The note stays until it is taken back.
        page.click("row").await;
        page.press(&[], 'x').await;
        page.until("progress", "counts a decision", |text| text.starts_with("1 of ") && !text.contains("unsure")).await;
        page.until("note", "is shown", |text| text == "Note: a river, or its town?").await;
        page.press(&[], 'q').await;
        page.click("note-drop").await;
        page.until("listed", "lists nothing", |text| text.starts_with("0 ")).await;
        page.until("note", "is gone", str::is_empty).await;
    });
}

#[test]
fn the_page_says_when_it_is_enough_and_remembers_what_was_checked() {
    let Some(places) = Places::find("the_page_says_when_it_is_enough_and_remembers_what_was_checked") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let progress = page.until("progress", "estimates", |text| text.contains("about ")).await;
        let left = progress.split_once("about ").unwrap().1.split_once(' ').unwrap().0.replace(',', "");
        let left: u32 = left.parse().unwrap();
        assert!(left > 2 && page.text("is-enough").await.is_empty());
        page.click("more-settings").await;
        page.type_into("enough", &format!("{}\n", left + 1)).await;
        page.until("is-enough", "says so", |text| text.starts_with("You can stop: about ")).await;
        page.script("document.activeElement.blur()").await;
        // What was checked at random still counts after a reload.
        page.press(&[], 'c').await;
        page.until("sentence", "shows one", |text| !text.is_empty()).await;
        page.press(&[], 'x').await;
        page.until("sample", "counts it", |text| text.starts_with("Checked at random: 1 of 1 right")).await;
        page.until("kept", "is stored", |text| text == "saved").await;
        page.reload().await;
        page.until("sample", "counts it", |text| text.starts_with("Checked at random: 1 of 1 right")).await;
        page.until("is-enough", "says so", |text| text.starts_with("You can stop: about ")).await;
        page.find("enough").await.clear().await.unwrap();
        page.script("document.activeElement.blur()").await;
        page.until("is-enough", "says nothing", str::is_empty).await;
        // The file says it, too.
        let file = page.download("export-decisions", "decisions.json").await;
        let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
        assert!(file["sampled"].as_array().unwrap().contains(&file["overrides"][0][0]), "{file}");
    });
}

/// F1 of a corpus's labels against the gold labels of the sample.
fn agreement(places: &Places, labels: &std::path::Path, gold: &std::path::Path) -> f64 {
    let mut command = std::process::Command::new(&places.trainer);
    command.args(["evaluate", "--json", "--predictions"]).arg(labels).arg("--corpus").arg(gold);
    let scores: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    scores["f1"].as_f64().unwrap()
}

#[test]
fn sixty_decisions_by_keyboard_make_the_labels_better() {
    let Some(places) = Places::find("sixty_decisions_by_keyboard_make_the_labels_better") else { return };
    let made = made(&places);
    let labels = shared::recording::dyn_file::read(&std::fs::read(made.dynamics()).unwrap()).unwrap().corpus.labels;
    let folder = tempfile::tempdir().unwrap();
    let decisions = folder.path().join("decisions.json");
    let saved = decisions.clone();
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.press(&[], 'n').await;
        page.until("next", "offers to skip", |text| text.starts_with("skip")).await;
        for reviewed in 1..=60 {
            // The person knows the right label, and gives it.
            let fact = |name: &str| {
                format!(
                    "return [...document.querySelectorAll('dl.labels dt')].find((dt) => dt.textContent === '{name}')\
                     ?.nextElementSibling.textContent ?? null"
                )
            };
            let gold = page.script(&fact("gold")).await;
            let (yours, gold) = (page.script(&fact("your label")).await, gold.as_str().unwrap().to_owned());
            let key = if yours == gold.as_str() {
                'a'
            } else {
                let label = (0..=labels.n_types()).find(|&label| labels.name(label as u16) == gold).unwrap();
                char::from_digit(label as u32, 10).unwrap()
            };
            page.press(&[], key).await;
            let counted = format!("{reviewed} decided by hand");
            page.until("counts-panel", "counts it", |text| text.contains(&counted)).await;
        }
        std::fs::write(&saved, page.download("export-decisions", "decisions.json").await).unwrap();
    });
    let cleaned = |name: &str, options: &[&str]| {
        let out = folder.path().join(name);
        std::fs::write(&out, crate::cleaned_by_trainer(&places.trainer, made, options)).unwrap();
        out
    };
    let gold = made.corpus.with_file_name("train-gold.json");
    let without = agreement(&places, &cleaned("without.json", &[]), &gold);
    let with = agreement(&places, &cleaned("with.json", &["--decisions", decisions.to_str().unwrap()]), &gold);
    println!("F1 of the labels: {without:.4} without, {with:.4} with 60 decisions");
    assert!(with > without + 0.005, "{without} without, {with} with 60 decisions");
}
