//! Runs every command in the docs. The shell blocks of a chapter run one after the other, in a folder with the
//! sample. Blocks marked `sh no-run` are left out: they need a network, private files or a notebook.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Returns the blocks of a text that must run.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "```sh" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

fn chapters() -> Vec<(PathBuf, Vec<String>)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut files: Vec<PathBuf> = docs.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    let with_blocks = |path: PathBuf| {
        let blocks = blocks(&std::fs::read_to_string(&path).unwrap());
        (!blocks.is_empty()).then_some((path, blocks))
    };
    files.into_iter().filter_map(with_blocks).collect()
}

#[test]
fn the_commands_of_every_chapter_work() {
    let binary = tests::trainer!();
    let chapters = chapters();
    assert!(chapters.len() >= 5, "only {} chapters have commands: is the mark still ```sh?", chapters.len());
    let programs = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&binary, programs.path().join("trainer")).unwrap();
    let others = std::env::var_os("PATH").unwrap();
    let all = std::iter::once(programs.path().to_owned()).chain(std::env::split_paths(&others));
    let path = std::env::join_paths(all).unwrap();
    let run = |(file, blocks): &(PathBuf, Vec<String>)| {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("trainer sample --out sample\n{}\n", blocks.join("\n"));
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(folder.path())
            .env("PATH", &path)
            .output()
            .unwrap();
        let name = file.file_name().unwrap().to_string_lossy();
        (!output.status.success())
            .then(|| format!("{name}: {}\n{script}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
    };
    // Most chapters train a model. Two run at a time, because tests have two cores.
    let left = Mutex::new(chapters.iter());
    let next = || left.lock().unwrap().next();
    let one_by_one = || std::iter::from_fn(next).filter_map(run).collect::<Vec<_>>();
    let failed = std::thread::scope(|scope| {
        let second = scope.spawn(one_by_one);
        let mut failed = one_by_one();
        failed.extend(second.join().unwrap());
        failed
    });
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
