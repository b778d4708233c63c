//! Moving and zooming the map with the mouse, the keyboard and fingers. Also what a finger does on a page that
//! scrolls.

use serde_json::{Value, json};

use crate::browser::{Page, Places, with_page};
use crate::made;

/// Returns the visible part of the map as the address has it: left, right, low, high. Returns null if all is
/// visible.
const PART: &str = "
    const view = new URLSearchParams(location.hash.slice(1)).get('view');
    const part = view && JSON.parse(view).zoom;
    return part ? [...part.x, ...part.y] : null";

/// Waits until the visible part meets a condition, and returns the part.
async fn until_part(page: &Page, what: &str, condition: impl Fn([f64; 4]) -> bool) -> [f64; 4] {
    for _ in 0..1200 {
        let found: Option<[f64; 4]> = serde_json::from_value(page.script(PART).await).unwrap();
        if let Some(part) = found.filter(|&part| condition(part)) {
            return part;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the map never {what}; it shows {}", page.script(PART).await);
}

fn width([left, right, ..]: [f64; 4]) -> f64 {
    right - left
}

#[test]
fn the_zoomed_map_moves_under_the_mouse_and_by_keyboard() {
    let Some(places) = Places::find("the_zoomed_map_moves_under_the_mouse_and_by_keyboard") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let pressed = async |tool: &str| page.find(tool).await.attr("aria-pressed").await.unwrap().unwrap();
        assert_eq!([pressed("tool-select").await, pressed("tool-move").await], ["true", "false"]);
        page.click("tool-move").await;
        assert_eq!([pressed("tool-select").await, pressed("tool-move").await], ["false", "true"]);
        page.click("zoom-in").await;
        page.click("zoom-in").await;
        let before = until_part(&page, "is zoomed", |part| width(part) < 0.25).await;
        // Drags by a quarter of the map to the right and down. The parts to the left and above become visible.
        page.drag_over("map-canvas", &[(0.3, 0.3), (0.5, 0.5), (0.55, 0.55)]).await;
        let is_quarter = |by: f64, of: f64| (0.23..0.27).contains(&(by / of));
        let moved = until_part(&page, "moves", |part| {
            is_quarter(before[0] - part[0], width(before)) && is_quarter(part[2] - before[2], before[3] - before[2])
        })
        .await;
        assert!((width(moved) - width(before)).abs() < 1e-6 && !page.has("chip-region").await);
        // The map stops at its corner.
        page.drag_over("map-canvas", &[(0.05, 0.05), (0.9, 0.9)]).await;
        page.drag_over("map-canvas", &[(0.05, 0.05), (0.9, 0.9)]).await;
        let corner = until_part(&page, "is in the corner", |part| part[0] == 0.0 && part[3] == 1.0).await;
        // A click does not move the map, and keys still act on the spans.
        page.click("map-canvas").await;
        assert_ne!(page.script("return document.activeElement.dataset.testid ?? ''").await, "map-canvas");
        // The click is answered before a file is made.
        page.download("export-decisions", "decisions.json").await;
        let before = page.text("detail").await;
        page.press(&[], 'j').await;
        page.until("detail", "shows the row", |text| text != before).await;

        // The keyboard moves the map if it has the focus. Then 0 decides nothing, and arrows leave the selected
        // row.
        let sentence = page.text("sentence").await;
        page.script("document.querySelector('[data-testid=map-canvas]').focus()").await;
        page.press(&[], '\u{e014}').await;
        page.press(&[], '\u{e015}').await;
        let stepped = until_part(&page, "steps", |part| part[0] > 0.0 && part[3] < 1.0).await;
        assert!(((stepped[0] - corner[0]) / width(corner) - 0.1).abs() < 1e-3, "{corner:?}, {stepped:?}");
        page.press(&[], '+').await;
        until_part(&page, "is nearer", |part| width(part) < 0.9 * width(stepped)).await;
        page.press(&[], '0').await;
        page.until_script(PART, Value::Null).await;
        assert!(page.has_changed_nothing().await);
        assert_eq!(page.text("sentence").await, sentence);

        // With the other tool, a drag selects again.
        page.click("tool-select").await;
        page.drag_over("map-canvas", &[(0.1, 0.1), (0.9, 0.1), (0.9, 0.6), (0.1, 0.6)]).await;
        page.find("chip-region").await;
        page.until_address("%22region%22:%5B%5B").await;
        assert!(page.script(PART).await.is_null());
    });
}

