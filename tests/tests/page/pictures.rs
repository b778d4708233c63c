//! Makes the pictures of the docs. The test makes them every time, so that the way to make them keeps working. They
//! are only kept if `DYNCLEAN_PICTURES` names a folder. `cargo xtask screenshots` names `docs`.

use std::path::PathBuf;

use crate::browser::{Places, with_page};
use crate::{made, trainer};

/// Size of the picture of the whole page.
const SIZE: (u32, u32) = (1280, 800);

/// Returns width and height of a PNG file, which stand in its first section.
fn size(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG"), "this is no PNG file");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[test]
fn pictures_of_the_docs_can_be_made() {
    let Some(places) = Places::find("pictures_of_the_docs_can_be_made") else { return };
    let kept = std::env::var_os("DYNCLEAN_PICTURES").map(PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let run = match &kept {
        None => made(&places).run.clone(),
        Some(_) => full_run(&places, folder.path()),
    };
    with_page(&places, &run, "?run=run/dynamics.dyn", move |page| async move {
        page.resize(SIZE.0, SIZE.1).await;
        page.devtools("Emulation.setScrollbarsHidden", serde_json::json!({ "hidden": true })).await;
        page.until_open().await;
        page.click("guide-decline").await;
        // The first label of the list is kept by hand; the second one is shown.
        page.press(&[], 'j').await;
        page.until("sentence", "shows a span", |text| !text.is_empty()).await;
        page.press(&[], 'a').await;
        page.until("counts-panel", "has the decision", |text| text.contains("1 decided by hand")).await;
        page.until("kept", "is stored", |text| text != "saving…").await;
        let picture = page.picture().await;
        assert_eq!(size(&picture), SIZE);
        if let Some(folder) = kept {
            std::fs::write(folder.join("page.png"), picture).unwrap();
        }
    });
}

#[test]
fn plots_are_saved_as_pictures() {
    let Some(places) = Places::find("plots_are_saved_as_pictures") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.until("map-count", "shows all", |text| !text.starts_with("0 ")).await;
        page.choose("map-colour", "class").await;
        page.find("map-types").await;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        page.pick("save-map", "svg").await;
        let map = text(page.downloaded("map.svg").await);
        assert!(map.contains("href=\"data:image/png;base64,") && map.contains(">Map of all labels: data</text>"));
        assert!(map.contains(">PER</text>") && map.contains(">confidence in your label</text>"));
        page.pick("save-positives", "svg").await;
        let bars = text(page.downloaded("entities.svg").await);
        assert!(bars.contains(">Entities: data</text>") && bars.contains(">likely wrong: below 0.50</text>"), "{bars}");
        // The browser draws both without a fault, and so twice as large.
        for (menu, name, svg) in [("save-map", "map.png", map), ("save-positives", "entities.png", bars)] {
            page.pick(menu, "png").await;
            let png = size(&page.downloaded(name).await);
            let number = |name: &str| -> u32 {
                let (_, rest) = svg.split_once(&format!(" {name}=\"")).unwrap();
                rest.split_once('"').unwrap().0.parse().unwrap()
            };
            assert_eq!(png, (2 * number("width"), 2 * number("height")), "{name}");
        }
    });
}

/// Trains on the bundled sample as `trainer demo` does, with all epochs.
fn full_run(places: &Places, folder: &std::path::Path) -> PathBuf {
    let (data, run) = (folder.join("sample"), folder.join("run"));
    trainer(places, |c| {
        c.args(["sample", "--out"]).arg(&data);
    });
    trainer(places, |c| {
        c.args(["run", "--encoder", "builtin", "--seed", "1", "--out"]).arg(&run);
        c.arg("--train").arg(data.join("train-distant.json")).arg("--train-gold").arg(data.join("train-gold.json"));
        c.arg("--dev").arg(data.join("dev.json")).arg("--test").arg(data.join("test.json"));
    });
    run
}
