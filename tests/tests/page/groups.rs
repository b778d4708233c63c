//! Likely wrong labels in groups, and by source.

use std::collections::BTreeMap;

use explorer::groups::{Group, GroupBy, groups};
use explorer::reasons::in_words;
use explorer::sources::Sources;
use shared::detection::judge::Judge;
use shared::recording::dyn_file;

use crate::browser::{Page, Places, with_page};
use crate::made;

fn number(text: &str) -> u64 {
    text.split_whitespace().next().unwrap().replace(',', "").parse().unwrap()
}

/// Returns the first four cells of the first rows.
async fn rows(page: &Page, n: usize) -> Vec<Vec<String>> {
    let script = "return [...document.querySelectorAll('[data-testid=group-row]')].map((row) =>
                    [...row.children].slice(0, 4).map((cell) => cell.textContent.trim()))";
    let rows: Vec<Vec<String>> = serde_json::from_value(page.script(script).await).unwrap();
    rows.into_iter().take(n).collect()
}

#[test]
fn groups_of_like_errors_open_as_lists() {
    let Some(places) = Places::find("groups_of_like_errors_open_as_lists") else { return };
    let made = made(&places);
    let dynamics = dyn_file::read(&std::fs::read(made.dynamics()).unwrap()).unwrap();
    let (judge, settings) = Judge::automatic(&dynamics, |_| {}).unwrap();
    let judgement = judge.under(&settings);
    let of = |by| groups(&judgement, &dynamics.corpus, &BTreeMap::new(), None, by);
    let cells = |group: &Group, common: String| {
        let name = |label| judge.labels.name(label).to_owned();
        vec![group.spans.to_string(), name(group.label), name(group.predicted.unwrap()), common]
    };
    let (n_reasons, reasons) = of(GroupBy::Reason);
    let (n_after, after) = of(GroupBy::After);
    let explorer::groups::Common::Reason(first) = &reasons[0].common else { panic!("no reason") };
    let first = cells(&reasons[0], in_words(*first).to_owned());
    // The largest group that is not at the end of a sentence.
    let (at, word) = (0..)
        .zip(&after)
        .find_map(|(at, group)| match &group.common {
            explorer::groups::Common::Beside(beside) if !beside.word.is_empty() => Some((at, beside.word.clone())),
            _ => None,
        })
        .unwrap();
    let before_word = cells(&after[at], format!("before “{word}”"));
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.click("tab-groups").await;
        page.until("listed", "counts groups", |text| text == format!("{n_reasons} groups")).await;
        page.find("group-row").await;
        assert_eq!(rows(&page, 1).await[0], first);
        // A group is a list of spans, in every view, and one decision can be about all of them.
        page.click("group-open").await;
        page.until("chip-decided", "names the reason", |text| text.contains(&first[3])).await;
        page.until("listed", "lists the group", |text| number(text).to_string() == first[0]).await;
        page.until("map-count", "shows the group", |text| number(text).to_string() == first[0]).await;
        page.click("bulk").await;
        page.click("bulk-remove").await;
        page.click("tab-groups").await;
        page.until("groups", "says what was decided", |text| text.contains(&format!("{} by hand", first[0]))).await;
        page.until("listed", "has this group alone", |text| text == "1 group").await;
        page.press(&[], '\u{e00c}').await;
        page.until("listed", "has all again", |text| text == format!("{n_reasons} groups")).await;

        page.choose("group-by", "after").await;
        page.until("listed", "counts groups", |text| text.starts_with(&format!("{n_after} groups"))).await;
        page.until("groups", "has them", |text| text.contains(&before_word[3])).await;
        let row = rows(&page, at + 1).await[at].clone();
        // It may also say how many are decided by hand.
        assert!(row[..3] == before_word[..3] && row[3].starts_with(&before_word[3]), "{row:?}");
        page.script(&format!("document.querySelectorAll('[data-testid=group-open]')[{at}].click()")).await;
        page.until("chip-beside", "names the word", |text| text.contains(&before_word[3])).await;
        page.until("listed", "lists the group", |text| number(text).to_string() == before_word[0]).await;
        // The address restores it.
        page.until_address("%22beside%22:%7B").await;
        page.reload().await;
        page.until("listed", "lists the group", |text| number(text).to_string() == before_word[0]).await;
        page.click("chip-beside").await;
        page.until_address("%22beside%22:null").await;
    });
}

#[test]
fn sources_are_compared_and_chosen() {
    let Some(places) = Places::find("sources_are_compared_and_chosen") else { return };
    let run = tempfile::tempdir().unwrap();
    let mut dynamics = dyn_file::read(&std::fs::read(made(&places).dynamics()).unwrap()).unwrap();
    let sentences = 0..dynamics.corpus.n_sentences() as u32;
    let extra = sentences.map(|n| {
        let by = if n % 3 == 0 { "ann" } else { "bo" };
        (n, format!(r#"{{"id": "s{n}", "source": "part {}", "meta": {{"by": "{by}"}}}}"#, n % 2))
    });
    dynamics.corpus.extra = extra.collect();
    std::fs::write(run.path().join("dynamics.dyn"), dyn_file::write(&dynamics)).unwrap();
    let (judge, settings) = Judge::automatic(&dynamics, |_| {}).unwrap();
    let gold = dynamics.dense_gold(&judge.index);
    let sources = Sources::new(&dynamics.corpus, &judge.index, &judge.assigned, gold.as_deref());
    let tables = sources.at(&judge.under(&settings));
    let of = |name: &str| tables.iter().find(|table| table.field == name).unwrap().rows.clone();
    let (by_source, by_person) = (of("source"), of("meta.by"));
    let of_ann = (0..judge.index.len() as u32).filter(|&id| judge.index.span(id).unwrap().sentence % 3 == 0).count();
    with_page(&places, run.path(), "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let entities = |row: &explorer::sources::SourceRow| u64::from(row.entities);
        page.choose("source-field", "source").await;
        let cell =
            "return [...document.querySelectorAll('[data-testid=\"source-part 1\"] td')].map((td) => td.textContent)";
        page.until("sources", "is about the field", |text| text.contains("part 1")).await;
        let cells: Vec<String> = serde_json::from_value(page.script(cell).await).unwrap();
        assert_eq!(number(&cells[0]), entities(&by_source[1]));
        assert!(by_source[1].doubted > 0 && by_source[1].missed > 0);
        let share = |n: u32| explorer::format::percent(u64::from(n), entities(&by_source[1]));
        assert_eq!(cells[1], share(by_source[1].doubted));
        assert_eq!(cells[2], share(by_source[1].wrong_by_gold.unwrap()));
        assert_eq!(number(&cells[3]), u64::from(by_source[1].missed));
        page.choose("source-field", "meta.by").await;
        page.until("sources", "is about the other field", |text| text.contains("ann")).await;
        page.script("document.querySelector('[data-testid=source-ann] button').click()").await;
        page.until("chip-source", "names it", |text| text.contains("meta.by: ann")).await;
        page.until("map-count", "shows its spans", |text| number(text) == of_ann as u64).await;
        page.until("share-positives", "shows its entities", |text| number(text) == entities(&by_person[0])).await;
        page.click("chip-source").await;
        page.until("map-count", "shows all", |text| number(text) > of_ann as u64).await;
    });
}
