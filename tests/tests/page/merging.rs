//! Decisions of several people: merged, compared, and settled where they disagree.

use shared::cleaning::{Decisions, Override};
use shared::detection::judge::Judge;

use crate::browser::{Places, with_page};
use crate::made;

#[test]
fn the_decisions_of_two_people_are_merged_and_disputes_settled() {
    let Some(places) = Places::find("the_decisions_of_two_people_are_merged_and_disputes_settled") else { return };
    let made = made(&places);
    let bytes = std::fs::read(made.dynamics()).unwrap();
    let dynamics = shared::recording::dyn_file::read(&bytes).unwrap();
    let (judge, settings) = Judge::automatic(&dynamics, |_| {}).unwrap();
    let digest = shared::recording::dyn_file::digest(&bytes);
    let entities: Vec<u32> = (0..judge.index.len() as u32).filter(|&id| judge.assigned[id as usize] > 0).collect();
    let at = |i: usize| judge.index.span(entities[i]).unwrap();
    let own = judge.labels.name(judge.assigned[entities[1] as usize]).to_owned();
    let of = |name: Option<&str>, overrides: Vec<(usize, Override)>| {
        let mut decisions = Decisions::new(digest.clone(), settings.clone());
        decisions.overrides = overrides.into_iter().map(|(i, by_hand)| (at(i), by_hand)).collect();
        decisions.reviewer = name.map(str::to_owned);
        decisions
    };
    use Override::{Keep, Remove};
    // To keep a label and to give it again are the same decision. Both people decide alike about spans 0 and 1.
    // Span 2 is in dispute. Only one person decides about 3, and only one about 4.
    let mut ada = of(Some("Ada"), vec![(0, Remove), (1, Keep), (2, Keep), (3, Remove)]);
    ada.notes = vec![(at(2), "a surname".to_owned())];
    let bo = of(None, vec![(0, Remove), (1, Override::Relabel(own)), (2, Remove), (4, Keep)]);
    let folder = tempfile::tempdir().unwrap();
    let files = [("from-ada.json", &ada), ("bo.json", &bo)].map(|(name, decisions)| {
        let path = folder.path().join(name);
        std::fs::write(&path, decisions.to_json()).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let disputed = dynamics.corpus.tokens.surface(at(2));
    let expected = [at(0), at(1), at(3), at(4)];
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        let _folder = folder;
        page.until_open().await;
        page.type_into("file-input", &files.join("\n")).await;
        // By chance: remove 1·2, keep 2·1 of 9; two of three alike: (2/3 − 4/9) / (1 − 4/9) = .4.
        page.until("reviewers-pair", "compares them", |text| {
            text.split_whitespace().collect::<Vec<_>>() == ["Ada", "–", "bo", "3", "2", "0.40"]
        })
        .await;
        page.until("in-dispute", "counts them", |text| text == "1 in dispute").await;
        let saved = || async {
            let json = page.download("export-decisions", "decisions.json").await;
            Decisions::read(&json, &digest).unwrap()
        };
        let merged = saved().await;
        let spans: Vec<_> = merged.overrides.iter().map(|(span, _)| *span).collect();
        assert_eq!(spans, expected);
        assert_eq!(merged.reviewers["Ada"], expected[..3]);
        assert_eq!(merged.reviewers["bo"], [expected[0], expected[1], expected[3]]);

        // The dispute is the only row, and shows who said what. A decision settles it.
        page.click("in-dispute").await;
        page.until("listed", "shows it alone", |text| text.starts_with("1 of ")).await;
        page.press(&[], 'j').await;
        page.until("sentence", "shows it", |text| text.contains(&disputed)).await;
        page.until("opinions", "names both", |text| text == "Ada: keep · bo: remove").await;
        page.until("note", "is Ada's", |text| text == "You are unsure: Ada: a surname").await;
        page.press(&[], 'x').await;
        page.until("in-dispute", "counts none", |text| text == "0 in dispute").await;
        page.until("listed", "is empty", |text| text.starts_with("0 of ")).await;
        page.click("in-dispute").await;
        // The person who settles it has a name, too.
        page.press(&[], '?').await;
        page.type_into("name", "Cy\t").await;
        page.click("help-close").await;
        let settled = saved().await;
        assert_eq!((settled.reviewer.as_deref(), settled.overrides.len()), (Some("Cy"), 5));
        assert_eq!(settled.reviewers["bo"].len(), 4, "bo was right");

        // All of it is kept in this browser.
        page.until("kept", "is stored", |text| text == "saved").await;
        page.reload().await;
        page.until_open().await;
        page.until("in-dispute", "counts none", |text| text == "0 in dispute").await;
        assert_eq!(saved().await, settled);

        // A file that does not fit is refused with its name, and changes nothing.
        std::fs::write(&files[1], bo.to_json().replace(&digest, "0123")).unwrap();
        page.type_into("file-input", &files.join("\n")).await;
        page.until("banner", "names the file", |text| text.contains("Nothing was merged") && text.contains("bo.json"))
            .await;
        assert_eq!(saved().await, settled);

        // The files are merged again. The settled dispute stays settled. The person at the page is one of three now.
        std::fs::write(&files[1], bo.to_json()).unwrap();
        page.type_into("file-input", &files.join("\n")).await;
        page.until_script("return document.querySelectorAll('[data-testid=reviewers-pair]').length", 3).await;
        page.until("in-dispute", "counts none", |text| text == "0 in dispute").await;
        assert_eq!(saved().await.overrides, settled.overrides);
        // Nobody is left, and nothing is lost.
        page.click("end-reviewers").await;
        let alone = saved().await;
        assert_eq!((alone.reviewers.len(), alone.overrides), (0, settled.overrides));
    });
}
