//! The steps of a run. Several processes can do them at the same time, on this machine or on others that see the same
//! folder. The steps are the trainings of the run, and the step that joins the recordings. The run itself does the
//! rest, and every step that nobody has done.

use anyhow::{Context, Result, ensure};
use shared::detection::threshold::Settings;
use shared::recording::dyn_file::RunKind;

use super::first_stage::{done_file, training_name};
use super::job::{CLEANED_SCORES, DYNAMICS, Options, Reference, WITH_DEV_SCORES};

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Name of its training.
    pub name: String,
    /// Names of the steps that must be done before.
    pub needs: Vec<String>,
    /// The file in the run's folder that says that it is done.
    pub output: String,
    pub(super) work: Work,
}

/// What is done in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A training of the first stage, of the member of the ensemble with this number, from 1.
    First(RunKind, u32),
    /// The recordings of the first stage become one file.
    Join,
    /// The trainings on the labels that the combination with this number, from 1, cleans.
    Trial(usize),
    /// The training on cleaned labels, if nothing is tried.
    Cleaned,
    /// The training on cleaned labels and dev.
    WithDev,
    /// A model to compare with.
    Reference(Reference),
}

/// Returns the steps of a run with an ensemble of so many members. `has_gold`: whether there are gold labels of the
/// training sentences. `adjust` changes the automatic settings of the cleaning.
pub fn plan(members: u32, options: &Options, has_gold: bool, adjust: impl Fn(&mut Settings)) -> Vec<Step> {
    let step =
        |name: String, needs: &[String], output: String, work| Step { name, needs: needs.to_vec(), output, work };
    let names = |steps: &[Step]| steps.iter().map(|step| step.name.clone()).collect::<Vec<_>>();
    let first = |kind, needs: &[String]| {
        let of_member = |member| {
            let name = training_name(kind, member);
            step(name.clone(), needs, done_file(&name), Work::First(kind, member))
        };
        (1..=members.max(1)).map(of_member).collect::<Vec<_>>()
    };
    let mut all = first(RunKind::Main, &[]);
    // The threshold run does not need all epochs. Its last one is known only when the main runs have ended.
    let needs = if does_all_epochs(options) { Vec::new() } else { names(&all) };
    all.extend(first(RunKind::Threshold, &needs));
    all.push(step("dynamics".to_owned(), &names(&all), DYNAMICS.to_owned(), Work::Join));
    let dynamics = ["dynamics".to_owned()];
    let trial = |number| {
        let name = format!("trial-{number}");
        step(name.clone(), &dynamics, done_file(&name), Work::Trial(number))
    };
    let trials: Option<Vec<Step>> = options.sweep.trials(adjust).map(|trials| trials.into_iter().map(trial).collect());
    let tried = names(trials.as_deref().unwrap_or_default());
    all.extend(
        trials.unwrap_or_else(|| vec![step("cleaned".to_owned(), &dynamics, CLEANED_SCORES.to_owned(), Work::Cleaned)]),
    );
    if options.learns_dev {
        let needs = if tried.is_empty() { &dynamics[..] } else { &tried };
        all.push(step("with-dev".to_owned(), needs, WITH_DEV_SCORES.to_owned(), Work::WithDev));
    }
    let is_possible = |reference: &&Reference| has_gold || !reference.needs_gold();
    for &reference in options.references.iter().filter(is_possible) {
        let needs = if reference == Reference::Oracle { &dynamics[..] } else { &[] };
        all.push(step(reference.name().to_owned(), needs, reference.scores(), Work::Reference(reference)));
    }
    all
}

/// Returns whether the threshold run does all epochs. Then it need not wait for the main run.
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
    /// Returns whether the output of the step stays after the run is done.
    pub fn output_stays(&self) -> bool {
        !matches!(self.work, Work::First(..) | Work::Trial(_))
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
    use shared::detection::threshold::Metric;

    use super::*;
    use crate::run::sweep::{Sweep, Trials};

    #[test]
    fn the_plan_of_an_ensemble_with_references() {
        let references = vec![Reference::Gold, Reference::Oracle, Reference::RawWithDev];
        let options = Options { references, ..Options::default() };
        let of = |options: &Options, has_gold| {
            let steps = plan(2, options, has_gold, |_| {});
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
            "dynamics <- raw+raw-2+threshold+threshold-2 -> dynamics.dyn",
            "cleaned <- dynamics -> cleaned-scores.json",
            "gold <-  -> gold.json",
            "oracle <- dynamics -> oracle.json",
            "raw-with-dev <-  -> raw-with-dev.json",
        ];
        assert_eq!(of(&options, true), expected);
        let without = of(&Options { parallel_runs: true, ..options }, false);
        assert_eq!(without[3], "threshold-2 <-  -> checkpoint/threshold-2.json");
        assert_eq!(without[5..], [expected[5], expected[8]]);
    }

    #[test]
    fn the_plan_of_trials() {
        let of = |trials: Trials, learns_dev| {
            let options = Options { sweep: Sweep::of_trials(trials, true), learns_dev, ..Options::default() };
            let steps = plan(1, &options, false, |settings| settings.judge_by(Metric::Trust));
            let shown = |step: &Step| format!("{} <- {} -> {}", step.name, step.needs.join("+"), step.output);
            steps[3..].iter().map(shown).collect::<Vec<_>>()
        };
        // The second trial changes no label, so there is nothing to train.
        let trial = |number: u32| format!("trial-{number} <- dynamics -> checkpoint/trial-{number}.json");
        assert_eq!(of(Trials::Usual, false), [trial(1)]);
        let with_dev = |needs: &str| format!("with-dev <- {needs} -> with-dev-scores.json");
        assert_eq!(of(Trials::Usual, true), [trial(1), with_dev("trial-1")]);
        assert_eq!(of(Trials::None, true)[1], with_dev("dynamics"));
        let all = of(Trials::All, true);
        assert_eq!(all[..7], [1, 2, 3, 4, 5, 6, 7].map(trial));
        assert_eq!(all[7..], [with_dev("trial-1+trial-2+trial-3+trial-4+trial-5+trial-6+trial-7")]);
    }

    #[test]
    fn what_cannot_be_done_yet_says_what_comes_first() {
        let steps = plan(2, &Options::default(), false, |_| {});
        let error = find(&steps, "oracle").unwrap_err().to_string();
        assert!(error.ends_with("raw, raw-2, threshold, threshold-2, dynamics, cleaned"), "{error}");
        let threshold = find(&steps, "threshold").unwrap();
        let error = threshold.check_needs(&steps, |output| output == "checkpoint/raw.json").unwrap_err();
        assert_eq!(error.to_string(), "the step threshold comes after raw-2: do that first");
        assert!(threshold.check_needs(&steps, |_| true).is_ok());
    }
}
