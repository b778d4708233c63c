//! The command line of the built binary: commands that work together, exit codes, and output for machines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tests::Server;

/// The binary with a folder of its own.
struct Trainer {
    binary: std::path::PathBuf,
    folder: tempfile::TempDir,
}

impl Trainer {
    fn new() -> Self {
        Self { binary: tests::trainer!(), folder: tempfile::tempdir().unwrap() }
    }

    /// Makes a trainer with the bundled sample in the folder `s`.
    fn with_sample() -> Self {
        let trainer = Self::new();
        trainer.ok("sample --out s");
        trainer
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command
    }

    fn output(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Returns the standard output of a command that must succeed.
    fn ok(&self, arguments: &str) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments}:\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &str) -> Value {
        let text = self.ok(&format!("{arguments} --json"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments}: {e}\n{text}"))
    }

    /// Returns the standard error of a command that must fail with this exit code.
    fn fails(&self, code: i32, arguments: &str) -> String {
        let output = self.output(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments}:\n{message}");
        assert!(output.stdout.is_empty() && !message.contains("panicked"), "{message}");
        assert!(!message.contains('\u{1b}'), "colours where there is no terminal: {message:?}");
        message
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn read_json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.read(name)).unwrap()
    }
}

/// Options with which one epoch teaches enough for scores above zero.
const QUICK: &str = "--epochs 1 --encoder-rate 3e-3 --head-rate 3e-3 --warmup 0 --seed 3";

