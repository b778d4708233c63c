//! Decisions are never lost: not by a link, another tab, a key pressed too early, or a file that does not fit.

use shared::cleaning::{Decisions, share};
use shared::detection::judge::Judge;
use shared::detection::threshold::{Rule, Settings};

use crate::browser::{Page, Places, with_page};
use crate::{Made, made};

const RUN: &str = "?run=run/dynamics.dyn";
const SHIFT: char = '\u{e008}';
const CONTROL: char = '\u{e009}';

/// Returns the automatic settings with this threshold for negatives, as decisions about the run.
fn decisions(made: &Made, negatives: f32) -> Decisions {
    let bytes = std::fs::read(made.dynamics()).unwrap();
    let automatic = Judge::automatic(&shared::recording::dyn_file::read(&bytes).unwrap(), |_| {}).unwrap().1;
    let settings = Settings { negatives: Rule::Fixed(negatives), ..automatic };
    Decisions::new(shared::recording::dyn_file::digest(&bytes), settings)
}

/// Waits until changes are stored, if there is something to store.
async fn until_stored(page: &Page) {
    page.until("kept", "is stored", |text| text != "saving…").await;
}

async fn until_decided(page: &Page, number: usize) {
    let line = format!("{number} decided by hand");
    page.until("counts-panel", &line, |text| text.lines().any(|is| is == line)).await;
}

async fn until_threshold(page: &Page, value: &str) {
    page.until_script("return document.querySelector('[data-testid=threshold-negatives]')?.value ?? null", value).await;
}

/// Returns the page's address without the view.
async fn base_of(page: &Page) -> String {
    page.address().await.split('#').next().unwrap().to_owned()
}

/// Opens a link with this threshold while there is own work.
async fn follow(page: &Page, link: &str, threshold: &str) {
    page.go(link).await;
    page.until("banner", "offers own work", |text| text.contains("work of your own")).await;
    until_threshold(page, threshold).await;
    page.until_open().await;
}

/// Accepts the work that was set aside.
async fn take_up_that(page: &Page) {
    let buttons = "[...document.querySelectorAll('[data-testid=accept]')]";
    page.script(&format!("{buttons}.find((button) => button.textContent === 'Use that work').click()")).await;
}

/// Removes the first span.
async fn decide_first(page: &Page) {
    page.press(&[], 'j').await;
    page.press(&[], 'x').await;
    until_decided(page, 1).await;
}

async fn offers(page: &Page) -> String {
    page.until("banner", "brings work back", |text| text.contains("is back")).await
}

#[test]
fn neither_own_work_nor_what_is_done_on_a_link_is_lost() {
    let Some(places) = Places::find("neither_own_work_nor_what_is_done_on_a_link_is_lost") else { return };
    let made = made(&places);
    let link = |negatives| share::fragment(&decisions(made, negatives)).0;
    with_page(&places, &made.run, RUN, move |page| async move {
        page.until_open().await;
        let (base, threshold) = (base_of(&page).await, page.value("threshold-negatives").await);
        decide_first(&page).await;
        until_stored(&page).await;

        // A link that is only looked at changes nothing.
        follow(&page, &format!("{base}#{}", link(0.25)), "0.25").await;
        until_stored(&page).await;
        page.go(&base).await;
        let told = offers(&page).await;
        assert!(told.contains("1 decision by hand") && !told.contains("set aside"), "{told}");
        until_threshold(&page, &threshold).await;

        // New decisions are made without answering the offer. They are kept, and own work is kept beside them.
        follow(&page, &format!("{base}#{}", link(0.25)), "0.25").await;
        page.press(&[], 'j').await;
        // A key does nothing while the next row is on its way.
        for n in 1..=2 {
            page.press(&[], 'a').await;
            until_decided(&page, n).await;
        }
        until_stored(&page).await;
        page.go(&base).await;
        let told = offers(&page).await;
        assert!(told.contains("set aside") && told.contains("2 decisions by hand"), "{told}");
        until_threshold(&page, "0.25").await;
        take_up_that(&page).await;
        until_threshold(&page, &threshold).await;
        until_decided(&page, 1).await;
        page.press(&[CONTROL], 'z').await;
        until_decided(&page, 2).await;
        until_stored(&page).await;
        page.go(&base).await;
        let told = offers(&page).await;
        assert!(!told.contains("set aside") && told.contains("2 decisions by hand"), "answered: {told}");

        // Work that was refused can still be reached by undo.
        follow(&page, &format!("{base}#{}", link(0.75)), "0.75").await;
        page.click("dismiss").await;
        page.until("banner", "is empty", str::is_empty).await;
        until_threshold(&page, "0.75").await;
        page.press(&[CONTROL], 'z').await;
        until_decided(&page, 2).await;
        until_threshold(&page, "0.25").await;
    });
}

