//! Deciding by keyboard and undoing, without losing anything.

use crate::browser::{Page, Places, with_page};
use crate::made;

const CONTROL: char = '\u{e009}';
const SHIFT: char = '\u{e008}';

/// Returns the number in "12 decided by hand"; 0 if there is no such text.
async fn by_hand(page: &Page) -> u64 {
    let text = page.text("counts-panel").await;
    let line = text.lines().find_map(|line| line.strip_suffix(" decided by hand"));
    line.map_or(0, |n| n.replace(',', "").parse().unwrap())
}

async fn until_by_hand(page: &Page, n: u64) {
    page.until("counts-panel", &format!("has {n} decisions by hand"), |text| {
        if n == 0 {
            !text.contains("decided by hand")
        } else {
            text.lines().any(|line| line == format!("{n} decided by hand"))
        }
    })
    .await;
}

#[test]
fn spans_are_decided_by_keyboard_and_nothing_is_lost() {
    let Some(places) = Places::find("spans_are_decided_by_keyboard_and_nothing_is_lost") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        assert_eq!(by_hand(&page).await, 0);
        page.press(&[], 'j').await;
        let first = page.until("sentence", "shows a span", |text| !text.is_empty()).await;

        // Each decision selects the next span.
        page.press(&[], 'x').await;
        let second = page.until("sentence", "shows the next span", |text| text != first).await;
        page.press(&[], 'a').await;
        page.until("sentence", "shows the third span", |text| text != second).await;
        page.press(&[], '1').await;
        until_by_hand(&page, 3).await;

        // A filter by decision applies to every view. When the filter ends, the earlier list comes back.
        let listed = page.text("listed").await;
        page.choose("list-which", "hand").await;
        for view in ["listed", "map-count"] {
            page.until(view, "shows the three", |text| text.starts_with("3 of ")).await;
        }
        // Leaves the list, which has its own undo.
        page.press(&[], '\u{e00c}').await;
        page.press(&[CONTROL], 'z').await;
        page.until("map-count", "follows the decisions", |text| text.starts_with("2 of ")).await;
        page.press(&[CONTROL, SHIFT], 'Z').await;
        page.click("chip-decided").await;
        page.until("listed", "lists what it did", |text| text == listed).await;

        // Undo and redo.
        page.press(&[CONTROL], 'z').await;
        page.press(&[CONTROL], 'z').await;
        until_by_hand(&page, 1).await;
        page.press(&[CONTROL, SHIFT], 'Z').await;
        until_by_hand(&page, 2).await;
        page.click("undo").await;
        until_by_hand(&page, 1).await;
        page.click("redo").await;
        until_by_hand(&page, 2).await;

        // In the search field, a letter is only a letter.
        page.press(&[], '/').await;
        for key in ['x', 'k'] {
            page.press(&[], key).await;
        }
        assert_eq!(page.value("search").await, "xk");
        page.until("listed", "finds nothing", |text| text.starts_with("0 ")).await;
        until_by_hand(&page, 2).await;
        page.click("clear-filters").await;
        page.until("listed", "lists spans again", |text| !text.starts_with("0 ")).await;

        // Undo first restores the search, and then takes back the decision. After an immediate reload, nothing is
        // lost.
        page.press(&[CONTROL], 'z').await;
        page.until("busy", "says so", |text| text == "Undone: filters").await;
        page.press(&[CONTROL], 'z').await;
        until_by_hand(&page, 1).await;
        let decisions = page.download("export-decisions", "decisions.json").await;
        page.reload().await;
        page.until("banner", "brings the work back", |text| text.contains("1 decision by hand")).await;
        until_by_hand(&page, 1).await;
        assert_eq!(page.download("export-decisions", "decisions.json").await, decisions);
        page.click("accept").await;
        until_by_hand(&page, 0).await;
        page.press(&[CONTROL], 'z').await;
        until_by_hand(&page, 1).await;
    });
}

#[test]
fn spans_with_the_same_words_are_decided_together() {
    let Some(places) = Places::find("spans_with_the_same_words_are_decided_together") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.choose("list-which", "all").await;
        page.choose("list-side", "positives").await;
        // Leaves the list, in which letters choose an entry.
        page.press(&[], '\u{e00c}').await;
        // Goes down to a span whose words occur more than once.
        let times = |text: &str| {
            let (words, rest) = text.split_once(" as ")?;
            let times = rest.split_once(": ")?.1.split_once(" times, ")?.0.parse::<u64>().ok()?;
            Some((words.to_owned(), times))
        };
        let entities = page.until("share-positives", "is counted", |text| !text.starts_with("0 ")).await;
        let entities = entities.split(' ').next().unwrap().to_owned();
        page.until("listed", "lists the entities", |text| text.starts_with(&format!("{entities} "))).await;
        let mut before = page.text("detail").await;
        let (words, n) = loop {
            page.press(&[], 'j').await;
            let now = page.until("detail", "shows the next span", |text| text != before).await;
            if let Some(found) = times(&page.text("same-form").await) {
                break found;
            }
            before = now;
        };
        page.press(&[SHIFT], 'X').await;
        until_by_hand(&page, n).await;
        let all = format!("{n} not kept");
        page.until("same-form", "counts them as judged wrong", |text| text.contains(&all)).await;
        page.click("keep-all").await;
        page.until("same-form", "counts none", |text| text.contains(" 0 not kept")).await;
        until_by_hand(&page, n).await;
        // Each decision is one step of undo.
        page.click("undo").await;
        page.until("same-form", "counts them again", |text| text.contains(&all)).await;
        page.click("undo").await;
        until_by_hand(&page, 0).await;
        // The table lists exactly these spans.
        page.click("list-same").await;
        page.until("listed", "lists them", |text| !text.starts_with("0 ")).await;
        assert_eq!(page.value("search").await, format!("\"{words}\""));
        page.press(&[], '?').await;
        page.until("help-dialog", "is open", |text| text.contains("Ctrl + Z")).await;
        page.press(&[], '\u{e00c}').await;
        page.until("help-dialog", "is closed", str::is_empty).await;
    });
}