#[test]
fn a_run_its_models_and_its_report_come_back() {
    let trainer = Trainer::with_sample();
    trainer.write("run.toml", "train = 's/train-distant.json'\n[data]\ndev = 's/dev.json'\ntest = 's/test.json'\n");
    let run = format!("run --config run.toml --encoder builtin --out run {QUICK}");
    let printed = trainer.json(&run);
    let metrics = trainer.read_json("run/metrics.json");
    assert_eq!(printed, metrics);
    assert!(metrics["test"]["raw"]["f1"].as_f64().unwrap() > 0.2, "{}", metrics["test"]["raw"]);

    // A saved model has exactly the scores of the run, evaluated directly or from the files it labels.
    for (model, of) in [("run", "with_dev"), ("run/model-cleaned", "cleaned"), ("run/model-raw", "raw")] {
        assert_eq!(trainer.json(&format!("evaluate --model {model} --corpus s/test.json")), metrics["test"][of]);
        let told = trainer.json(&format!("predict --model {model} --input s/test.json --out p.json --margins m.csv"));
        let n: u64 = told["entities"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(n, metrics["test"][of]["predicted"].as_u64().unwrap());
        assert_eq!(String::from_utf8(trainer.read("m.csv")).unwrap().lines().count() as u64, 1 + n);
        assert_eq!(trainer.json("evaluate --predictions p.json --corpus s/test.json"), metrics["test"][of]);
    }
    // Each model on cleaned labels has a card, which names files without their folders.
    for (model, of) in [("model-cleaned", "cleaned labels"), ("model-with-dev", "cleaned labels and dev")] {
        let card = String::from_utf8(trainer.read(&format!("run/{model}/README.md"))).unwrap();
        let (head, text) = card.strip_prefix("---\n").and_then(|card| card.split_once("\n---\n")).unwrap();
        assert!(head.starts_with("library_name: dynclean\ntags:\n- "), "{head}");
        assert!(
            text.contains(&format!("| {of} (this model) |")) && text.contains("--train train-distant.json"),
            "{text}"
        );
        assert!(!card.contains("s/train") && !card.contains(trainer.folder.path().to_str().unwrap()), "{card}");
        let f1 = |which: &str| format!("| {:.1} |\n", 100.0 * metrics["test"][which]["f1"].as_f64().unwrap());
        assert!(["raw", "cleaned", "with_dev"].iter().all(|which| text.contains(&f1(which))), "{text}");
    }
    assert!(!trainer.folder.path().join("run/model-raw/README.md").exists(), "what is not cleaned has no card");
    // A run that does not learn from dev leaves no such model of an earlier start: the cleaned one counts.
    trainer.ok(&format!("{run} --dev-for calibration"));
    assert!(!trainer.folder.path().join("run/model-with-dev").exists());
    assert_eq!(trainer.json("evaluate --model run --corpus s/test.json"), metrics["test"]["cleaned"]);
    // If the cleaned model is missing, the raw model is not used in its place.
    let (cleaned, aside) = (trainer.folder.path().join("run/model-cleaned"), trainer.folder.path().join("aside"));
    std::fs::rename(&cleaned, &aside).unwrap();
    for command in ["evaluate --model run --corpus s/test.json", "predict --model run --input s/test.json --out q.json"]
    {
        let message = trainer.fails(3, command);
        assert!(message.contains("model-cleaned yet") && message.contains("run/model-raw"), "{message}");
    }
    std::fs::rename(&aside, &cleaned).unwrap();
    let report = "report run/dynamics.dyn --decisions run/decisions.json --metrics run/metrics.json --out r.html";
    trainer.ok(report);
    assert!(trainer.read("r.html") == trainer.read("run/report.html"), "the report of the run");

    // A training alone is the first stage of the run. Without a threshold run, only the samples are missing.
    let train = format!("train --config run.toml --encoder builtin {QUICK}");
    let alone = trainer.json(&format!("{train} --no-dynamics --out alone"));
    assert_eq!(alone["test"], metrics["test"]["raw"]);
    assert!(trainer.read("alone/model/model.safetensors") == trainer.read("run/model-raw/model.safetensors"));
    let recorded = trainer.json(&format!("{train} --no-threshold-run --out recorded"));
    assert_eq!(recorded["dynamics"], "recorded/dynamics.dyn");
    let (short, full) = (trainer.json("inspect recorded/dynamics.dyn"), trainer.json("inspect run/dynamics.dyn"));
    assert_eq!(short["scores"], full["scores"]);
    assert!(short["threshold_samples"].is_null() && full["threshold_samples"].is_number());
    // A folder can be used for only one job.
    assert!(trainer.fails(1, &format!("{train} --out alone")).contains("other settings"));
}

#[test]
fn raw_text_is_labelled_in_any_format() {
    let trainer = Trainer::with_sample();
    trainer.ok(&format!(
        "train --train s/train-gold.json --dev s/dev.json --encoder builtin --no-dynamics --out m {QUICK}"
    ));
    trainer.write("news.txt", "The  mayor of Harwick's council.\n\nAda met Bob.\n");
    trainer.ok("predict --model m --input news.txt --out labelled.jsonl");
    let labelled = String::from_utf8(trainer.read("labelled.jsonl")).unwrap();
    let texts: Vec<Value> = labelled.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts[0]["text"], "The  mayor of Harwick's council.");
    trainer.ok("predict --model m --input news.txt --to conll --out labelled.conll");
    let columns = String::from_utf8(trainer.read("labelled.conll")).unwrap();
    assert!(columns.starts_with("The\tO\nmayor\tO\nof\tO\nHarwick\t"), "{columns}");
    // All formats hold the same entities and can be read back.
    let conll = trainer.json("predict --model m --input news.txt --to conll --out labelled.conll");
    for format in ["dynclean", "bond", "tags-jsonl", "label-studio", "brat"] {
        let told = trainer.json(&format!("predict --model m --input news.txt --to {format} --out {format}/out"));
        assert_eq!((&told["entities"], &told["sentences"]), (&conll["entities"], &conll["sentences"]), "{format}");
        trainer.ok(&format!("convert --corpus {format}/out --to dynclean --out {format}.json"));
        let read = trainer.read_json(&format!("{format}.json"));
        let entities: usize = read.as_array().unwrap().iter().map(|s| s["entities"].as_array().unwrap().len()).sum();
        let expected: u64 = conll["entities"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(entities as u64, expected, "{format}");
    }
    // Standard input and output give the same result. A labelled corpus keeps its format.
    let mut child = trainer.command("predict --model m --input - --out -");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&trainer.read("news.txt")).unwrap();
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(), labelled);
    trainer.ok("predict --model m --input labelled.conll --out again.conll");
    assert_eq!(trainer.read("again.conll"), trainer.read("labelled.conll"));

    // A text of more than 1 MiB is labelled in parts. Its halves are not.
    let lines: Vec<String> = (0..6_000)
        .map(|n| format!("{} {n}.", "The mayor of Harwick's council met Ada and Bob in Marlow. ".repeat(4)))
        .collect();
    for (name, lines) in [("all", &lines[..]), ("half-0", &lines[..3_000]), ("half-1", &lines[3_000..])] {
        trainer.write(&format!("{name}.txt"), &lines.join("\n"));
        trainer.ok(&format!("predict --model m --input {name}.txt --out {name}.jsonl --margins {name}.csv"));
    }
    assert_eq!(trainer.read("all.jsonl"), [trainer.read("half-0.jsonl"), trainer.read("half-1.jsonl")].concat());
    let margins = |name: &str, first: u64| -> Vec<String> {
        let rows = String::from_utf8(trainer.read(name)).unwrap();
        let row = |row: &str| {
            let (sentence, rest) = row.split_once(',').unwrap();
            format!("{},{rest}", sentence.parse::<u64>().unwrap() + first)
        };
        rows.lines().skip(1).map(row).collect()
    };
    let all = margins("all.csv", 0);
    assert!(!all.is_empty());
    assert_eq!(all, [margins("half-0.csv", 0), margins("half-1.csv", 3_000)].concat());
    trainer.ok("predict --model m --input half-0.txt --shard 1/2 --out odd.jsonl --margins odd.csv");
    let is_odd = |row: &&String| row.split(',').next().unwrap().parse::<u64>().unwrap() % 2 == 1;
    let rows = margins("half-0.csv", 0);
    assert_eq!(margins("odd.csv", 0).iter().collect::<Vec<_>>(), rows.iter().filter(is_odd).collect::<Vec<_>>());
}

