//! The trainings of a sweep.
//!
//! Only retraining is repeated, once per cleaned corpus: settings that give the same cleaned corpus share the
//! training. Only the chosen model is scored on test. Otherwise the choice would be made on test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
use nn::random::derived_seed;
use serde::{Deserialize, Serialize};
use shared::cleaning::Decisions;
use shared::detection::threshold::Settings;

use super::job::{Cleaning, Job, SCORES, cleaned_name};
use super::results::Sides;
use super::sweep::{Combination, Sweep, SweepResult, describe};
use crate::console;
use crate::data::recording::Recording;

const RESULT: &str = "sweep.json";

/// Scores of the trainings on one cleaned corpus.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Scores {
    dev_f1: Vec<f64>,
}

impl Job<'_> {
    /// Tries all combinations. Returns the cleaning whose models are best on dev; with equal scores, the first.
    pub(super) fn sweep(
        &self,
        sweep: &Sweep,
        recorded: &Recording,
        base: &Settings,
        raw_dev_f1: f64,
    ) -> Result<(Cleaning, SweepResult)> {
        let cleaning = |settings: &Settings| self.clean_by(recorded, settings);
        // Decide all combinations before the first training, so that a mistake in the last one shows at once.
        let decided = sweep.combinations(base).into_iter().map(|settings| {
            let cleaning = cleaning(&settings).with_context(|| format!("the combination {}", describe(&settings)))?;
            Ok(Combination {
                settings,
                removed: Sides::of(&cleaning.summary, |c| c.removed),
                relabelled: Sides::of(&cleaning.summary, |c| c.relabelled),
                thresholds: cleaning.summary.thresholds,
                noise: cleaning.noise,
                cleaned: cleaning.digest,
                dev_f1: Vec::new(),
                mean_dev_f1: None,
            })
        });
        let mut combinations = decided.collect::<Result<Vec<Combination>>>()?;
        let mut best: Option<(f64, usize, String)> = None;
        let mut done: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let n = combinations.len();
        for (i, combination) in combinations.iter_mut().enumerate() {
            let digest = combination.cleaned.clone();
            if let Some(dev_f1) = done.get(&digest) {
                combination.set_scores(dev_f1.clone());
                continue;
            }
            if sweep.seeds == 1 && combination.changes_nothing() {
                combination.set_scores(vec![raw_dev_f1]);
            } else {
                let title = format!("trying {}/{n}: {}", i + 1, describe(&combination.settings));
                combination.set_scores(self.try_cleaning(&title, &cleaning(&combination.settings)?, sweep.seeds)?);
            }
            done.insert(digest.clone(), combination.dev_f1.clone());
            let Some(mean) = combination.mean_dev_f1 else { continue };
            // For the best combination, the last checkpoint of its first training holds the model to be tested.
            // The checkpoint of the beaten combination is not needed any more.
            let beaten = match &best {
                Some((f1, ..)) if mean <= *f1 => Some(digest),
                _ => best.replace((mean, i, digest)).map(|(.., beaten)| beaten),
            };
            if let Some(beaten) = beaten {
                self.forget(&cleaned_name(&beaten))?;
            }
        }
        let (_, chosen, _) =
            best.context("every combination of the sweep removed every entity; choose other thresholds")?;
        let settings = combinations.get(chosen).map_or(base, |c| &c.settings);
        let cleaning = cleaning(settings)?;
        let result = SweepResult { seeds: sweep.seeds, raw_dev_f1, chosen, combinations };
        self.dir.write_json(RESULT, &result)?;
        Ok((cleaning, result))
    }

    /// Does the trainings of the combination with this number, from 1, if no combination before it gives the same
    /// cleaned corpus.
    pub(super) fn try_one(&self, sweep: &Sweep, recorded: &Recording, base: &Settings, number: usize) -> Result<()> {
        let combinations = sweep.combinations(base);
        // There may be fewer combinations than expected, because some turned out to be the same.
        let Some((settings, before)) = combinations.get(..number).and_then(<[_]>::split_last) else { return Ok(()) };
        let own = self.clean_by(recorded, settings)?;
        for earlier in before {
            if self.clean_by(recorded, earlier)?.digest == own.digest {
                return Ok(());
            }
        }
        if sweep.seeds > 1 || !own.changes_nothing() {
            let title = format!("trying {number}/{}: {}", combinations.len(), describe(settings));
            self.try_cleaning(&title, &own, sweep.seeds)?;
        }
        Ok(())
    }

    /// Cleans by these settings.
    fn clean_by(&self, recorded: &Recording, settings: &Settings) -> Result<Cleaning> {
        let judge = recorded.judge(settings.window, settings.metric)?;
        self.decide(recorded, judge, Decisions::new(recorded.digest.clone(), settings.clone()))
    }

    /// Removes the scores of combinations that an earlier start tried and this one did not.
    pub(super) fn forget_other_sweeps(&self, this: Option<&SweepResult>) -> Result<()> {
        if this.is_none() {
            self.dir.remove(RESULT)?;
        }
        let cleaned = this.map_or(&[][..], |sweep| &sweep.combinations).iter().map(|c| scores_file(&c.cleaned));
        let kept: BTreeSet<PathBuf> = cleaned.map(|file| self.dir.path(&file)).collect();
        let Ok(files) = std::fs::read_dir(self.dir.path(SCORES)) else { return Ok(()) };
        for file in files.flatten().map(|entry| entry.path()).filter(|file| !kept.contains(file)) {
            std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        Ok(())
    }

    /// Returns the dev F1 of trainings on a cleaned corpus, by seed. Trainings that an earlier start finished are
    /// not repeated.
    fn try_cleaning(&self, title: &str, cleaning: &Cleaning, seeds: u32) -> Result<Vec<f64>> {
        let file = scores_file(&cleaning.digest);
        let mut scores: Scores = self.dir.read_json(&file)?.unwrap_or_default();
        if cleaning.corpus.entities.is_empty() {
            return Ok(Vec::new());
        }
        if (scores.dev_f1.len() as u32) < seeds {
            console::status(title);
        }
        for number in scores.dev_f1.len() as u32 + 1..=seeds {
            // The first training is the one that the run itself does on this corpus.
            let (name, config) = match number {
                1 => (cleaned_name(&cleaning.digest), self.config.clone()),
                _ => {
                    let seed = derived_seed(self.config.seed, &format!("retraining {number}"));
                    (format!("{}-{number}", cleaned_name(&cleaning.digest)), self.config.with_seed(seed))
                }
            };
            let title = format!("cleaned, seed {number}");
            let trained = self.train(&name, self.stage(&title, &cleaning.corpus, &config))?;
            scores.dev_f1.push(trained.dev_f1());
            self.dir.write_json(&file, &scores)?;
            if number > 1 {
                self.forget(&name)?;
            }
        }
        scores.dev_f1.truncate(seeds as usize);
        Ok(scores.dev_f1)
    }
}

/// Returns the name of the file with the scores of the trainings on this cleaned corpus.
fn scores_file(digest: &str) -> String {
    format!("{SCORES}/{digest}.json")
}
