//! The main job through the built binary: on the bundled sample, and on real data if there is any.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tests::Server;

fn trainer(binary: &Path, arguments: &[&str]) -> Output {
    Command::new(binary).args(arguments).output().unwrap()
}

fn succeed(binary: &Path, arguments: &[&str]) -> Output {
    let output = trainer(binary, arguments);
    assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes the bundled sample to a folder.
fn sample(binary: &Path, folder: &Path) -> PathBuf {
    let data = folder.join("sample");
    succeed(binary, &["sample", "--out", text(&data)]);
    data
}

fn run_arguments<'a>(
    files: &'a [String],
    encoder: &'a str,
    out: &'a Path,
    (epochs, seed): (&'a str, &'a str),
) -> Vec<&'a str> {
    let mut arguments = vec!["run"];
    for (option, file) in ["--train", "--train-gold", "--dev", "--test"].iter().zip(files) {
        arguments.extend([*option, file.as_str()]);
    }
    arguments.extend(["--encoder", encoder, "--out", text(out), "--epochs", epochs, "--seed", seed]);
    arguments
}

fn files(data: &Path) -> Vec<String> {
    ["train-distant.json", "train-gold.json", "dev.json", "test.json"]
        .map(|name| text(&data.join(name)).to_owned())
        .into()
}

