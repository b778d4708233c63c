//! The queue of undecided labels: those come first where one decision corrects most.

use std::collections::BTreeMap;

use explorer::queue::{Progress, next};
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
    // The first words, the second with the first decided, and the third with the second skipped.
    let mut by_hand = BTreeMap::new();
    let first = next(&forms, &judgement, &by_hand, &[]).unwrap();
    let label = judge.assigned[first.span as usize];
    let alike: Vec<u32> =
        (0..judge.index.len() as u32).filter(|&span| forms.form(span) == forms.form(first.span)).collect();
    by_hand.extend(alike.iter().map(|&span| (span, Decision::Remove)));
    let second = next(&forms, &judgement, &by_hand, &[]).unwrap();
    let third = next(&forms, &judgement, &by_hand, &[second.span]).unwrap();
    let before = Progress::new(&judgement, &BTreeMap::new(), &[]);
    let after = Progress::new(&judgement, &by_hand, &[]);
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
