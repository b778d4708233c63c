//! Measures how fast the page is, on generated files. `cargo xtask bench web` runs it. It prints times but does
//! not check them, because they depend on the machine.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::corpus::labels::LabelSet;
use shared::corpus::span::Span;
use shared::corpus::{Corpus, Entity, TokenTable};
use shared::formats::Layout;
use shared::recording::dyn_file::{self, RunKind};
use shared::recording::dynamics::{EpochLogits, Negatives, Precision, RunInfo, SampleScheme};

use crate::browser::{Page, Places, with_page};

/// Number of tokens in every sentence. They make 68 spans of at most 8 tokens.
const TOKENS: u32 = 12;
const SPANS: usize = 68;

/// A fixed linear congruential sequence of numbers in 0..1.
struct Dice(u32);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }
}

/// The size of a generated file.
pub struct Size {
    pub spans: usize,
    pub types: usize,
    pub epochs: usize,
    /// Whether there are gold labels. They lack a fifth of the distant labels.
    pub gold: bool,
}

/// Writes a file with about this many spans, of which one in a hundred is a positive. Only one epoch is in memory
/// at a time.
pub fn generate(folder: &Path, size: &Size) -> PathBuf {
    let mut dice = Dice(1);
    let mut tokens = TokenTable::default();
    let mut entities = Vec::new();
    for sentence in 0..(size.spans / SPANS) as u32 {
        let words: Vec<String> = (0..TOKENS).map(|_| format!("w{}", (dice.roll() * 20_000.0) as u32)).collect();
        tokens.push(words).unwrap();
        if dice.roll() < 0.68 {
            let start = (dice.roll() * 10.0) as u32;
            let label = 1 + (dice.roll() * size.types as f32) as u16;
            entities.push(Entity { span: Span { sentence, start, end: start + 1 }, label });
        }
    }
    let labels = LabelSet::from_types((1..=size.types).map(|label| format!("T{label}")));
    let corpus = Corpus { tokens, labels, entities, unknown: vec![], extra: vec![], layout: Layout::default() };
    let index = corpus.span_index(8).unwrap();
    let assigned = corpus.dense_labels(&index);
    let epoch = |assigned: &[u16], types: usize, seed: usize| {
        let mut dice = Dice(seed as u32);
        let columns = (1..=types as u16).map(|label| {
            let value = |&own: &u16| (if own == label { 4.0 } else { -9.0 }) + 8.0 * (dice.roll() + dice.roll() - 1.0);
            assigned.iter().map(value).collect()
        });
        EpochLogits::from_columns(columns, assigned.len(), Precision::F16).unwrap()
    };
    let info = RunInfo { name: "generated".into(), max_span_width: 8, negatives: Negatives::All, ..RunInfo::default() };
    let path = folder.join("dynamics.dyn");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut write = |section: Vec<u8>| file.write_all(&section).unwrap();
    let gold = corpus.entities.iter().filter(|entity| !entity.span.sentence.is_multiple_of(5)).copied();
    let gold: Option<Vec<Entity>> = size.gold.then(|| gold.collect());
    write(dyn_file::begin(&info, &corpus, gold.as_deref()));
    for number in 0..size.epochs {
        write(dyn_file::epoch(RunKind::Main, number as u32 + 1, &epoch(&assigned, size.types, number)));
    }
    let samples: Vec<u32> = (0..index.len() as u32).step_by((index.len() / 4_000).max(1)).collect();
    let wrong = vec![size.types as u16 + 1; samples.len()];
    write(dyn_file::samples(SampleScheme::FakeClass, &samples, &wrong));
    for number in 0..size.epochs {
        let logits = epoch(&wrong, size.types + 1, 100 + number);
        write(dyn_file::epoch(RunKind::Threshold, number as u32 + 1, &logits));
    }
    write(dyn_file::end());
    path
}

/// Records the time from a drop to the first picture on the map, and every long task.
const WATCH: &str = "
    window.noted = { long: [] };
    new PerformanceObserver((l) => l.getEntries().forEach((e) => noted.long.push(Math.round(e.duration)))).observe({ entryTypes: ['longtask'] });
    addEventListener('drop', () => { noted.drop = performance.now(); const look = () => {
      const c = document.querySelector('[data-testid=map-canvas]');
      if (c && c.width > 300) {
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        for (let i = 3; i < d.length; i += 4) if (d[i]) { noted.picture = performance.now() - noted.drop; return; }
      }
      setTimeout(look, 5);
    }; look(); }, true);";

/// Records the times between frames from now on.
const FRAMES: &str = "
    noted.long = []; noted.frames = []; let last = null;
    const tick = (now) => { if (last !== null) noted.frames.push(now - last); last = now; noted.id = requestAnimationFrame(tick); };
    requestAnimationFrame(tick);";

