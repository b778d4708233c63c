//! Measures how fast the page is, on generated files. `cargo xtask bench web` runs it. It prints times but does
//! not check them, because they depend on the machine.

use std::path::Path;

use serde_json::{Value, json};
use shared::recording::dynamics::Precision;
use tests::generated::{Size, generate};

use crate::browser::{Page, Places, with_page};

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

/// Sorts the list by words, and calls back with the time until it is sorted.
const SORT: &str = "
    const done = arguments[0], first = () => document.querySelector('[data-testid=row] mark')?.textContent;
    const was = first(), begun = performance.now();
    document.querySelector('[data-testid=sort-words]').click();
    const look = () => first() === was ? setTimeout(look, 5) : done(performance.now() - begun);
    look();";

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
    page.choose("list-which", "all").await;
    page.until("listed", "lists all", |text| text.split_once(" of ").is_some_and(|(n, all)| all.starts_with(n))).await;
    let sorted = page.script_until_done(SORT).await;
    json!({
        "picture_ms": picture,
        "sorted_by_words_ms": sorted,
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
    let file = folder.path().join("dynamics.dyn");
    generate(&file, &size);
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
