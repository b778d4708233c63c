//! Runs that end too early: killed at many moments, interrupted, or without room on disk. When they are started
//! again, they must end with the same bytes as an undisturbed run.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;

/// A trainer and a small corpus. A whole run takes about a second.
struct Bench {
    binary: PathBuf,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::of(100, 30)
    }

    /// A corpus of `train` training sentences, and `other` sentences each of dev and test.
    fn of(train: usize, other: usize) -> Self {
        let bench = Self { binary: tests::trainer!(), folder: tempfile::tempdir().unwrap() };
        let sample = bench.path("sample");
        let made = Command::new(&bench.binary).args(["sample", "--out"]).arg(&sample).output().unwrap();
        assert!(made.status.success());
        for (name, n) in [("train-distant", train), ("train-gold", train), ("dev", other), ("test", other)] {
            let file = sample.join(name).with_extension("json");
            let mut sentences: Vec<Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            sentences.truncate(n);
            std::fs::write(file, serde_json::to_vec(&sentences).unwrap()).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the command of a run into the folder `out`. Its rates are so high that something is learned in two
    /// epochs.
    fn command(&self, out: &str, options: &[&str]) -> Command {
        self.command_with("builtin", out, options)
    }

    fn command_with(&self, encoder: &str, out: &str, options: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("run");
        for (option, file) in
            [("--train", "train-distant"), ("--train-gold", "train-gold"), ("--dev", "dev"), ("--test", "test")]
        {
            command.arg(option).arg(self.path("sample").join(file).with_extension("json"));
        }
        command.args(["--encoder", encoder, "--epochs", "2", "--batch", "4", "--warmup", "0", "--seed", "3"]);
        command.args(["--encoder-rate", "0.003", "--head-rate", "0.003", "--out"]).arg(self.path(out)).args(options);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn succeed(&self, out: &str, options: &[&str]) -> Output {
        succeed(self.command(out, options))
    }

    /// Returns the message of a run that must fail.
    fn fail(&self, out: &str, options: &[&str]) -> String {
        message(self.command(out, options).output().unwrap())
    }

    /// Starts a run and waits until the file exists.
    fn until_there_is(&self, file: &str, out: &str, options: &[&str]) -> Child {
        self.until_written(self.command(out, options), out, (file, 1)).expect("the run ended before")
    }

    /// Starts a run and waits until the file was written this many times. Returns `None` if the run ends before
    /// that.
    fn until_written(&self, mut command: Command, out: &str, (file, times): (&str, usize)) -> Option<Child> {
        let path = self.path(out).join(file);
        let mut child = command.spawn().unwrap();
        let mut last = version(&path);
        // A file from an earlier start counts once.
        let mut seen = usize::from(!last.is_empty());
        while seen < times {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{}", message(child.wait_with_output().unwrap()));
                return None;
            }
            let now = version(&path);
            seen += usize::from(!now.is_empty() && now != last);
            last = now;
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(child)
    }

    /// Returns all files of a finished run. Metrics and history are without what a clock measured, and the history's
    /// lines are sorted: they are in the order in which epochs ended. The command is left out: it names the folder.
    fn results(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path(out), "", &mut files);
        files.remove("command.txt");
        let bookkeeping: Vec<&String> =
            files.keys().filter(|f| ["checkpoint", ".partial", ".tmp"].iter().any(|part| f.contains(part))).collect();
        assert!(bookkeeping.is_empty(), "left behind: {bookkeeping:?}");
        for (name, bytes) in &mut files {
            if name.ends_with(".json") && !name.contains('/') {
                let mut json: Value = serde_json::from_slice(bytes).unwrap();
                without_seconds(&mut json);
                *bytes = serde_json::to_vec(&json).unwrap();
            }
            if name.ends_with(".jsonl") {
                let lines = std::str::from_utf8(bytes).unwrap().lines();
                let mut lines: Vec<String> = lines
                    .map(|line| {
                        let mut json: Value = serde_json::from_str(line).unwrap();
                        without_seconds(&mut json);
                        json.to_string()
                    })
                    .collect();
                lines.sort();
                *bytes = lines.join("\n").into_bytes();
            }
        }
        files
    }

    fn assert_same(&self, out: &str, expected: &BTreeMap<String, Vec<u8>>, what: &str) {
        let found = self.results(out);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
        for (name, bytes) in expected {
            assert!(found[name] == *bytes, "{what}: {name} differs");
        }
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
}

fn without_seconds(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for measured in ["seconds", "sentences_per_second", "peak_mib"] {
                map.shift_remove(measured);
            }
            map.values_mut().for_each(without_seconds);
        }
        Value::Array(list) => list.iter_mut().for_each(without_seconds),
        _ => {}
    }
}