#[test]
fn settings_that_were_not_taken_up_can_be_had_by_undoing() {
    let Some(places) = Places::find("settings_that_were_not_taken_up_can_be_had_by_undoing") else { return };
    let made = made(&places);
    let link = share::fragment(&decisions(made, 0.75)).0;
    with_page(&places, &made.run, RUN, move |page| async move {
        page.until_open().await;
        let base = base_of(&page).await;
        page.type_into("slider-negatives", "\u{e00e}").await;
        let own = page.value("threshold-negatives").await;
        until_stored(&page).await;
        follow(&page, &format!("{base}#{link}"), "0.75").await;
        page.click("dismiss").await;
        page.until("banner", "is empty", str::is_empty).await;
        until_threshold(&page, "0.75").await;
        page.press(&[CONTROL], 'z').await;
        until_threshold(&page, &own).await;
        until_stored(&page).await;
        // Chromium forgets that the page wrote the address if the page writes it again while a reload begins.
        let is_old = "decodeURIComponent(location.hash).includes('\"negatives\":{\"fixed\":0.75}')";
        page.until_script(&format!("return {is_old}"), false).await;

        // After a reload, the address is not a link, and the stored work is used.
        page.reload().await;
        assert!(!offers(&page).await.contains("address"));
        until_threshold(&page, &own).await;
        // A link that is opened now counts as a link.
        page.script(&format!("location.hash = '#{link}'")).await;
        page.until("banner", "offers own work", |text| text.contains("work of your own")).await;
        until_threshold(&page, "0.75").await;
    });
}

#[test]
fn what_another_tab_has_stored_is_set_aside() {
    let Some(places) = Places::find("what_another_tab_has_stored_is_set_aside") else { return };
    let made = made(&places);
    let work = |hundredths: i32| {
        let Decisions { settings, .. } = decisions(made, hundredths as f32 / 100.0);
        let work = serde_json::json!({ "settings": settings, "by_hand": [], "session": 0.5 });
        serde_json::json!({ "work": work, "aside": [] }).to_string()
    };
    let digest = decisions(made, 0.0).dynamics;
    let other_tab = [-150, -250].map(|hundredths| {
        format!(
            "const done = arguments[0], work = {};
             work.work.saved_at = Date.now();
             const asked = indexedDB.open('dynclean');
             asked.onsuccess = () => {{
                 const store = asked.result.transaction('work', 'readwrite').objectStore('work');
                 store.put(JSON.stringify(work), '{digest}').onsuccess = () => {{ asked.result.close(); done(true); }};
             }};",
            work(hundredths)
        )
    });
    with_page(&places, &made.run, RUN, move |page| async move {
        page.until_open().await;
        let base = base_of(&page).await;
        page.press(&[], 'j').await;
        for (i, other_tab) in other_tab.iter().enumerate() {
            page.press(&[], 'x').await;
            until_decided(&page, i + 1).await;
            until_stored(&page).await;
            page.script_until_done(other_tab).await;
        }
        page.press(&[], 'x').await;
        until_decided(&page, 3).await;
        until_stored(&page).await;
        page.go(&base).await;
        let told = offers(&page).await;
        assert!(told.contains("3 decisions by hand"), "{told}");
        assert_eq!(told.matches("set aside").count(), 1, "of one other tab the last: {told}");
        take_up_that(&page).await;
        until_threshold(&page, "-2.5").await;
    });
}

