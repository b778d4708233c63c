//! `cargo xtask …`: everything around the code, from a bare machine to a served page.
//!
//! | file | what it holds |
//! |---|---|
//! | `setup/` | installs what is missing: wasm32 std, wasm-bindgen, trunk, wasm-opt, Chromium, an encoder and a Python for tests |
//! | `page.rs` | builds the page into `dist/` |
//! | `wheel.rs` | builds the Python wheel: program, page and package in one file |
//! | `licences.rs` | collects the licences of everything that is linked |
//! | `demo.rs` | `trainer demo` with a page built from here |
//! | `test.rs` | all checks and tests; what CI runs |
//! | `bench.rs` | benchmarks, ours and the peers' |
//! | `gpu_bundle.rs` | builds a trainer for NVIDIA GPUs, without CUDA |
//! | `fuzz.rs` | long runs of the fuzz targets |
//! | `steps.rs` | numbered steps with progress, logs and a summary |
//! | `process.rs` | child processes: find, run with a log, read the output |
//! | `layout.rs` | where things lie |

mod bench;
mod demo;
mod fuzz;
mod gpu_bundle;
mod layout;
mod licences;
mod page;
mod process;
mod setup;
mod steps;
mod test;
mod wheel;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::layout::Layout;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Train on the bundled sample, clean, retrain, report, then serve the page with the run opened
    Demo(demo::Args),
    /// Run all checks and tests (format, lints, unit, end to end, browser)
    Test(test::Args),
    /// Run benchmarks next to those of peers
    Bench(bench::Args),
    /// Run the fuzz targets of tests/fuzz for a while
    Fuzz(fuzz::Args),
    /// Build a trainer for NVIDIA GPUs that runs wherever their driver is (docs/GPU.md)
    GpuBundle(gpu_bundle::Args),
    /// Build the page into dist/
    Page,
    /// Build the Python wheel, with program, page and package, and try it out
    Wheel,
    /// Install what is missing (demo, test and page do this by themselves)
    Setup(setup::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  {}", cause.to_string().replace('\n', "\n  "));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let layout = Layout::find()?;
    match task {
        Task::Demo(args) => demo::run(&layout, &args),
        Task::Test(args) => test::run(&layout, &args),
        Task::Bench(args) => bench::run(&layout, &args),
        Task::Fuzz(args) => fuzz::run(&layout, &args),
        Task::GpuBundle(args) => gpu_bundle::run(&layout, &args),
        Task::Page => page::run(&layout),
        Task::Wheel => wheel::run(&layout),
        Task::Setup(args) => setup::run(&layout, &args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
