//! One training in several processes that MPI connects: the same result as in one process, whatever happens to them.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The program for several processes, the ordinary one, and a small corpus.
struct Bench {
    mpi: PathBuf,
    trainer: PathBuf,
    folder: tempfile::TempDir,
}

/// Settings by which something is learned in two epochs. Batches differ in their number of sentences.
const SETTINGS: [&str; 10] = ["--encoder", "builtin", "--epochs", "2", "--batch", "3", "--warmup", "0", "--seed", "3"];
const RATES: [&str; 4] = ["--encoder-rate", "0.003", "--head-rate", "0.003"];

impl Bench {
    fn find(test: &str) -> Option<Self> {
        let own = || {
            // Tests lie in `deps`, beside the programs.
            let program = std::env::current_exe().ok()?.parent()?.parent()?.join("trainer-mpi");
            program.is_file().then_some(program)
        };
        let mpi = tests::installed("DYNCLEAN_TRAINER_MPI", "trainer-mpi, which needs MPI,", test, own)?;
        let bench = Self { mpi, trainer: tests::trainer!(), folder: tempfile::tempdir().unwrap() };
        let sample = bench.path("sample");
        succeed(Command::new(&bench.trainer).args(["sample", "--out"]).arg(&sample));
        for (name, n) in [("train-distant", 100), ("dev", 30), ("test", 30)] {
            let file = sample.join(name).with_extension("json");
            let mut sentences: Vec<Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            sentences.truncate(n);
            std::fs::write(file, serde_json::to_vec(&sentences).unwrap()).unwrap();
        }
        Some(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns a command in one process.
    fn alone(&self, command: &str, out: &str, options: &[&str]) -> Command {
        self.with_options(Command::new(&self.trainer), command, out, options)
    }

    /// Returns a command in so many processes.
    fn together(&self, processes: &str, command: &str, out: &str, options: &[&str]) -> Command {
        let mut mpirun = mpirun();
        mpirun.args(["-n", processes]).arg(&self.mpi);
        self.with_options(mpirun, command, out, options)
    }

    fn with_options(&self, mut program: Command, command: &str, out: &str, options: &[&str]) -> Command {
        program.arg(command);
        for (option, file) in [("--train", "train-distant"), ("--dev", "dev"), ("--test", "test")] {
            program.arg(option).arg(self.path("sample").join(file).with_extension("json"));
        }
        program.args(SETTINGS).args(options).arg("--out").arg(self.path(out));
        if !options.contains(&RATES[0]) {
            program.args(RATES);
        }
        program
    }

    /// Returns the losses of all epochs of all trainings.
    fn losses(&self, out: &str) -> Vec<f64> {
        let history = std::fs::read_to_string(self.path(out).join("history.jsonl")).unwrap();
        let epochs = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        epochs.map(|epoch| epoch["train_loss"].as_f64().unwrap()).collect()
    }

    /// Returns the AUM of all spans.
    fn aums(&self, out: &str) -> Vec<f64> {
        let table = self.path(out).with_extension("csv");
        succeed(Command::new(&self.trainer).arg("inspect").arg(self.path(out)).arg("--spans").arg(&table));
        let rows = std::fs::read_to_string(table).unwrap();
        // Only the last column may have commas in it.
        let aum = |line: &str| line.split(',').nth(6).unwrap().parse().unwrap();
        assert_eq!(rows.lines().next().and_then(|names| names.split(',').nth(6)), Some("aum"));
        rows.lines().skip(1).map(aum).collect()
    }

    /// Checks that two folders hold the same training, except for rounding. Returns how many AUMs differ.
    fn assert_equal(&self, one: &str, other: &str) -> usize {
        let (a, b) = (self.losses(one), self.losses(other));
        assert!(a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4), "{a:?}\n{b:?}");
        let (a, b) = (self.aums(one), self.aums(other));
        assert_eq!(a.len(), b.len());
        let apart: Vec<f64> = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).collect();
        assert!(apart.iter().sum::<f64>() / (apart.len() as f64) < 1e-4);
        // Logits are recorded as f16: 8 to 16 in steps of 1/128. Each epoch may be rounded to the next number.
        assert!(apart.iter().all(|&apart| apart <= 2.0 / 128.0), "{apart:?}");
        apart.iter().filter(|&&apart| apart > 0.0).count()
    }

