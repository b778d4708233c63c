//! The main path in Firefox.

use crate::browser::{Places, with_page};
use crate::made;

#[test]
fn firefox_opens_a_file_and_saves_what_is_decided() {
    let test = "firefox_opens_a_file_and_saves_what_is_decided";
    let Some(places) = Places::find(test).and_then(|places| places.with_firefox(test)) else { return };
    let made = made(&places);
    let trainer = places.trainer.clone();
    with_page(&places, &made.run, "", move |page| async move {
        page.find("welcome").await;
        page.type_into("welcome-input", made.dynamics().to_str().unwrap()).await;
        page.until_open().await;
        let automatic = page.text("removed-O").await;
        page.type_into("slider-negatives", "\u{e00e}").await;
        page.until("removed-O", "changes", |text| text != automatic).await;
        page.press(&[], 'j').await;
        page.until("sentence", "shows a span", |text| !text.is_empty()).await;
        page.press(&[], 'x').await;
        page.until("counts-panel", "has the decision", |text| text.contains("1 decided by hand")).await;

        let folder = tempfile::tempdir().unwrap();
        let decisions = folder.path().join("decisions.json");
        std::fs::write(&decisions, page.download("export-decisions", "decisions.json").await).unwrap();
        let of_page = page.cleaned_corpus(crate::CLEANED).await;
        let options = ["--decisions", decisions.to_str().unwrap()];
        crate::assert_same(&of_page, &crate::cleaned_by_trainer(&trainer, made, &options), "in Firefox");

        page.reload().await;
        page.type_into("welcome-input", made.dynamics().to_str().unwrap()).await;
        page.until("banner", "brings the work back", |text| text.contains("1 decision by hand")).await;
    });
}