fn message(output: Output) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && !message.contains("panicked"), "{message}");
    message
}

/// Returns a value that changes when a file is written anew. For `FOLDER/BEGINNING*`, it covers all such files.
fn version(path: &Path) -> Vec<(u64, SystemTime, u64)> {
    let of_file = |metadata: Metadata| (metadata.ino(), metadata.modified().unwrap(), metadata.len());
    let name = path.file_name().unwrap().to_str().unwrap();
    let Some(beginning) = name.strip_suffix('*') else {
        return std::fs::metadata(path).ok().map(of_file).into_iter().collect();
    };
    let entries = std::fs::read_dir(path.parent().unwrap()).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_str().unwrap().starts_with(beginning));
    // Files may appear and disappear while they are listed.
    named.filter_map(|entry| Some(of_file(entry.metadata().ok()?))).collect()
}

/// Kills a run that is still working.
fn kill(mut child: Child) {
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9), "the run had ended before it was killed");
}

#[test]
fn killed_at_any_moment_it_ends_as_if_undisturbed() {
    let bench = Bench::new();
    let options = ["--checkpoint-steps", "3"];
    bench.succeed("undisturbed", &options);
    let expected = bench.results("undisturbed");
    assert!(expected.contains_key("model-cleaned/model.safetensors") && expected.contains_key("provenance.json"));
    // In the order in which a run writes them.
    for (moment, at) in [
        ("config.json", 1),
        ("checkpoint/raw.safetensors", 2),
        ("dynamics.dyn.partial", 3),
        ("checkpoint/threshold.safetensors", 4),
        ("dynamics.dyn", 1),
        ("checkpoint/cleaned-*", 5),
        ("sweep.json", 1),
        ("checkpoint/with-dev-*", 2),
        ("checkpoint/gold.safetensors", 3),
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("killed-{moment}");
        kill(bench.until_written(bench.command(&out, &options), &out, at).unwrap_or_else(|| panic!("no {at:?}")));
        // The number of checkpoints does not change the result.
        bench.succeed(&out, &[]);
        bench.assert_same(&out, &expected, &format!("killed at {at:?}"));
    }
}

#[test]
fn killed_again_and_again_it_still_ends() {
    let bench = Bench::new();
    // Options for everything that has its own state: logits of the training passes, several members, two runs at a
    // time.
    let options = ["--record", "train", "--ensemble", "2", "--reference", "none", "--clip-norm", "1"];
    bench.succeed("undisturbed", &options);
    let expected = bench.results("undisturbed");
    let options = [&options[..], &["--checkpoint-steps", "2", "--parallel-runs"]].concat();
    let mut kills = 0;
    // Every start lasts longer than the one before.
    while let Some(child) =
        bench.until_written(bench.command("killed", &options), "killed", ("checkpoint/*", 3 << kills))
    {
        kill(child);
        kills += 1;
    }
    assert!(kills >= 3, "{kills}");
    bench.assert_same("killed", &expected, "killed again and again");
}

