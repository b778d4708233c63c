//! Measures time and memory of judging and cleaning as recordings grow. The recordings are generated.

use std::{
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    layout::Layout,
    process::{cargo, output},
    steps::Steps,
};

#[derive(clap::Args)]
pub struct Args {
    /// Numbers of candidate spans
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000,10000000", value_name = "N,…")]
    spans: Vec<u64>,
    /// Epochs of each recording
    #[arg(long, default_value_t = 10, value_name = "N")]
    epochs: u32,
}

/// Entity types of the generated recordings.
const TYPES: &str = "4";

/// Time and memory of one command.
struct Cost {
    wall: Duration,
    /// Largest resident memory in MiB, where the system reports it.
    peak_mib: Option<f64>,
}

pub fn run(layout: &Layout, args: &Args) -> Result<()> {
    let mut steps = Steps::new(layout, 1 + args.spans.len())?;
    let generator = || {
        let mut command = cargo();
        command.args(["run", "--release", "--quiet", "--package", "tests", "--example", "generated", "--"]);
        command.current_dir(&layout.root);
        command
    };
    steps.step("build", |_| {
        output(cargo().args(["build", "--release", "--package", "trainer"]).current_dir(&layout.root))?;
        output(cargo().args(["build", "--release", "--package", "tests", "--examples"]).current_dir(&layout.root))?;
        Ok(((), "done".to_owned()))
    })?;
    let folder = layout.logs().join("bench-growth");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for spans in &args.spans {
        steps.step(&format!("{spans} spans"), |_| {
            let file = folder.join("generated.dyn");
            output(generator().arg(&file).args([&spans.to_string(), TYPES, &args.epochs.to_string()]))?;
            let megabytes = std::fs::metadata(&file).with_context(|| file.display().to_string())?.len() / 1_000_000;
            let inspected = cost(Command::new(layout.trainer()).arg("inspect").arg(&file))?;
            let corpus = file.with_extension("json");
            let mut clean = Command::new(layout.trainer());
            clean.arg("clean").arg(&file).arg("--corpus").arg(&corpus).arg("--out").arg(folder.join("cleaned.json"));
            let cleaned = cost(&mut clean)?;
            for name in ["generated.dyn", "generated.json", "cleaned.json"] {
                remove(&folder.join(name))?;
            }
            Ok(((), format!("{megabytes} MB; inspect {}; clean {}", shown(&inspected), shown(&cleaned))))
        })?;
    }
    Ok(())
}

fn remove(file: &Path) -> Result<()> {
    std::fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))
}

fn shown(cost: &Cost) -> String {
    let memory = cost.peak_mib.map_or("memory unknown".to_owned(), |mib| format!("{mib:.0} MiB"));
    format!("{:.2} s, {memory}", cost.wall.as_secs_f64())
}

/// Runs a command to its end.
fn cost(command: &mut Command) -> Result<Cost> {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("the trainer cannot start")?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_mib = None;
    loop {
        // The system counts the peak. It is lost when the process ends, so ask often.
        peak_mib = peak(&status).or(peak_mib);
        if let Some(ended) = child.try_wait()? {
            ensure!(ended.success(), "{command:?} failed: {ended}");
            return Ok(Cost { wall: start.elapsed(), peak_mib });
        }
        sleep(Duration::from_millis(2));
    }
}

fn peak(status: &str) -> Option<f64> {
    let text = std::fs::read_to_string(status).ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    kib.trim().trim_end_matches("kB").trim().parse::<f64>().ok().map(|kib| kib / 1024.0)
}