    /// Returns all files of a folder, without files that may hold measured times.
    fn results(&self, out: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path(out), &mut files);
        let not_compared = ["command.txt", "history.jsonl", "metrics.json", "raw.json", "report.html"];
        let named = |file: &Path, names: &[&str]| names.iter().any(|name| file.ends_with(name));
        files.retain(|file, _| !named(file, &not_compared) && !file.to_string_lossy().contains("scores"));
        let root = self.path(out);
        files.into_iter().map(|(file, bytes)| (file.strip_prefix(&root).unwrap().to_owned(), bytes)).collect()
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, files),
            false => drop(files.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
}

/// Returns a command that starts processes on this machine. It also works for root, and for more processes than cores.
fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    command.arg("--oversubscribe");
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", message(&output));
    output
}

#[test]
fn one_process_does_what_the_program_without_mpi_does() {
    let Some(bench) = Bench::find("one_process_does_what_the_program_without_mpi_does") else { return };
    succeed(&mut bench.alone("run", "alone", &["--reference", "none"]));
    succeed(&mut bench.together("1", "run", "together", &["--reference", "none"]));
    let (alone, together) = (bench.results("alone"), bench.results("together"));
    assert!(alone.len() > 10, "{:?}", alone.keys());
    assert_eq!(alone.keys().collect::<Vec<_>>(), together.keys().collect::<Vec<_>>());
    for (file, bytes) in alone {
        // The tests do not build trainer-mpi.
        let hint = "If trainer-mpi is older than the trainer: cargo build --release --workspace --exclude web --bins";
        assert!(together[&file] == bytes, "{} differs. {hint}", file.display());
    }
    assert_eq!(bench.losses("alone"), bench.losses("together"));
}

#[test]
fn several_processes_learn_what_one_learns() {
    let Some(bench) = Bench::find("several_processes_learn_what_one_learns") else { return };
    // The last batch of an epoch has one sentence, and then two of three processes have none.
    let cases: [(&str, &str, &[&str]); 4] = [
        ("2", "eval", &[]),
        ("3", "three", &[]),
        // Logits of the training passes, with their dropout; gradients of several batches.
        ("2", "train", &["--record", "train", "--accumulate", "2"]),
        // A loss without the search for similar negatives.
        ("2", "all", &["--negatives", "all", "--ensemble", "2"]),
    ];
    for (processes, name, options) in cases {
        let alone = format!("{name}-alone");
        succeed(&mut bench.alone("train", &alone, options));
        succeed(&mut bench.together(processes, "train", name, options));
        bench.assert_equal(&alone, name);
    }
}

#[test]
fn a_process_that_dies_is_named_and_the_job_goes_on() {
    let Some(bench) = Bench::find("a_process_that_dies_is_named_and_the_job_goes_on") else { return };
    let command = |out: &str| {
        let mut command = bench.together("2", "train", out, &["--checkpoint-steps", "5"]);
        command.arg("--no-threshold-run");
        command
    };
    succeed(&mut command("whole"));
    let job = command("killed").spawn().unwrap();
    while !bench.path("killed/checkpoint/raw.safetensors").is_file() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (victim, rank) = youngest_process_of(job.id());
    assert!(Command::new("kill").args(["-9", &victim]).status().unwrap().success());
    let output = job.wait_with_output().unwrap();
    let said = message(&output);
    assert!(!output.status.success() && said.contains(&format!("rank {rank}")), "{said}");
    assert!(!bench.path("killed/dynamics.dyn").is_file());
    // With another number of processes it would be rounded otherwise.
    let output = bench.together("3", "train", "killed", &["--no-threshold-run"]).output().unwrap();
    let said = message(&output);
    assert!(!output.status.success() && said.contains("processes: 2 → 3"), "{said}");
    let said = message(&succeed(&mut command("killed")));
    assert!(said.contains("goes on at epoch"), "{said}");
    let (whole, killed) = (bench.results("whole"), bench.results("killed"));
    assert_eq!(whole.keys().collect::<Vec<_>>(), killed.keys().collect::<Vec<_>>());
    for (file, bytes) in whole {
        assert!(killed[&file] == bytes, "{} differs", file.display());
    }
}