/// Computes in the way of a GPU, but on the CPU. Weights and moments are stored elsewhere, so the checkpoints
/// differ. Little is trained, because this takes long.
#[test]
fn a_training_by_tensor_operations_goes_on_as_well() {
    let bench = Bench::of(24, 10);
    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/encoders/roberta");
    let command = |out: &str, options: &[&str]| bench.command_with(encoder.to_str().unwrap(), out, options);
    for dtype in ["f32", "bf16"] {
        let tensors = ["--device", "cpu-tensors", "--dtype", dtype, "--max-span-width", "3"];
        let options = [&tensors[..], &["--reference", "none", "--trials", "none"]].concat();
        let (undisturbed, killed) = (format!("undisturbed-{dtype}"), format!("killed-{dtype}"));
        succeed(command(&undisturbed, &options));
        let expected = bench.results(&undisturbed);
        let losses = losses(&expected["history.jsonl"]);
        assert!(losses.len() >= 4, "four trainings: {losses:?}");
        assert!(losses.values().all(|l| l.last() < l.first()), "something is learned: {losses:?}");
        let with_checkpoints = [&options[..], &["--checkpoint-steps", "3"]].concat();
        for at in [("checkpoint/raw.safetensors", 3), ("checkpoint/threshold.safetensors", 3)] {
            let command = command(&killed, &with_checkpoints);
            kill(bench.until_written(command, &killed, at).unwrap_or_else(|| panic!("no {at:?}")));
        }
        succeed(command(&killed, &options));
        bench.assert_same(&killed, &expected, dtype);
    }
}