/// Scrolls an element to the middle of the window. Returns the position of its middle, and how far the page is
/// scrolled.
async fn middle(page: &Page, id: &str) -> (f64, f64, f64) {
    let script = format!(
        "const e = document.querySelector('[data-testid={id}]'); e.scrollIntoView({{ block: 'center' }});
         const {{ x, y, width, height }} = e.getBoundingClientRect(); return [x + width / 2, y + height / 2, scrollY]"
    );
    serde_json::from_value(page.script(&script).await).unwrap()
}

/// Waits until the page has stopped scrolling. Returns how far it is scrolled.
async fn at_rest(page: &Page) -> f64 {
    let script = "const done = arguments[0]; let last = -1, same = 0;
        const look = () => {
            same = scrollY === last ? same + 1 : 0; last = scrollY;
            if (same < 10) requestAnimationFrame(look); else done(last);
        };
        look()";
    page.script_until_done(script).await.as_f64().unwrap()
}

/// Returns how far down the page scrolls when a finger moves up over an element.
async fn scrolled(page: &Page, id: &str) -> f64 {
    let (_, _, before) = middle(page, id).await;
    page.touch_over(id, &[&[(0.9, 0.95), (0.9, 0.7), (0.9, 0.4), (0.9, 0.1)]]).await;
    at_rest(page).await - before
}

#[test]
fn a_finger_scrolls_the_page_until_it_is_given_a_tool() {
    let Some(places) = Places::find("a_finger_scrolls_the_page_until_it_is_given_a_tool") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.become_phone().await;
        page.until_open().await;
        page.click("guide-decline").await;
        let pressed = async |tool: &str| page.find(tool).await.attr("aria-pressed").await.unwrap().unwrap();
        assert_eq!([pressed("tool-select").await, pressed("tool-move").await], ["false", "false"]);
        assert!(scrolled(&page, "map-canvas").await > 50.0);
        let (x, y, before) = middle(&page, "map-canvas").await;
        let wheel = json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": 100 });
        page.devtools("Input.dispatchMouseEvent", wheel).await;
        assert!(at_rest(&page).await - before > 50.0, "so does the wheel");
        assert!(page.script(PART).await.is_null() && !page.has("chip-region").await);

        // With a tool, the finger draws on the map.
        middle(&page, "map-canvas").await;
        page.click("tool-select").await;
        assert_eq!(pressed("tool-select").await, "true");
        let all = page.text("map-count").await;
        page.touch_over("map-canvas", &[&[(0.1, 0.2), (0.9, 0.2), (0.9, 0.9), (0.1, 0.9), (0.1, 0.5)]]).await;
        page.find("chip-region").await;
        page.until("map-count", "shows fewer", |text| text != all).await;
        assert_eq!(scrolled(&page, "map-canvas").await, 0.0);
        // Two fingers zoom and select nothing.
        page.click("chip-region").await;
        middle(&page, "map-canvas").await;
        page.touch_over("map-canvas", &[&[(0.4, 0.5), (0.3, 0.5), (0.2, 0.5)], &[(0.6, 0.5), (0.7, 0.5), (0.8, 0.5)]])
            .await;
        let near = until_part(&page, "is nearer", |part| width(part) < 0.3).await;
        assert!(!page.has("chip-region").await);
        // With the other tool, one finger moves the map.
        page.click("tool-move").await;
        page.touch_over("map-canvas", &[&[(0.7, 0.5), (0.5, 0.5), (0.3, 0.5)]]).await;
        until_part(&page, "moves", |part| part[0] > near[0]).await;
        // When the tool is pressed again, the finger scrolls the page again.
        page.click("tool-move").await;
        assert_eq!([pressed("tool-select").await, pressed("tool-move").await], ["false", "false"]);
        assert!(scrolled(&page, "map-canvas").await > 50.0);

        // Over bars, a finger chooses sideways, and scrolls up and down.
        assert!(scrolled(&page, "bars-positives").await > 50.0);
        assert!(!page.has("chip-values").await);
        middle(&page, "bars-positives").await;
        page.touch_over("bars-positives", &[&[(0.1, 0.8), (0.3, 0.8), (0.5, 0.8)]]).await;
        page.find("chip-values").await;
    });
}
