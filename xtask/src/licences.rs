//! Collects the licences of everything that is linked into the program and the page. Cargo knows the packages, and
//! their folders contain the texts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result};

use crate::{
    layout::Layout,
    process::{cargo, output, packages},
    setup::wasm_std,
};

/// The licences of the files that mdBook puts into the book. Cargo does not know them.
const BOOK: &str = "\nThe documentation (book/) contains files of mdBook 0.5: MPL-2.0 \
                    https://github.com/rust-lang/mdBook. With them come highlight.js (BSD-3-Clause), elasticlunr.js, \
                    mark.js and clipboard.js (MIT), icons of Font Awesome (CC-BY-4.0), and the fonts Open Sans \
                    (Apache-2.0) and Source Code Pro (OFL-1.1). Each file, or the folder of the fonts, says so.\n";

/// Writes the licences as one text. Returns a line for the summary.
pub fn write(layout: &Layout, path: &Path) -> Result<((), String)> {
    let mut names = BTreeSet::new();
    for (package, target) in [("trainer", None), ("web", Some(wasm_std::TARGET))] {
        let mut tree = cargo();
        tree.args(["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
        if let Some(target) = target {
            tree.args(["--target", target]);
        }
        let linked = output(tree.current_dir(&layout.root))?;
        // A line is "name v1.2.3 (…)".
        names.extend(linked.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned()))
        }));
    }
    let mut text = "DynClean, MIT OR Apache-2.0. Its program and page contain these packages:\n\n".to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut count = 0;
    let foreign = packages(&layout.root, &[])?.into_iter().filter(|package| package.source.is_some());
    for package in foreign.filter(|package| names.contains(&(package.name.clone(), package.version.clone()))) {
        count += 1;
        let id = format!("{} {}", package.name, package.version);
        let (licence, place) = (package.license.unwrap_or_default(), package.repository.unwrap_or_default());
        text += &format!("{id}: {licence} {place}\n");
        for licence in of_folder(package.manifest_path.parent().unwrap_or(Path::new(""))) {
            texts.entry(licence).or_default().push(id.clone());
        }
    }
    text += BOOK;
    for (licence, of) in texts {
        text += &format!("\n{}\n{}:\n\n{}\n", "-".repeat(80), of.join(", "), licence.trim_end());
    }
    fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(((), format!("{count} packages, in {}", layout.shown(path))))
}

/// Returns the texts of the licences in a package's folder.
fn of_folder(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_licence = |name: &str| {
        let name = name.to_ascii_uppercase();
        ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"].iter().any(|begin| name.starts_with(begin))
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let named = paths.iter().filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_licence));
    named.filter_map(|path| fs::read_to_string(path).ok()).collect()
}