/// Runs `trainer demo` until it serves the page. The output is a pipe, so no browser opens.
fn demo(binary: &Path, folder: &Path) {
    let page = folder.join("page");
    std::fs::create_dir(&page).unwrap();
    std::fs::write(page.join("index.html"), "<p>page").unwrap();
    let mut demo = Command::new(binary);
    demo.args(["demo", "--port", "0", "--out"]).arg(folder).arg("--page").arg(&page);
    let mut demo = Server(demo.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let address = lines.map_while(Result::ok).find(|line| line.starts_with("DynClean is at http://127.0.0.1:"));
    assert!(address.is_some_and(|line| line.ends_with("/run/")), "the run is opened");
    if cfg!(unix) {
        assert!(Command::new("kill").args(["-INT", &demo.0.id().to_string()]).status().unwrap().success());
        assert_eq!(demo.0.wait().unwrap().code(), Some(0), "a signal ends the server, as it would not end a training");
    }
}

#[test]
fn the_whole_job_on_the_sample() {
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let (files, out) = (files(&folder.path().join("sample")), folder.path().join("seed-1"));
    demo(&binary, folder.path());
    // The demo has already done this run.
    let arguments = run_arguments(&files, "builtin", &out, ("6", "1"));
    succeed(&binary, &arguments);

    let metrics = json(&out.join("metrics.json"));
    let f1 = |which: &str| metrics["test"][which]["f1"].as_f64().unwrap();
    assert!(f1("raw") > 0.4 && f1("cleaned") > 0.4, "the model learns: {} and {}", f1("raw"), f1("cleaned"));
    assert!(f1("gold") > f1("raw") + 0.05, "gold labels teach more: {} and {}", f1("gold"), f1("raw"));
    assert!(f1("cleaned") > f1("raw") + 0.01, "the cleaning helps: {} and {}", f1("cleaned"), f1("raw"));
    // Dev has right labels.
    assert!(f1("with_dev") > f1("cleaned"), "dev teaches: {} and {}", f1("with_dev"), f1("cleaned"));
    let gain = |which: &str| 100.0 * (f1(which) - f1("raw"));
    assert!((metrics["gain_with_dev_f1_points"].as_f64().unwrap() - gain("with_dev")).abs() < 1e-9);
    assert!((metrics["gain_f1_points"].as_f64().unwrap() - gain("cleaned")).abs() < 1e-9);
    let on_dev = |which: &str| metrics["dev_f1"][which].as_f64().unwrap();
    assert!(on_dev("cleaned") >= on_dev("raw"), "no label changed is one of the trials: {}", metrics["dev_f1"]);
    // After the cleaning, the labels agree better with the annotators.
    let agreement = |labels: &Path| {
        let printed = succeed(&binary, &["evaluate", "--predictions", text(labels), "--corpus", &files[1], "--json"]);
        serde_json::from_slice::<Value>(&printed.stdout).unwrap()["f1"].as_f64().unwrap()
    };
    let (before, after) = (agreement(Path::new(&files[0])), agreement(&out.join("cleaned.json")));
    assert!(after > before, "F1 of the labels: {before} before, {after} after");
    let number = |path: &[&str]| path.iter().fold(&metrics, |v, key| &v[*key]).as_f64().unwrap();
    for side in ["positives", "negatives"] {
        assert!(number(&["removed", side]) + number(&["relabelled", side]) > 0.0, "{side}");
    }
    // The base rates are .257 and .0054, so these values do not come by chance.
    assert!(number(&["noise", "false_negatives", "average_precision"]) > 0.2);
    assert!(number(&["noise", "false_positives", "precision"]) > 0.3);

    // There are two trials: labels cleaned by trust, and no label changed, which needs no training. The better one
    // on dev is chosen.
    let tried = metrics["sweep"].as_array().unwrap();
    let dev_f1 = |t: &Value| t["dev_f1"].as_f64().unwrap();
    let best = tried.iter().map(dev_f1).fold(f64::MIN, f64::max);
    assert_eq!((tried.len(), &tried[1]["settings"]), (2, &Value::from("no label changed")));
    for part in ["trust", "relabel"] {
        assert!(tried[0]["settings"].as_str().unwrap().contains(part), "{}", tried[0]);
    }
    assert_eq!(tried[1]["dev_f1"], metrics["dev_f1"]["raw"]);
    let first_best = tried.iter().position(|t| dev_f1(t) == best);
    assert!(tried.iter().enumerate().all(|(i, t)| t["chosen"] == (Some(i) == first_best)), "{tried:?}");

    // Every epoch of every training is noted, and the report's courses are those of the three models it compares.
    let history = std::fs::read_to_string(out.join("history.jsonl")).unwrap();
    let epochs: Vec<Value> = history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |training: &str| epochs.iter().filter(|e| e["training"].as_str().unwrap().starts_with(training)).count();
    assert_eq!(["raw", "cleaned-", "with-dev-", "gold"].map(of), [6; 4]);
    assert!(epochs.iter().all(|e| e["train_loss"].as_f64() > Some(0.0) && e["seconds"].as_f64() > Some(0.0)));
    let best = epochs.iter().filter(|e| e["training"] == "raw").map(|e| e["dev"]["f1"].as_f64().unwrap());
    assert_eq!(best.fold(f64::MIN, f64::max), on_dev("raw"));
    let trainings = metrics["trainings"].as_array().unwrap();
    let titles: Vec<&str> = trainings.iter().map(|t| t["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["your labels", "cleaned labels", "cleaned labels and dev"]);

    // `clean` gives the same corpus with the same decisions. Without trials, the automatic settings are used.
    let again = folder.path().join("again.json");
    let (dynamics, decisions) = (out.join("dynamics.dyn"), out.join("decisions.json"));
    let clean = ["clean", text(&dynamics), "--corpus", &files[0], "--out", text(&again)];
    let same = |options: &[&str]| {
        succeed(&binary, &[&clean[..], options].concat());
        assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(out.join("cleaned.json")).unwrap());
    };
    same(&["--decisions", text(&decisions)]);
    // The threshold run ends with the window. Its model gets no scores.
    let recorded = shared::recording::dyn_file::read(&std::fs::read(&dynamics).unwrap()).unwrap();
    let samples = recorded.threshold_run.unwrap().run;
    let last_of_window = number(&["settings", "window", "last"]) as usize;
    assert_eq!((samples.epochs.len(), samples.scores.len()), (last_of_window, 0));
    assert_eq!((recorded.run.epochs.len(), recorded.run.scores.len()), (6, 6));
    assert!(last_of_window < 6, "else this shows nothing");
    assert!(out.join("sweep.json").exists());
    succeed(&binary, &[&arguments[..], &["--trials", "none", "--reference", "none"]].concat());
    assert!(!out.join("sweep.json").exists());
    same(&[]);
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("<svg") && !report.contains("<script"));
    assert!(report.len() < 3_000_000, "{} bytes", report.len());

    // A finished run is not repeated. With another setting, it refuses to mix results.
    let before = std::fs::metadata(out.join("dynamics.dyn")).unwrap().modified().unwrap();
    succeed(&binary, &arguments);
    assert_eq!(std::fs::metadata(out.join("dynamics.dyn")).unwrap().modified().unwrap(), before);
    let other = run_arguments(&files, "builtin", &out, ("7", "1"));
    let refused = trainer(&binary, &other);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("other settings"));
}