#[test]
fn keys_are_about_what_is_chosen_whether_it_is_in_sight_or_not() {
    let Some(places) = Places::find("keys_are_about_what_is_chosen_whether_it_is_in_sight_or_not") else { return };
    let made = made(&places);
    with_page(&places, &made.run, RUN, move |page| async move {
        page.until_open().await;
        let all = page.text("listed").await;
        // The chosen row of words moves out of sight when the order changes.
        page.press(&[], 'w').await;
        page.find("form-row").await;
        page.press(&[], 'x').await;
        page.press(&[], 'j').await;
        let chosen = page.text("chip-form").await;
        let script = "return document.querySelector('[data-testid=form-row].selected').children[3].textContent";
        let n: usize = page.script(script).await.as_str().unwrap().trim().parse().unwrap();
        assert!(n > 2);
        page.click("sort-mean").await;
        let is_there = "return document.querySelectorAll('[data-testid=form-row].selected').length";
        // The words that are labelled most often do not have the lowest mean.
        page.until_script(is_there, 0).await;
        page.press(&[], 'x').await;
        until_decided(&page, n).await;
        assert_eq!(page.text("chip-form").await, chosen);
        page.press(&[CONTROL], 'z').await;
        page.until("counts-panel", "has no decision", |text| !text.contains("decided by hand")).await;

        // A key is pressed before its span is shown.
        page.press(&[], '\u{e00c}').await;
        page.press(&[], 'w').await;
        page.find("row").await;
        page.until("listed", "lists all again", |text| text == all).await;
        page.press(&[], 'j').await;
        page.until_script("return document.querySelector('[data-testid=row].selected') !== null", true).await;
        page.press(&[], 'x').await;
        page.press(&[SHIFT], 'X').await;
        // The decisions are about the first span, and about all spans like the second, which are told together with the
        // second span.
        let decided = |text: &str| {
            let counts = text.lines().find_map(|line| line.strip_suffix(" decided by hand"));
            counts.map_or(0, |count| count.parse::<usize>().unwrap())
        };
        let counted = decided(&page.until("counts-panel", "has both decisions", |text| decided(text) > 1).await);
        let alike = page.text_of("[data-testid=same-form] p").await;
        let n: usize = match alike.split(": ").nth(1).unwrap().split(' ').next().unwrap() {
            "once," => 1,
            number => number.parse().unwrap(),
        };
        let first = page.script("return document.querySelector('[data-testid=row] [role=gridcell]').textContent").await;
        assert!(first.as_str().unwrap().contains("remove"), "{first}");
        assert!(counted == n || counted == n + 1, "{counted} decided, {n} spans alike");
    });
}

#[test]
fn settings_that_the_file_cannot_have_are_refused() {
    let Some(places) = Places::find("settings_that_the_file_cannot_have_are_refused") else { return };
    let made = made(&places);
    with_page(&places, &made.run, RUN, move |page| async move {
        page.until_open().await;
        decide_first(&page).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("decisions.json");
        let mut late = decisions(made, 0.25);
        (late.settings.window.first, late.settings.window.last) = (50, 60);
        std::fs::write(&file, serde_json::to_vec(&late).unwrap()).unwrap();
        page.drop_file(&file).await;
        page.until("banner", "says why", |text| text.contains("epochs 50 to 60")).await;
        until_decided(&page, 1).await;
        let json = page.download("export-decisions", "decisions.json").await;
        let kept = Decisions::read(&json, &late.dynamics).unwrap();
        assert_eq!((kept.overrides.len(), kept.settings.negatives), (1, Rule::Auto));
    });
}

#[test]
fn own_work_is_set_aside_where_a_file_brings_other_decisions() {
    let Some(places) = Places::find("own_work_is_set_aside_where_a_file_brings_other_decisions") else { return };
    let made = made(&places);
    with_page(&places, &made.run, RUN, move |page| async move {
        page.until_open().await;
        let base = base_of(&page).await;
        decide_first(&page).await;
        let folder = tempfile::tempdir().unwrap();
        for (name, threshold) in [("first.json", 0.25), ("second.json", 0.75)] {
            let file = folder.path().join(name);
            std::fs::write(&file, serde_json::to_vec(&decisions(made, threshold)).unwrap()).unwrap();
            page.drop_file(&file).await;
            until_threshold(&page, &threshold.to_string()).await;
        }
        page.until("counts-panel", "has no decision", |text| !text.contains("decided by hand")).await;
        let told = page.text("banner").await;
        assert_eq!(told.matches("set aside").count(), 1, "what the first file brought is nobody's own work: {told}");
        assert!(told.contains("1 decision by hand"), "{told}");
        until_stored(&page).await;

        // When the page is opened again, the file's settings apply, and own work is still offered.
        page.go(&base).await;
        let told = offers(&page).await;
        assert!(told.contains("set aside") && told.contains("1 decision by hand"), "{told}");
        until_threshold(&page, "0.75").await;
        take_up_that(&page).await;
        until_decided(&page, 1).await;
        page.press(&[CONTROL], 'z').await;
        until_threshold(&page, "0.75").await;
    });
}
