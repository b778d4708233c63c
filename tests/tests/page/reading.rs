//! The page works for everyone: axe-core checks it, it fits small and large windows, and it accepts or refuses any
//! file.

use serde_json::Value;
use shared::cleaning::Decisions;
use shared::detection::judge::Judge;

use tests::generated::{Size, generate};
use trainer::data::recording::Recording;

use crate::browser::{Page, Places, with_page};
use crate::{made, trainer};

const CONTROL: char = '\u{e009}';

/// Returns the violations of WCAG 2.1 AA that axe-core finds.
async fn violations(page: &Page, axe: &str) -> Vec<Value> {
    page.script(axe).await;
    let found = page
        .script_until_done(
            "const done = arguments[arguments.length - 1];
             // Colours on their way from one theme to the other are nobody's choice.
             const passing = document.getAnimations().filter((a) => a.effect.getTiming().iterations !== Infinity);
             Promise.all(passing.map((a) => a.finished.catch(() => null))).then(() =>
               axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })).then(
               (r) => done(r.violations.flatMap((v) => v.nodes.map((n) => [v.id, n.html, n.failureSummary]))),
               (e) => done([String(e)]))",
        )
        .await;
    found.as_array().cloned().unwrap_or_default()
}

#[test]
fn the_page_passes_axe_in_every_state() {
    let test = "the_page_passes_axe_in_every_state";
    let Some(places) = Places::find(test) else { return };
    let Some(axe) = tests::axe(test) else { return };
    let axe = std::fs::read_to_string(axe).unwrap();
    let made = made(&places);
    with_page(&places, &made.run, "", move |page| async move {
        let check = async |state: &str| {
            let found = violations(&page, &axe).await;
            assert!(found.is_empty(), "{state}: {found:#?}");
        };
        page.find("welcome").await;
        check("nothing open").await;
        page.drop_file(&made.dynamics()).await;
        page.until_open().await;
        check("a file open, the guide offered").await;
        page.click("guide-begin").await;
        page.click("guide-next").await;
        page.press(&[], 'j').await;
        page.until("sentence", "shows a span", |text| !text.is_empty()).await;
        page.click("class-PER").await;
        page.press(&[], 'x').await;
        check("a span selected, a filter set").await;
        page.press(&[], 'w').await;
        page.click("form-row").await;
        page.find("chip-form").await;
        check("words listed, one chosen").await;
        page.click("chip-form").await;
        page.click("tab-groups").await;
        page.find("group-row").await;
        check("groups listed").await;
        page.click("tab-spans").await;
        page.click("guide-end").await;
        page.click("theme").await;
        check("in the other theme").await;
        page.click("more-settings").await;
        page.pick("panels", "no-pictures").await;
        check("more settings shown, pictures folded away").await;
        page.pick("panels", "usual").await;
        page.press(&[], '?').await;
        page.until("help-dialog", "is open", |text| !text.is_empty()).await;
        check("the help open").await;
        page.click("help-close").await;
        page.pick("panels", "views").await;
        page.type_into("view-name", "a view").await;
        page.click("view-save").await;
        page.pick("panels", "views").await;
        page.find("view-open").await;
        check("the saved views open").await;
        page.click("views-close").await;
        page.press(&[], 'q').await;
        page.type_into("note-text", "why?").await;
        check("a note being left").await;
        page.click("note-leave").await;
        page.choose("list-which", "noted").await;
        page.until("row", "says so", |text| text.contains("unsure")).await;
        page.click("row").await;
        page.until("note", "is shown", |text| text == "You are unsure: why?").await;
        page.type_into("enough", "9999999\t").await;
        page.until("is-enough", "says so", |text| !text.is_empty()).await;
        check("a note shown, enough reviewed").await;
        page.click("bulk").await;
        page.find("bulk-row").await;
        check("one decision about many").await;
        page.click("bulk-keep").await;
        page.until("counts-panel", "has the decision", |text| text.contains("2 decided by hand")).await;

        // Two people, and two files.
        let folder = tempfile::tempdir().unwrap();
        let json = page.download("export-decisions", "decisions.json").await;
        let files = ["ada.json", "bo.json"].map(|name| folder.path().join(name));
        files.iter().for_each(|file| std::fs::write(file, &json).unwrap());
        page.press(&[CONTROL], 'z').await;
        page.press(&[], 'x').await;
        page.until("counts-panel", "has the decision", |text| text.contains("2 decided by hand")).await;
        page.type_into("file-input", &files.map(|file| file.to_str().unwrap().to_owned()).join("\n")).await;
        page.until("in-dispute", "counts one", |text| text == "1 in dispute").await;
        page.click("in-dispute").await;
        page.until("listed", "lists it", |text| text.starts_with("1 of ")).await;
        page.click("row").await;
        page.find("opinions").await;
        check("decisions of three people merged, one in dispute").await;
        page.type_into("compare-input", made.dynamics().to_str().unwrap()).await;
        page.find("compared-with").await;
        page.find("agreement-positives").await;
        check("two files compared").await;

        // Everything can be reached in every size of window, from a phone to a very large screen.
        for (width, height) in [(390, 844), (1280, 720), (1920, 1080), (3840, 2160)] {
            page.resize(width, height).await;
            let over = page.overflow().await;
            // The value is below zero if there is a scroll bar.
            assert!(over[0].as_i64() <= Some(0), "{width} × {height} scrolls sideways: {over}");
            assert!(width < 1024 || over[1].as_i64() <= Some(0), "{width} × {height} scrolls down: {over}");
        }
    });
}

