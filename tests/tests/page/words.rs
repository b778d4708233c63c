//! The word list: one decision is about all spans with the same words.

use std::collections::BTreeMap;

use shared::corpus::labels::O;
use shared::detection::judge::Judge;

use crate::browser::{Page, Places, with_page};
use crate::made;

/// Returns the cells of the first rows.
async fn rows(page: &Page) -> Vec<Vec<String>> {
    let script = "return [...document.querySelectorAll('[data-testid=form-row]')].map((row) =>
                    [...row.children].map((cell) => cell.textContent.trim()))";
    serde_json::from_value(page.script(script).await).unwrap()
}

fn number(text: &str) -> u64 {
    text.split_whitespace().next().unwrap().replace(',', "").parse().unwrap()
}

#[test]
fn words_are_listed_by_number_of_labels_and_decided_in_one_go() {
    let Some(places) = Places::find("words_are_listed_by_number_of_labels_and_decided_in_one_go") else { return };
    let made = made(&places);
    // Expected numbers, from the text of the spans: labels of the most frequent words, and entries of the list.
    let dynamics = shared::recording::dyn_file::read(&std::fs::read(made.dynamics()).unwrap()).unwrap();
    let (judge, settings) = Judge::automatic(&dynamics, |_| {}).unwrap();
    let judgement = judge.under(&settings);
    let mut positives: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut negatives = std::collections::BTreeSet::new();
    for (span, &label) in (0..).zip(&judge.assigned) {
        let words = || dynamics.corpus.tokens.surface(judge.index.span(span).unwrap());
        if label != O {
            *positives.entry((words(), judge.labels.name(label).to_owned())).or_default() += 1;
        } else if judgement.decide(span) != shared::corpus::decision::Decision::Keep {
            negatives.insert(words());
        }
    }
    let (most, listed) = (*positives.values().max().unwrap(), positives.len() + negatives.len());
    assert!(most > 2);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.press(&[], 'w').await;
        let all =
            page.until("listed", "speaks of words", |text| text.contains("words") && !text.starts_with("0 ")).await;
        assert_eq!(number(all.split(" of ").nth(1).unwrap()), listed as u64);
        page.find("form-row").await;
        let first = rows(&page).await[0].clone();
        assert_eq!(number(&first[3]), most);
        let (words, label) = (first[1].clone(), first[2].clone());
        assert_eq!(positives[&(words.clone(), label.clone())], most);

        // The first form is chosen. Every view shows only its spans, but the list still has all forms.
        page.press(&[], 'j').await;
        page.until("chip-form", "names it", |text| text.contains(&format!("“{words}” as {label}"))).await;
        let shown = |text: &str| number(text) == most;
        page.until("map-count", "shows them alone", shown).await;
        page.until("share-positives", "shows them alone", shown).await;
        page.until("sentence", "shows one", |text| text.contains(&words)).await;
        assert_eq!(page.text("listed").await, all);

        // One key decides about all of them, and one undo takes it back.
        let before = page.text(&format!("removed-{label}")).await;
        page.press(&[], 'x').await;
        let by_hand = format!("{most} decided by hand");
        page.until("counts-panel", &by_hand, |text| text.lines().any(|line| line == by_hand)).await;
        assert_ne!(page.text(&format!("removed-{label}")).await, before);
        page.until("form-row", "is removed", |text| text.starts_with("remove")).await;
        // The next form is chosen.
        page.until("chip-form", "names the next", |text| !text.contains(&format!("“{words}” as {label}"))).await;
        page.press(&['\u{e009}'], 'z').await;
        page.until("counts-panel", "has no decision", |text| !text.contains("decided by hand")).await;
        assert_eq!(page.text("busy").await, format!("Undone: {most} times “{words}” remove"));

        // The other orders sort by their own values.
        page.press(&[], '\u{e00c}').await;
        page.click("sort-judged").await;
        page.until("form-row", "is judged in full", |text| text.contains("(100 %)")).await;
        page.click("sort-mean").await;
        page.until_script(
            "return document.querySelector('[data-testid=sort-mean]').parentElement.getAttribute('aria-sort')",
            "ascending",
        )
        .await;
        page.until_script(
            "const means = [...document.querySelectorAll('[data-testid=form-row]')].map((row) => Number(row.children[5].textContent.replace('−', '-')));
             return means.length > 10 && means.every((mean, at) => at === 0 || means[at - 1] <= mean)",
            true,
        )
        .await;

        // A filter from another view applies here, too. The address stores everything, and a reload shows the
        // same.
        page.click("class-PER").await;
        page.until("listed", "lists fewer", |text| *text != all).await;
        page.click("form-row").await;
        page.find("chip-form").await;
        page.until_address("%22form%22:%7B%22words%22:%5B").await;
        let (chip, listed) = (page.text("chip-form").await, page.text("listed").await);
        page.reload().await;
        assert_eq!(page.text("chip-form").await, chip);
        page.until("listed", "lists as many", |text| text == listed).await;
        assert_eq!(page.find("sort-mean").await.attr("aria-pressed").await.unwrap().as_deref(), Some("true"));
        page.click("tab-spans").await;
        page.until("listed", "lists spans", |text| !text.contains("words")).await;
    });
}