/// Returns the process that this job started last, and its rank.
fn youngest_process_of(job: u32) -> (String, String) {
    let output = succeed(Command::new("ps").args(["--ppid", &job.to_string(), "-o", "pid=", "--sort", "start_time"]));
    let pids = String::from_utf8(output.stdout).unwrap();
    let pid = pids.split_whitespace().last().unwrap().to_owned();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let rank = environment.split('\0').find_map(|entry| entry.strip_prefix("OMPI_COMM_WORLD_RANK=")).unwrap();
    (pid, rank.to_owned())
}

#[test]
fn mistakes_are_told_once_and_end_all_processes() {
    let Some(bench) = Bench::find("mistakes_are_told_once_and_end_all_processes") else { return };
    let mut mistyped = bench.together("2", "trian", "out", &[]);
    let output = mistyped.output().unwrap();
    assert!(!output.status.success());
    assert_eq!(message(&output).matches("unrecognized subcommand").count(), 1, "{}", message(&output));
    let output = bench.together("2", "train", "out", &["--parallel-runs"]).output().unwrap();
    let said = message(&output);
    assert!(!output.status.success() && said.matches("leave the option out").count() == 1, "{said}");
    // Rates that no training survives.
    let rates = ["--encoder-rate", "1e30", "--head-rate", "1e30"];
    let output = bench.together("2", "train", "out", &rates).output().unwrap();
    let said = message(&output);
    assert!(!output.status.success() && said.matches("Lower --encoder-rate").count() == 1, "{said}");
}

/// Two network namespaces, which stand for two machines. They are gone when it is dropped.
struct TwoMachines {
    names: [String; 2],
}

impl TwoMachines {
    /// `None` if this user may not make them.
    fn new() -> Option<Self> {
        let id = std::process::id();
        let names = ["a", "b"].map(|end| format!("dynclean-{id}-{end}"));
        let ip = |arguments: &str| {
            let status = Command::new("ip").args(arguments.split(' ')).stderr(Stdio::null()).status();
            status.is_ok_and(|status| status.success())
        };
        if !ip(&format!("netns add {}", names[0])) {
            return None;
        }
        let machines = Self { names };
        let [a, b] = &machines.names;
        assert!(ip(&format!("netns add {b}")));
        assert!(ip(&format!("link add to-b netns {a} type veth peer name to-a netns {b}")));
        for (name, link, address) in [(a, "to-b", FIRST), (b, "to-a", SECOND)] {
            assert!(ip(&format!("-n {name} link set lo up")));
            assert!(ip(&format!("-n {name} addr add {address}/24 dev {link}")));
            assert!(ip(&format!("-n {name} link set {link} up")));
        }
        Some(machines)
    }
}

impl Drop for TwoMachines {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

const FIRST: &str = "10.77.0.1";
const SECOND: &str = "10.77.0.2";

#[test]
fn two_machines_learn_what_one_learns() {
    let test = "two_machines_learn_what_one_learns";
    let Some(bench) = Bench::find(test) else { return };
    let Some(machines) = TwoMachines::new() else {
        return tests::skipped(test, "network namespaces cannot be made (only root may)");
    };
    // Stands for ssh: starts a program on the other machine.
    let [here, there] = &machines.names;
    let agent = bench.path("agent.sh");
    let script = format!("#!/bin/sh\nshift\nexec ip netns exec {there} unshare --uts sh -c \"hostname {there}; $*\"\n");
    std::fs::write(&agent, script).unwrap();
    std::fs::set_permissions(&agent, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new("ip");
    command.args(["netns", "exec", here, "unshare", "--uts", "sh", "-c"]);
    command.arg(format!("hostname {here}; exec mpirun \"$@\"")).arg("mpirun");
    command.args(["--host", &format!("{FIRST},{SECOND}"), "--mca", "plm_rsh_agent"]).arg(&agent);
    command.args("--mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24".split(' '));
    command.args("--mca oob_tcp_if_include 10.77.0.0/24".split(' ')).arg(&bench.mpi);
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    succeed(&mut bench.with_options(command, "train", "two-machines", &["--no-threshold-run"]));
    succeed(&mut bench.together("2", "train", "one-machine", &["--no-threshold-run"]));
    bench.assert_equal("one-machine", "two-machines");
}
