//! Runs all checks and tests, as CI does.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    book,
    layout::Layout,
    lints, page,
    process::{cargo, inherited, logged},
    setup::{
        self, axe,
        browser::{self, Browser},
        encoder,
        firefox::{self, Firefox},
        mpi, python, wasm_std,
    },
    steps::Steps,
};

/// Folder of the corpora beside a development checkout. Elsewhere, tests with these corpora are skipped.
const DATA_VARIABLE: &str = "DYNCLEAN_DATA";
const DATA: &str = "../shared/data";

/// The page builds only for wasm. All other packages are built together, trainer-mpi only if there is MPI.
fn native(with_mpi: bool) -> Vec<&'static str> {
    let without: &[&str] = if with_mpi { &["web"] } else { &["web", "trainer-mpi"] };
    ["--workspace"].into_iter().chain(without.iter().flat_map(|package| ["--exclude", package])).collect()
}

/// In the profile of the page, so that its dependencies are compiled only once.
const WEB: [&str; 6] = ["--package", "web", "--target", wasm_std::TARGET, "--profile", "web"];

#[derive(clap::Args)]
pub struct Args {
    /// Run only tests whose name contains one of these, without format check and lints
    filter: Vec<String>,
    /// Leave out the tests that need this, if it cannot be installed
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    without: Vec<Without>,
}

/// Things that set-up installs and only some tests need.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Without {
    /// The encoder all-MiniLM-L6-v2
    Encoder,
    /// axe-core, which checks accessibility
    Axe,
    /// Firefox and geckodriver
    Firefox,
    /// An MPI library
    Mpi,
}

impl Without {
    fn variable(self) -> &'static str {
        match self {
            Self::Encoder => encoder::VARIABLE,
            Self::Axe => axe::VARIABLE,
            Self::Firefox => firefox::VARIABLE,
            Self::Mpi => mpi::VARIABLE,
        }
    }
}

pub fn run(layout: &Layout, args: &Args) -> Result<()> {
    let style_steps = if args.filter.is_empty() { 2 } else { 0 };
    // Steps: MPI, std, both browsers, axe-core, encoder, Python; page, build, tests of the Python package, tests.
    let mut steps = Steps::new(layout, style_steps + setup::PAGE_TOOL_STEPS + book::STEPS + 11)?;
    let result = all(layout, args, &mut steps);
    steps.summary();
    result
}

fn all(layout: &Layout, args: &Args, steps: &mut Steps) -> Result<()> {
    let style = args.filter.is_empty();
    // The checks that fail fastest run first.
    if style {
        steps.step("format", |step| {
            step.run(cargo().args(["fmt", "--all", "--check"]).current_dir(&layout.root))
                .context("`cargo fmt --all` mends this")?;
            Ok(((), "ok".to_owned()))
        })?;
    }
    let native = native(!args.without.contains(&Without::Mpi) && mpi::ensure(steps)?);
    wasm_std::ensure(layout, steps)?;
    setup::page_tools(layout, steps)?;
    let browser = browser::ensure(steps)?;
    let firefox = firefox::ensure(layout, steps)?;
    let axe = axe::ensure(layout, steps)?;
    let encoder = encoder::ensure(layout, steps)?;
    let python = python::ensure(layout, steps)?;
    if style {
        check(layout, steps, "lints of the page", lints::build()?.args(WEB))?;
    }
    let build = |log: &Path| {
        // In the profile of the tests, so that the dependencies are compiled only once.
        if style {
            let mut lints = lints::build()?;
            lints.args(["--release", "--all-targets"]).args(&native).current_dir(&layout.root);
            logged(&mut lints, log, |_| ()).context("lints")?;
        }
        // Builds trainer and tests together, so that they share every dependency. Tests train models: without
        // optimisation they would take hours.
        let mut build = cargo();
        build.args(["build", "--release", "--bins", "--tests"]).args(&native).current_dir(&layout.root);
        logged(&mut build, log, |_| ())
    };
    // Two builds at a time, because the page ends with parts that use one core only. Before that, the lints have
    // compiled what it needs: more compilers than cores would be slower.
    steps.beside(if style { "lints and build" } else { "build" }, "ok", build, |steps| {
        page::build(layout, steps)?;
        book::add(layout, steps)
    })?;
    if style {
        steps.step("tests of the Python package", |step| {
            step.say("running");
            for arguments in [
                &["ruff", "check", "python"][..],
                &["ruff", "format", "--check", "python"],
                &["mypy"],
                &["pytest", "-q", "-p", "no:cacheprovider"],
            ] {
                let mut command = Command::new(&python);
                command.arg("-m").args(arguments).current_dir(layout.root.join("trainer"));
                step.run(command.env("DYNCLEAN_TRAINER", layout.trainer()))?;
            }
            Ok(((), "all passed; what needs other libraries was left out".to_owned()))
        })?;
    }
    let programs = Programs { browser, firefox, axe, encoder };
    tests(layout, steps, args, &native, &programs)
}