#[test]
fn a_run_goes_on_with_decisions_by_hand_and_back() {
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let files = files(&sample(&binary, folder.path()));
    let (out, reviewed) = (folder.path().join("a run"), folder.path().join("reviewed.json"));
    let few = ["--reference", "none", "--dev-for", "calibration"];
    let arguments = [&run_arguments(&files, "builtin", &out, ("1", "3"))[..], &few].concat();
    let by_hand = [&arguments[..], &["--decisions", text(&reviewed)]].concat();
    let refused = trainer(&binary, &by_hand);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && message.contains("without --decisions first"), "{message}");
    succeed(&binary, &arguments);
    let parts = ["dynamics.dyn", "cleaned.json", "decisions.json", "model-cleaned/model.safetensors"];
    let state = || parts.map(|part| std::fs::read(out.join(part)).unwrap());
    let automatic = state();
    assert!(json(&out.join("metrics.json")).get("decided_by_hand").is_none());

    // A person gives the first entity another type, and leaves everything else to other settings.
    let first = json(Path::new(&files[0]));
    let (sentence, entity) = first
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .find_map(|(i, sentence)| {
            let entity = sentence["entities"].as_array().unwrap().first()?;
            Some((i, entity.clone()))
        })
        .unwrap();
    let other = if entity[2] == "LOC" { "PER" } else { "LOC" };
    let span = serde_json::json!({ "sentence": sentence, "start": entity[0], "end": entity[1] });
    let mut decisions = json(&out.join("decisions.json"));
    decisions["settings"]["positives"] = "keep".into();
    decisions["overrides"] = serde_json::json!([[span, { "relabel": other }]]);
    std::fs::write(&reviewed, decisions.to_string()).unwrap();
    succeed(&binary, &by_hand);
    let metrics = json(&out.join("metrics.json"));
    assert_eq!((&metrics["decided_by_hand"], &metrics["settings"]), (&1.into(), &decisions["settings"]));
    assert_eq!(json(&out.join("decisions.json"))["overrides"], decisions["overrides"]);
    let changed = &json(&out.join("cleaned.json"))[sentence]["entities"];
    assert!(changed.as_array().unwrap().contains(&serde_json::json!([entity[0], entity[1], other])), "{changed}");
    let provenance = json(&out.join("provenance.json"));
    let people = provenance["changes"].as_array().unwrap().iter().filter(|change| change["by"] == "hand");
    assert_eq!(people.count(), 1);
    let reviewed_state = state();
    assert_eq!(automatic[0], reviewed_state[0], "the dynamics stay");
    assert!(out.join("sweep.json").exists(), "the trials stay, for the way back");
    assert!((1..4).all(|part| automatic[part] != reviewed_state[part]), "the rest is made anew");

    // The command is kept as it was given, and leads back.
    let command = std::fs::read_to_string(out.join("command.txt")).unwrap();
    let quoted = format!("--out '{}'", text(&out));
    assert!(command.starts_with("trainer run --train ") && command.contains(&quoted), "{command}");
    assert!(command.contains("--reference none") && !command.contains("--decisions"), "{command}");
    succeed(&binary, &arguments);
    assert_eq!(state(), automatic);
}

