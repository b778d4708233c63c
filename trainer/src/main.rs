//! `trainer`: the command line. `main` is the table of contents; every command is a function below.

mod cli;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use shared::cleaning::{CleaningSummary, Decisions, clean};
use shared::formats::{ReadOptions, UnknownAs, WriteOptions, dynclean_json};
use shared::judge::{Judge, Side};
use shared::provenance;
use shared::quality::Estimate;
use shared::threshold::{Action, Rule, Settings};
use trainer::checkpoint::Policy;
use trainer::config::Config;
use trainer::convert::{Conversion, convert};
use trainer::convert_corpus::convert as convert_corpus;
use trainer::corpus_file::{self, CorpusFiles, CorpusOptions};
use trainer::encoder::EncoderSpec;
use trainer::interrupt::{self, Interrupted};
use trainer::pipeline::{Options, Reference};
use trainer::run_dir::write_whole;
use trainer::span_table::SpanTable;
use trainer::sweep::Sweep;
use trainer::{inspect, pipeline, sample, serve};

use cli::{
    Clean, CleaningOptions, Cli, Command, Convert, CorpusArgs, Device, Inspect, OnWrong, ReferenceArg, Run, Sample,
    Serve, Threshold,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    trainer::threads::settle();
    // Inside the thread pool, so that the caller of a parallel operation is one of its workers
    // instead of waiting for them.
    let done = rayon::scope(|_| match cli.command {
        Command::Run(args) => run(args),
        Command::Clean(args) => clean_corpus(&args),
        Command::Convert(args) => convert_files(args),
        Command::Inspect(args) => inspect_file(&args),
        Command::Sample(args) => write_sample(&args),
        Command::Serve(args) => serve_page(args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("{error}");
            ExitCode::from(interrupt::EXIT_STATUS)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Run) -> Result<()> {
    if args.device == Device::Cuda {
        bail!("this build has no GPU support: use --device cpu");
    }
    let options = CorpusOptions { eval_label: args.eval_column, ..corpus_options(&args.corpora)? };
    let files = CorpusFiles { train: args.train, train_gold: args.train_gold, dev: args.dev, test: args.test, options };
    let corpora = files.read()?;
    let spec = EncoderSpec::open(&args.encoder, &corpora.train.tokens)?;
    let defaults = spec.defaults();
    let config = Config {
        encoder: args.encoder,
        seed: args.seed,
        epochs: args.epochs.unwrap_or(defaults.epochs),
        batch: args.batch.unwrap_or(defaults.batch),
        encoder_rate: args.encoder_rate.unwrap_or(defaults.encoder_rate),
        head_rate: args.head_rate.unwrap_or(defaults.head_rate),
        warmup: args.warmup.unwrap_or(defaults.warmup),
        weight_decay: args.weight_decay,
        schedule: args.schedule.into(),
        clip_norm: args.clip_norm,
        record: args.record.into(),
        negatives: args.negatives.into(),
        negative_rate: args.negative_rate,
        train_embeddings: args.train_embeddings,
        max_span_width: args.max_span_width,
        scheme: args.scheme.into(),
        word_shapes: args.word_shapes.into(),
        ensemble: args.ensemble,
    };
    ensure!(config.epochs > 0 && config.batch > 0, "--epochs and --batch must be at least 1");
    ensure!(config.max_span_width > 0, "--max-span-width must be at least 1");
    ensure!(config.clip_norm.is_none_or(|n| n > 0.0), "--clip-norm must be greater than 0");
    ensure!((0.0..1.0).contains(&config.negative_rate), "--negative-rate must be in 0..1");
    let cleaning = args.cleaning;
    ensure!(
        corpora.train_gold.is_some() || !args.reference.contains(&ReferenceArg::Oracle),
        "--reference oracle needs gold labels: give --train-gold or --gold-column"
    );
    let references = args.reference.iter().filter_map(|reference| match reference {
        ReferenceArg::Gold => Some(Reference::Gold),
        ReferenceArg::Oracle => Some(Reference::Oracle),
        ReferenceArg::None => None,
    });
    let options = Options {
        checkpoints: Policy {
            every: (args.checkpoint_minutes > 0).then(|| Duration::from_secs(60 * args.checkpoint_minutes)),
            steps: args.checkpoint_steps.map(|n| n as usize),
        },
        references: if args.no_gold_model { Vec::new() } else { references.collect() },
        parallel_runs: args.parallel_runs,
        sweep: args.sweep.as_deref().map(Sweep::read).transpose()?,
    };
    interrupt::listen()?;
    let done = pipeline::run(&files, corpora, &config, &spec, |s| adjust(s, &cleaning), &options, &args.out)?;
    if let Some(sweep) = &done.sweep {
        print!("{}", sweep.summary());
    }
    print!("{}", done.metrics.summary());
    println!("Everything is in {}: open report.html there, or `trainer serve --run {0}`", args.out.display());
    Ok(())
}

/// How the corpora are read and written, as the options say.
fn corpus_options(args: &CorpusArgs) -> Result<CorpusOptions> {
    let read = ReadOptions {
        format: args.format,
        token_column: args.token_column,
        label: args.label_column.clone(),
        gold: args.gold_column.clone(),
        tags: args.tags.as_deref().map(corpus_file::read_tags).transpose()?,
        ignore: match &args.unknown {
            Some(UnknownAs::Tag(name)) => Some(name.clone()),
            _ => None,
        },
    };
    Ok(CorpusOptions { read, eval_label: None, unknown: args.unknown.clone() })
}

/// Changes the automatic settings as the options say.
fn adjust(settings: &mut Settings, options: &CleaningOptions) {
    match options.threshold {
        Some(Threshold::Auto) | None => {}
        Some(Threshold::Paper) => *settings = Settings::paper(),
    }
    if let Some(q) = options.negatives_quantile {
        settings.negatives = Rule::Quantile(q);
    }
    if let Some(q) = options.positives_quantile {
        settings.positives = Rule::Quantile(q);
    }
    if let Some(value) = options.negatives_threshold {
        settings.negatives = Rule::Fixed(value);
    }
    if let Some(value) = options.positives_threshold {
        settings.positives = Rule::Fixed(value);
    }
    if let Some(window) = options.window {
        settings.window = window;
    }
    if let Some(metric) = options.metric {
        settings.metric = metric.into();
    }
    settings.per_class |= options.per_class;
    for (name, value) in &options.class_threshold {
        settings.classes.insert(name.clone(), Rule::Fixed(*value));
    }
    match options.on_wrong {
        Some(OnWrong::Remove) => settings.action = Action::Remove,
        Some(OnWrong::Relabel) => settings.action = Action::Relabel,
        None => {}
    }
    if options.keep_overlaps {
        settings.overlap_suppression = false;
    }
}

/// A dynamics file, ready to be decided about.
struct Opened {
    file: inspect::Opened,
    judge: Judge,
    decisions: Decisions,
}

fn open(path: &std::path::Path, options: &CleaningOptions, decisions: Option<&std::path::Path>) -> Result<Opened> {
    let file = inspect::open(path)?;
    if !file.dynamics.complete {
        eprintln!("warning: {} was cut off; only its finished epochs are used", path.display());
    }
    let about = || path.display().to_string();
    let (judge, decisions) = match decisions {
        Some(given) => {
            let json = std::fs::read(given).with_context(|| format!("cannot read {}", given.display()))?;
            let decisions = Decisions::read(&json, &file.digest).with_context(|| given.display().to_string())?;
            (
                Judge::new(&file.dynamics, decisions.settings.window, decisions.settings.metric).with_context(about)?,
                decisions,
            )
        }
        None => {
            let automatic = Judge::automatic(&file.dynamics, |settings| adjust(settings, options));
            let (judge, settings) = automatic.with_context(about)?;
            (judge, Decisions::new(file.digest.clone(), settings))
        }
    };
    inspect::check_classes(&decisions.settings, &file.dynamics.corpus.labels)?;
    Ok(Opened { file, judge, decisions })
}

fn clean_corpus(args: &Clean) -> Result<()> {
    let Opened { file, judge, decisions } = open(&args.dynamics, &args.cleaning, args.decisions.as_deref())?;
    let dynamics = &file.dynamics;
    let options = corpus_options(&args.corpora)?;
    let corpus = corpus_file::read(&args.corpus, &options.read)?.corpus;
    corpus_file::same_text(&dynamics.corpus, &args.dynamics, &corpus, &args.corpus)?;
    let corpus = corpus.with_labels(&dynamics.corpus.labels).with_context(|| args.corpus.display().to_string())?;
    ensure!(
        corpus.entities == dynamics.corpus.entities,
        "{} has other labels than {} was recorded with; give the corpus that was trained on",
        args.corpus.display(),
        args.dynamics.display()
    );
    let decided = decisions.resolve(&judge, &corpus.labels)?;
    let cleaned = clean(&corpus, &judge, &decided);
    let write = WriteOptions { unknown: options.unknown, ..WriteOptions::default() };
    for note in corpus_file::write(&args.out, &cleaned, &write)? {
        eprintln!("note: {}: {note}", args.out.display());
    }
    if let Some(path) = &args.provenance {
        write_whole(path, provenance::json(&corpus, &judge, &decisions, &decided))?;
    }
    if let Some(path) = &args.write_decisions {
        write_whole(path, decisions.to_json())?;
    }
    let summary = CleaningSummary::new(&judge, &decisions.settings, &decided, &corpus.labels);
    println!(
        "{}: {} of the positives and {} of the negatives removed or relabelled ({} below {} and {})",
        args.out.display(),
        summary.changed(Side::Positives),
        summary.changed(Side::Negatives),
        judge.metric.name(),
        summary.thresholds.positives.value,
        summary.thresholds.negatives.value
    );
    Ok(())
}

fn convert_files(args: Convert) -> Result<()> {
    let corpora = corpus_options(&args.corpora)?;
    if let (Some(format), Some(corpus)) = (args.to, &args.corpus) {
        for note in convert_corpus(corpus, &corpora.read, format, corpora.unknown, &args.out)? {
            eprintln!("note: {}: {note}", args.out.display());
        }
        println!("{}: {} as {}", args.out.display(), corpus.display(), format.name());
        return Ok(());
    }
    let conversion = Conversion {
        dynamics: args.dynamics,
        corpus: args.corpus,
        gold: args.gold,
        corpora,
        labels: args.labels,
        max_span_width: args.max_span_width,
        precision: args.precision.into(),
        negatives: args.negatives.into(),
    };
    let done = convert(&conversion, &args.out)?;
    println!("{}: {} spans, {} epochs", args.out.display(), done.n_spans, done.n_epochs);
    if done.n_incomplete > 0 {
        println!(
            "{} spans have no record at one epoch or more: they are flagged, and nothing is decided about them while \
             the window has such an epoch",
            done.n_incomplete
        );
    }
    if done.is_margins {
        println!("The source has margins only: confidence, variability and predicted labels are not known");
    }
    Ok(())
}

fn inspect_file(args: &Inspect) -> Result<()> {
    let Opened { file, judge, decisions } = open(&args.dynamics, &args.cleaning, None)?;
    let decided = decisions.resolve(&judge, &file.dynamics.corpus.labels)?;
    let summary = CleaningSummary::new(&judge, &decisions.settings, &decided, &file.dynamics.corpus.labels);
    let description = inspect::describe(&file, &judge, &decisions.settings, &decided, &summary);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&description)?);
    } else {
        let figure = |name: &str| &description[name];
        let info = &file.dynamics.info;
        println!("{}  (digest {})", args.dynamics.display(), file.digest);
        println!("  {} · encoder {} · seed {}", info.name, info.encoder, info.seed);
        println!(
            "  {} sentences · {} tokens · {} candidate spans · {} epochs · gold: {}",
            figure("sentences"),
            figure("tokens"),
            figure("spans"),
            figure("epochs"),
            if file.dynamics.gold.is_some() { "yes" } else { "no" }
        );
        for (name, value) in &info.settings {
            println!("  {name}: {value}");
        }
        println!("  judged by {} over epochs {}–{}", judge.metric.name(), judge.window.first, judge.window.last);
        let judgement = judge.under(&decisions.settings);
        for (name, side) in [("positives", Side::Positives), ("negatives", Side::Negatives)] {
            println!("  {}", inspect::threshold_line(name, judgement.thresholds().of(side)));
            if let Some(estimate) = Estimate::new(&judgement, side) {
                println!("  {}", inspect::estimate_line(&estimate));
            }
        }
        for (name, threshold) in &judgement.thresholds().classes {
            println!("  {}", inspect::threshold_line(name, *threshold));
        }
        for c in &summary.counts {
            println!("  {:<8} {:>9} spans, {:>6} removed, {:>6} relabelled", c.label, c.total, c.removed, c.relabelled);
        }
    }
    if let Some(out) = &args.spans {
        SpanTable::new(&file.dynamics, &judge, &decided).write(out)?;
    }
    Ok(())
}

fn write_sample(args: &Sample) -> Result<()> {
    let sample = sample::generate(args.seed);
    let write = |name: &str, sentences: &[sample::SampleSentence], distant: bool| -> Result<()> {
        let corpus = trainer::sample_corpus::corpus(sentences, distant)?;
        write_whole(&args.out.join(name), dynclean_json::write(&corpus))
    };
    write("train-distant.json", &sample.train, true)?;
    write("train-gold.json", &sample.train, false)?;
    write("dev.json", &sample.dev, false)?;
    write("test.json", &sample.test, false)?;
    write_whole(&args.out.join("dictionary.tsv"), sample.dictionary.to_tsv())?;
    println!(
        "{}: {} training, {} dev and {} test sentences, and the dictionary that made the distant labels",
        args.out.display(),
        sample.train.len(),
        sample.dev.len(),
        sample.test.len()
    );
    Ok(())
}

fn serve_page(args: Serve) -> Result<()> {
    let site = serve::Site { page: args.page, run: args.run };
    serve::serve(&site, args.port, |address| {
        println!("DynClean is at {address}");
        println!("Nothing leaves this machine. Ctrl-C ends it.");
    })
}
