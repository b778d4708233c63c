//! Compares a GPU with the CPU, through the built binary. Both train with the same operations and the same dropout
//! masks. Losses and margins must be equal, up to rounding.
//!
//! The test runs if DYNCLEAN_GPU names a device for --device, such as `cuda`, and the trainer (or the one in
//! DYNCLEAN_TRAINER) is built for it. With `cpu-tensors`, the test checks itself without a GPU. Without
//! DYNCLEAN_GPU, only the messages for machines without a GPU are tested.

use std::path::Path;
use std::process::{Command, Output};

use shared::metrics::{Metrics, Window};
use shared::recording::dyn_file;
use shared::recording::dynamics::Dynamics;

const EPOCHS: u32 = 3;

fn trainer(binary: &Path, arguments: &[&str]) -> Output {
    Command::new(binary).args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn sample(binary: &Path, folder: &Path) {
    assert!(trainer(binary, &["sample", "--out", text(&folder.join("sample"))]).status.success());
}

/// Trains on the sample without a threshold run. Returns the recorded dynamics.
fn train(binary: &Path, folder: &Path, encoder: &str, device: &str, dtype: &str) -> Dynamics {
    let out = folder.join(format!("{device}-{dtype}").replace(':', "-"));
    let file = |name: &str| text(&folder.join("sample").join(name)).to_owned();
    let (data, dev) = (file("train-distant.json"), file("dev.json"));
    let epochs = EPOCHS.to_string();
    let output = trainer(
        binary,
        &[
            "train",
            "--train",
            &data,
            "--dev",
            &dev,
            "--encoder",
            encoder,
            "--out",
            text(&out),
            "--epochs",
            &epochs,
            "--batch",
            "32",
            "--no-threshold-run",
            "--seed",
            "2",
            "--device",
            device,
            "--dtype",
            dtype,
        ],
    );
    assert!(output.status.success(), "{device} {dtype}:\n{}", String::from_utf8_lossy(&output.stderr));
    dyn_file::read(&std::fs::read(out.join("dynamics.dyn")).unwrap()).unwrap()
}

/// Returns the AUM of all spans.
fn aum(dynamics: &Dynamics) -> Vec<f32> {
    let index = dynamics.span_index().unwrap();
    let labels = dynamics.corpus.dense_labels(&index);
    Metrics::compute(&dynamics.run, &labels, Window::first_epochs(EPOCHS)).unwrap().aum
}

/// Returns the largest relative difference of the training losses, and the root mean square of the differences of
/// AUM, relative to the standard deviation of the AUM.
fn apart(a: &Dynamics, b: &Dynamics) -> (f64, f64) {
    let losses = |d: &Dynamics| d.run.scores.iter().map(|s| s.train_loss).collect::<Vec<f64>>();
    let (losses_a, losses_b) = (losses(a), losses(b));
    assert_eq!((losses_a.len(), losses_b.len()), (EPOCHS as usize, EPOCHS as usize));
    let loss = losses_a.iter().zip(&losses_b).map(|(a, b)| (a - b).abs() / a).fold(0.0, f64::max);
    let (a, b) = (aum(a), aum(b));
    assert_eq!(a.len(), b.len());
    let n = a.len() as f64;
    let mean = a.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let variance = a.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    let square = a.iter().zip(&b).map(|(&a, &b)| f64::from(a - b).powi(2)).sum::<f64>() / n;
    (loss, (square / variance).sqrt())
}

#[test]
fn a_gpu_trains_as_the_cpu() {
    const TEST: &str = "a_gpu_trains_as_the_cpu";
    let Some(device) = std::env::var("DYNCLEAN_GPU").ok().filter(|device| !device.is_empty()) else {
        return tests::skipped(TEST, "DYNCLEAN_GPU names no device (docs/GPU.md)");
    };
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    sample(&binary, folder.path());
    // Without a GPU, this encoder would take a quarter of an hour and show nothing new.
    let minilm = (device != "cpu-tensors").then(|| tests::minilm(TEST)).flatten();
    let minilm = minilm.map(|folder| text(&folder).to_owned());
    for encoder in ["builtin".to_owned()].into_iter().chain(minilm) {
        let here = folder.path().join(if encoder == "builtin" { "builtin" } else { "minilm" });
        std::fs::create_dir(&here).unwrap();
        std::fs::rename(folder.path().join("sample"), here.join("sample")).unwrap();
        let cpu = train(&binary, &here, &encoder, "cpu-tensors", "f32");
        // If the device is the CPU, the same run is not done twice.
        let f32 = if device == "cpu-tensors" { cpu.clone() } else { train(&binary, &here, &encoder, &device, "f32") };
        let bf16 = train(&binary, &here, &encoder, &device, "bf16");
        for (dtype, dynamics, tolerances) in [("f32", &f32, (2e-3, 0.02)), ("bf16", &bf16, (1e-2, 0.15))] {
            let (loss, aum) = apart(&cpu, dynamics);
            println!("{encoder}, {dtype}: loss {loss:.1e}, AUM {aum:.1e} apart");
            assert!(loss < tolerances.0, "{encoder}, {dtype}: losses are {loss} apart");
            assert!(aum < tolerances.1, "{encoder}, {dtype}: AUM are {aum} standard deviations apart");
        }
        std::fs::rename(here.join("sample"), folder.path().join("sample")).unwrap();
    }
}

#[test]
fn what_is_missing_for_a_gpu_is_named() {
    let binary = tests::trainer!();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.json");
    let refused = |device: &str, more: &[&str]| {
        let mut arguments = vec!["train", "--train", text(&missing), "--dev", text(&missing), "--encoder", "builtin"];
        arguments.extend(["--out", "unused", "--device", device]);
        arguments.extend(more);
        let output = trainer(&binary, &arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // No machine has a GPU of this number, so the test also works on machines with a GPU. The error comes before
    // any file is read.
    let (code, message) = refused("cuda:99", &[]);
    assert_eq!(code, Some(2), "{message}");
    let reasons = ["this build has no GPU support", "there is no CUDA driver", "there is no GPU 99", "finds no GPU"];
    assert!(reasons.iter().any(|reason| message.contains(reason)) && !message.contains("panicked"), "{message}");
    assert!(refused("gpu", &[]).1.contains("cuda:N"));
    let (code, message) = refused("cpu", &["--dtype", "bf16"]);
    assert!(code == Some(2) && message.contains("--dtype bf16 is for GPUs"), "{message}");
}