#[test]
fn a_long_text_is_annotated_in_parts() {
    let trainer = Trainer::new();
    trainer.write("d.tsv", "Ada Lovelace\tPER\nLondon\tLOC\nNobody\tPER\n");
    let line = |n: usize| format!("Letter {n} of Ada Lovelace came to London, and nobody read it there.\n");
    let lines: Vec<String> = (0..40_000).map(line).collect();
    for (name, lines) in [("all", &lines[..]), ("a", &lines[..9_000]), ("rest", &lines[9_000..])] {
        trainer.write(&format!("{name}.txt"), &lines.concat());
    }
    let told = trainer.json("annotate --dictionary d.tsv --text all.txt --out all.jsonl");
    assert_eq!(
        (&told["sentences"], &told["entities"]["PER"], &told["entities"]["LOC"]),
        (&40_000.into(), &40_000.into(), &40_000.into())
    );
    assert_eq!(told["dictionary"]["never_matched"], 1);
    let annotated = |name: &str| {
        trainer.ok(&format!("annotate --dictionary d.tsv --text {name} --out {name}.out"));
        trainer.read(&format!("{name}.out"))
    };
    let all = trainer.read("all.jsonl");
    assert_eq!(annotated("a.txt").len() + annotated("rest.txt").len(), all.len());
    assert!(all.starts_with(&annotated("a.txt")) && all.ends_with(&annotated("rest.txt")));
    // JSON Lines come in parts, too, and other formats as a whole.
    assert!(annotated("all.jsonl") == all);
    trainer.ok("annotate --dictionary d.tsv --text all.txt --to conll --out all.conll");
    trainer.ok("convert --corpus all.conll --to tags-jsonl --out from-conll.jsonl");
    trainer.ok("annotate --dictionary d.tsv --text all.txt --to tags-jsonl --out tags.jsonl");
    assert!(trainer.read("tags.jsonl") == trainer.read("from-conll.jsonl"));

    // The shards take the sentences of the whole in turn.
    let lines_of =
        |content: Vec<u8>| -> Vec<String> { String::from_utf8(content).unwrap().lines().map(str::to_owned).collect() };
    let whole = lines_of(all);
    for text in ["all.txt", "a.txt"] {
        for shard in 0..3 {
            let out = format!("{text}.{shard}");
            trainer.ok(&format!("annotate --dictionary d.tsv --text {text} --shard {shard}/3 --out {out}"));
            let n = if text == "a.txt" { 9_000 } else { whole.len() };
            let expected: Vec<&String> = whole[..n].iter().skip(shard).step_by(3).collect();
            assert!(lines_of(trainer.read(&out)).iter().eq(expected), "{out}");
        }
    }
    assert!(trainer.fails(2, "annotate --dictionary d.tsv --text a.txt --shard 3/3 --out x").contains("0/8"));

    // A note that several parts give is told only once.
    let with_ids: String =
        lines.iter().enumerate().map(|(n, l)| format!("{{\"text\": {l:?}, \"id\": {n}}}\n")).collect();
    trainer.write("ids.jsonl", &with_ids);
    let told = trainer.json("annotate --dictionary d.tsv --text ids.jsonl --to tags-jsonl --out ids.tags");
    let notes = told["notes"].as_array().unwrap();
    assert!(notes.len() == 1 && notes[0].as_str().unwrap().contains("parts of the text"), "{notes:?}");

    // Empty input gives empty output.
    let mut child = trainer.command("annotate --dictionary d.tsv --text - --out -");
    let output = child.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    trainer.write("empty.txt", "\n");
    assert!(trainer.fails(3, "annotate --dictionary d.tsv --text empty.txt --out x").contains("no sentences"));

    // A document of brat is not divided.
    trainer.ok("annotate --dictionary d.tsv --text a.txt --to brat --out brat");
    let message = trainer.fails(2, "annotate --dictionary d.tsv --text brat --shard 0/2 --out other");
    assert!(message.contains("--to another format"), "{message}");

    // An error in the last part names its line, and leaves no output.
    let mut broken = lines.concat().into_bytes();
    broken.extend(b"\xff\n");
    std::fs::write(trainer.folder.path().join("broken.txt"), broken).unwrap();
    let message = trainer.fails(3, "annotate --dictionary d.tsv --text broken.txt --out broken.jsonl");
    assert!(message.contains("broken.txt, line 40001") && !message.contains("broken.jsonl"), "{message}");
    assert!(!trainer.folder.path().join("broken.jsonl").exists());
}

