//! The steps of a run that other processes can do, beside each other: on this machine, or on others that see the same
//! folder. They are the trainings that need no judgement. The run itself does the rest, and the steps that nobody has
//! done.

use anyhow::{Context, Result, ensure};
use shared::recording::dyn_file::RunKind;

use super::first_stage::{done_file, training_name};
use super::job::{Options, Reference};

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Name of its training.
    pub name: String,
    /// Names of the steps that must be done before.
    pub needs: Vec<String>,
    /// The file in the run's folder that says that it is done.
    pub output: String,
    pub(super) training: Training,
}

/// The training of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Training {
    /// A training of the first stage, of the member of the ensemble with this number, from 1.
    First(RunKind, u32),
    /// A model to compare with.
    Reference(Reference),
}

/// Returns the steps of a run with an ensemble of so many members. `has_gold`: whether there are gold labels of the
/// training sentences.
pub fn plan(members: u32, options: &Options, has_gold: bool) -> Vec<Step> {
    let first = |kind, needs: &[String]| {
        let step = |member| {
            let name = training_name(kind, member);
            let (needs, output) = (needs.to_vec(), done_file(&name));
            Step { name, needs, output, training: Training::First(kind, member) }
        };
        (1..=members.max(1)).map(step).collect::<Vec<_>>()
    };
    let main = first(RunKind::Main, &[]);
    // Which epochs of the threshold run are needed is known when the main runs have ended.
    let names: Vec<String> = main.iter().map(|step| step.name.clone()).collect();
    let threshold = first(RunKind::Threshold, if does_all_epochs(options) { &[] } else { &names });
    let is_possible = |reference: &Reference| match reference {
        Reference::Oracle => false,
        Reference::Gold => has_gold,
        Reference::RawWithDev => true,
    };
    let reference = |reference: Reference| Step {
        name: reference.name().to_owned(),
        needs: Vec::new(),
        output: reference.scores(),
        training: Training::Reference(reference),
    };
    let references = options.references.iter().copied().filter(is_possible).map(reference);
    main.into_iter().chain(threshold).chain(references).collect()
}

/// Whether the threshold run does all epochs, and so needs not wait for the main run.
pub(super) fn does_all_epochs(options: &Options) -> bool {
    options.parallel_runs || options.sweep.varies_windows()
}

/// Returns the step with this name.
///
/// # Errors
/// When there is none. The error names all steps.
pub fn find<'a>(steps: &'a [Step], name: &str) -> Result<&'a Step> {
    steps.iter().find(|step| step.name == name).with_context(|| {
        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        format!("this run has no step {name}; its steps are {}", names.join(", "))
    })
}

impl Step {
    /// Whether its output stays when the run is done.
    pub fn output_stays(&self) -> bool {
        matches!(self.training, Training::Reference(_))
    }

    /// Checks that all steps that it needs are done.
    pub(super) fn check_needs(&self, steps: &[Step], is_done: impl Fn(&str) -> bool) -> Result<()> {
        let is_missing = |step: &&Step| self.needs.contains(&step.name) && !is_done(&step.output);
        let missing: Vec<&str> = steps.iter().filter(is_missing).map(|step| step.name.as_str()).collect();
        ensure!(missing.is_empty(), "the step {} comes after {}: do that first", self.name, missing.join(", "));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_of_an_ensemble_with_references() {
        let references = vec![Reference::Gold, Reference::Oracle, Reference::RawWithDev];
        let options = Options { references, ..Options::default() };
        let of = |options: &Options, has_gold| {
            let steps = plan(2, options, has_gold);
            steps
                .into_iter()
                .map(|step| format!("{} <- {} -> {}", step.name, step.needs.join("+"), step.output))
                .collect::<Vec<_>>()
        };
        let expected = [
            "raw <-  -> checkpoint/raw.json",
            "raw-2 <-  -> checkpoint/raw-2.json",
            "threshold <- raw+raw-2 -> checkpoint/threshold.json",
            "threshold-2 <- raw+raw-2 -> checkpoint/threshold-2.json",
            "gold <-  -> gold.json",
            "raw-with-dev <-  -> raw-with-dev.json",
        ];
        assert_eq!(of(&options, true), expected);
        let without = of(&Options { parallel_runs: true, ..options }, false);
        assert_eq!(without[3], "threshold-2 <-  -> checkpoint/threshold-2.json");
        assert_eq!(without[4..], expected[5..]);
    }

    #[test]
    fn what_cannot_be_done_yet_says_what_comes_first() {
        let steps = plan(2, &Options::default(), false);
        let error = find(&steps, "cleaned").unwrap_err().to_string();
        assert!(error.ends_with("raw, raw-2, threshold, threshold-2"), "{error}");
        let threshold = find(&steps, "threshold").unwrap();
        let error = threshold.check_needs(&steps, |output| output == "checkpoint/raw.json").unwrap_err();
        assert_eq!(error.to_string(), "the step threshold comes after raw-2: do that first");
        assert!(threshold.check_needs(&steps, |_| true).is_ok());
    }
}
