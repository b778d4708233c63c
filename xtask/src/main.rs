//! `cargo xtask …`: all tasks around the code, from setting up a bare machine to serving the page.
//!
//! | file | content |
//! |---|---|
//! | `setup/` | installs what is missing: wasm32 std, wasm-bindgen, trunk, wasm-opt, terser; Chromium, Firefox, an encoder and a Python for tests |
//! | `page.rs` | builds the page into `dist/` |
//! | `book.rs` | builds the documentation into `target/book`, and adds it to the page |
//! | `wheel.rs` | builds the Python wheel: program, page, book and package in one file |
//! | `archive.rs` | builds an archive with the program, for people without Rust and Python |
//! | `licences.rs` | collects the licences of everything that is linked |
//! | `demo.rs` | runs `trainer demo` with a page built from here |
//! | `screenshots.rs` | makes the pictures of the docs |
//! | `test.rs` | runs all checks and tests, as CI does |
//! | `lints.rs` | has clippy look at our packages, as the first part of a build |
//! | `bench.rs` | runs benchmarks of this project and of its peers |
//! | `gpu_bundle.rs` | builds a trainer for NVIDIA GPUs, on a machine without CUDA |
//! | `fuzz.rs` | runs the fuzz targets for a long time |
//! | `steps.rs` | shows numbered steps with progress, logs and a summary |
//! | `process.rs` | finds programs, runs them with a log, reads their output |
//! | `layout.rs` | knows the folders of the project |

mod archive;
mod bench;
mod book;
mod demo;
mod fuzz;
mod gpu_bundle;
mod layout;
mod licences;
mod lints;
mod page;
mod process;
mod screenshots;
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
    /// Train on the bundled sample, clean, retrain, report, then serve the page with the run open
    Demo(demo::Args),
    /// Run all checks and tests (format, lints, unit, end to end, browser)
    Test(test::Args),
    /// Run benchmarks next to those of peers
    Bench(bench::Args),
    /// Run the fuzz targets of tests/fuzz for some minutes
    Fuzz(fuzz::Args),
    /// Build a trainer for NVIDIA GPUs that needs only their driver (docs/GPU.md)
    GpuBundle(gpu_bundle::Args),
    /// Build the page into dist/
    Page,
    /// Build the documentation into target/book, and add it to a page that is built
    Book,
    /// Make the pictures of the docs from the page as it is now
    Screenshots,
    /// Build the Python wheel (program, page, book and package in one file) and try it out
    Wheel,
    /// Build an archive of the program for this machine into target/dist, and try it out
    Dist(archive::Args),
    /// Install what is missing (demo, test and page do this by themselves)
    Setup(setup::Args),
}

fn main() -> ExitCode {
    match lints::as_compiler().unwrap_or_else(|| run(Cli::parse().task).map(|()| ExitCode::SUCCESS)) {
        Ok(code) => code,
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
        Task::Book => book::run(&layout),
        Task::Screenshots => screenshots::run(&layout),
        Task::Wheel => wheel::run(&layout),
        Task::Dist(args) => archive::run(&layout, &args),
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
