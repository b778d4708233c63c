//! The whole sentence: its labels in layers, and entities whose boundaries are corrected in it.

use std::collections::HashMap;

use serde_json::{Value, json};
use shared::cleaning::{Decisions, Override};
use shared::corpus::labels::O;
use shared::corpus::span::Span;
use shared::detection::judge::Judge;

use crate::browser::{Page, Places, with_page};
use crate::made;

const CONTROL: char = '\u{e009}';
const ESCAPE: char = '\u{e00c}';

/// Returns the labels that the sentence shows: "Ann Lee: PER".
async fn bars(page: &Page) -> Vec<String> {
    let script = "return [...document.querySelectorAll('.bar[aria-label]')].map((bar) => bar.ariaLabel)";
    serde_json::from_value(page.script(script).await).unwrap()
}

/// Returns the middle of a token's word, as shares of the width and height of the sentence.
async fn token(page: &Page, number: u32) -> (f64, f64) {
    let script = format!(
        "const box = document.querySelector('[data-testid=sentence]').getBoundingClientRect();
         const word = document.querySelector('[data-token=\"{number}\"] > span').getBoundingClientRect();
         return [(word.x + word.width / 2 - box.x) / box.width, (word.y + word.height / 2 - box.y) / box.height]"
    );
    serde_json::from_value(page.script(&script).await).unwrap()
}

async fn until_place(page: &Page, start: u32, end: u32) {
    let place = if start == end { format!("token {start}") } else { format!("tokens {start}–{end}") };
    let script = "return document.querySelector('[data-testid=detail] .legend').textContent.split(', ')[1]";
    page.until_script(script, place).await;
}

async fn overrides(page: &Page, digest: &str) -> HashMap<Span, Override> {
    let json = page.download("export-decisions", "decisions.json").await;
    Decisions::read(&json, digest).unwrap().overrides.into_iter().collect()
}

#[test]
fn boundaries_are_corrected_and_missed_entities_added_in_the_sentence() {
    let Some(places) = Places::find("boundaries_are_corrected_and_missed_entities_added_in_the_sentence") else {
        return;
    };
    let made = made(&places);
    let bytes = std::fs::read(made.dynamics()).unwrap();
    let dynamics = shared::recording::dyn_file::read(&bytes).unwrap();
    let digest = shared::recording::dyn_file::digest(&bytes);
    let (judge, _) = Judge::automatic(&dynamics, |_| {}).unwrap();
    let corpus = &dynamics.corpus;
    let mut times: HashMap<String, usize> = HashMap::new();
    for id in 0..judge.index.len() as u32 {
        *times.entry(corpus.tokens.surface(judge.index.span(id).unwrap())).or_default() += 1;
    }
    // An entity whose words occur once, with two words before it and one after it, alone in its sentence.
    let is_alone = |span: Span| corpus.entities.iter().filter(|e| e.span.sentence == span.sentence).count() == 1;
    let entity = corpus.entities.iter().find(|entity| {
        let span = entity.span;
        let n = corpus.tokens.sentence(span.sentence).len() as u32;
        span.start >= 2 && span.end + 1 < n && times[&corpus.tokens.surface(span)] == 1 && is_alone(span)
    });
    let entity = *entity.unwrap();
    let (span, words, kind) = (entity.span, corpus.tokens.surface(entity.span), corpus.labels.name(entity.label));
    let (kind, first_type) = (kind.to_owned(), corpus.labels.name(1).to_owned());
    let longer = corpus.tokens.surface(Span { start: span.start - 1, ..span });
    let sentence: Vec<String> = corpus.tokens.sentence(span.sentence).map(str::to_owned).collect();
    let gold = dynamics.gold.as_ref().unwrap().iter().filter(|e| e.span.sentence == span.sentence).count();
    with_page(&places, &made.run, "?run=run/dynamics.dyn", move |page| async move {
        page.until_open().await;
        page.choose("list-which", "all").await;
        page.type_into("search", &format!("\"{words}\"")).await;
        page.until("listed", "lists the entity", |text| text.starts_with("1 of ")).await;
        page.press(&[], ESCAPE).await;
        page.click("row").await;
        until_place(&page, span.start, span.end).await;
        assert_eq!(page.text("sentence").await.split_whitespace().collect::<Vec<_>>(), sentence);

        // The layers.
        assert_eq!(bars(&page).await, [format!("{words}: {kind}")]);
        page.click("layer-gold").await;
        assert_eq!(bars(&page).await.len(), gold);
        page.click("layer-distant").await;

        // One word more to the left, by key: the longer span gets the type, the old one becomes O.
        page.press(&[], 'h').await;
        until_place(&page, span.start - 1, span.end).await;
        page.until("counts-panel", "has both", |text| text.contains("2 decided by hand")).await;
        assert!(bars(&page).await.contains(&format!("{longer}: {kind}")), "after cleaning: {:?}", bars(&page).await);
        let wider = Span { start: span.start - 1, ..span };
        let expected = |old: &str| {
            HashMap::from([(span, Override::Relabel(old.to_owned())), (wider, Override::Relabel(kind.clone()))])
        };
        assert_eq!(overrides(&page, &digest).await, expected("O"));
        // Back again, by button: the entity is as it was in the corpus.
        page.click("start-later").await;
        until_place(&page, span.start, span.end).await;
        let back = overrides(&page, &digest).await;
        assert_eq!(back.get(&span), Some(&Override::Keep));
        // Each correction is one step of undo, which shows the entity again.
        page.press(&[CONTROL], 'z').await;
        page.until("busy", "says so", |text| text == "Undone: 2 decisions").await;
        assert_eq!(overrides(&page, &digest).await, expected("O"));
        page.press(&[CONTROL], 'z').await;
        page.until("counts-panel", "has none", |text| !text.contains("decided by hand")).await;
        until_place(&page, span.start, span.end).await;

        // A missed entity: two words before the entity are drawn over and get a type. The span stays selected.
        let (from, to) = (token(&page, span.start - 2).await, token(&page, span.start - 1).await);
        page.drag_over("sentence", &[from, to]).await;
        until_place(&page, span.start - 2, span.start - 1).await;
        page.press(&[], '1').await;
        page.until("decision", "is the type", |text| text == format!("→ {first_type}")).await;
        until_place(&page, span.start - 2, span.start - 1).await;
        page.click("layer-cleaned").await;
        let added =
            format!("{} {}: {first_type}", sentence[span.start as usize - 2], sentence[span.start as usize - 1]);
        assert!(bars(&page).await.contains(&added), "{:?}", bars(&page).await);
        // A click on a word of an entity selects the entity; on another word, the word.
        let after = token(&page, span.end + 1).await;
        page.drag_over("sentence", &[after]).await;
        until_place(&page, span.end + 1, span.end + 1).await;
        page.click("layer-distant").await;
        let inside = token(&page, span.start).await;
        page.drag_over("sentence", &[inside]).await;
        until_place(&page, span.start, span.end).await;
        let is_pressed = "return document.querySelector('.bar[aria-label]').getAttribute('aria-pressed')";
        page.until_script(is_pressed, json!("true")).await;
        assert_ne!(page.script("return document.querySelector('[data-testid=layer-predicted]')").await, Value::Null);
        assert_ne!(judge.assigned[judge.index.id(span).unwrap() as usize], O);
    });
}
