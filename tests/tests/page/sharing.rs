//! The report, and links that reproduce the numbers.

use shared::cleaning::Decisions;
use shared::detection::judge::Judge;
use shared::detection::threshold::{Rule, Settings};
use shared::report::Findings;

use crate::browser::{Places, with_page};
use crate::made;

#[test]
fn the_pages_report_is_the_trainers_and_its_link_gives_the_same_numbers() {
    let Some(places) = Places::find("the_pages_report_is_the_trainers_and_its_link_gives_the_same_numbers") else {
        return;
    };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let automatic = page.text("removed-O").await;
        page.type_into("slider-negatives", "\u{e00e}").await;
        page.until("removed-O", "changes", |text| text != automatic).await;
        page.press(&[], 'j').await;
        page.until("sentence", "shows a span", |text| !text.is_empty()).await;
        page.click("decide-keep").await;
        page.until("decision", "is keep", |text| text == "keep").await;

        // The report is made here from the same decisions. It must have the same bytes.
        let json = page.download("export-decisions", "decisions.json").await;
        page.pick("export-more", "report").await;
        let of_page = String::from_utf8(page.downloaded("report.html").await).unwrap();
        let bytes = std::fs::read(made.dynamics()).unwrap();
        let dynamics = shared::recording::dyn_file::read(&bytes).unwrap();
        let decisions = Decisions::read(&json, &shared::recording::dyn_file::digest(&bytes)).unwrap();
        assert_eq!(decisions.overrides.len(), 1);
        let judge = Judge::new(&dynamics, decisions.settings.window, decisions.settings.metric).unwrap();
        let findings = Findings::new(&dynamics, &judge, &decisions).unwrap();
        crate::assert_same(of_page.as_bytes(), findings.html(None).unwrap().as_bytes(), "in the report");
        assert!(of_page.len() < 3_000_000 && !of_page.contains("<script"));

        // The report's link is opened where nothing is stored. It gives the same numbers.
        let corpus = page.cleaned_corpus(crate::CLEANED).await;
        let removed = page.text("removed-O").await;
        let start = of_page.find("<pre class=\"link\">#").unwrap() + "<pre class=\"link\">".len();
        let fragment = &of_page[start..start + of_page[start..].find('<').unwrap()];
        let address = page.address().await;
        let (base, _) = address.split_once('#').unwrap();
        page.script("indexedDB.deleteDatabase('dynclean')").await;
        page.go(&format!("{base}{fragment}")).await;
        page.until_open().await;
        page.until("removed-O", "is as it was", |text| text == removed).await;
        page.until("counts-panel", "has the decision", |text| text.contains("1 decided by hand")).await;
        crate::assert_same(&page.cleaned_corpus(crate::CLEANED).await, &corpus, "by the report's link");

        // The link from the menu does the same. Own work is not lost, but offered.
        page.pick("export-more", "link").await;
        page.until("banner", "tells of it", |text| text.contains("The link is")).await;
        let link = page.address().await;
        page.click("automatic").await;
        let own = page.until("removed-O", "changes", |text| text != removed).await;
        page.until("kept", "is stored", |text| text == "saved").await;
        page.go(&link).await;
        page.until("banner", "offers own work", |text| text.contains("work of your own")).await;
        page.until("removed-O", "is the link's", |text| text == removed).await;
        page.click("accept").await;
        page.until("removed-O", "is one's own", |text| text == own).await;

        // A link about another file is not applied, and the page says so.
        page.go(&link.replace("dynamics%22:%22", "dynamics%22:%22f")).await;
        page.until("banner", "says so", |text| text.contains("another dynamics file")).await;
    });
}

