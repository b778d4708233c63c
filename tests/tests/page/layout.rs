//! Panels fold away and change their size, and the page remembers both.

use serde_json::json;

use crate::browser::{Page, Places, with_page};
use crate::made;

const LEFT: char = '\u{e012}';
const UP: char = '\u{e013}';

/// Returns width and height of the first element that the selector finds. They are 0 if it is hidden.
async fn size(page: &Page, css: &str) -> (i64, i64) {
    let script = format!(
        "const box = document.querySelector('{css}').getBoundingClientRect(); return [Math.round(box.width), Math.round(box.height)]"
    );
    let found = page.script(&script).await;
    (found[0].as_i64().unwrap(), found[1].as_i64().unwrap())
}

async fn focus(page: &Page, id: &str) {
    page.script(&format!("document.querySelector('[data-testid={id}]').focus()")).await;
}

#[test]
fn views_are_saved_under_a_name() {
    let Some(places) = Places::find("views_are_saved_under_a_name") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let all = page.text("map-count").await;
        page.click("class-PER").await;
        let few = page.until("map-count", "shows fewer", |text| text != all).await;
        page.choose("map-colour", "class").await;
        page.pick("panels", "views").await;
        // Without a name nothing is saved.
        page.click("view-save").await;
        page.type_into("view-name", "people: \"all\" & more").await;
        page.click("view-save").await;
        page.press(&[], '\u{e00c}').await;
        page.until("map-count", "shows all", |text| text == all).await;
        page.choose("map-colour", "density").await;
        // The browser keeps it.
        page.until_address("%22colouring%22:%22Density%22").await;
        page.reload().await;
        page.until("map-count", "shows all", |text| text == all).await;
        page.pick("panels", "views").await;
        assert_eq!(page.text("view-open").await, "people: \"all\" & more");
        page.click("view-open").await;
        page.until("map-count", "shows the view", |text| text == few).await;
        assert_eq!(page.value("map-colour").await, "class");
        page.pick("panels", "views").await;
        page.click("view-drop").await;
        page.until_script("return document.querySelector('[data-testid=view-open]') === null", json!(true)).await;
        page.click("views-close").await;
        page.reload().await;
        page.until_open().await;
        page.pick("panels", "views").await;
        page.find("view-name").await;
        assert!(!page.has("view-open").await);
    });
}

#[test]
fn panels_fold_away_and_the_page_remembers_it() {
    let Some(places) = Places::find("panels_fold_away_and_the_page_remembers_it") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.resize(1280, 800).await;
        let (list, span) = (size(&page, ".spans").await, size(&page, ".detail").await);
        page.pick("panels", "no-pictures").await;
        assert_eq!(size(&page, ".map").await, (0, 0));
        let (high, beside) = (size(&page, ".spans").await, size(&page, ".detail").await);
        assert!(high.1 > list.1 + 200 && beside.1 > span.1 + 100, "the list and the sentence get the room");
        for width in [1024, 1280] {
            page.resize(width, 800).await;
            let words = size(&page, ".grid .row:nth-child(3) > :nth-child(2)").await.0;
            assert!(words > 120, "{width}: the words have {words} pixels");
        }
        page.pick("panels", "no-settings").await;
        assert!(size(&page, ".spans").await.0 > high.0 + 200);
        page.pick("panels", "no-span").await;
        assert_eq!(size(&page, ".detail").await, (0, 0));
        let over = page.overflow().await;
        assert!(over[0].as_i64() <= Some(0) && over[1].as_i64() <= Some(0), "{over}");
        page.reload().await;
        page.until_open().await;
        for hidden in [".map", ".controls", ".detail"] {
            assert_eq!(size(&page, hidden).await, (0, 0), "{hidden}");
        }
        // A key does not open a menu that nobody sees.
        page.press(&[], 'j').await;
        page.find("relabel").await;
        page.press(&[], 'r').await;
        page.until_script("return document.querySelector(':popover-open') === null", json!(true)).await;
        page.pick("panels", "usual").await;
        assert_eq!((size(&page, ".spans").await, size(&page, ".detail").await), (list, span));
    });
}

#[test]
fn edges_move_by_mouse_and_by_keys() {
    let Some(places) = Places::find("edges_move_by_mouse_and_by_keys") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.resize(1280, 800).await;
        let (width, height) = (size(&page, ".detail").await.0, size(&page, ".spans").await.1);
        focus(&page, "edge-right").await;
        page.press(&[], LEFT).await;
        assert_eq!(size(&page, ".detail").await.0, width + 16);
        focus(&page, "edge-below").await;
        page.press(&[], UP).await;
        assert_eq!(size(&page, ".spans").await.1, height + 16);
        let before = size(&page, ".controls").await.0;
        page.drag("edge-left", 60.0).await;
        assert_eq!(size(&page, ".controls").await.0, before + 60);
        page.drag("edge-left", -240.0).await;
        assert_eq!(size(&page, ".controls").await.0, 232, "the text still fits");
        page.reload().await;
        page.find("listed").await;
        let sizes = [size(&page, ".controls").await.0, size(&page, ".detail").await.0, size(&page, ".spans").await.1];
        assert_eq!(sizes, [232, width + 16, height + 16]);
        // A broken or hostile entry is ignored.
        for broken in ["-3 many words", "0 1 x 2 3", "0 1 2"] {
            page.script(&format!("localStorage.setItem('dynclean-layout', '{broken}')")).await;
            page.reload().await;
            page.find("listed").await;
            assert_eq!(size(&page, ".detail").await.0, width, "{broken}");
        }
        // Sizes of a larger screen leave room for the other panels here.
        page.script("localStorage.setItem('dynclean-layout', '0 4000000000 4000 4000')").await;
        page.reload().await;
        page.find("listed").await;
        for (width, height) in [(1024, 720), (1280, 800)] {
            page.resize(width, height).await;
            let over = page.overflow().await;
            assert!(over[0].as_i64() <= Some(0) && over[1].as_i64() <= Some(0), "{width} × {height}: {over}");
            assert!(size(&page, ".map").await.0 > 280 && size(&page, ".map .drawn").await.1 > 40, "{width} × {height}");
        }
    });
}

#[test]
fn settings_that_few_people_need_stay_as_they_were_left() {
    let Some(places) = Places::find("settings_that_few_people_need_stay_as_they_were_left") else { return };
    let made = made(&places);
    let is_open = "return document.querySelector('details.more').open";
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.until_script(is_open, json!(false)).await;
        page.click("more-settings").await;
        page.find("window-last").await;
        page.reload().await;
        page.until_open().await;
        page.until_script(is_open, json!(true)).await;
        page.click("more-settings").await;
        page.reload().await;
        page.until_open().await;
        page.until_script(is_open, json!(false)).await;
    });
}
