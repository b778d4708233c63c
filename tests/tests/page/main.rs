//! Tests the built page in a real browser, with a real run of the trainer.

mod browser;
mod bulk;
mod comparing;
mod dictionary;
mod failing;
mod firefox;
mod groups;
mod keeping;
mod layout;
mod live;
mod menus;
mod merging;
mod moving;
mod offline;
mod pictures;
mod queue;
mod reading;
mod reviewing;
mod selecting;
mod sentence;
mod sharing;
mod speed;
mod words;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use browser::{Places, with_page};

/// A run on the bundled sample, made once for all tests here.
struct Made {
    corpus: PathBuf,
    run: PathBuf,
}

impl Made {
    fn dynamics(&self) -> PathBuf {
        self.run.join("dynamics.dyn")
    }
}

fn trainer(places: &Places, arguments: impl FnOnce(&mut Command)) {
    let mut command = Command::new(&places.trainer);
    arguments(&mut command);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Returns an empty folder among the build's temporary files. It stays until the next time, because nothing in a static
/// is dropped.
fn kept_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn made(places: &Places) -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = kept_folder("made");
        let (data, run) = (folder.join("data"), folder.join("run"));
        trainer(places, |c| {
            c.args(["sample", "--out"]).arg(&data);
        });
        trainer(places, |c| {
            c.arg("run").arg("--train").arg(data.join("train-distant.json"));
            c.arg("--train-gold").arg(data.join("train-gold.json"));
            c.arg("--dev").arg(data.join("dev.json")).arg("--test").arg(data.join("test.json"));
            c.args(["--encoder", "builtin", "--epochs", "3", "--seed", "1", "--out"]).arg(&run);
        });
        Made { corpus: data.join("train-distant.json"), run }
    })
}

/// Returns the corpus that `trainer clean` writes with these options.
fn cleaned_by_trainer(trainer_binary: &Path, made: &Made, options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("cleaned.json");
    let mut command = Command::new(trainer_binary);
    command.arg("clean").arg(made.dynamics()).arg("--corpus").arg(&made.corpus).arg("--out").arg(&out).args(options);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&out).unwrap()
}

#[track_caller]
fn assert_same(page: &[u8], trainer: &[u8], when: &str) {
    // `assert_eq!` would print two corpora of a megabyte each.
    let differs = page.iter().zip(trainer).position(|(a, b)| a != b).unwrap_or(page.len().min(trainer.len()));
    let around = |bytes: &[u8]| {
        let end = (differs + 60).min(bytes.len());
        String::from_utf8_lossy(&bytes[differs.saturating_sub(60).min(end)..end]).into_owned()
    };
    assert!(
        page == trainer,
        "{when}, page and trainer differ at byte {differs}:\n{}\n{}",
        around(page),
        around(trainer)
    );
}

/// The name under which the page saves the cleaned corpus. It comes from the name of the run, which is its folder
/// of data.
const CLEANED: &str = "data-cleaned.json";

/// The page drops the logits of the main run. For another window, it reads them from the file again.
#[test]
fn another_window_is_what_the_trainer_makes_of_it() {
    let Some(places) = Places::find("another_window_is_what_the_trainer_makes_of_it") else { return };
    let made = made(&places);
    let binary = places.trainer.clone();
    with_page(&places, &made.run, "", move |page| async move {
        page.find("welcome").await;
        page.drop_file(&made.dynamics()).await;
        page.until_open().await;
        let automatic = page.cleaned_corpus(CLEANED).await;
        page.click("more-settings").await;
        page.type_into("window-last", "\u{e015}").await;
        let moved = page.cleaned_corpus(CLEANED).await;
        assert_ne!(moved, automatic, "fewer epochs, other decisions");
        let window = format!("{}-{}", page.value("window-first").await, page.value("window-last").await);
        let expected = cleaned_by_trainer(&binary, made, &["--window", &window]);
        assert_same(&moved, &expected, "over another window");
        // Back at the automatic window, the corpus is the same as before.
        page.click("automatic").await;
        assert_same(&page.cleaned_corpus(CLEANED).await, &automatic, "back at the automatic window");
    });
}

