//! Benchmark of training and of the dynamics pass. It prints the CPU time as JSON, and can export the same work
//! for another program to compare with. `cargo xtask bench train` runs both.
//!
//! `cargo bench -p trainer --bench train -- --encoder DIR [--corpus FILE | --equal ROWS] [--sentences N] [--batch
//! N] [--epochs N] [--export DIR]`. Without a corpus, the bundled sample is used.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use cpu_time::ProcessTime;
use nn::random::stream;
use nn::{Arithmetic, Schedule};
use nn::{Builder, Compute, Place, parse_place};
use shared::corpus::Corpus;
use shared::formats::{ReadOptions, read};
use shared::recording::dynamics::{Negatives, SampleScheme};
use trainer::files::Written;
use trainer::model::encoder::EncoderSpec;
use trainer::model::inference::Prepared;
use trainer::model::span_model::SpanModel;
use trainer::model::span_model::WordShapes;
use trainer::team::Team;
use trainer::training::Stage;
use trainer::training::checkpoint::Checkpoints;
use trainer::training::config::{Config, Record};

#[derive(Parser)]
struct Args {
    /// Model folder.
    #[arg(long)]
    encoder: PathBuf,
    /// Distantly labelled sentences.
    #[arg(long, conflicts_with = "equal")]
    corpus: Option<PathBuf>,
    /// Instead of a corpus: sentences of exactly this many pieces, so that packing without padding is no
    /// advantage.
    #[arg(long)]
    equal: Option<usize>,
    /// Number of sentences to use.
    #[arg(long, default_value_t = 400)]
    sentences: usize,
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Number of measured epochs, after one epoch to warm up.
    #[arg(long, default_value_t = 2)]
    epochs: u32,
    /// Device, as in the trainer: cpu, cuda, cuda:N.
    #[arg(long, default_value = "cpu", value_parser = place)]
    device: Place,
    /// On a GPU: matrix products in f32 instead of bf16.
    #[arg(long)]
    f32: bool,
    /// Folder for exporting the same work for another program.
    #[arg(long)]
    export: Option<PathBuf>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    fn arithmetic(&self) -> Arithmetic {
        match (self.device, self.f32) {
            (Place::Cpu, _) => Arithmetic::Kernels,
            (_, true) => Arithmetic::TensorsF32,
            (_, false) => Arithmetic::TensorsBf16,
        }
    }
}

fn place(text: &str) -> Result<Place, String> {
    Ok(parse_place(text)?.unwrap_or_else(Place::best))
}

fn main() -> Result<()> {
    trainer::threads::settle();
    assert!(trainer::memory::keep_freed_memory(), "the allocator refuses its settings");
    rayon::scope(|_| measure(&Args::parse()))
}

fn measure(args: &Args) -> Result<()> {
    let corpus = match (&args.corpus, args.equal) {
        (Some(file), _) => {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            first_sentences(&bytes, args.sentences)?
        }
        (None, Some(rows)) => equal_sentences(rows, args.sentences)?,
        (None, None) => {
            let files = trainer::data::sample::files()?;
            let (_, distant) = files.first().context("the sample has no file")?;
            first_sentences(distant.as_bytes(), args.sentences)?
        }
    };
    let config = config(args);
    let spec = EncoderSpec::open(&config.encoder, &corpus.tokens)?;
    let dev = corpus_of(&[(vec!["Ada"], Vec::new())])?;
    let train = Prepared::new(corpus, &spec, config.max_span_width, "the corpus")?;
    let dev = Prepared::new(
        Corpus { labels: train.corpus.labels.clone(), ..dev },
        &spec,
        config.max_span_width,
        "the corpus",
    )?;
    let labels = train.corpus.dense_labels(&train.inputs.index);
    let stage = Stage {
        name: "bench",
        config: &config,
        spec: &spec,
        train: &train,
        targets: labels.iter().map(|&label| Some(u32::from(label))).collect(),
        n_labels: train.corpus.labels.n_types() + 1,
        dev: Some(&dev),
        last_epoch: config.epochs,
        patience: None,
        place: args.device,
        history: None,
        team: Team::default(),
    };
    if let Some(folder) = &args.export {
        export(args, &stage, folder)?;
    }
    let everything: Vec<u32> = (0..train.corpus.n_sentences() as u32).collect();
    let mut training = Vec::new();
    let mut dynamics = Vec::new();
    let mut last = Clock::now();
    stage.train(&mut Checkpoints::none(), None, everything.len(), |end| {
        let trained = Clock::now();
        training.push(trained.since(&last));
        std::hint::black_box(end.look.logits(&everything, end.progress)?);
        let recorded = Clock::now();
        dynamics.push(recorded.since(&trained));
        last = recorded;
        Ok(Written::default())
    })?;
    let steps = everything.len().div_ceil(args.batch);
    let sum = |parts: &[(Duration, Duration)]| {
        let cpu: f64 = parts.iter().skip(1).map(|(cpu, _)| cpu.as_secs_f64()).sum();
        let wall: f64 = parts.iter().skip(1).map(|(_, wall)| wall.as_secs_f64()).sum();
        serde_json::json!({
            "cpu_s_per_epoch": cpu / f64::from(args.epochs),
            "wall_s_per_epoch": wall / f64::from(args.epochs),
        })
    };
    let result = serde_json::json!({
        "sentences": everything.len(),
        "spans": train.inputs.index.len(),
        "steps_per_epoch": steps,
        "training": sum(&training),
        "dynamics": sum(&dynamics),
        "peak_mib": trainer::memory::peak_mib(),
        "device": args.device.to_string(),
        "arithmetic": args.arithmetic().name(),
    });
    println!("{result}");
    Ok(())
}