#[test]
fn every_file_of_the_fuzz_corpus_opens_or_is_refused_in_words() {
    let Some(places) = Places::find("every_file_of_the_fuzz_corpus_opens_or_is_refused_in_words") else { return };
    let made = made(&places);
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/dyn_file");
    let mut files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5);
    with_page(&places, &made.run, "", move |page| async move {
        // A file that is dropped before the page is ready would be lost.
        page.find("welcome").await;
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let judged = shared::recording::dyn_file::read(&bytes)
                .map_err(|e| e.to_string())
                .and_then(|dynamics| Judge::automatic(&dynamics, |_| {}).map_err(|e| e.to_string()));
            page.drop_file(&file).await;
            match judged {
                Err(reason) => {
                    let refusal = format!("{name} was not opened: {reason}");
                    page.until("banner", &refusal, |text| text.contains(&refusal)).await;
                }
                Ok((judge, _)) => {
                    let spans = format!("{} spans", judge.index.len());
                    page.until("span-count", &spans, |text| text.replace(',', "") == spans).await;
                    page.until("busy", "is at rest", str::is_empty).await;
                }
            }
        }
        // After all these files, a good file still opens.
        page.resize(1600, 900).await;
        page.drop_file(&made.dynamics()).await;
        page.until("facts", "shows it", |text| text.contains("builtin")).await;
        page.until_open().await;
    });
}

#[test]
fn the_parts_of_a_recording_open_together() {
    let Some(places) = Places::find("the_parts_of_a_recording_open_together") else { return };
    let made = made(&places);
    let folder = tempfile::tempdir().unwrap();
    let parts = folder.path().join("parts");
    trainer(&places, |c| {
        c.arg("split").arg(made.dynamics()).args(["--parts", "11", "--out"]).arg(&parts);
    });
    let whole = Recording::open(&parts).unwrap();
    let (digest, spans) = (whole.digest, format!("{} spans", whole.dynamics.span_index().unwrap().len()));
    let mut files: Vec<_> = std::fs::read_dir(&parts).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    // The order of the names counts, and not that of the choice. In that order part 2 comes before part 10.
    files.rotate_left(4);
    let plain = |name: &str| folder.path().join(name.replace("part-0", "part-"));
    let files = files.into_iter().map(|file| {
        let renamed = plain(file.file_name().unwrap().to_str().unwrap());
        std::fs::rename(file, &renamed).unwrap();
        renamed.to_str().unwrap().to_owned()
    });
    let files: Vec<String> = files.collect();
    let mixed = made.run.join("decisions.json").to_str().unwrap().to_owned();
    with_page(&places, &made.run, "", move |page| async move {
        page.type_into("welcome-input", &files.join("\n")).await;
        page.until_open().await;
        page.until("span-count", "counts those of all parts", |text| text.replace(',', "") == spans).await;
        let json = page.download("export-decisions", "decisions.json").await;
        Decisions::read(&json, &digest).unwrap();

        page.type_into("file-input", &format!("{}\n{mixed}", files[0])).await;
        page.until("banner", "says what goes together", |text| text.contains("parts of one recording")).await;
    });
}