async fn measure(page: &Page, file: &Path) -> Value {
    page.script(WATCH).await;
    let before = memory_mb();
    page.drop_file(file).await;
    // Waits as long as it takes. The page records the time itself, because frequent questions would slow it down.
    let picture = loop {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let told = page
            .script("return [...document.querySelectorAll('[role=alert]')].map((e) => e.textContent).join('') || null")
            .await;
        assert!(told.is_null(), "{told}");
        let picture = page.script("return noted.picture ?? null").await;
        if !picture.is_null() {
            break picture;
        }
    };
    page.until_open().await;
    let opening = page.script("return noted.long").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    page.script(FRAMES).await;
    for step in 0..6 {
        page.drag("slider-negatives", if step % 2 == 0 { 60.0 } else { -60.0 }).await;
    }
    let frames = page
        .script(
            "cancelAnimationFrame(noted.id); const f = noted.frames.sort((a, b) => a - b);
             return { frames: f.length, p50: f[f.length >> 1], p95: f[Math.floor(f.length * 0.95)], longTasks: noted.long }",
        )
        .await;
    let after = memory_mb();
    json!({
        "picture_ms": picture,
        "long_tasks_opening": opening,
        "drag": frames,
        "memory_grown_mb": after.zip(before).map(|(after, before)| after.0 - before.0),
        "wasm_memory_mb": after.map(|(_, wasm)| wasm),
    })
}

/// Returns megabytes: the resident memory of all renderers on this machine (of the page with its worker, and of
/// others), and the WebAssembly memory of the worker. Returns `None` if they cannot be found.
fn memory_mb() -> Option<(i64, i64)> {
    let (mut pages, mut wasm) = (0, 0);
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        if read("cmdline").contains("--type=renderer") {
            pages += read("statm").split_whitespace().nth(1)?.parse::<i64>().ok()?;
            wasm = wasm.max(wasm_bytes(&read("maps")));
        }
    }
    Some((pages * 4096 / 1_000_000, wasm / 1_000_000))
}

/// Returns the size of the largest WebAssembly memory among a process's mappings. Chromium puts each one before
/// gigabytes that nobody may access.
fn wasm_bytes(maps: &str) -> i64 {
    let mapping = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let address = |hex: &str| i64::from_str_radix(hex, 16).ok();
        Some((address(start)?, address(end)?, rest.starts_with("rw")))
    };
    let mappings: Vec<_> = maps.lines().filter_map(mapping).collect();
    let memory = |pair: &[(i64, i64, bool)]| {
        let &[(start, end, true), (next, last, false)] = pair else { return None };
        (end == next && last - next > 1 << 31).then_some(end - start)
    };
    mappings.windows(2).filter_map(memory).max().unwrap_or(0)
}

fn figures(test: &'static str, size: Size) {
    let Some(places) = Places::find(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = generate(folder.path(), &size);
    let megabytes = std::fs::metadata(&file).unwrap().len() / 1_000_000;
    let run = folder.path().to_path_buf();
    with_page(&places, &run, "", move |page| async move {
        page.find("welcome").await;
        let ready = page.script("return Math.round(performance.now())").await;
        let measured = measure(&page, &file).await;
        let columns = size.spans * size.types * size.epochs * Precision::F16.bytes() / 1_000_000;
        println!(
            "{} spans, {megabytes} MB, of which columns {columns} MB, page there after at most {ready} ms: {measured:#}",
            size.spans
        );
    });
}

#[test]
#[ignore = "measures; run by `cargo xtask bench web`"]
fn a_corpus_like_conll03() {
    figures("a_corpus_like_conll03", Size { spans: 1_270_000, types: 4, epochs: 5, gold: false });
}

#[test]
#[ignore = "measures; run by `cargo xtask bench web`"]
fn a_corpus_like_conll03_with_gold() {
    figures("a_corpus_like_conll03_with_gold", Size { spans: 1_270_000, types: 4, epochs: 5, gold: true });
}

#[test]
#[ignore = "measures; run by `cargo xtask bench web`"]
fn ten_million_spans() {
    figures("ten_million_spans", Size { spans: 10_000_000, types: 4, epochs: 5, gold: false });
}

/// A tab has at most 4 GB of memory.
#[test]
#[ignore = "measures, and needs 6 GB of disk; run by `cargo xtask bench web --huge`"]
fn more_than_a_tab_can_hold() {
    figures("more_than_a_tab_can_hold", Size { spans: 20_000_000, types: 20, epochs: 6, gold: false });
}