const ESCAPE: char = '\u{e00c}';
const DOWN: char = '\u{e015}';
/// Returns the number of the selected row. The head is row 1.
const SELECTED: &str =
    "return Number(document.querySelector('[data-testid=row].selected')?.getAttribute('aria-rowindex'))";

#[test]
fn after_scrolling_keys_are_about_a_row_in_sight() {
    let Some(places) = Places::find("after_scrolling_keys_are_about_a_row_in_sight") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.choose("list-which", "all").await;
        page.press(&[], ESCAPE).await;
        page.until("listed", "lists all", |text| text.split_once(" of ").is_some_and(|(listed, all)| listed == all))
            .await;
        page.press(&[], 'j').await;
        page.until_script(SELECTED, 2).await;
        page.press(&[], 'j').await;
        page.until_script(SELECTED, 3).await;
        // K goes back and decides nothing.
        page.press(&[], 'k').await;
        page.until_script(SELECTED, 2).await;
        assert!(page.has_changed_nothing().await);

        // Rows are 32 pixels high, so row 102 (the head is row 1) is at the top.
        page.script("document.querySelector('[data-testid=rows]').scrollTop = 3200").await;
        page.until_script("return document.querySelector('[data-testid=row][aria-rowindex=\"102\"]') !== null", true)
            .await;
        page.press(&[], 'j').await;
        page.until_script(SELECTED, 102).await;
        page.press(&[], 'x').await;
        until_by_hand(&page, 1).await;
        page.until_script(SELECTED, 103).await;
        let row = "return document.querySelector('[aria-rowindex=\"102\"] [role=gridcell]').textContent";
        page.until_script(row, "removeby hand").await;

        // Undo says what it took back, and shows the span.
        page.press(&[CONTROL], 'z').await;
        until_by_hand(&page, 0).await;
        assert_eq!(page.text("busy").await, "Undone: remove");
        page.until_script(SELECTED, 102).await;
        page.press(&[CONTROL, SHIFT], 'Z').await;
        until_by_hand(&page, 1).await;
        assert_eq!(page.text("busy").await, "Done again: remove");
    });
}

#[test]
fn what_escape_drops_comes_back_and_so_does_the_list_before_a_filter() {
    let Some(places) = Places::find("what_escape_drops_comes_back_and_so_does_the_list_before_a_filter") else {
        return;
    };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let all = page.text("map-count").await;
        page.drag_over("map-canvas", &[(0.02, 0.3), (0.98, 0.3), (0.98, 0.98), (0.02, 0.98), (0.02, 0.4)]).await;
        page.find("chip-region").await;
        let inside = page.until("map-count", "shows those inside", |text| text != all).await;
        page.click("class-PER").await;
        let few = page.until("map-count", "shows few", |text| text != inside).await;
        page.press(&[], ESCAPE).await;
        page.until("map-count", "shows all", |text| text == all).await;
        page.until("busy", "says so", |text| text.contains("undo brings them back")).await;
        page.press(&[CONTROL], 'z').await;
        page.until("map-count", "shows few again", |text| text == few).await;
        assert_eq!(page.text("busy").await, "Undone: filters");
        assert!(page.has("chip-region").await);
        page.press(&[CONTROL, SHIFT], 'Z').await;
        page.until("map-count", "shows all", |text| text == all).await;

        page.choose("list-which", "all").await;
        page.choose("list-which", "kept").await;
        page.choose("list-which", "removed").await;
        page.click("chip-decided").await;
        page.until_script("return document.querySelector('[data-testid=list-which]').value", "all").await;
    });
}

#[test]
fn single_letters_can_be_switched_off() {
    let Some(places) = Places::find("single_letters_can_be_switched_off") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.press(&[], '?').await;
        page.find("help-dialog").await;
        page.click("letters").await;
        page.click("help-close").await;
        page.reload().await;
        page.until_open().await;
        page.press(&[], DOWN).await;
        page.until_script(SELECTED, 2).await;
        for key in ['j', 'x', '1', '/', '?', 'r'] {
            page.press(&[], key).await;
        }
        page.press(&[], DOWN).await;
        page.until_script(SELECTED, 3).await;
        assert!(page.has_changed_nothing().await);
        page.click("help").await;
        page.click("letters").await;
        page.click("help-close").await;
        page.press(&[], 'x').await;
        until_by_hand(&page, 1).await;
    });
}