#[test]
fn a_dictionary_makes_the_distant_labels_of_the_sample() {
    let trainer = Trainer::with_sample();
    let told = trainer.json("annotate --dictionary s/dictionary.tsv --text s/train-gold.json --out again.json");
    assert_eq!(trainer.read("again.json"), trainer.read("s/train-distant.json"));
    let entries = String::from_utf8(trainer.read("s/dictionary.tsv")).unwrap().lines().count();
    assert_eq!(told["dictionary"]["entries"], entries);

    trainer.write("places.csv", "London,LOC\n\"Paris, Texas\",LOC\n");
    trainer.write("people.json", r#"{"PER": ["Ada", "Nobody Else"]}"#);
    trainer.write("text.txt", "Ada left Paris, Texas for london.\n");
    let annotate = "annotate --dictionary places.csv people.json --text text.txt --ignore-case --out -";
    let record = r#"{"text": "Ada left Paris, Texas for london.", "spans": [{"start": 0, "end": 3, "label": "PER"}, {"start": 9, "end": 21, "label": "LOC"}, {"start": 26, "end": 32, "label": "LOC"}]}"#;
    assert_eq!(trainer.ok(annotate), format!("{record}\n"));
    let verbose = trainer.output(&format!("{annotate} --verbose"));
    assert!(String::from_utf8_lossy(&verbose.stderr).contains("never matched: Nobody Else (PER)"));
    let quiet = trainer.output(&format!("{annotate} --quiet"));
    assert!(quiet.stderr.is_empty() && !quiet.stdout.is_empty());
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let trainer = Trainer::with_sample();
    let run = "run --train s/train-distant.json --dev s/dev.json --test s/test.json --encoder builtin";
    trainer.write("file", "");
    assert!(trainer.fails(1, &format!("{run} --out file/run")).contains("file/run"));
    trainer.fails(2, "run --train x");
    trainer.write("bad.toml", "seed = 1\nencoder-rat = 1\n");
    let message = trainer.fails(2, "run --config bad.toml");
    assert!(message.contains("bad.toml, line 2") && message.contains("`encoder-rate`"), "{message}");
    assert!(trainer.fails(2, &format!("{run} --out x --epochs 0")).contains("--epochs"));
    assert!(trainer.fails(2, "annotate --dictionary d --text t --out - --json").contains("--json"));
    trainer.fails(3, "inspect s/dev.json");
    trainer.fails(3, "evaluate --model s --corpus s/test.json");
    trainer.fails(3, "evaluate --predictions s/dev.json --corpus s/test.json");
    trainer.write("no-entity.json", r#"[{"tokens": ["Ada"], "entities": []}]"#);
    trainer.write("person.json", r#"[{"tokens": ["Ada"], "entities": [[0, 0, "person"]]}]"#);
    trainer.write("PER.json", r#"[{"tokens": ["Ada"], "entities": [[0, 0, "PER"]]}]"#);
    assert!(trainer.fails(3, "evaluate --predictions PER.json --corpus no-entity.json").contains("no entities"));
    assert!(trainer.fails(3, "evaluate --predictions PER.json --corpus person.json").contains("same names"));
    assert_eq!(trainer.json("evaluate --predictions no-entity.json --corpus person.json")["f1"], 0.0);
    for command in [
        "clean x.dyn --corpus s/dev.json --out -",
        "convert --corpus s/dev.json --to conll --out -",
        "predict --model s --input s/dev.json --out x --margins -",
        "report x.dyn --out - --json",
    ] {
        assert!(trainer.fails(2, command).contains("standard output"), "{command}");
    }
    trainer.fails(3, "run --train none.json --dev s/dev.json --test s/test.json --encoder builtin --out x");
    trainer.fails(3, "annotate --dictionary s/dev.json --text s/dev.json --out x");
    trainer.write("two.tsv", "Ada\tPER\nAda\tORG\n");
    assert!(trainer.fails(3, "annotate --dictionary two.tsv --text s/dev.json --out x").contains("line 2"));
    trainer.fails(3, "convert --corpus none --to conll --out x");
}

#[test]
fn mistakes_show_before_anything_is_trained() {
    let trainer = Trainer::with_sample();
    let run = "run --train s/train-distant.json --dev s/dev.json --epochs 2 --out run --test";
    let refused = |code: i32, options: &str, parts: &[&str]| {
        let encoder = if options.contains("--encoder") { "" } else { "--encoder builtin" };
        let message = trainer.fails(code, &format!("{run} {options} {encoder}"));
        assert!(parts.iter().all(|part| message.contains(part)) && !message.contains("epoch 1/2"), "{message}");
    };
    refused(2, "s/test.json --window 7-9", &["7-9", "2 epochs"]);
    refused(2, "s/test.json --class-threshold PRE=1", &["PRE", "PER"]);
    refused(2, "s/test.json --weight-decay nan", &["--weight-decay"]);
    refused(2, "s/test.json --max-span-width 4294967295", &["--max-span-width"]);
    trainer.write("sweep.toml", "[sweep]\nwindows = [\"1-2\", \"3-4\"]\n");
    refused(2, "s/test.json --sweep sweep.toml", &["3-4", "2 epochs"]);
    trainer.write("slip.toml", "[sweep]\non_wrong = [\"remove\"]\n");
    refused(2, "s/test.json --sweep slip.toml", &["slip.toml", "on-wrong"]);
    trainer.write("other.json", r#"[{"tokens": ["Ada"], "entities": [[0, 0, "person"]]}]"#);
    refused(3, "other.json", &["other.json", "person", "PER"]);
    trainer.write("none.json", r#"[{"tokens": ["Ada"], "entities": []}]"#);
    refused(3, "none.json", &["none.json", "no entities"]);
    // The weights are cut off. The run must refuse them before it claims the folder.
    let (golden, encoder) = (
        Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/encoders/distilbert"),
        trainer.folder.path().join("encoder"),
    );
    std::fs::create_dir(&encoder).unwrap();
    for file in std::fs::read_dir(golden).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), encoder.join(file.file_name())).unwrap();
    }
    let weights = trainer.read("encoder/pytorch_model.bin");
    std::fs::write(encoder.join("pytorch_model.bin"), &weights[..weights.len() / 2]).unwrap();
    refused(3, "s/test.json --encoder encoder", &["pytorch_model.bin"]);
    assert!(!trainer.folder.path().join("run/config.json").exists());
    std::fs::create_dir(trainer.folder.path().join("run")).unwrap();
    trainer.write("run/notes.txt", "mine");
    refused(1, "s/test.json", &["notes.txt", "--out"]);
    assert_eq!(trainer.read("run/notes.txt"), b"mine");
}

#[test]
fn a_model_that_its_last_step_ruined_is_noticed() {
    let trainer = Trainer::with_sample();
    let run = "run --train s/train-distant.json --dev s/dev.json --test s/test.json --encoder builtin --out run";
    let options = "--epochs 1 --batch 5000 --warmup 0 --encoder-rate 1e38 --head-rate 1e38";
    let message = trainer.fails(1, &format!("{run} {options}"));
    assert!(message.contains("raw labels: the model's logits are no numbers after epoch 1"), "{message}");
    // The loss is a sum, so no clipping norm is right for every batch.
    assert!(message.contains("Lower --encoder-rate") && !message.contains("--clip-norm"), "{message}");
}

#[test]
fn no_input_is_overwritten() {
    let trainer = Trainer::with_sample();
    trainer.write("d.tsv", "Ada\tPER\n");
    trainer.write("t.txt", "Ada wrote.\n");
    let before = trainer.read("t.txt");
    for command in [
        "annotate --dictionary d.tsv --text t.txt --out ./t.txt",
        "convert --corpus t.txt --to conll --out t.txt",
        "predict --model s --input t.txt --out t.txt",
        "clean t.txt --corpus s/train-distant.json --out x.json --provenance x.json",
    ] {
        assert!(trainer.fails(2, command).contains("overwritten"), "{command}");
    }
    assert_eq!(trainer.read("t.txt"), before);
    std::fs::create_dir(trainer.folder.path().join("b")).unwrap();
    trainer.write("b/corpus.txt", "Ada  wrote.\n");
    let annotate = "annotate --dictionary d.tsv --text b/corpus.txt --to brat --out b";
    assert!(trainer.fails(2, annotate).contains("overwritten"));
    // Tag ids with another meaning are already in the folder.
    std::fs::create_dir(trainer.folder.path().join("ids")).unwrap();
    trainer.write("ids/tag_to_id.json", r#"{"O": 0, "B-X": 1}"#);
    assert!(trainer.fails(1, "convert --corpus s/dev.json --to bond --out ids/x.json").contains("other names"));
    assert!(!trainer.folder.path().join("ids/x.json").exists());
    trainer.write("s/dev.json", "mine");
    assert!(trainer.fails(2, "sample --out s").contains("dev.json"));
    assert_eq!(trainer.read("s/dev.json"), b"mine");
}

#[test]
fn the_command_line_goes_before_the_sweep_of_a_config_file() {
    let trainer = Trainer::with_sample();
    trainer.write(
        "run.toml",
        "train = \"s/dev.json\"\ndev = \"s/dev.json\"\ntest = \"s/dev.json\"\nencoder = \"builtin\"\n\
         epochs = 2\nout = \"run\"\non-wrong = \"remove\"\n\n[sweep]\non-wrong = [\"remove\", \"relabel\"]\n\
         windows = [\"1-2\"]\n",
    );
    let settings = |options: &str| -> Vec<(Value, Value)> {
        trainer.ok(&format!("run --config run.toml {options}"));
        let of = |c: &Value| (c["settings"]["window"]["first"].clone(), c["settings"]["action"].clone());
        trainer.read_json("run/sweep.json")["combinations"].as_array().unwrap().iter().map(of).collect()
    };
    let tried = |first: i64, action: &str| (Value::from(first), Value::from(action));
    assert_eq!(settings(""), [tried(1, "remove"), tried(1, "relabel")]);
    assert_eq!(settings("--window 2"), [tried(2, "remove"), tried(2, "relabel")]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let trainer = Trainer::new();
    trainer.write("d.tsv", "Ada\tPER\n");
    let mut child = trainer.command("annotate --dictionary d.tsv --text - --out -");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all("Ada wrote this.\n".repeat(10_000).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_says_that_it_can_go_on() {
    let trainer = Trainer::with_sample();
    let run = "run --train s/train-distant.json --dev s/dev.json --test s/test.json --encoder builtin --out run";
    let child = trainer.command(&format!("{run} --epochs 100")).stderr(Stdio::piped()).spawn().unwrap();
    // The file exists once the run has begun.
    let begun = trainer.folder.path().join("run/config.json");
    while !Path::new(&begun).is_file() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stderr).contains("go on"));
}

#[test]
#[cfg(unix)]
fn a_server_answers_until_it_is_told_to_end() {
    let trainer = Trainer::new();
    for folder in ["page", "run"] {
        std::fs::create_dir(trainer.folder.path().join(folder)).unwrap();
    }
    trainer.write("page/index.html", "<p>page");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v2.dyn");
    std::fs::copy(golden, trainer.folder.path().join("run/dynamics.dyn")).unwrap();
    let mut server = trainer.command("serve --page page --run run --port 0");
    let mut server = Server(server.stdout(Stdio::piped()).spawn().unwrap());
    let mut told = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut told).unwrap();
    let place = told.trim_end().strip_prefix("DynClean is at http://").unwrap().strip_suffix("/run/").unwrap();
    let get = |target: &str| {
        let mut stream = TcpStream::connect(place).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/").ends_with("\r\n\r\n<p>page"));
    assert!(get("/run/").contains("location: /?run=run/dynamics.dyn&review=run/review\r\n"));
    let port = place.rsplit(':').next().unwrap();
    assert!(trainer.fails(1, &format!("serve --page page --port {port}")).contains(port));
    // An open connection does not keep the server running.
    let _open = TcpStream::connect(place).unwrap();
    assert!(Command::new("kill").args(["-INT", &server.0.id().to_string()]).status().unwrap().success());
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

#[test]
fn shells_and_man_know_every_command() {
    let trainer = Trainer::new();
    trainer.ok("man --out man");
    let help = trainer.ok("--help");
    assert!(help.contains("130") && trainer.ok("man").contains("EXIT STATUS"));
    let scripts: Vec<String> = ["bash", "zsh", "fish"].map(|shell| trainer.ok(&format!("completions {shell}"))).into();
    for command in ["run", "train", "clean", "evaluate", "predict", "report", "inspect", "convert", "annotate", "serve"]
    {
        assert!(scripts.iter().all(|script| script.contains(command)), "{command}");
        let page = String::from_utf8(trainer.read(&format!("man/trainer-{command}.1"))).unwrap();
        assert!(page.contains("\\-\\-") && page.contains("EXIT STATUS"), "{command} has options");
    }
}