fn check(layout: &Layout, steps: &mut Steps, name: &str, command: &mut Command) -> Result<()> {
    steps.step(name, |step| {
        step.say("running");
        step.run(command.current_dir(&layout.root))?;
        Ok(((), "ok".to_owned()))
    })
}

/// Programs that tests need and that are not built here.
struct Programs {
    browser: Browser,
    firefox: Option<Firefox>,
    axe: Option<PathBuf>,
    encoder: Option<PathBuf>,
}

fn tests(layout: &Layout, steps: &mut Steps, args: &Args, native: &[&str], programs: &Programs) -> Result<()> {
    steps.step("tests", |step| {
        let skipped = layout.logs().join("skipped.txt");
        // Removes the list of an earlier run.
        let _ = fs::remove_file(&skipped);
        let without: Vec<&str> = args.without.iter().map(|without| without.variable()).collect();
        let trainer = layout.trainer();
        ensure!(trainer.is_file(), "the build left no {}", trainer.display());
        step.say("running");
        let mut command = cargo();
        command
            .args(["test", "--release", "--no-fail-fast"])
            .args(native)
            .arg("--")
            .args(&args.filter)
            .current_dir(&layout.root)
            // Tests write here which of them were skipped, and why.
            .env("DYNCLEAN_SKIPPED", &skipped)
            .env("DYNCLEAN_WITHOUT", without.join(","))
            .env("DYNCLEAN_TRAINER", &trainer)
            .envs(
                Some(trainer.with_file_name("trainer-mpi")).filter(|mpi| mpi.is_file()).map(|mpi| (mpi::VARIABLE, mpi)),
            )
            .env("DYNCLEAN_DIST", layout.dist())
            .env("CHROMIUM", &programs.browser.chromium)
            .env("CHROMEDRIVER", &programs.browser.driver);
        if let Some(data) = data(layout) {
            command.env(DATA_VARIABLE, data);
        }
        if let Some(firefox) = &programs.firefox {
            command.env(firefox::VARIABLE, &firefox.program).env(firefox::DRIVER_VARIABLE, &firefox.driver);
        }
        if let Some(axe) = &programs.axe {
            command.env(axe::VARIABLE, axe);
        }
        if let Some(encoder) = &programs.encoder {
            command.env(encoder::VARIABLE, encoder);
        }
        // Uses our own output, because CI reads its `test result:` lines.
        inherited(&mut command)?;
        let skipped = fs::read_to_string(skipped).unwrap_or_default();
        Ok(((), news(&skipped)))
    })
}

/// Describes the tests that passed, and the tests that did not run.
fn news(skipped: &str) -> String {
    match skipped.lines().count() {
        0 => "all passed".to_owned(),
        n => format!("all passed, but {n} did not run:\n{}\n", skipped.trim_end()),
    }
}

fn data(layout: &Layout) -> Option<PathBuf> {
    env::var_os(DATA_VARIABLE).map(PathBuf::from).or_else(|| layout.root.join(DATA).canonicalize().ok())
}

#[cfg(test)]
mod tests {
    #[test]
    fn skipped_tests_are_named() {
        assert_eq!(super::news(""), "all passed");
        let news = super::news("SKIPPED a: no data\nSKIPPED b: no GPU\n");
        assert!(news.contains("2 did not run") && news.contains("a: no data") && news.contains("b: no GPU"), "{news}");
    }
}