#[test]
fn a_run_is_shown_as_it_was_decided() {
    let Some(places) = Places::find("a_run_is_shown_as_it_was_decided") else { return };
    let made = made(&places);
    let run = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(made.dynamics()).unwrap();
    std::fs::write(run.path().join("dynamics.dyn"), &bytes).unwrap();
    let automatic = Judge::automatic(&shared::recording::dyn_file::read(&bytes).unwrap(), |_| {}).unwrap().1;
    let settings = Settings { negatives: Rule::Fixed(0.25), ..automatic };
    let decisions = Decisions::new(shared::recording::dyn_file::digest(&bytes), settings);
    std::fs::write(run.path().join("decisions.json"), serde_json::to_vec(&decisions).unwrap()).unwrap();
    let expected = crate::cleaned_by_trainer(&places.trainer, made, &["--negatives-threshold=0.25"]);
    with_page(&places, run.path(), "run/", move |page| async move {
        page.until_open().await;
        let threshold = "return document.querySelector('[data-testid=threshold-negatives]').value";
        page.until_script(threshold, "0.25").await;
        crate::assert_same(&page.cleaned_corpus(crate::CLEANED).await, &expected, "as decided");
    });
}

#[test]
fn decisions_are_saved_in_the_folder_of_the_run_with_the_command_that_trains_on_them() {
    let name = "decisions_are_saved_in_the_folder_of_the_run_with_the_command_that_trains_on_them";
    let Some(places) = Places::find(name) else { return };
    let made = made(&places);
    let run = tempfile::tempdir().unwrap();
    for file in ["dynamics.dyn", "command.txt"] {
        std::fs::copy(made.run.join(file), run.path().join(file)).unwrap();
    }
    let folder = run.path().canonicalize().unwrap();
    let reviewed = folder.join("reviewed.json");
    with_page(&places, run.path(), "run/", move |page| async move {
        page.until_open().await;
        page.press(&[], 'j').await;
        page.until("sentence", "shows a span", |text| !text.is_empty()).await;
        page.click("decide-remove").await;
        page.until("counts-panel", "has the decision", |text| text.contains("1 decided by hand")).await;
        page.click("export-decisions").await;
        let told = page.until("banner", "says where they are", |text| text.contains("saved in")).await;
        assert!(told.contains(reviewed.to_str().unwrap()), "{told}");
        let command = page.value("link-field").await;
        let end = format!(" --decisions {}", reviewed.display());
        assert!(command.starts_with("trainer run --train ") && command.ends_with(&end), "{command}");
        // The menu saves the same as a file.
        page.pick("export-more", "decisions").await;
        let downloaded = page.downloaded("decisions.json").await;
        crate::assert_same(&downloaded, &std::fs::read(&reviewed).unwrap(), "in the folder");
        assert!(String::from_utf8(downloaded).unwrap().contains("\"remove\""));

        // If it cannot be saved there, the page says how else.
        std::fs::write(folder.join("dynamics.dyn"), "another file").unwrap();
        page.click("export-decisions").await;
        page.until("banner", "says how else", |text| text.contains("not saved") && text.contains("Share …")).await;
        // Another file has nothing to do with this run.
        page.drop_file(&made.dynamics()).await;
        page.until("banner", "brings the work back", |text| text.contains("Your work on this file is back")).await;
        assert!(!page.download("export-decisions", "decisions.json").await.is_empty());
        page.forgive().await;
    });
}

#[test]
fn a_link_can_be_copied_by_hand_where_there_is_no_clipboard() {
    let Some(places) = Places::find("a_link_can_be_copied_by_hand_where_there_is_no_clipboard") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.press(&[], 'j').await;
        page.until("sentence", "shows a span", |text| !text.is_empty()).await;
        page.click("decide-remove").await;
        page.until("counts-panel", "has the decision", |text| text.contains("1 decided by hand")).await;
        let mut link = String::new();
        for clipboard in ["undefined", "{ writeText: () => Promise.reject(new Error('refused')) }"] {
            page.script(&format!(
                "Object.defineProperty(navigator, 'clipboard', {{ configurable: true, value: {clipboard} }})"
            ))
            .await;
            page.pick("export-more", "link").await;
            page.until("banner", "shows the link", |text| text.contains("Copy the link by hand")).await;
            // The next key changes the address, but not the link in the message.
            page.press(&[], 'j').await;
            page.until_script("return /%22span%22:\\d/.test(location.hash)", true).await;
            link = page.value("link-field").await;
            page.click("dismiss").await;
            page.until("banner", "is empty", str::is_empty).await;
        }
        page.script("indexedDB.deleteDatabase('dynclean')").await;
        page.go(&link).await;
        page.until("counts-panel", "has the decision", |text| text.contains("1 decided by hand")).await;
    });
}
