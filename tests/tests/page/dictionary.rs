//! Labels that dev contradicts are corrected. They are told apart from labels that thresholds judge.

use shared::cleaning::{CleaningSummary, Decisions};
use shared::detection::judge::Judge;
use shared::detection::threshold::{Metric, Settings};

use crate::browser::{Places, with_page};
use crate::made;

#[test]
fn what_dev_contradicts_is_corrected_until_the_switch_is_off() {
    let Some(places) = Places::find("what_dev_contradicts_is_corrected_until_the_switch_is_off") else { return };
    let made = made(&places);
    let dynamics = shared::recording::dyn_file::read(&std::fs::read(made.dynamics()).unwrap()).unwrap();
    let spans: u32 = dynamics.contradicted.iter().map(|entry| entry.spans).sum();
    let told = format!("correct {} dictionary entries ({spans} labels)", dynamics.contradicted.len());
    assert!(spans > 0);
    // Kept spans by class, `O` first, with or without the check. The metric is AUM, which finds few of these spans
    // itself.
    let kept = |check: bool| -> Vec<(String, u64)> {
        let by_aum = |settings: &mut Settings| {
            settings.metric = Metric::Aum;
            settings.overlap_suppression = true;
            settings.relabel_probability = Metric::Aum.relabel_probability();
            settings.dictionary_check &= check;
        };
        let (judge, settings) = Judge::automatic(&dynamics, by_aum).unwrap();
        let decisions = Decisions::new(String::new(), settings);
        let labels = &dynamics.corpus.labels;
        let decided = decisions.resolve(&judge, labels).unwrap();
        let counts = CleaningSummary::new(&judge, &decisions.settings, &decided, labels).counts;
        counts.into_iter().map(|c| (c.label, c.total - c.removed - c.relabelled)).collect()
    };
    let (with, without) = (kept(true), kept(false));
    assert_ne!(with, without);
    let binary = places.trainer.clone();
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        assert!(page.text("capitals").await.starts_with("capitals count 0."), "how far the text counts");
        page.click("more-settings").await;
        page.click("metric-AUM").await;
        let shows = async |expected: &[(String, u64)]| {
            for (label, kept) in expected {
                let is_so = |text: &str| text.replace(',', "") == kept.to_string();
                page.until(&format!("kept-{label}"), &kept.to_string(), is_so).await;
            }
        };
        assert!(page.text_of(".panel.controls").await.contains(&told));
        shows(&with).await;
        page.click("dictionary-check").await;
        shows(&without).await;
        let of_page = page.cleaned_corpus(crate::CLEANED).await;
        let of_trainer = crate::cleaned_by_trainer(&binary, made, &["--metric", "aum", "--dev-for", "epoch"]);
        crate::assert_same(&of_page, &of_trainer, "without the check");
        page.click("undo").await;
        shows(&with).await;
    });
}