#[test]
fn training_options_are_obeyed_and_recorded() {
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let data = sample(&binary, folder.path());
    let files = files(&data);
    let dynamics = |name: &str, options: &[&str]| {
        let out = folder.path().join(name);
        let arguments = [run_arguments(&files, "builtin", &out, ("1", "3")), options.to_vec()].concat();
        succeed(&binary, &arguments);
        assert!(!out.join("model-gold").exists());
        let inspected = succeed(&binary, &["inspect", text(&out.join("dynamics.dyn")), "--json"]);
        let description: Value = serde_json::from_slice(&inspected.stdout).unwrap();
        (
            description["info"]["settings"].to_string(),
            description["scores"].to_string(),
            description["cleaning"].clone(),
            shared::recording::dyn_file::read(&std::fs::read(out.join("dynamics.dyn")).unwrap()).unwrap().contradicted,
            json(&out.join("metrics.json"))["labels_on_dev"]["f1"].as_f64(),
        )
    };
    let plain = dynamics("plain", &["--reference", "none", "--trials", "none"]);
    let (settings, scores, _, contradicted, labels_on_dev) = plain;
    assert!(!contradicted.is_empty() && labels_on_dev.is_none());
    assert!(settings.contains("evaluation") && settings.contains("constant") && settings.contains("not clipped"));
    let mut options = vec![
        "--reference",
        "none",
        "--trials",
        "none",
        "--record",
        "train",
        "--schedule",
        "linear",
        "--clip-norm",
        "1",
    ];
    // Whoever labelled dev made no mistake, so dev contradicts nothing.
    options.extend(["--dev-distant", files[2].as_str()]);
    let (settings, other_scores, cleaning, contradicted, labels_on_dev) = dynamics("options", &options);
    assert!(contradicted.is_empty() && labels_on_dev == Some(1.0), "{contradicted:?} {labels_on_dev:?}");
    assert!(settings.contains("training") && settings.contains("linear") && settings.contains("at most 1"));
    assert_ne!(scores, other_scores);
    // Every span was in some batch, so every span has logits.
    assert_eq!(cleaning["flagged"], 0);
}

#[test]
fn an_ensemble_is_the_mean_of_runs_of_other_seeds() {
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let data = sample(&binary, folder.path());
    let [train, dev] = ["train-distant.json", "dev.json"].map(|name| data.join(name));
    let logits = |seed: u64, members: &str| {
        let out = folder.path().join(format!("{seed}-{members}"));
        let seed = seed.to_string();
        let arguments =
            ["train", "--train", text(&train), "--dev", text(&dev), "--encoder", "builtin", "--out", text(&out)];
        let options = ["--seed", &seed, "--ensemble", members, "--epochs", "1", "--no-threshold-run"];
        succeed(&binary, &[&arguments[..], &options].concat());
        let dynamics = shared::recording::dyn_file::read(&std::fs::read(out.join("dynamics.dyn")).unwrap()).unwrap();
        let epoch = &dynamics.run.epochs[0];
        (0..epoch.n_spans()).flat_map(|span| epoch.row(span)).collect::<Vec<f32>>()
    };
    let both = logits(3, "2");
    let (first, second) = (logits(3, "1"), logits(nn::random::derived_seed(3, "member 2"), "1"));
    assert_ne!(first, second);
    // The logits are in half precision.
    let is_mean = |((&both, &a), &b): ((&f32, &f32), &f32)| (both - (a + b) / 2.0).abs() <= 0.002 * (1.0 + both.abs());
    assert!(both.iter().zip(&first).zip(&second).all(is_mean));
}