#[test]
fn the_exported_corpus_is_what_the_trainer_writes() {
    let Some(places) = Places::find("the_exported_corpus_is_what_the_trainer_writes") else { return };
    let made = made(&places);
    let binary = places.trainer.clone();
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        assert_eq!(page.overflow().await, serde_json::json!([0, 0]), "the page fits 1280 × 720");

        // It starts at the automatic thresholds.
        let automatic = page.cleaned_corpus(CLEANED).await;
        assert_same(&automatic, &cleaned_by_trainer(&binary, made, &[]), "at the automatic thresholds");

        // One threshold is moved by keyboard, the other by dragging its line. The export does not wait, but it
        // must contain both changes.
        page.type_into("slider-negatives", &"\u{e014}".repeat(4)).await;
        page.drag("slider-positives", 23.0).await;
        let moved = page.cleaned_corpus(CLEANED).await;
        assert_ne!(moved, automatic, "the thresholds have moved");
        let (negatives, positives) = (page.value("threshold-negatives").await, page.value("threshold-positives").await);
        let options = ["--negatives-threshold", &negatives, "--positives-threshold", &positives];
        assert_same(&moved, &cleaned_by_trainer(&binary, made, &options), "at moved thresholds");

        // The slider and the field have the same value.
        let slider = page.find("slider-positives").await.attr("aria-valuenow").await.unwrap().unwrap();
        assert_eq!(slider, positives);

        // Decisions by hand and relabelling, through decisions.json.
        page.click("more-settings").await;
        page.click("action-relabel").await;
        page.click("row").await;
        page.until("sentence", "shows the sentence", |text| !text.is_empty()).await;
        page.click("decide-keep").await;
        page.until("decision", "is keep", |text| text == "keep").await;
        let by_hand = page.cleaned_corpus(CLEANED).await;
        assert_ne!(by_hand, moved);
        let folder = tempfile::tempdir().unwrap();
        let decisions = folder.path().join("decisions.json");
        std::fs::write(&decisions, page.download("export-decisions", "decisions.json").await).unwrap();
        let options = ["--decisions", decisions.to_str().unwrap()];
        assert_same(&by_hand, &cleaned_by_trainer(&binary, made, &options), "with decisions by hand");

        // Back to the beginning.
        page.click("automatic").await;
        page.click("decide-by-rule").await;
        let again = page.cleaned_corpus(CLEANED).await;
        assert_same(&again, &automatic, "back at the automatic thresholds");

        // The saved decisions apply again when they are dropped on the page.
        page.drop_file(&decisions).await;
        page.until("banner", "tells of them", |text| text.contains("1 decision of decisions.json hold now")).await;
        let restored = page.cleaned_corpus(CLEANED).await;
        assert_same(&restored, &by_hand, "with decisions.json read back");
    });
}

#[test]
fn counts_follow_the_threshold() {
    let Some(places) = Places::find("counts_follow_the_threshold") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        let removed = async || page.text("removed-O").await.replace(',', "").parse::<u64>().unwrap();
        let start = removed().await;
        // PageUp raises the threshold by a large step.
        page.type_into("slider-negatives", "\u{e00e}").await;
        page.until("removed-O", "grows", |text| text.replace(',', "").parse::<u64>().unwrap() > start).await;
        // Home moves the threshold below every span.
        page.type_into("slider-negatives", "\u{e011}").await;
        page.until("removed-O", "is none", |text| text == "0").await;
        assert!(page.has("quality").await, "the run was given gold labels");
        // Text that is not a number leaves the threshold as it was.
        let before = page.value("threshold-positives").await;
        page.type_into("threshold-positives", "x\u{e007}").await;
        assert_eq!(page.value("threshold-positives").await, before);
    });
}

#[test]
fn bad_files_are_refused_and_the_page_goes_on() {
    let Some(places) = Places::find("bad_files_are_refused_and_the_page_goes_on") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "", move |page| async move {
        let whole = std::fs::read(made.dynamics()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        // A fixed linear congruential sequence.
        let mut state = 1u32;
        let random: Vec<u8> = (0..100_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        let bad = [
            (file("empty.dyn", b""), "empty"),
            (file("random.dyn", &random), "not a dynamics file"),
            (file("truncated.dyn", &whole[..1000]), "cut off"),
            (file("damaged.dyn", &damaged), "damaged"),
        ];
        let refuse = async |path: &Path, reason: &str| {
            page.drop_file(path).await;
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let message = page.until("banner", "tells of the file", |text| text.contains(&name)).await;
            assert!(message.contains(reason), "{message}");
        };

        // Without an open file, the page tells the reason and waits for a better file.
        for (path, reason) in &bad {
            refuse(path, reason).await;
            assert!(page.has("welcome").await);
        }

        // A good file is dropped. The messages disappear.
        page.drop_file(&made.dynamics()).await;
        page.until_open().await;
        page.until("banner", "is empty", str::is_empty).await;
        let spans = page.text("span-count").await;

        // With an open file, that file stays open and still answers.
        for (path, reason) in &bad {
            refuse(path, reason).await;
            assert_eq!(page.text("span-count").await, spans);
        }
        let removed = page.text("removed-O").await;
        page.type_into("slider-negatives", "\u{e00e}").await;
        page.until("removed-O", "changes", |text| text != removed).await;

        // If the file is cut off within its last epoch, it opens with the earlier epochs. The page says so.
        let unfinished = file("unfinished.dyn", &whole[..whole.len() - whole.len() / 20]);
        page.drop_file(&unfinished).await;
        page.find("incomplete").await;
        page.until("banner", "tells of it", |text| text.contains("has not finished")).await;
        assert_eq!(page.text("span-count").await, spans);

        // The file picker opens a file, too.
        page.type_into("file-input", made.dynamics().to_str().unwrap()).await;
        // Another file was open in between, but the work on this file is not lost.
        page.until("banner", "brings the work back", |text| text.contains("work on this file is back")).await;
        assert!(!page.has("incomplete").await);
        page.until_open().await;
    });
}