/// Runs a command that must succeed.
fn succeed(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Returns the loss of every epoch of every training, from a run's history.
fn losses(history: &[u8]) -> BTreeMap<String, Vec<f64>> {
    let mut losses: BTreeMap<String, Vec<(u64, f64)>> = BTreeMap::new();
    for line in std::str::from_utf8(history).unwrap().lines() {
        let epoch: Value = serde_json::from_str(line).unwrap();
        let of_training = losses.entry(epoch["training"].to_string()).or_default();
        of_training.push((epoch["epoch"].as_u64().unwrap(), epoch["train_loss"].as_f64().unwrap()));
    }
    let in_order = |mut epochs: Vec<(u64, f64)>| {
        epochs.sort_by_key(|&(epoch, _)| epoch);
        epochs.into_iter().map(|(_, loss)| loss).collect()
    };
    losses.into_iter().map(|(training, epochs)| (training, in_order(epochs))).collect()
}

/// Rates that stay high make dev F1 rise and fall.
#[test]
fn a_training_ends_when_dev_has_not_risen_for_long_enough() {
    let bench = Bench::new();
    let command = |out: &str, options: &[&str]| {
        let mut command = Command::new(&bench.binary);
        let [train, dev] = ["train-distant.json", "dev.json"].map(|file| bench.path("sample").join(file));
        command.arg("train").arg("--train").arg(train).arg("--dev").arg(dev).arg("--out").arg(bench.path(out));
        command.args(["--encoder", "builtin", "--epochs", "12", "--batch", "4", "--warmup", "0", "--seed", "3"]);
        command.args(["--encoder-rate", "0.003", "--head-rate", "0.003", "--no-threshold-run"]).args(options);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let dev_f1 = |out: &str| -> Vec<f64> {
        let history = std::fs::read_to_string(bench.path(out).join("history.jsonl")).unwrap();
        let epochs = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        epochs.map(|epoch| epoch["dev"]["f1"].as_f64().unwrap()).collect()
    };
    succeed(command("all", &["--no-dynamics"]));
    let all = dev_f1("all");
    assert_eq!(all.len(), 12);
    // The first epoch that comes this many epochs after the best one so far.
    let end = |patience: usize| {
        let best = |n: usize| (0..n).fold(0, |best, i| if all[i] > all[best] { i } else { best });
        (1..=all.len()).find(|&n| n - 1 - best(n) >= patience).unwrap_or(all.len())
    };
    assert!(end(1) < 12 && end(2) == 12, "these rates are no test: {all:?}");
    for patience in ["1", "2"] {
        let out = format!("patience-{patience}");
        let output = succeed(command(&out, &["--no-dynamics", "--patience", patience]));
        let n = end(patience.parse().unwrap());
        assert_eq!(dev_f1(&out), all[..n], "{patience}");
        let told = String::from_utf8_lossy(&output.stderr).contains("dev F1 has not risen since epoch");
        assert_eq!(told, n < 12);
    }
    let options = ["--no-dynamics", "--patience", "1", "--checkpoint-steps", "5"];
    let at = ("checkpoint/model.safetensors", 8);
    kill(bench.until_written(command("killed", &options), "killed", at).expect("the training ended before"));
    succeed(command("killed", &options));
    let [killed, undisturbed] = ["killed", "patience-1"].map(|out| {
        let mut files = bench.results(out);
        assert!(files.remove("metrics.json").is_some(), "it names the folder");
        files
    });
    assert!(killed == undisturbed, "killed before it ended early");
    // Dynamics of fewer epochs would judge differently.
    succeed(command("recorded", &["--patience", "1"]));
    assert_eq!(dev_f1("recorded"), all);
}

#[test]
fn gradients_that_wait_for_a_step_are_not_lost() {
    let bench = Bench::new();
    let options = ["--accumulate", "3", "--reference", "none", "--trials", "none"];
    bench.succeed("undisturbed", &options);
    let expected = bench.results("undisturbed");
    bench.succeed("a-step-each", &options[2..]);
    let weights = "model-raw/model.safetensors";
    assert!(expected[weights] != bench.results("a-step-each")[weights], "the option changes the training");
    // 25 batches an epoch: checkpoints fall only on batches after a step.
    let with_checkpoints = [&options[..], &["--checkpoint-steps", "1"]].concat();
    for at in [("checkpoint/raw.safetensors", 2), ("checkpoint/raw.safetensors", 5)] {
        let command = bench.command("killed", &with_checkpoints);
        kill(bench.until_written(command, "killed", at).unwrap_or_else(|| panic!("no {at:?}")));
    }
    bench.succeed("killed", &options);
    bench.assert_same("killed", &expected, "killed between steps");
}

/// A threshold run beside the main run does not know that the window ends earlier. One that was done for an earlier
/// window may be too short.
#[test]
fn threshold_samples_of_another_start_are_cut_or_recorded_again() {
    let bench = Bench::new();
    let with = |window| ["--window", window, "--reference", "none", "--trials", "none"];
    for (name, first, second) in [("cut", "1-1", "1-1"), ("again", "1-1", "1-2")] {
        let undisturbed = format!("undisturbed-{name}");
        bench.succeed(&undisturbed, &with(second));
        let parallel = if name == "cut" { &["--parallel-runs"][..] } else { &[] };
        let command = bench.command(name, &[&with(first)[..], parallel].concat());
        kill(bench.until_written(command, name, ("checkpoint/threshold.json", 1)).expect("the run ended before"));
        bench.succeed(name, &with(second));
        // The history tells what each start did.
        let results = |out: &str| {
            let mut files = bench.results(out);
            assert!(files.remove("history.jsonl").is_some());
            files
        };
        let (found, expected) = (results(name), results(&undisturbed));
        for (file, bytes) in &expected {
            assert!(found.get(file) == Some(bytes), "{name}: {file} differs");
        }
        assert_eq!(found.len(), expected.len());
    }
}

#[test]
fn one_thread_does_for_two_runs_at_a_time() {
    let bench = Bench::new();
    bench.succeed("one-by-one", &["--reference", "none", "--trials", "none"]);
    let mut command = bench.command("both", &["--reference", "none", "--trials", "none", "--parallel-runs"]);
    let output = command.env("RAYON_NUM_THREADS", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    bench.assert_same("both", &bench.results("one-by-one"), "one thread");
}

/// The options of a run with many steps.
const STEPS: [&str; 4] = ["--ensemble", "2", "--reference", "gold,oracle,raw-with-dev"];

#[test]
fn steps_of_several_processes_give_the_bytes_of_one_run() {
    let bench = Bench::of(60, 20);
    bench.succeed("whole", &STEPS);
    let step = |name: &'static str| [&STEPS[..], &["--step", name]].concat();
    let names = "raw, raw-2, threshold, threshold-2, dynamics, trial-1, with-dev, gold, oracle, raw-with-dev";
    assert!(bench.fail("steps", &step("cleaned")).contains(names));
    assert!(bench.fail("steps", &step("threshold-2")).contains("comes after raw, raw-2"));
    let at_a_time = |names: &[&'static str]| {
        let children: Vec<Child> =
            names.iter().map(|name| bench.command("steps", &step(name)).spawn().unwrap()).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", message(output));
        }
    };
    at_a_time(&["raw", "raw-2", "gold", "raw-with-dev"]);
    let child = bench.until_there_is("checkpoint/threshold.safetensors", "steps", &step("threshold"));
    assert!(bench.fail("steps", &step("threshold")).contains("another trainer does the step threshold"));
    assert!(bench.fail("steps", &STEPS).contains("another trainer is at work"));
    kill(child);
    at_a_time(&["threshold", "threshold-2"]);
    assert!(bench.fail("steps", &step("oracle")).contains("comes after dynamics"));
    at_a_time(&["dynamics"]);
    // A step that is done is not repeated.
    let version_of = |file: &str| version(&bench.path(&format!("steps/{file}")));
    let before = ["dynamics.dyn", "gold.json"].map(version_of);
    at_a_time(&["raw", "threshold", "dynamics", "gold"]);
    assert_eq!(before, ["dynamics.dyn", "gold.json"].map(version_of));
    assert!(bench.fail("steps", &step("with-dev")).contains("comes after trial-1"));
    at_a_time(&["trial-1", "oracle"]);
    at_a_time(&["with-dev"]);
    let before = ["with-dev-scores.json", "oracle.json"].map(version_of);
    bench.succeed("steps", &STEPS);
    assert_eq!(before, ["with-dev-scores.json", "oracle.json"].map(version_of));
    bench.assert_same("steps", &bench.results("whole"), "ten steps");
}

#[test]
fn without_trials_the_training_on_cleaned_labels_is_a_step() {
    let bench = Bench::of(60, 20);
    let options = ["--reference", "none", "--trials", "none"];
    bench.succeed("whole", &options);
    for step in ["raw", "threshold", "dynamics", "cleaned", "with-dev"] {
        bench.succeed("steps", &[&options[..], &["--step", step]].concat());
    }
    let before = version(&bench.path("steps/cleaned-scores.json"));
    bench.succeed("steps", &options);
    assert_eq!(version(&bench.path("steps/cleaned-scores.json")), before);
    bench.assert_same("steps", &bench.results("whole"), "five steps");
}

#[test]
fn snakemake_does_the_steps_of_a_plan() {
    let test = "snakemake_does_the_steps_of_a_plan";
    let bench = Bench::of(60, 20);
    let plan =
        |format| String::from_utf8(bench.succeed("steps", &[&STEPS[..], &["--print-plan", format]].concat()).stdout);
    let json: Value = serde_json::from_str(&plan("json").unwrap()).unwrap();
    let names: Vec<&str> =
        json["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names[..5], ["raw", "raw-2", "threshold", "threshold-2", "dynamics"]);
    assert_eq!(names[5..], ["trial-1", "with-dev", "gold", "oracle", "raw-with-dev"]);
    assert!(json["steps"][3]["command"].as_str().unwrap().ends_with("raw-with-dev --step threshold-2"));
    assert!(!bench.path("steps").exists(), "a plan makes nothing");

    let Some(snakemake) = tests::path_from_env("DYNCLEAN_SNAKEMAKE", "snakemake", test) else { return };
    bench.succeed("whole", &STEPS);
    std::fs::write(bench.path("Snakefile"), plan("snakefile").unwrap()).unwrap();
    // The plan calls the program by its name.
    let programs = bench.path("programs");
    std::fs::create_dir(&programs).unwrap();
    std::fs::hard_link(&bench.binary, programs.join("trainer"))
        .or_else(|_| std::fs::copy(&bench.binary, programs.join("trainer")).map(drop))
        .unwrap();
    let all = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&all))).unwrap();
    let snakemake = || {
        let mut command = Command::new(&snakemake);
        command.args(["--cores", "2", "--quiet", "all"]).current_dir(&bench.folder).env("PATH", &path);
        succeed(command);
    };
    snakemake();
    bench.assert_same("steps", &bench.results("whole"), "Snakemake");
    // Nothing is left to do.
    let before = version(&bench.path("steps/metrics.json"));
    snakemake();
    assert_eq!(version(&bench.path("steps/metrics.json")), before);
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let bench = Bench::new();
    let dynamics = ["1", "2", "4"].map(|threads| {
        let mut command = bench.command(threads, &["--reference", "none"]);
        let output = command.env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        bench.results(threads)
    });
    assert!(dynamics[0] == dynamics[1] && dynamics[0] == dynamics[2]);
}

