//! Builds the documentation as a book with mdBook, into `target/book`. A copy beside the page, in `dist/book`, is
//! served with it.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{layout::Layout, setup, steps::Steps};

/// Number of steps that [`add`] takes.
pub const STEPS: usize = 2;
/// Attribute of the page's `<html>` that says that the book is there. Then style.css shows the link to it.
const MARK: &str = "data-book";

pub fn run(layout: &Layout) -> Result<()> {
    let mut steps = Steps::new(layout, STEPS)?;
    if layout.dist().join("index.html").is_file() { add(layout, &mut steps) } else { build(layout, &mut steps) }
}

/// Builds the book, and adds it to the built page.
pub fn add(layout: &Layout, steps: &mut Steps) -> Result<()> {
    build(layout, steps)?;
    let (dist, book) = (layout.dist(), layout.dist().join("book"));
    if book.exists() {
        fs::remove_dir_all(&book).with_context(|| format!("cannot clear {}", book.display()))?;
    }
    copy(&layout.book(), &book)?;
    let index = dist.join("index.html");
    let html = fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?;
    if !html.contains(MARK) {
        ensure!(html.contains("<html "), "{} has no <html>", index.display());
        let html = html.replacen("<html ", &format!("<html {MARK} "), 1);
        fs::write(&index, html).with_context(|| format!("cannot write {}", index.display()))?;
    }
    Ok(())
}

fn build(layout: &Layout, steps: &mut Steps) -> Result<()> {
    setup::mdbook(layout, steps)?;
    steps.step("book", |step| {
        let book = layout.book();
        step.say("building with mdBook");
        let mut mdbook = Command::new("mdbook");
        mdbook.args(["build", "docs", "--dest-dir"]).arg(&book).current_dir(&layout.root);
        step.run(mdbook.env("PATH", layout.search_path()?))?;
        ensure!(book.join("index.html").is_file(), "mdBook left no index.html in {}", book.display());
        Ok(((), format!("in {}", layout.shown(&book))))
    })
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let (path, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}