#[test]
fn same_seed_same_bytes_for_any_number_of_threads() {
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let data = sample(&binary, folder.path());
    let files = files(&data);
    let dynamics = |threads: &str| {
        let out = folder.path().join(threads);
        // Reference and trials are left out, because they train in the same way. Another test compares whole runs
        // on fewer sentences.
        let options = vec!["--reference", "none", "--trials", "none"];
        let arguments = [run_arguments(&files, "builtin", &out, ("1", "3")), options].concat();
        let output = Command::new(&binary).args(&arguments).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        ["dynamics.dyn", "cleaned.json", "model-cleaned/model.safetensors", "model-with-dev/model.safetensors"]
            .map(|name| std::fs::read(out.join(name)).unwrap())
    };
    assert!(dynamics("1") == dynamics("3"));
}

#[test]
fn errors_name_the_file_and_the_remedy() {
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let data = sample(&binary, folder.path());
    let files = files(&data);
    let out = folder.path().join("out");
    let refuse = |arguments: &[&str], expected: &[&str]| {
        let output = trainer(&binary, arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !message.contains("panicked"), "{message}");
        for part in expected {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
    };
    refuse(&run_arguments(&files, "./no-such-model", &out, ("1", "3")), &["no-such-model", "builtin"]);
    let broken = folder.path().join("broken.json");
    std::fs::write(&broken, "[\n{\"tokens\": [\"a\"], \"entities\": [[0, 1, \"X\"]]}]").unwrap();
    let with_broken = [vec![text(&broken).to_owned()], files[1..].to_vec()].concat();
    refuse(&run_arguments(&with_broken, "builtin", &out, ("1", "3")), &["broken.json", "line 2", "end inclusive"]);
    let other_gold = [files[0].clone(), files[2].clone(), files[2].clone(), files[3].clone()];
    refuse(&run_arguments(&other_gold, "builtin", &out, ("1", "3")), &["differs", "same"]);
    let other_dev = [run_arguments(&files, "builtin", &out, ("1", "3")), vec!["--dev-distant", &files[3]]].concat();
    refuse(&other_dev, &["dev.json", "test.json", "differs", "same"]);
    std::fs::write(folder.path().join("random.dyn"), [7u8; 300]).unwrap();
    refuse(&["inspect", text(&folder.path().join("random.dyn"))], &["random.dyn", "not a dynamics file"]);
}

#[test]
fn the_whole_job_on_wikigold_with_a_pretrained_encoder() {
    let name = "the_whole_job_on_wikigold_with_a_pretrained_encoder";
    let Some(data) = tests::corpora(name) else { return };
    let Some(encoder) = tests::minilm(name) else { return };
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let mut files = files(&data.join("wikigold"));
    // Half of the training sentences are enough to show it.
    for file in &mut files[..2] {
        let mut sentences: Vec<Value> = serde_json::from_slice(&std::fs::read(&*file).unwrap()).unwrap();
        sentences.truncate(600);
        let part = folder.path().join(Path::new(&*file).file_name().unwrap());
        std::fs::write(&part, serde_json::to_vec(&sentences).unwrap()).unwrap();
        *file = text(&part).to_owned();
    }
    let out = folder.path().join("run");
    let options = vec!["--reference", "none", "--dev-for", "calibration"];
    succeed(&binary, &[run_arguments(&files, text(&encoder), &out, ("2", "3")), options].concat());
    let metrics = json(&out.join("metrics.json"));
    let number = |path: &[&str]| path.iter().fold(&metrics, |v, key| &v[*key]).as_f64().unwrap();
    // With only two epochs, raw F1 is near .35. Average precision is clearly above the base rates, which are near .52
    // and .006.
    assert!(number(&["test", "raw", "f1"]) > 0.25);
    assert!(number(&["test", "cleaned", "f1"]) > 0.25);
    assert!(number(&["noise", "false_positives", "average_precision"]) > 0.55);
    assert!(number(&["noise", "false_negatives", "average_precision"]) > 0.06);
}
