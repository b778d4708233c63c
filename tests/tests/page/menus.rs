//! Menus by keyboard. Nothing happens before an entry is chosen, and the keys in a menu do nothing else.

use crate::browser::{Page, Places, with_page};
use crate::made;

const ENTER: char = '\u{e007}';
const ESCAPE: char = '\u{e00c}';
const END: char = '\u{e010}';
const HOME: char = '\u{e011}';
const UP: char = '\u{e013}';
const DOWN: char = '\u{e015}';

async fn focus(page: &Page, id: &str) {
    page.script(&format!("document.querySelector('[data-testid={id}]').focus()")).await;
}

async fn is_any_open(page: &Page) -> bool {
    page.script("return document.querySelector(':popover-open') !== null").await == true
}

#[test]
fn menus_do_nothing_before_an_entry_is_chosen() {
    let Some(places) = Places::find("menus_do_nothing_before_an_entry_is_chosen") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let all = page.text("listed").await;
        page.click("class-PER").await;
        let listed = page.until("listed", "lists fewer", |text| text != all).await;
        page.press(&[], 'j').await;
        page.until("sentence", "shows a span", |text| !text.is_empty()).await;
        let sentence = page.text("sentence").await;

        focus(&page, "export-more").await;
        page.press(&[], ENTER).await;
        page.until_focused("export-more-report").await;
        for (key, entry) in
            [(DOWN, "link"), (DOWN, "provenance"), (UP, "link"), (HOME, "report"), ('l', "link"), ('l', "provenance")]
        {
            page.press(&[], key).await;
            page.until_focused(&format!("export-more-{entry}")).await;
        }
        page.press(&[], END).await;
        page.press(&[], DOWN).await;
        page.until_focused("export-more-report").await;
        // Every download has its own type.
        page.script(
            "window.kinds = []; const make = URL.createObjectURL;
             URL.createObjectURL = (blob) => { kinds.push(blob.type); return make.call(URL, blob) }",
        )
        .await;
        page.press(&[], ENTER).await;
        page.downloaded("report.html").await;
        page.download("export-decisions", "decisions.json").await;
        for (entry, name) in
            [("conll", "data-cleaned.conll"), ("brat", "data-cleaned.zip"), ("text-jsonl", "data-cleaned.jsonl")]
        {
            page.pick("export-corpus", entry).await;
            page.downloaded(name).await;
        }
        // Before anything is saved, the menu says how many labels change.
        page.click("export-corpus").await;
        let changed = "const cells = [...document.querySelectorAll('[data-testid=counts] tbody tr')].map((row) => [...row.cells].slice(2, 4));
            return cells.flat().reduce((sum, cell) => sum + Number(cell.textContent.replaceAll(',', '')), 0)";
        let changed =
            format!("{} labels change.", explorer::format::count(page.script(changed).await.as_u64().unwrap()));
        page.until("export-corpus-about", &changed, |text| text.starts_with(&changed)).await;
        page.press(&[], ESCAPE).await;
        let kinds = ["text/html", "application/json", "text/plain", "application/zip", "application/jsonl"];
        assert_eq!(page.script("return kinds").await, serde_json::json!(kinds));
        focus(&page, "export-more").await;
        page.press(&[], ENTER).await;
        page.until_focused("export-more-report").await;
        // Esc closes the menu and does nothing else.
        page.press(&[], ESCAPE).await;
        page.until_focused("export-more").await;
        assert!(!is_any_open(&page).await);
        assert_eq!((page.text("listed").await, page.text("sentence").await), (listed, sentence));
        page.click("export-more").await;
        page.click("facts").await;
        assert!(!is_any_open(&page).await, "a click elsewhere closes it");

        focus(&page, "relabel").await;
        page.press(&[], ENTER).await;
        page.until_focused("relabel-0").await;
        page.press(&[], DOWN).await;
        page.press(&[], DOWN).await;
        page.until_focused("relabel-2").await;
        assert!(page.has_changed_nothing().await);
        let entry = page.text("relabel-2").await;
        page.press(&[], ENTER).await;
        page.until("decision", "is that of the entry", |text| text == format!("→ {entry}")).await;
        page.until("counts-panel", "has it", |text| text.contains("1 decided by hand")).await;
        assert!(!is_any_open(&page).await);

        // A key opens the menu, and a letter finds a type by its name. There may be more types than digits.
        page.press(&[], 'r').await;
        page.until_focused("relabel-0").await;
        page.press(&[], 'p').await;
        page.until_script("return document.activeElement.textContent", "PER").await;
        page.press(&[], ENTER).await;
        page.until("decision", "is PER", |text| text == "→ PER").await;
    });
}
