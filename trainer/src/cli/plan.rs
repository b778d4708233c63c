//! `trainer run --print-plan`: the steps of a run, for programs that do several of them at the same time.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};
use trainer::console;
use trainer::run::steps::Step;

/// How a plan is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// One JSON document: steps, what they need, their commands
    Json,
    /// A Snakefile
    Snakefile,
}

/// Returns the steps of a run in the folder `out` as a text. `command` is the command that does the whole run.
///
/// # Errors
/// When a Snakefile cannot name the folder.
pub fn text(format: PlanFormat, steps: &[Step], out: &Path, command: &str) -> Result<String> {
    let of_step = |step: &Step| format!("{command} --step {}", console::quoted(&step.name));
    match format {
        PlanFormat::Json => {
            let of = |step: &Step| {
                let Step { name, needs, output, .. } = step;
                json!({ "name": name, "needs": needs, "output": output, "command": of_step(step) })
            };
            let steps: Vec<Value> = steps.iter().map(of).collect();
            Ok(serde_json::to_string_pretty(&json!({ "out": out, "steps": steps, "then": command }))? + "\n")
        }
        PlanFormat::Snakefile => {
            ensure!(
                !out.to_string_lossy().contains(['{', '}']),
                "{}: a Snakefile cannot name a folder with braces: choose another --out",
                out.display()
            );
            let file = |name: &str| out.join(name).to_string_lossy().into_owned();
            let mut text = "# Written by `trainer run --print-plan snakefile`. To start it: snakemake --cores all\n\
                            # Each step has so many threads: snakemake --cores all --config threads=4\n\n"
                .to_owned();
            let mut rule = |name: &str, needs: &[String], output: String, command: &str| {
                let needs = needs.iter().map(|need| literal(need)).collect::<Result<Vec<_>>>()?.join(", ");
                // Snakemake would read single braces in a command as a name to fill in.
                let command = command.replace('{', "{{").replace('}', "}}");
                let command = literal(&format!("RAYON_NUM_THREADS={{threads}} {command}"))?;
                let _ = write!(
                    text,
                    "rule {name}:\n    input: [{needs}]\n    output: {output}\n    threads: int(config.get(\"threads\", \
                     1))\n    shell: {command}\n\n"
                );
                Ok::<(), anyhow::Error>(())
            };
            // The run needs only the steps that no other step needs. When they are done, all others have been done,
            // too.
            let is_last = |step: &&Step| !steps.iter().any(|other| other.needs.contains(&step.name));
            let all: Vec<String> = steps.iter().filter(is_last).map(|step| file(&step.output)).collect();
            // By default, Snakemake makes the output of the first rule.
            rule("run", &all, literal(&file("report.html"))?, command)?;
            for step in steps {
                let needs = steps.iter().filter(|other| step.needs.contains(&other.name));
                let needs: Vec<String> = needs.map(|other| file(&other.output)).collect();
                let name = format!("step_{}", step.name.replace('-', "_"));
                let output = literal(&file(&step.output))?;
                // The run removes some of these files at its end. `temp` tells Snakemake not to make them again.
                let output = if step.output_stays() { output } else { format!("temp({output})") };
                rule(&name, &needs, output, &of_step(step))?;
            }
            Ok(text)
        }
    }
}

/// Returns a text as a string literal of Python.
fn literal(text: &str) -> Result<String> {
    Ok(serde_json::to_string(text)?)
}
