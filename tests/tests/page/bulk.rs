//! One decision about all spans of a list, and the table of labels against labels.

use std::collections::BTreeMap;

use shared::detection::judge::Judge;

use crate::browser::{Page, Places, with_page};
use crate::made;

const CONTROL: char = '\u{e009}';

fn number(text: &str) -> u64 {
    text.split_whitespace().next().unwrap().replace(',', "").parse().unwrap()
}

async fn overrides(page: &Page) -> Vec<serde_json::Value> {
    let saved = page.download("export-decisions", "decisions.json").await;
    let saved: serde_json::Value = serde_json::from_slice(&saved).unwrap();
    saved["overrides"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_pair_of_labels_is_chosen_in_the_table_and_decided_at_once() {
    let Some(places) = Places::find("a_pair_of_labels_is_chosen_in_the_table_and_decided_at_once") else { return };
    let made = made(&places);
    let dynamics = shared::recording::dyn_file::read(&std::fs::read(made.dynamics()).unwrap()).unwrap();
    let (judge, _) = Judge::automatic(&dynamics, |_| {}).unwrap();
    let gold = dynamics.dense_gold(&judge.index).unwrap();
    let count = |others: &[u16]| {
        let mut pairs: BTreeMap<(u16, u16), u64> = BTreeMap::new();
        judge.assigned.iter().zip(others).for_each(|(&a, &b)| *pairs.entry((a, b)).or_default() += 1);
        pairs
    };
    let predicted_labels: Vec<u16> = (0..).map_while(|span| judge.predicted(span)).collect();
    let (predicted, by_gold) = (count(&predicted_labels), count(&gold));
    // The most frequent pair of an entity type and another label. It must have more spans than a sample.
    let most = |pairs: &BTreeMap<(u16, u16), u64>| {
        let differ = pairs.iter().filter(|((a, b), _)| a != b && *a > 0);
        differ.map(|(&pair, &n)| (pair, n)).max_by_key(|&(_, n)| n).unwrap()
    };
    let ((row, column), n) = most(&predicted);
    let ((gold_row, gold_column), n_gold) = most(&by_gold);
    assert!(n > 10 && n_gold > 10, "{n} {n_gold}");
    let span = |id: u32| judge.index.span(id).unwrap();
    let pairs = judge.assigned.iter().zip(&predicted_labels).zip(0..);
    let expected: Vec<[u32; 3]> = pairs
        .filter(|((a, b), _)| (**a, **b) == (row, column))
        .map(|(_, id)| [span(id).sentence, span(id).start, span(id).end])
        .collect();
    let name = judge.labels.name(column).to_owned();
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let cell = format!("cell-{row}-{column}");
        page.until(&cell, "has the number", |text| number(text) == n).await;
        page.click(&cell).await;
        page.choose("list-which", "all").await;
        page.until("listed", "counts them", |text| number(text) == n).await;

        // The dialog shows ten of them, and other ones on request. Nothing is decided yet.
        page.click("bulk").await;
        page.until("bulk-dialog", "counts them", |text| text.contains(&format!("Decide about {n} spans"))).await;
        let rows = "[...document.querySelectorAll('[data-testid=bulk-row]')].map((row) => row.textContent).join('|')";
        let first = page.script(&format!("return {rows}")).await;
        assert_eq!(first.as_str().unwrap().split('|').count(), 10);
        page.click("bulk-others").await;
        page.until_script(&format!("return {rows} !== {first}"), true).await;
        // Keys do nothing behind the dialog.
        page.press(&[], 'x').await;
        page.click("bulk-close").await;
        assert!(overrides(&page).await.is_empty());

        page.click("bulk").await;
        page.pick("bulk-relabel", &column.to_string()).await;
        page.until("busy", "tells", |text| text.starts_with(&format!("{n} decisions at once"))).await;
        let decided = overrides(&page).await;
        let places: Vec<[u32; 3]> = decided
            .iter()
            .map(|d| ["sentence", "start", "end"].map(|key| d[0][key].as_u64().unwrap() as u32))
            .collect();
        assert_eq!(places, expected);
        assert!(decided.iter().all(|d| d[1]["relabel"] == name.as_str()), "{:?}", decided[0]);
        page.press(&[CONTROL], 'z').await;
        page.until("busy", "tells", |text| text.starts_with("Undone")).await;
        assert!(overrides(&page).await.is_empty());

        // The list in the order of another number. Nothing else changes.
        page.click("sort-direction").await;
        page.choose("sort", "4").await;
        let numbers =
            "[...document.querySelectorAll('[data-testid=row] > :nth-child(6)')].map((cell) => +cell.textContent)";
        page.until_script(
            &format!("const n = {numbers}; return n.length > 5 && n[0] > 1 && n.every((v, i) => !i || n[i - 1] >= v)"),
            true,
        )
        .await;
        page.click("sort-direction").await;
        page.until_script(
            &format!(
                "const n = {numbers}; return n.length > 5 && n[0] === 1 && n.every((v, i) => !i || n[i - 1] <= v)"
            ),
            true,
        )
        .await;
        page.until("listed", "counts them", |text| number(text) == n).await;
        // By words: A to Z, then Z to A, whatever the case.
        let words =
            "[...document.querySelectorAll('[data-testid=row] mark')].map((mark) => mark.textContent.toLowerCase())";
        for comes_before in ["<=", ">="] {
            page.click("sort-words").await;
            let script = format!(
                "const w = {words}; return w.length > 5 && new Set(w).size > 2 && w.every((v, i) => !i || w[i - 1] {comes_before} v)"
            );
            page.until_script(&script, true).await;
        }
        page.click("sort-direction").await;
        page.choose("sort", "0").await;

        // Against gold. The cell is chosen, and a second click drops it.
        page.click("matrix-gold").await;
        let cell = format!("cell-{gold_row}-{gold_column}");
        page.until(&cell, "has the number", |text| number(text) == n_gold).await;
        page.click(&cell).await;
        page.until("listed", "counts them", |text| number(text) == n_gold).await;
        page.until("chip-gold", "names the label", |text| text.starts_with("gold: ")).await;
        page.click(&cell).await;
        page.until("listed", "shows all again", |text| number(text) > n_gold).await;
    });
}
