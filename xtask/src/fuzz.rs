//! Runs the fuzz targets of `tests/fuzz` for a long time, on the stable compiler. Code without `unsafe` needs no
//! sanitizer: coverage counters are enough.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::{
    layout::Layout,
    process::{cargo, inherited},
    setup,
    steps::Steps,
};

#[derive(clap::Args)]
pub struct Args {
    /// Target, as in tests/fuzz/fuzz_targets (default: all, one after the other)
    target: Option<String>,
    /// Minutes for each target
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
}

pub fn run(layout: &Layout, args: &Args) -> Result<()> {
    let all = targets(layout)?;
    let chosen: Vec<String> = match &args.target {
        Some(target) => {
            ensure!(all.contains(target), "there is no fuzz target {target}; there are: {}", all.join(", "));
            vec![target.clone()]
        }
        None => all,
    };
    let mut steps = Steps::new(layout, 1 + chosen.len())?;
    setup::cargo_fuzz(layout, &mut steps)?;
    let result = chosen.iter().try_for_each(|target| fuzz(layout, &mut steps, target, args.minutes));
    steps.summary();
    result
}

fn targets(layout: &Layout) -> Result<Vec<String>> {
    let folder = layout.root.join("tests/fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        if let Some(name) = entry?.path().file_stem() {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn fuzz(layout: &Layout, steps: &mut Steps, target: &str, minutes: u64) -> Result<()> {
    steps.step(target, |step| {
        // New inputs go to the first folder, so that the kept inputs stay few.
        let found = layout.root.join("target/fuzz").join(target);
        fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
        let kept = layout.root.join("tests/fuzz/corpus").join(target);
        step.say(&format!("running for {minutes} minutes"));
        let mut command = cargo();
        command
            .args(["fuzz", "run", "--fuzz-dir", "tests/fuzz", "--sanitizer", "none", target])
            .args([&found, &kept])
            .args(["--", "-timeout=10", "-rss_limit_mb=2048"])
            .arg(format!("-max_total_time={}", minutes * 60))
            .current_dir(&layout.root)
            .env("PATH", layout.search_path()?);
        inherited(&mut command)
            .with_context(|| format!("mend it, and keep the failing input in tests/fuzz/corpus/{target}"))?;
        Ok(((), "no failure".to_owned()))
    })
}
