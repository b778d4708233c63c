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
    let before = Progress::new(&judgement, &BTreeMap::new());
    let after = Progress::new(&judgement, &by_hand);
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