/// Tests pretrained encoders, whose training has other parameters, and options that no other test of whole runs
/// uses.
#[test]
fn pretrained_encoders_go_on_on_other_threads() {
    let bench = Bench::new();
    let quantiles = ["--negatives-quantile", "0.05", "--positives-quantile", "0.5"];
    let all = ["--negatives", "all", "--scheme", "random-other", "--on-wrong", "remove", "--train-embeddings"];
    let paper =
        ["--scheme", "fake-class-positives", "--threshold", "paper", "--word-shapes", "on", "--reference", "none"];
    for (name, options) in [("roberta", [&all[..], &quantiles].concat()), ("distilbert", paper.to_vec())] {
        let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/encoders").join(name);
        let command = |out: &str, options: &[&str], threads: &str| {
            let mut command = bench.command_with(encoder.to_str().unwrap(), out, options);
            command.env("RAYON_NUM_THREADS", threads);
            command
        };
        succeed(command(name, &options, "1"));
        let expected = bench.results(name);
        for (part, at) in [("first", ("checkpoint/raw.safetensors", 4)), ("last", ("dynamics.dyn", 1))] {
            let out = format!("{name}-{part}");
            let underway = command(&out, &[&options[..], &["--checkpoint-steps", "3"]].concat(), "2");
            kill(bench.until_written(underway, &out, at).unwrap_or_else(|| panic!("no {at:?}")));
            succeed(command(&out, &options, "3"));
            bench.assert_same(&out, &expected, &format!("{name}, killed at {at:?}"));
        }
        let metrics: Value = serde_json::from_slice(&expected["metrics.json"]).unwrap();
        let number = |what: &str, side: &str| metrics[what][side].as_u64().unwrap();
        assert!(number("removed", "positives") + number("removed", "negatives") > 0, "{name}: {metrics}");
        assert_eq!(number("relabelled", "positives") + number("relabelled", "negatives"), 0, "{name}: {metrics}");
        let rule = |side: &str| metrics["settings"][side]["quantile"].as_f64().map(|q| q as f32);
        let given = if name == "roberta" { [0.05, 0.5] } else { [0.1, 0.0] };
        assert_eq!([rule("negatives"), rule("positives")], given.map(Some));
    }
}

