//! Measures how training and the dynamics pass gain from more threads. One thread is the peer, in the same run.

use std::{path::PathBuf, thread::available_parallelism};

use anyhow::{Context, Result};

use super::train::{Measured, measured};
use crate::{
    layout::Layout,
    process::{cargo, output},
    steps::Steps,
};

#[derive(clap::Args)]
pub struct Args {
    /// Model folder in Hugging Face layout
    #[arg(long, value_name = "DIR")]
    encoder: PathBuf,
    /// Sentences with distant labels [default: the bundled sample]
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Sentences per batch
    #[arg(long, default_value_t = 8, value_name = "N")]
    batch: usize,
    /// Number of turns; the fastest turn counts
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
}

/// Numbers of threads to measure, where the machine has them.
const THREADS: [usize; 4] = [1, 2, 4, 8];

/// The shortest times of several turns, in seconds on the wall.
#[derive(Clone, Copy)]
struct Shortest {
    training: f64,
    dynamics: f64,
}

pub fn run(layout: &Layout, args: &Args) -> Result<()> {
    let here = available_parallelism().context("cannot tell the number of cores")?.get();
    let numbers: Vec<usize> = THREADS.into_iter().filter(|&threads| threads <= here).collect();
    let bench = || {
        let mut command = cargo();
        command.args(["bench", "--quiet", "--package", "trainer", "--bench", "train", "--"]);
        command.current_dir(&layout.root);
        command
    };
    let mut steps = Steps::new(layout, 2)?;
    steps.step("build", |_| {
        output(bench().arg("--help"))?;
        Ok(((), "done".to_owned()))
    })?;
    steps.step("threads", |_| {
        let mut shortest = vec![Shortest { training: f64::INFINITY, dynamics: f64::INFINITY }; numbers.len()];
        for _ in 0..args.rounds.max(1) {
            for (&threads, shortest) in numbers.iter().zip(&mut shortest) {
                let mut command = bench();
                command.env("RAYON_NUM_THREADS", threads.to_string()).arg("--encoder").arg(&args.encoder);
                command.args(args.corpus.iter().flat_map(|corpus| ["--corpus".as_ref(), corpus.as_os_str()]));
                let Measured { training, dynamics, .. } = measured(command.arg("--batch").arg(args.batch.to_string()))?;
                shortest.training = shortest.training.min(training.wall_s_per_epoch);
                shortest.dynamics = shortest.dynamics.min(dynamics.wall_s_per_epoch);
            }
        }
        let one = shortest.first().copied().context("nothing was measured")?;
        let line = |(threads, times): (&usize, &Shortest)| {
            format!(
                "\n  {threads} threads: training {:6.2} s an epoch, {:.2} times as fast; dynamics pass {:6.2} s, {:.2} times",
                times.training,
                one.training / times.training,
                times.dynamics,
                one.dynamics / times.dynamics,
            )
        };
        Ok(((), numbers.iter().zip(&shortest).map(line).collect()))
    })
}
