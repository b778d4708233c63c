//! A selection in one view applies to every view.

use std::time::{Duration, Instant};

use crate::browser::{PATIENCE, Page, Places, with_page};
use crate::made;

/// Returns the two numbers in "812 of 174,867".
fn numbers(text: &str) -> (u64, u64) {
    let number = |text: &str| text.trim().replace(',', "").parse().unwrap();
    let (shown, all) = text.split_once(" of ").unwrap();
    (number(shown), number(all))
}

fn shown(text: &str) -> u64 {
    numbers(text).0
}

/// Waits until list and map show as many spans as the distributions. Returns the numbers of negatives and positives.
async fn agreed(page: &Page) -> [u64; 2] {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let [listed, on_map, negatives, positives] = [
            shown(&page.text("listed").await),
            shown(&page.text("map-count").await),
            shown(&page.text("share-negatives").await),
            shown(&page.text("share-positives").await),
        ];
        if listed == negatives + positives && on_map == listed {
            return [negatives, positives];
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the views do not agree on what is selected");
}

#[test]
fn any_two_metrics_make_a_map() {
    let Some(places) = Places::find("any_two_metrics_make_a_map") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let all = shown(&page.until("map-count", "shows all", |text| shown(text) > 1000).await);
        let pixels = async || {
            page.script("const c = document.querySelector('[data-testid=map-canvas]'); return c.toDataURL()").await
        };
        let usual = pixels().await;
        // By AUM and correctness, all spans are there, in other places. (A span without a place would not be
        // counted.)
        page.choose("map-y", "AUM").await;
        page.choose("map-x", "correctness").await;
        page.until_address("%22axes%22:50").await;
        page.until("map-count", "shows all", |text| shown(text) == all).await;
        let start = Instant::now();
        while pixels().await == usual {
            assert!(start.elapsed() < PATIENCE, "the map never changes");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // The left third of the map has the spans whose label was predicted at no epoch, or at one of three.
        page.drag_over("map-canvas", &[(0.02, 0.02), (0.35, 0.02), (0.35, 0.98), (0.02, 0.98), (0.02, 0.1)]).await;
        page.find("chip-region").await;
        let few = shown(&page.until("map-count", "shows fewer", |text| shown(text) < all).await);
        assert!(few > 0);
        page.choose("list-which", "all").await;
        page.until("listed", "lists as many", |text| shown(text) == few).await;
        // The address restores the axes and the area.
        page.until_address("%22region%22:%5B%5B").await;
        page.reload().await;
        page.until("map-count", "shows as few", |text| shown(text) == few).await;
        assert_eq!(page.value("map-x").await, "correctness");
        assert_eq!(page.value("map-y").await, "AUM");
        // The area stays selected on a map with other axes.
        page.choose("map-x", "variability").await;
        page.choose("map-y", "confidence").await;
        page.until("map-count", "shows as few", |text| shown(text) == few).await;
        page.click("chip-region").await;
        page.until("map-count", "shows all", |text| shown(text) == all).await;
    });
}

#[test]
fn a_selection_holds_in_every_view() {
    let Some(places) = Places::find("a_selection_holds_in_every_view") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.choose("list-which", "all").await;
        page.until("listed", "lists all", |text| shown(text) > 1000).await;
        let [negatives, positives] = agreed(&page).await;

        // A class is chosen by its name in the counts.
        page.click("class-PER").await;
        page.until("share-negatives", "shows none", |text| text.starts_with("0 of ")).await;
        let [none, persons] = agreed(&page).await;
        assert_eq!(none, 0);
        assert!(persons > 0 && persons < positives);

        // Bars of a histogram are chosen in addition: the lower half, beside the threshold line.
        page.drag_over("bars-positives", &[(0.1, 0.8), (0.3, 0.8), (0.5, 0.8)]).await;
        page.find("chip-values").await;
        page.until("share-positives", "shows fewer", |text| shown(text) < persons).await;
        let [none, low] = agreed(&page).await;
        assert_eq!(none, 0);
        assert!(low < persons);

        // The address follows, and a reload restores everything.
        page.until_address("Positives").await;
        page.reload().await;
        page.find("chip-values").await;
        page.until("share-positives", "shows as few", |text| shown(text) == low).await;

        // Esc drops everything.
        page.press(&[], '\u{e00c}').await;
        page.until("map-count", "shows all", |text| shown(text) == negatives + positives).await;

        // A lasso selects a part of the map.
        page.drag_over("map-canvas", &[(0.1, 0.1), (0.9, 0.1), (0.9, 0.6), (0.1, 0.6), (0.1, 0.2)]).await;
        page.find("chip-region").await;
        page.until("map-count", "shows fewer", |text| shown(text) < negatives + positives).await;
        let [some, more] = agreed(&page).await;
        assert!(some + more > 0 && some + more < negatives + positives);
        page.click("chip-region").await;

        // A search selects words. The table's first row has them.
        page.type_into("search", "THE").await;
        page.until("map-count", "shows some", |text| shown(text) > 0 && shown(text) < negatives).await;
        page.until("row", "has the word", |text| text.to_lowercase().contains("the")).await;
        page.click("clear-filters").await;

        // The span under the pointer is shown.
        page.find("map-canvas").await;
        page.click("zoom-in").await;
        page.hover("map-canvas", (0.52, 0.5)).await;
        page.click("zoom-all").await;
        let tooltip = async || {
            let start = Instant::now();
            while start.elapsed() < PATIENCE {
                for step in 0..40 {
                    page.hover("map-canvas", (0.02 + f64::from(step) / 60.0, 0.03 + f64::from(step) / 50.0)).await;
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    if page.has("hover").await {
                        return true;
                    }
                }
            }
            false
        };
        assert!(tooltip().await, "no span is shown anywhere on the map's diagonal");
    });
}

#[test]
fn doubted_labels_are_chosen_by_the_reason() {
    let Some(places) = Places::find("doubted_labels_are_chosen_by_the_reason") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.until("reasons", "has rows", |text| !text.is_empty()).await;
        let first = "const row = document.querySelector('[data-testid=reasons] tr');
                     return [row.querySelector('button').dataset.testid, row.innerText]";
        let first = page.script(first).await;
        let (button, row) = (first[0].as_str().unwrap().to_owned(), first[1].as_str().unwrap().to_owned());
        let (reason, number) = row.split_once('\t').unwrap();
        let (reason, number) = (reason.to_owned(), number.trim().to_owned());
        page.click(&button).await;
        let of = format!("{number} of ");
        page.until("listed", "lists them", |text| text.starts_with(&of)).await;
        assert!(page.text("chip-decided").await.contains(&format!("doubted: {reason}")));

        // A link leads to the same spans. A second click leads back.
        page.until_address("Doubted").await;
        page.reload().await;
        page.until_open().await;
        page.until("listed", "lists them again", |text| text.starts_with(&of)).await;
        page.click(&button).await;
        page.until("listed", "lists all", |text| !text.starts_with(&of)).await;
        assert!(!page.has("chip-decided").await);

        // The reason of a span leads to all spans with that reason.
        page.click("row").await;
        let because = page.until("same-reason", "names a reason", |text| text.contains("reason: ")).await;
        let reason = because.split_once("reason: ").unwrap().1.to_owned();
        page.click("same-reason").await;
        page.until("chip-decided", "names it, too", |text| text.contains(&format!("doubted: {reason}"))).await;
    });
}
