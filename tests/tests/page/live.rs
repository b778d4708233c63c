//! A run that is at work is followed.

use shared::recording::dyn_file::{self, RunKind};
use shared::recording::dynamics::{Dynamics, Run};

use crate::browser::{Places, with_page};
use crate::made;

#[test]
fn epochs_appear_when_they_are_recorded() {
    let Some(places) = Places::find("epochs_appear_when_they_are_recorded") else { return };
    let made = made(&places);
    let run = tempfile::tempdir().unwrap();
    let (whole, so_far) = (run.path().join("dynamics.dyn"), run.path().join("dynamics.dyn.partial"));
    let bytes = std::fs::read(made.dynamics()).unwrap();
    let dynamics = dyn_file::read(&bytes).unwrap();
    let part = move |n_epochs: usize| {
        let Dynamics { info, corpus, gold, run: Run { epochs, scores }, .. } = &dynamics;
        let mut part = dyn_file::begin(info, corpus, gold.as_deref());
        for (n, (epoch, &score)) in (1..).zip(epochs.iter().zip(scores)).take(n_epochs) {
            part.extend(dyn_file::epoch(RunKind::Main, n, epoch));
            part.extend(dyn_file::score(RunKind::Main, score));
        }
        part
    };
    std::fs::write(&so_far, part(0)).unwrap();
    with_page(&places, run.path(), "run/", move |page| async move {
        page.until("banner", "says that there is no epoch yet", |text| text.contains("was not opened")).await;
        std::fs::write(&so_far, part(1)).unwrap();
        page.until_open().await;
        // The settings that the page had before, without a file, are nobody's work. So the automatic settings hold.
        page.until_address("metric%22:%22trust").await;
        let told = page.until("banner", "says that it goes on", |text| text.contains("has not finished")).await;
        assert!(told.contains("so far (1)") && told.contains("shows the next ones"), "{told}");
        page.until("facts", "has one epoch", |text| text.contains("1 epochs") && text.contains("unfinished")).await;
        assert!(!page.has("course").await, "one epoch is no course");

        std::fs::write(&so_far, part(2)).unwrap();
        page.until("facts", "has two epochs", |text| text.contains("2 epochs")).await;
        page.until_open().await;
        let course = page.text("course-loss").await;
        let losses: Vec<f32> = course.split(['→', ' ']).filter_map(|word| word.parse().ok()).collect();
        assert!(losses.len() == 2 && losses[0] > losses[1], "the loss falls: {course}");

        // Somebody who works on these two epochs is asked. The decisions come along.
        page.press(&[], 'j').await;
        page.until("sentence", "shows a span", |text| !text.is_empty()).await;
        page.click("decide-remove").await;
        page.until("counts-panel", "has the decision", |text| text.contains("1 decided by hand")).await;
        std::fs::write(&whole, &bytes).unwrap();
        std::fs::remove_file(&so_far).unwrap();
        page.until("banner", "offers the rest", |text| text.contains("The run has gone on")).await;
        assert!(page.text("facts").await.contains("2 epochs"));
        page.click("accept").await;
        page.until("facts", "has all epochs", |text| text.contains("3 epochs") && !text.contains("unfinished")).await;
        page.until_address("run=run%2Fdynamics.dyn&").await;
        page.until("counts-panel", "still has the decision", |text| text.contains("1 decided by hand")).await;
        page.click("export-decisions").await;
        page.until("banner", "says where they are", |text| text.contains("reviewed.json")).await;

        // The address leads to the whole recording.
        page.reload().await;
        page.until_open().await;
        page.until("counts-panel", "has the decision again", |text| text.contains("1 decided by hand")).await;
        page.until("best-epoch", "is named", |text| text.starts_with("best epoch: ")).await;
    });
}
