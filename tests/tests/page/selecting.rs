//! A selection anywhere holds everywhere.

use crate::browser::{Page, Places, with_page};
use crate::made;

/// The numbers of "812 of 174,867".
fn numbers(text: &str) -> (u64, u64) {
    let number = |text: &str| text.trim().replace(',', "").parse().unwrap();
    let (shown, all) = text.split_once(" of ").unwrap();
    (number(shown), number(all))
}

fn shown(text: &str) -> u64 {
    numbers(text).0
}

async fn counts(page: &Page) -> [u64; 4] {
    [
        shown(&page.text("listed").await),
        shown(&page.text("map-count").await),
        shown(&page.text("share-negatives").await),
        shown(&page.text("share-positives").await),
    ]
}

#[test]
fn a_selection_holds_in_every_view() {
    let Some(places) = Places::find("a_selection_holds_in_every_view") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.choose("list-which", "all").await;
        page.until("listed", "lists all", |text| shown(text) > 1000).await;
        let [listed, on_map, negatives, positives] = counts(&page).await;
        assert_eq!((listed, on_map), (negatives + positives, negatives + positives));

        // A class, by its name among the counts.
        page.click("class-PER").await;
        page.until("share-negatives", "shows none", |text| text.starts_with("0 of ")).await;
        let [listed, on_map, _, persons] = counts(&page).await;
        assert!(persons > 0 && persons < positives);
        assert_eq!((listed, on_map), (persons, persons));

        // Bars of a histogram on top of that: the lower half, beside the line of the threshold.
        page.drag_over("bars-positives", &[(0.1, 0.8), (0.3, 0.8), (0.5, 0.8)]).await;
        page.find("chip-values").await;
        page.until("share-positives", "shows fewer", |text| shown(text) < persons).await;
        let [listed, on_map, _, low] = counts(&page).await;
        assert_eq!((listed, on_map), (low, low));

        // The address follows, and reloaded it has it all.
        page.until_address("Positives").await;
        page.reload().await;
        page.find("chip-values").await;
        page.until("share-positives", "shows as few", |text| shown(text) == low).await;

        // Escape drops all of it.
        page.press(&[], '\u{e00c}').await;
        page.until("map-count", "shows all", |text| shown(text) == negatives + positives).await;

        // A lasso around a part of the map.
        page.drag_over("map-canvas", &[(0.1, 0.1), (0.9, 0.1), (0.9, 0.6), (0.1, 0.6), (0.1, 0.2)]).await;
        page.find("chip-region").await;
        page.until("map-count", "shows fewer", |text| shown(text) < negatives + positives).await;
        let [listed, on_map, some, more] = counts(&page).await;
        assert!(on_map > 0);
        assert_eq!((listed, on_map), (some + more, some + more));
        page.click("chip-region").await;

        // Words; the table's first row has them.
        page.type_into("search", "THE").await;
        page.until("map-count", "shows some", |text| shown(text) > 0 && shown(text) < negatives).await;
        page.until("row", "has the word", |text| text.to_lowercase().contains("the")).await;
        page.click("clear-filters").await;

        // Under the pointer: a span.
        page.find("map-canvas").await;
        page.click("zoom-in").await;
        page.hover("map-canvas", (0.52, 0.5)).await;
        page.click("zoom-all").await;
        let tooltip = async || {
            for step in 0..40 {
                page.hover("map-canvas", (0.02 + f64::from(step) / 60.0, 0.03 + f64::from(step) / 50.0)).await;
                tokio::time::sleep(std::time::Duration::from_millis(60)).await;
                if page.has("hover").await {
                    return true;
                }
            }
            false
        };
        assert!(tooltip().await, "no span is shown anywhere on the map's diagonal");
    });
}