#[test]
fn interrupted_it_says_how_to_go_on() {
    let bench = Bench::new();
    bench.succeed("undisturbed", &["--reference", "none"]);
    for signal in ["-INT", "-TERM"] {
        let child = bench.until_there_is("dynamics.dyn.partial", signal, &["--reference", "none"]);
        let sent = Command::new("kill").arg(signal).arg(child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        assert!(message(output).contains("same command again"));
        assert!(bench.path(signal).join("checkpoint/raw.safetensors").exists());
        let again = bench.succeed(signal, &["--reference", "none"]);
        assert!(String::from_utf8_lossy(&again.stderr).contains("goes on at epoch 1"));
        bench.assert_same(signal, &bench.results("undisturbed"), signal);
    }
}

#[test]
fn what_cannot_go_on_says_why_and_loses_nothing() {
    let bench = Bench::new();
    let options = ["--reference", "none", "--checkpoint-steps", "3"];
    bench.succeed("undisturbed", &options);
    let expected = bench.results("undisturbed");
    kill(bench.until_there_is("checkpoint/threshold.safetensors", "run", &options));
    let checkpoint = bench.path("run").join("checkpoint/threshold.safetensors");
    let whole = std::fs::read(&checkpoint).unwrap();
    let dynamics = std::fs::read(bench.path("run").join("dynamics.dyn.partial")).unwrap();

    // Other settings are refused. The message names them with both values.
    let refused = bench.fail("run", &[&options[..], &["--max-span-width", "5"]].concat());
    assert!(refused.contains("other settings") && refused.contains("config.max_span_width: 8 → 5"), "{refused}");
    assert!(!refused.contains("epochs"), "{refused}");

    // Another build or another kind of CPU is refused, because the last bits of its results differ.
    let settings = bench.path("run").join("config.json");
    let bound = std::fs::read_to_string(&settings).unwrap();
    let mut other: Value = serde_json::from_str(&bound).unwrap();
    for part in ["build", "cpu"] {
        assert!(!other["computed_by"][part].as_str().unwrap().is_empty());
        other["computed_by"][part] = Value::from("other");
    }
    std::fs::write(&settings, other.to_string()).unwrap();
    let refused = bench.fail("run", &options);
    assert!(refused.contains("computed_by.build: \"other\" →") && refused.contains("computed_by.cpu:"), "{refused}");
    assert!(refused.contains("another kind of CPU"), "{refused}");
    std::fs::write(&settings, bound).unwrap();

    // There is no room: the limit on a file's size is below the size of a checkpoint.
    let mut limited = Command::new("sh");
    let run = bench.command("run", &options);
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 4000; exec \"$0\" \"$@\""])
        .arg(run.get_program())
        .args(run.get_args());
    let full = message(limited.output().unwrap());
    assert!(full.contains("threshold.safetensors") && full.contains("make room"), "{full}");
    assert!(std::fs::read(&checkpoint).unwrap() == whole, "the former checkpoint is still there");

    // One byte of the checkpoint is damaged.
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&checkpoint, &damaged).unwrap();
    let refused = bench.fail("run", &options);
    assert!(refused.contains("threshold.safetensors") && refused.contains("Delete it"), "{refused}");
    assert!(std::fs::read(bench.path("run").join("dynamics.dyn.partial")).unwrap() == dynamics);

    // One byte of the recording of the finished run is damaged.
    let mut damaged = dynamics.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(bench.path("run").join("dynamics.dyn.partial"), &damaged).unwrap();
    let refused = bench.fail("run", &options);
    assert!(refused.contains("dynamics.dyn.partial") && refused.contains("delete"), "{refused}");
    std::fs::write(bench.path("run").join("dynamics.dyn.partial"), &dynamics).unwrap();

    // Deleting the checkpoint helps, as the message says.
    std::fs::remove_file(&checkpoint).unwrap();
    bench.succeed("run", &options);
    bench.assert_same("run", &expected, "after all that");

    // Without the settings, nobody knows which settings the results in the folder belong to.
    std::fs::rename(&settings, bench.path("config.json")).unwrap();
    let refused = bench.fail("run", &options);
    assert!(refused.contains("config.json") && refused.contains("new or empty folder"), "{refused}");
    std::fs::rename(bench.path("config.json"), &settings).unwrap();
    bench.assert_same("run", &expected, "after that, too");

    // The dynamics were cut off after an epoch, or are from another run.
    let dynamics = bench.path("run").join("dynamics.dyn");
    let whole = std::fs::read(&dynamics).unwrap();
    std::fs::write(&dynamics, &whole[..whole.len() / 2]).unwrap();
    let refused = bench.fail("run", &options);
    assert!(refused.contains("cut off") && refused.contains("delete"), "{refused}");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1.dyn");
    std::fs::copy(golden, &dynamics).unwrap();
    let refused = bench.fail("run", &options);
    assert!(refused.contains("other data") && refused.contains("delete"), "{refused}");
    std::fs::write(&dynamics, &whole).unwrap();
    bench.assert_same("run", &expected, "after that as well");

    // A folder that cannot exist is noticed before training.
    std::fs::write(bench.path("file"), "").unwrap();
    let refused = bench.fail("file/run", &options);
    assert!(refused.contains("file/run") && !refused.contains("epoch 1/2"), "{refused}");
}