#[test]
fn an_extract_opens_with_what_it_knows_of_the_whole() {
    let Some(places) = Places::find("an_extract_opens_with_what_it_knows_of_the_whole") else { return };
    let made = made(&places);
    let folder = tempfile::tempdir().unwrap();
    let [look, own, about] = ["look.dyn", "own.json", "about.json"].map(|name| folder.path().join(name));
    trainer(&places, |c| {
        c.arg("extract").arg(made.dynamics()).args(["--suspicious", "3000", "--out"]).arg(&look);
    });
    let extract = Recording::open(&look).unwrap();
    let (digest, settings) = (extract.digest.clone(), extract.settings());
    let whole = Recording::open(&made.dynamics()).unwrap();
    let (n, of) = (extract.dynamics.corpus.n_sentences(), whole.dynamics.corpus.n_sentences());
    assert!(n < of / 2, "{n} of {of}");
    let [file, saved] = [&look, &own].map(|path| path.to_str().unwrap().to_owned());
    with_page(&places, &made.run, "", move |page| async move {
        page.type_into("welcome-input", &file).await;
        page.until_open().await;
        page.until("facts", "says what it is", |text| text.contains(&format!("{n} most suspicious of {of} sentences")))
            .await;
        let json = page.download("export-decisions", "decisions.json").await;
        // The thresholds of the whole recording hold.
        assert_eq!(Decisions::read(&json, &digest).unwrap().settings, settings);
        std::fs::write(saved, json).unwrap();
    });
    trainer(&places, |c| {
        c.arg("extract").arg(&look).arg("--decisions").arg(&own).arg("--out").arg(&about);
    });
    whole.read_decisions(&about).unwrap();
}

#[test]
fn margins_alone_make_a_map_of_what_they_give() {
    let Some(places) = Places::find("margins_alone_make_a_map_of_what_they_give") else { return };
    let run = tempfile::tempdir().unwrap();
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v2.dyn");
    std::fs::copy(golden, run.path().join("dynamics.dyn")).unwrap();
    with_page(&places, run.path(), "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.until("map-unknown", "says why", |text| text.contains("margins only")).await;
        // A change of one axis is not enough, and breaks nothing.
        page.choose("map-y", "AUM").await;
        page.until("map-count", "shows none", |text| text.starts_with("0 of ")).await;
        page.until("map-unknown", "still says why", |text| text.contains("margins only")).await;
        page.choose("map-x", "forgetting events").await;
        // The margins of one span are not numbers.
        page.until("map-count", "shows all but one", |text| text == "9 of 10").await;
        assert_eq!(page.text("map-unknown").await, "");
        // Messages that appear by themselves are read aloud, because their elements have these roles.
        page.type_into("search", "no such words").await;
        page.until("rows-empty", "says so", |text| text.contains("clear the filter")).await;
        for (id, role) in [("banner", "alert"), ("busy", "status"), ("map-unknown", "status"), ("rows-empty", "status")]
        {
            assert_eq!(page.find(id).await.attr("role").await.unwrap().as_deref(), Some(role), "{id}");
        }
    });
}

#[test]
fn eighteen_types_have_colours_of_their_own_and_are_all_in_the_legend() {
    let Some(places) = Places::find("eighteen_types_have_colours_of_their_own_and_are_all_in_the_legend") else {
        return;
    };
    let run = tempfile::tempdir().unwrap();
    generate(&run.path().join("dynamics.dyn"), &Size { spans: 6_800, types: 18, epochs: 2, gold: false });
    with_page(&places, run.path(), "?run=run/dynamics.dyn", move |page| async move {
        page.find("counts").await;
        page.choose("map-colour", "class").await;
        page.find("map-types").await;
        for width in [1280, 390] {
            page.resize(width, 720).await;
            // All types are visible, or can be reached by scrolling down. O is one of them.
            let legend = "const e = document.querySelector('[data-testid=map-types]'); const box = e.getBoundingClientRect();
                const own = [...e.children].filter((c) => c.getBoundingClientRect().right <= box.right && c.offsetWidth > 20);
                return [own.length, new Set(own.map((c) => getComputedStyle(c.firstChild).backgroundColor)).size,
                    e.scrollWidth <= e.clientWidth]";
            page.until_script(legend, serde_json::json!([19, 19, true])).await;
        }
    });
}

#[test]
fn the_sample_opens_without_a_file() {
    let Some(places) = Places::find("the_sample_opens_without_a_file") else { return };
    let made = made(&places);
    with_page(&places, &made.run, "", move |page| async move {
        page.click("open-sample").await;
        page.until_open().await;
        assert!(page.has("quality").await && page.has("curve-positives").await);
    });
}
