//! Two recordings of the same corpus.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::browser::{Places, with_page};
use crate::{Made, kept_folder, made, trainer};

/// Makes a second run on the same corpus, with another seed.
fn second(places: &Places, made: &Made) -> &'static PathBuf {
    static SECOND: OnceLock<PathBuf> = OnceLock::new();
    SECOND.get_or_init(|| {
        let run = kept_folder("second").join("run");
        let data = made.corpus.parent().unwrap();
        trainer(places, |c| {
            c.arg("run").arg("--train").arg(&made.corpus);
            c.arg("--dev").arg(data.join("dev.json")).arg("--test").arg(data.join("test.json"));
            c.args(["--encoder", "builtin", "--epochs", "3", "--seed", "2", "--out"]).arg(&run);
        });
        run.join("dynamics.dyn")
    })
}

#[test]
fn two_recordings_are_compared() {
    let Some(places) = Places::find("two_recordings_are_compared") else { return };
    let made = made(&places);
    let other = second(&places, made);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let numbers = async |id: &str| -> Vec<f64> {
            let text = page.text(id).await.replace(',', "").replace('−', "-");
            // The first cell is the name of the row.
            let cells = text.split_whitespace().skip_while(|cell| cell.parse::<f64>().is_err());
            cells.map(|n| n.parse().unwrap_or(f64::NAN)).collect()
        };
        page.type_into("compare-input", other.to_str().unwrap()).await;
        page.until("compared-with", "names it", |text| text.contains("seed 2")).await;
        let positives = numbers("agreement-positives").await;
        assert!(positives[4] > 0.0, "the AUMs of two seeds correlate: {positives:?}");

        // The spans that are judged differently are listed. Their number equals the counts.
        let negatives = numbers("agreement-negatives").await;
        let flips = [&negatives, &positives].iter().map(|side| side[1] + side[2]).sum::<f64>();
        page.until("listed", "lists the flips", |text| {
            text.split(" of ").next().unwrap().replace(',', "") == flips.to_string()
        })
        .await;

        // A lasso on the map of both recordings uses the AUMs of the other file. Every view has the same spans.
        let shown = |text: &str| text.split(" of ").next().unwrap().replace(',', "").parse::<u64>().unwrap();
        page.choose("list-which", "all").await;
        let all = shown(&page.until("map-count", "shows all", |text| shown(text) as f64 > flips).await);
        page.drag_over("map-canvas", &[(0.02, 0.02), (0.98, 0.02), (0.98, 0.5), (0.02, 0.5), (0.02, 0.1)]).await;
        page.find("chip-region").await;
        let few = shown(&page.until("map-count", "shows fewer", |text| shown(text) < all).await);
        assert!(few > 0);
        page.until("listed", "lists as many", |text| shown(text) == few).await;
        // With another axis, the same spans stay selected.
        page.choose("map-y", "AUM").await;
        page.until("map-count", "shows as few", |text| shown(text) == few).await;
        // A link does not include the other file. The page says so when the link is made, and again when it is
        // opened.
        page.pick("export-more", "link").await;
        page.until("banner", "says what is missing", |text| text.contains("the other file are not in it")).await;
        page.reload().await;
        page.until("banner", "says what is left out", |text| text.contains("The link is about a comparison")).await;
        page.until("map-count", "shows all", |text| shown(text) == all).await;
        assert!(!page.has("chip-region").await);
        // The area disappears when the comparison ends.
        page.type_into("compare-input", other.to_str().unwrap()).await;
        page.until("busy", "says so", |text| text == "Compared").await;
        page.drag_over("map-canvas", &[(0.02, 0.02), (0.98, 0.02), (0.98, 0.5), (0.02, 0.5), (0.02, 0.1)]).await;
        page.find("chip-region").await;
        page.click("end-comparison").await;
        page.until("busy", "says so", |text| text.contains("dropped")).await;
        assert!(!page.has("chip-region").await);

        // A file agrees fully with itself.
        page.type_into("compare-input", made.dynamics().to_str().unwrap()).await;
        page.until("compared-with", "names the other", |text| text.contains("seed 1")).await;
        page.until("listed", "lists no flip", |text| text.starts_with("0 of ")).await;
        let [_, here, there, _, correlation] = numbers("agreement-positives").await[..] else { panic!("five numbers") };
        assert_eq!((here, there, correlation), (0.0, 0.0, 1.0));

        // A file that cannot be compared is refused.
        let folder = tempfile::tempdir().unwrap();
        let bad = folder.path().join("bad.dyn");
        std::fs::write(&bad, b"nothing").unwrap();
        page.type_into("compare-input", bad.to_str().unwrap()).await;
        page.until("banner", "tells why", |text| text.contains("cannot be compared")).await;
        page.click("end-comparison").await;
        page.until("listed", "lists what is judged wrong", |text| !text.starts_with("0 of ")).await;
        assert!(!page.has("compared-with").await);
    });
}