#[test]
fn a_loss_that_is_no_number_names_its_batch() {
    let bench = Bench::new();
    let options = ["--schedule", "linear", "--weight-decay", "1e30", "--checkpoint-steps", "1"];
    let first = bench.fail("nan", &options);
    for part in ["raw labels", "epoch 1, step", "training sentences [", "--encoder-rate", "another --out"] {
        assert!(first.contains(part), "{part:?} is not in: {first}");
    }
    // From the checkpoint before it, the failure happens again at the same place.
    let again = bench.fail("nan", &options);
    let error = |message: &str| message.lines().find(|l| l.starts_with("error")).unwrap().to_owned();
    assert!(again.contains("goes on at epoch 1"), "{again}");
    assert_eq!(error(&again), error(&first));
}

#[test]
fn a_sweep_reuses_the_dynamics_and_takes_the_best_on_dev() {
    let bench = Bench::new();
    let file = bench.path("sweep.toml");
    let toml = "[sweep]\nwindows = [\"1-2\", \"1-9\"]\npositives = [{ fixed = 0.0 }, { fixed = 0.5 }]\n\
                negatives = [{ fixed = 0.0 }]\nseeds = 2\n";
    std::fs::write(&file, toml).unwrap();
    bench.succeed("run", &["--reference", "oracle", "--trials", "none", "--dev-for", "calibration"]);
    let before = std::fs::metadata(bench.path("run").join("dynamics.dyn")).unwrap().modified().unwrap();
    let options = ["--reference", "oracle,raw-with-dev", "--sweep", file.to_str().unwrap(), "--dev-for", "calibration"];
    kill(bench.until_there_is("sweep", "run", &options));
    let output = bench.succeed("run", &options);
    assert_eq!(std::fs::metadata(bench.path("run").join("dynamics.dyn")).unwrap().modified().unwrap(), before);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Tried 4 settings, 2 seeds each") && said.contains("→"), "{said}");

    let files = bench.results("run");
    let json = |name: &str| -> Value { serde_json::from_slice(&files[name]).unwrap() };
    let (sweep, metrics) = (json("sweep.json"), json("metrics.json"));
    assert!(metrics["test"]["oracle"]["f1"].is_number() && metrics["test"].get("gold").is_none());
    // Dev teaches only where it is asked to, and the reference needs no gold labels.
    assert!(metrics["test"].get("with_dev").is_none() && metrics["test"]["raw_with_dev"]["f1"].is_number());
    let combinations = sweep["combinations"].as_array().unwrap();
    // There are only two epochs, so both windows judge the same. Their cleaned corpus is trained on only once.
    assert_eq!(combinations[0]["cleaned"], combinations[2]["cleaned"]);
    assert_ne!(combinations[0]["cleaned"], combinations[1]["cleaned"]);
    assert_eq!(files.keys().filter(|f| f.starts_with("sweep/")).count(), 2);
    let mean = |c: &Value| {
        let of = c["dev_f1"].as_array().unwrap();
        assert_eq!(of.len(), 2);
        of.iter().map(|v| v.as_f64().unwrap()).sum::<f64>() / 2.0
    };
    let best = combinations.iter().map(mean).fold(f64::MIN, f64::max);
    let chosen = &combinations[sweep["chosen"].as_u64().unwrap() as usize];
    assert_eq!(mean(chosen), best);
    assert_eq!(chosen["settings"], metrics["settings"]);
    assert_eq!(chosen["settings"], json("decisions.json")["settings"]);
    assert_eq!(chosen["dev_f1"][0], metrics["dev_f1"]["cleaned"], "the first seed is the run's own");

    let report = String::from_utf8_lossy(&files["report.html"]).into_owned();
    assert!(report.contains("<h2>Settings tried</h2>") && report.contains("<td>oracle</td>"));
    assert_eq!(report.matches(">taken<").count(), 1);

    // The same sweep without interruption, and then once more when nothing is left to do.
    bench.succeed("at-once", &options);
    // The history of the first folder also has the training that the start without a sweep did.
    let history = |out: &str| String::from_utf8(bench.results(out)["history.jsonl"].clone()).unwrap();
    let (with_the_first, at_once) = (history("run"), history("at-once"));
    assert!(at_once.lines().all(|line| with_the_first.contains(line)), "{with_the_first}");
    let files = BTreeMap::from_iter(files.into_iter().chain([("history.jsonl".to_owned(), at_once.into_bytes())]));
    bench.assert_same("at-once", &files, "killed in between, or in one go");
    bench.succeed("at-once", &options);
    bench.assert_same("at-once", &files, "a second time");
}