/// CPU time of the process, and wall-clock time.
struct Clock {
    cpu: ProcessTime,
    wall: Instant,
}

impl Clock {
    fn now() -> Self {
        Self { cpu: ProcessTime::now(), wall: Instant::now() }
    }

    fn since(&self, earlier: &Self) -> (Duration, Duration) {
        (self.cpu.duration_since(earlier.cpu), self.wall - earlier.wall)
    }
}

/// Learning rates and warm-up are the trainer's defaults for small encoders. The rates stay constant after the
/// warm-up.
fn config(args: &Args) -> Config {
    Config {
        encoder: args.encoder.display().to_string(),
        seed: 1,
        epochs: args.epochs + 1,
        batch: args.batch,
        accumulate: 1,
        patience: None,
        encoder_rate: 1e-4,
        head_rate: 1e-3,
        warmup: 50,
        schedule: Schedule::Constant,
        clip_norm: None,
        weight_decay: 0.0,
        negatives: Negatives::Top,
        negative_rate: 0.95,
        train_embeddings: false,
        max_span_width: shared::corpus::span::DEFAULT_MAX_WIDTH,
        scheme: SampleScheme::FakeClass,
        record: Record::Evaluation,
        word_shapes: WordShapes::Auto,
        ensemble: 1,
        arithmetic: args.arithmetic(),
    }
}

fn first_sentences(bytes: &[u8], n: usize) -> Result<Corpus> {
    let corpus = read(bytes, &ReadOptions::default())?.corpus;
    let n = n.min(corpus.n_sentences());
    let mut sentences: Vec<Labelled> =
        (0..n as u32).map(|s| (corpus.tokens.sentence(s).collect(), Vec::new())).collect();
    for entity in &corpus.entities {
        if let Some((_, labels)) = sentences.get_mut(entity.span.sentence as usize) {
            labels.push((entity.span.start, entity.span.end, corpus.labels.name(entity.label)));
        }
    }
    corpus_of(&sentences)
}

/// Builds sentences of common words with one entity each. Each word is one piece in every English vocabulary.
fn equal_sentences(rows: usize, n: usize) -> Result<Corpus> {
    const WORDS: [&str; 12] = ["the", "war", "of", "water", "and", "time", "city", "was", "river", "in", "house", "a"];
    ensure!(rows > 3, "--equal needs at least 4 pieces");
    // Two rows are the begin and end pieces of the sentence.
    let sentence = |i: usize| (0..rows - 2).map(|j| WORDS[(i * 7 + j * 5 + j * i) % WORDS.len()]).collect();
    let label = |i: usize| vec![((i % 2) as u32, 1, ["PER", "LOC", "ORG", "MISC"][i % 4])];
    corpus_of(&(0..n).map(|i| (sentence(i), label(i))).collect::<Vec<_>>())
}

/// Tokens and entities.
type Labelled<'a> = (Vec<&'a str>, Vec<(u32, u32, &'a str)>);

fn corpus_of(sentences: &[Labelled]) -> Result<Corpus> {
    let json: Vec<_> = sentences
        .iter()
        .map(|(tokens, entities)| serde_json::json!({ "tokens": tokens, "entities": entities }))
        .collect();
    Ok(read(&serde_json::to_vec(&json)?, &ReadOptions::default())?.corpus)
}

/// Writes initial weights, sentences as pieces, labels and the order of every epoch for the other program.
fn export(args: &Args, stage: &Stage, folder: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let (config, index) = (stage.config, &stage.train.inputs.index);
    let builder = Builder::new(stream(config.seed, "weights"), Compute::Kernels);
    let model = SpanModel::new(stage.spec, builder, stage.n_labels, config.max_span_width, false, config.word_shapes)?;
    model.parameters.save(&folder.join("weights.safetensors"))?;
    let inputs = stage.spec.prepare(&stage.train.corpus.tokens, config.max_span_width, "the corpus")?;
    let sentences: Vec<_> = (0..)
        .zip(&inputs)
        .map(|(s, input)| {
            serde_json::json!({
                "pieces": input.features.first(),
                "first": input.first,
                "last": input.last,
                "shapes": input.shapes,
                "labels": index.of_sentence(s).map(|id| stage.targets[id as usize]).collect::<Vec<_>>(),
            })
        })
        .collect();
    let work = serde_json::json!({
        "encoder": args.encoder,
        "batch": config.batch,
        "n_labels": stage.n_labels,
        "max_span_width": config.max_span_width,
        "encoder_rate": config.encoder_rate,
        "head_rate": config.head_rate,
        "negative_rate": config.negative_rate,
        "sentences": sentences,
        // For each epoch, its batches.
        "orders": (1..=config.epochs).map(|epoch| stage.order(epoch)).collect::<Vec<_>>(),
    });
    std::fs::write(folder.join("work.json"), serde_json::to_vec(&work)?)?;
    Ok(())
}
