//! The report: one self-contained HTML file. It needs neither JavaScript nor a network.

mod charts;
pub mod histogram;
mod paper;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::cleaning::{CleaningSummary, Decisions, DecisionsError, share};
use crate::corpus::decision::{Decision, Side};
use crate::corpus::labels::LabelId;
use crate::corpus::span::SpanId;
use crate::detection::dictionary_check::Contradicted;
use crate::detection::estimate::Estimate;
use crate::detection::judge::Judge;
use crate::detection::judgement::Judgement;
use crate::detection::threshold::{Basis, Metric, Threshold};
use crate::evaluation::quality::{NoiseDetection, curve, detect};
use crate::evaluation::score::{NerScore, Prf};
use crate::recording::dictionary::Entry;
use crate::recording::dynamics::{Dynamics, EpochScore, Negatives};

/// Number of suspicious spans (per side) and of dictionary entries that are listed.
const LISTED: usize = 40;
/// Number of tokens shown on each side of a suspicious span.
const CONTEXT: u32 = 12;
/// Largest number of decisions by hand that a link carries.
pub const LINKED: usize = 200;
/// Number of points of a precision–recall curve.
const CURVE_POINTS: usize = 200;

/// Scores on test of the models of a run, as `metrics.json` has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestScores {
    /// Model trained on the unchanged distant labels.
    pub raw: NerScore,
    /// Model trained on the cleaned labels.
    pub cleaned: NerScore,
    /// Model trained on the cleaned labels and on dev.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_dev: Option<NerScore>,
    /// Model trained on the unchanged distant labels and on dev, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_with_dev: Option<NerScore>,
    /// Model trained on the annotators' labels, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gold: Option<NerScore>,
    /// Model trained on the distant labels without those that gold contradicts, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oracle: Option<NerScore>,
}

impl TestScores {
    /// Returns the scores of the two models that every run has.
    pub fn new(raw: NerScore, cleaned: NerScore) -> Self {
        Self { raw, cleaned, with_dev: None, raw_with_dev: None, gold: None, oracle: None }
    }

    /// By how many points of F1 a model is better than the one trained on the unchanged distant labels.
    pub fn gain(&self, score: &NerScore) -> f64 {
        100.0 * (score.overall.f1 - self.raw.overall.f1)
    }
}

/// Test scores before and after cleaning, and how the cleaning was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The test scores.
    pub test: TestScores,
    /// The settings that a sweep tried; empty if there was no sweep.
    pub tried: Vec<Tried>,
    /// The courses of the trainings.
    pub courses: Vec<Course>,
}

/// The course of one training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// What the model learned from.
    pub title: String,
    /// Its epochs, in order.
    pub epochs: Vec<CourseEpoch>,
}

/// One epoch of a training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CourseEpoch {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Mean loss per span in the loss.
    pub train_loss: f64,
    /// F1 on dev, if it was scored.
    pub dev_f1: Option<f64>,
}

/// Cleaning settings that a sweep tried, and the dev score of a model trained on the cleaned labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The settings in one line.
    pub settings: String,
    /// Number of positives removed or relabelled.
    pub positives: u64,
    /// Number of negatives removed or relabelled.
    pub negatives: u64,
    /// Mean dev F1 over the sweep's seeds; `None` if the cleaning left no entity to learn from.
    pub dev_f1: Option<f64>,
    /// Whether the sweep chose these settings, the best on dev.
    pub chosen: bool,
}

/// The contents of a report.
pub struct Input<'a> {
    /// The run.
    pub dynamics: &'a Dynamics,
    /// Metrics and rankings over the window of the decisions.
    pub judge: &'a Judge,
    /// Settings and overrides.
    pub decisions: &'a Decisions,
    /// Test scores, if a model was retrained.
    pub outcome: Option<&'a Outcome>,
}

/// Reasons why a report cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The decisions do not fit the dynamics.
    #[error(transparent)]
    Decisions(#[from] DecisionsError),
    /// A chart could not be drawn.
    #[error("cannot draw a chart: {0}")]
    Chart(String),
}

/// Builds the report as HTML.
///
/// # Errors
/// When the decisions do not fit the dynamics, or a chart cannot be drawn.
pub fn html(input: &Input) -> Result<String, ReportError> {
    let Input { dynamics, judge, decisions, outcome } = *input;
    let labels = &dynamics.corpus.labels;
    let decided = decisions.resolve(judge, labels)?;
    let summary = CleaningSummary::new(judge, &decisions.settings, &decided, labels);
    let judgement = judge.under(&decisions.settings);
    let gold = dynamics.dense_gold(&judge.index);
    let mut page = String::new();
    page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    let name = escape(&dynamics.info.name);
    let _ = write!(page, "<title>{name} · DynClean report</title>\n<style>{STYLE}</style></head><body>\n");
    let _ = writeln!(page, "<header><h1>{name}</h1><p class=\"sub\">{}</p></header>", subtitle(input));
    if let Some(outcome) = outcome {
        page.push_str(&scores(&outcome.test));
        page.push_str(&sweep(&outcome.tried));
    }
    page.push_str(&counts(&summary, judge.metric.name()));
    if decisions.settings.dictionary_check {
        page.push_str(&dictionary_check(&dynamics.contradicted));
    }
    page.push_str(&estimates(&judgement));
    if let Some(gold) = &gold {
        page.push_str(&quality(&detect(&judgement, &decided, gold)));
        page.push_str(&curves(&judgement, gold)?);
    }
    page.push_str(&distributions(judge, &summary)?);
    page.push_str(&data_maps(judge)?);
    page.push_str(&suspicious(input, Side::Positives, &decided));
    page.push_str(&suspicious(input, Side::Negatives, &decided));
    page.push_str(&courses(input)?);
    page.push_str(&reproduce(input));
    page.push_str("</body></html>\n");
    Ok(page)
}

const STYLE: &str = "\
:root{color-scheme:light}body{font:15px/1.5 system-ui,sans-serif;color:#1c1e21;background:#fff;max-width:1000px;\
margin:0 auto;padding:24px}h1{margin:0;font-size:28px}h2{margin:40px 0 8px;font-size:19px}p{margin:8px 0}\
.sub,.note{color:#555b63}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
th,td{text-align:right;padding:4px 12px;border-bottom:1px solid #e3e5e8;vertical-align:top}\
th{font-weight:600;color:#555b63}th:first-child,td:first-child,.text{text-align:left}\
.pair{display:flex;flex-wrap:wrap;gap:16px}.pair>*{flex:1 1 440px;min-width:0}svg{max-width:100%;height:auto}\
mark{background:#ffe3b3;color:inherit;padding:0 2px;border-radius:2px}code,pre{font:13px/1.5 ui-monospace,monospace;\
background:#f4f5f6}pre{padding:12px;overflow-x:auto;border-radius:4px}pre.link{white-space:pre-wrap;overflow-wrap:anywhere}.big{font-size:40px;font-weight:600;\
font-variant-numeric:tabular-nums;margin:8px 0 0}.wide{overflow-x:auto}\
@media print{body{max-width:none;padding:0}h2{break-after:avoid}tr,svg{break-inside:avoid}}";

fn subtitle(input: &Input) -> String {
    let d = input.dynamics;
    let negatives = match d.info.negatives {
        Negatives::Top => "top",
        Negatives::All => "all",
    };
    format!(
        "{} sentences · {} candidate spans · {} epochs · encoder {} · seed {} · {negatives} negatives",
        thousands(d.corpus.n_sentences() as u64),
        thousands(input.judge.index.len() as u64),
        d.run.epochs.len(),
        escape(last_part(&d.info.encoder)),
        d.info.seed
    )
}

/// The last part of a path. Output shows only this part of the encoder's path, because the full path is private.
pub fn last_part(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(path)
}

fn scores(test: &TestScores) -> String {
    let cleaning = test.gain(&test.cleaned);
    let (total, by) = match &test.with_dev {
        Some(score) => {
            (test.gain(score), format!("by cleaning and learning from dev. Cleaning alone: {cleaning:+.1}."))
        }
        None => (cleaning, "by cleaning.".to_owned()),
    };
    let mut out = format!("<h2>Result</h2><p class=\"big\">{total:+.1} F1 points</p><p>{by}</p>");
    out.push_str(
        "<p class=\"note\">Scores on test; an entity counts if its boundaries and its type are right. One seed: \
         differences of 2 to 3 points are within the noise between runs.</p>",
    );
    let models = [
        ("your labels", Some(&test.raw)),
        ("your labels and dev", test.raw_with_dev.as_ref()),
        ("cleaned labels", Some(&test.cleaned)),
        ("cleaned labels and dev", test.with_dev.as_ref()),
        ("oracle", test.oracle.as_ref()),
        ("gold labels", test.gold.as_ref()),
    ];
    let models: Vec<_> = models.into_iter().filter_map(|(name, score)| Some((name, score?))).collect();
    out.push_str(
        "<div class=\"wide\"><table><tr><th>trained on</th><th>precision</th><th>recall</th><th>F1</th><th>gain</th></tr>",
    );
    for (name, score) in &models {
        let Prf { precision, recall, f1, .. } = score.overall;
        let _ = write!(
            out,
            "<tr><td>{name}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td><td>{}</td></tr>",
            100.0 * precision,
            100.0 * recall,
            100.0 * f1,
            if std::ptr::eq(*score, &test.raw) { "–".to_owned() } else { format!("{:+.1}", test.gain(score)) }
        );
    }
    out.push_str("</table></div>\n<p>F1 by type:</p><div class=\"wide\"><table><tr><th></th>");
    for (name, _) in &models {
        let _ = write!(out, "<th>{name}</th>");
    }
    out.push_str("</tr>");
    for (i, (name, _)) in test.raw.per_type.iter().enumerate() {
        let _ = write!(out, "<tr><td>{}</td>", escape(name));
        for (_, score) in &models {
            let f1 = score.per_type.get(i).map_or("–".to_owned(), |(_, prf)| format!("{:.1}", 100.0 * prf.f1));
            let _ = write!(out, "<td>{f1}</td>");
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div>\n");
    if test.oracle.is_some() {
        out.push_str(
            "<p class=\"note\">Oracle: trained without the labels that gold contradicts. Removing labels cannot do \
             better.</p>\n",
        );
    }
    out
}

fn sweep(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<h2>Settings tried</h2><p class=\"note\">The best on dev was taken, and only its model was tested. Its dev \
         score is a little too good, because it was the best of several.</p><div class=\"wide\"><table><tr><th>settings</th>\
         <th>positives changed</th><th>negatives changed</th><th>dev F1</th><th></th></tr>",
    );
    for t in tried {
        let dev_f1 = t.dev_f1.map_or("–".to_owned(), |f1| format!("{:.1}", 100.0 * f1));
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{dev_f1}</td><td class=\"text\">{}</td></tr>",
            escape(&t.settings),
            thousands(t.positives),
            thousands(t.negatives),
            if t.chosen { "taken" } else { "" }
        );
    }
    out + "</table></div>\n"
}

impl Course {
    /// Returns the course of the recorded training. With an ensemble, it is the mean of the members.
    pub fn recorded(dynamics: &Dynamics) -> Self {
        let epoch = |score: &EpochScore| {
            let (epoch, train_loss) = (score.epoch, score.train_loss);
            // Where dev was not scored, all its counts are 0.
            let dev_f1 = (score.dev.actual > 0).then_some(score.dev.f1);
            CourseEpoch { epoch, train_loss, dev_f1 }
        };
        Self { title: "your labels".to_owned(), epochs: dynamics.run.scores.iter().map(epoch).collect() }
    }
}

/// Loss and dev F1 by epoch. Without an outcome, there is the training that was recorded.
fn courses(input: &Input) -> Result<String, ReportError> {
    let given = input.outcome.map(|outcome| outcome.courses.clone()).filter(|courses| !courses.is_empty());
    let mut courses = given.unwrap_or_else(|| vec![Course::recorded(input.dynamics)]);
    courses.retain(|course| !course.epochs.is_empty());
    if courses.is_empty() {
        return Ok(String::new());
    }
    let mut out = String::from("<h2>Trainings</h2><div class=\"pair\">");
    out.push_str(&charts::courses("Loss per span", "loss", &courses, |epoch| Some(epoch.train_loss))?);
    if courses.iter().flat_map(|course| &course.epochs).any(|epoch| epoch.dev_f1.is_some()) {
        out.push_str(&charts::courses("F1 on dev", "F1", &courses, |epoch| Some(100.0 * epoch.dev_f1?))?);
    }
    out.push_str("</div>\n");
    Ok(out)
}

fn counts(summary: &CleaningSummary, metric: &str) -> String {
    let t = &summary.thresholds;
    let side = |name: &str, t: &Threshold| match t.value {
        f32::NEG_INFINITY => format!("{name}: <b>none</b>"),
        _ => format!("{name} with {metric} below {}", threshold(t)),
    };
    let mut out = format!(
        "<h2>Judged wrong</h2><p>{}. {}.</p>",
        side("Positives", &t.positives),
        side("Negatives", &t.negatives)
    );
    if !t.classes.is_empty() {
        let of_class = |(name, t): (&String, &Threshold)| format!("{} {}", escape(name), threshold(t));
        let classes: Vec<String> = t.classes.iter().map(of_class).collect();
        let _ = write!(out, "<p>By type: {}.</p>", classes.join("; "));
    }
    out.push_str(
        "<div class=\"wide\"><table><tr><th>distant label</th><th>spans</th><th>kept</th><th>removed</th>\
         <th>relabelled</th><th>share judged wrong</th></tr>",
    );
    for c in &summary.counts {
        let wrong = c.removed + c.relabelled;
        let share = if c.total == 0 { 0.0 } else { 100.0 * wrong as f64 / c.total as f64 };
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{share:.2} %</td></tr>",
            escape(&c.label),
            thousands(c.total),
            thousands(c.total - wrong),
            thousands(c.removed),
            thousands(c.relabelled)
        );
    }
    out.push_str("</table></div>\n");
    for (side, threshold) in [("positives", t.positives), ("negatives", t.negatives)] {
        let why = match threshold.basis {
            Basis::NotLearned => {
                "the model had not learned them over these epochs. Train longer, choose a later window, or set a \
                 threshold by hand"
            }
            Basis::NoSamples => "there are no threshold samples to take a quantile of",
            Basis::Kept => "the settings say that they keep their labels",
            _ => continue,
        };
        let _ = writeln!(out, "<p class=\"note\">No {side} are judged: {why}.</p>");
    }
    if summary.flagged > 0 {
        let _ = writeln!(
            out,
            "<p class=\"note\">{} spans have non-finite logits; they are kept and not judged.</p>",
            thousands(summary.flagged)
        );
    }
    out
}

/// Formats a threshold with its interval.
fn threshold(t: &Threshold) -> String {
    let value = number(t.value);
    match t.interval {
        Some((low, high)) => format!("<b>{value}</b> (90 % interval {} to {})", number(low), number(high)),
        None => format!("<b>{value}</b>"),
    }
}

/// The estimates from the threshold samples or from trust; empty if neither side has an estimate.
fn estimates(judgement: &Judgement) -> String {
    let sides = Side::BOTH.map(|side| Estimate::new(judgement, side));
    if sides.iter().all(Option::is_none) {
        return String::new();
    }
    let how = if judgement.judge().metric == Metric::Trust {
        "The probabilities that labels are wrong, added up. The range says how far such sums were off on five corpora."
    } else {
        "From how the threshold samples, which are known to be wrong, spread beside the real spans. Wrong labels that \
         repeat are learned as if they were right: the estimate does not see them. The range is a 90 % interval."
    };
    let mut out = format!(
        "<h2>Estimated without gold</h2><p class=\"note\">{how} Decisions by hand are left aside.</p><div \
         class=\"wide\"><table><tr><th></th><th>judged wrong</th><th>caught</th><th>precision</th><th>wrong in all \
         (range)</th><th>missed</th></tr>"
    );
    for (name, estimate) in ["negatives", "positives"].into_iter().zip(sides) {
        let Some(e) = estimate else { continue };
        let whole = |value: f64| thousands(value.round() as u64);
        let (low, high) = e.wrong.interval;
        let _ = write!(
            out,
            "<tr><td>{name}</td><td>{}</td><td>≈ {}</td><td>≈ {:.2}</td><td>≈ {} ({} to {})</td><td>≈ {}</td></tr>",
            thousands(e.judged),
            whole(e.found),
            e.precision,
            whole(e.wrong.number),
            whole(low),
            whole(high),
            whole(e.remaining)
        );
    }
    out.push_str("</table></div>\n");
    if let Some(capitals) = judgement.judge().capitals() {
        let _ = writeln!(out, "<p class=\"note\">How far the text counts: {capitals}.</p>");
    }
    out
}

fn dictionary_check(entries: &[Entry]) -> String {
    let contradicted = Contradicted::of(entries);
    let mut out = format!(
        "<h2>Contradicted by annotated sentences</h2><p>{} dictionary entries, which label {} spans. A mistake that \
         repeats is learned like a right label: no threshold finds it. The spans have the label that their words have in \
         the annotated sentences (dev), or are removed where that is not clear.</p>",
        thousands(contradicted.entries as u64),
        thousands(contradicted.spans)
    );
    if entries.is_empty() {
        return out;
    }
    out.push_str(
        "<div class=\"wide\"><table><tr><th>words</th><th class=\"text\">distant label</th><th>spans</th>\
         <th>in annotated sentences</th><th>with this label</th><th class=\"text\">becomes</th></tr>",
    );
    for e in entries.iter().take(LISTED) {
        let _ = write!(
            out,
            "<tr><td>{}</td><td class=\"text\">{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"text\">{}</td></tr>",
            escape(&e.words),
            escape(&e.label),
            thousands(e.spans.into()),
            thousands(e.annotated.into()),
            thousands(e.agreeing.into()),
            e.becomes.as_deref().map_or("removed".to_owned(), escape)
        );
    }
    out.push_str("</table></div>\n");
    if entries.len() > LISTED {
        let _ = writeln!(out, "<p class=\"note\">The {LISTED} with the most spans.</p>");
    }
    out
}

fn quality(noise: &NoiseDetection) -> String {
    let mut out = String::from(
        "<h2>Noise detection against gold</h2><div class=\"wide\"><table><tr><th></th><th>wrong in truth</th>\
         <th>judged wrong</th><th>precision</th><th>recall</th><th>F1</th><th>average precision</th></tr>",
    );
    for (name, d) in [("false positives", noise.false_positives), ("false negatives", noise.false_negatives)] {
        let _ = write!(
            out,
            "<tr><td>{name}</td><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td></tr>",
            thousands(d.prf.actual),
            thousands(d.prf.predicted),
            d.prf.precision,
            d.prf.recall,
            d.prf.f1,
            d.average_precision
        );
    }
    out + "</table></div>\n"
}

fn curves(judgement: &Judgement, gold: &[LabelId]) -> Result<String, ReportError> {
    let mut out = String::from(
        "<p class=\"note\">What any threshold would give; the point is the threshold in force.</p><div class=\"pair\">",
    );
    for (title, side) in [("Negatives (O)", Side::Negatives), ("Positives (entity types)", Side::Positives)] {
        let points = curve(judgement, side, gold, CURVE_POINTS);
        out.push_str(&charts::precision_recall(title, &points, judgement.thresholds().of(side).value)?);
    }
    Ok(out + "</div>\n")
}

fn distributions(judge: &Judge, summary: &CleaningSummary) -> Result<String, ReportError> {
    let metric = judge.metric.name();
    let mut out = format!(
        "<h2>{metric} of real spans and threshold samples</h2><p class=\"note\">A low {metric} says that the model preferred \
         another label while it learned. Threshold samples are spans with a deliberately wrong label. The vertical \
         line is the threshold: spans to its left are judged wrong. Counts are on a logarithmic scale.</p>\
         <div class=\"pair\">",
    );
    let sides = [
        ("Negatives (O)", Side::Negatives, judge.samples.given(Side::Negatives), summary.thresholds.negatives),
        (
            "Positives (entity types)",
            Side::Positives,
            judge.samples.given(Side::Positives),
            summary.thresholds.positives,
        ),
    ];
    for (title, side, samples, threshold) in sides {
        out.push_str(&charts::histogram(title, judge.metric, judge.ranked(side), samples, threshold.value)?);
    }
    Ok(out + "</div>\n")
}

fn data_maps(judge: &Judge) -> Result<String, ReportError> {
    if !judge.metrics.has_probabilities() {
        return Ok(
            "<h2>Data map</h2><p class=\"note\">Only margins were recorded: confidence and variability are not \
                   known.</p>\n"
                .to_owned(),
        );
    }
    let mut out = String::from(
        "<h2>Data map</h2><p class=\"note\">Each cell is a group of spans; darker means more (logarithmic). Top: easy to \
         learn. Right: ambiguous. Bottom left: hard to learn, often wrong.</p><div class=\"pair\">",
    );
    for (title, side) in [("Negatives (O)", Side::Negatives), ("Positives (entity types)", Side::Positives)] {
        out.push_str(&charts::data_map(title, judge, side)?);
    }
    Ok(out + "</div>\n")
}

fn suspicious(input: &Input, side: Side, decided: &std::collections::BTreeMap<SpanId, Decision>) -> String {
    let (judge, dynamics) = (input.judge, input.dynamics);
    let labels = &dynamics.corpus.labels;
    let (title, ranked) = match side {
        Side::Positives => ("Most suspicious positives", judge.ranked(side).spans().to_vec()),
        // Only judged spans: overlap suppression may have left out those that repeat a more suspicious one.
        Side::Negatives => {
            ("Most suspicious negatives", judge.under(&input.decisions.settings).judged_wrong(side).into_owned())
        }
    };
    let mut out = format!(
        "<h2>{title}</h2><div class=\"wide\"><table><tr><th>sentence</th><th class=\"text\">distant</th>\
         <th class=\"text\">predicted</th><th>wrong</th><th>AUM</th><th class=\"text\">decision</th></tr>"
    );
    for &id in ranked.iter().take(LISTED) {
        let Some(span) = judge.index.span(id) else { continue };
        let at = id as usize;
        let label = |l: Option<&u16>| escape(l.map_or("", |&l| labels.name(l)));
        let decision = match decided.get(&id) {
            None | Some(Decision::Keep) => "keep".to_owned(),
            Some(Decision::Remove) => "remove".to_owned(),
            Some(Decision::Relabel(l)) => format!("relabel to {}", escape(labels.name(*l))),
        };
        let _ = write!(out, "<tr><td>");
        let tokens = dynamics.corpus.tokens.sentence(span.sentence);
        let (first, last) = (span.start.saturating_sub(CONTEXT), span.end.saturating_add(CONTEXT));
        if first > 0 {
            out.push_str("… ");
        }
        let n_tokens = tokens.len();
        for (i, token) in tokens.enumerate().skip(first as usize).take((last - first) as usize + 1) {
            let i = i as u32;
            let open = if i == span.start { "<mark>" } else { "" };
            let close = if i == span.end { "</mark>" } else { "" };
            let _ = write!(out, "{open}{}{close} ", escape(token));
        }
        if (last as usize) + 1 < n_tokens {
            out.push('…');
        }
        let because = judge.explain(&dynamics.corpus.tokens, id).line();
        let _ = write!(
            out,
            "<div class=\"note\">{}</div></td><td class=\"text\">{}</td><td class=\"text\">{}</td><td>{}</td><td>{}</td>\
             <td class=\"text\">{decision}</td></tr>",
            escape(&because),
            label(judge.assigned.get(at)),
            label(judge.predicted(id).as_ref()),
            judge
                .metrics
                .trust
                .get(at)
                .map_or(String::new(), |trust| format!("{:.0}%", (100.0 * (1.0 - trust)).clamp(1.0, 99.0))),
            judge.metrics.aum.get(at).map_or(String::new(), |&aum| number(aum)),
        );
    }
    if ranked.is_empty() {
        out.push_str("<tr><td>none</td></tr>");
    }
    out + "</table></div>\n"
}

fn reproduce(input: &Input) -> String {
    let info = &input.dynamics.info;
    let mut out = String::from("<h2>How to reproduce</h2>");
    let _ = write!(
        out,
        "<p>Dynamics file with digest <code>{}</code>, written by {}. With it and the decisions below:</p>\
         <pre>trainer clean dynamics.dyn --corpus train.json --decisions decisions.json --out cleaned.json</pre>",
        escape(&input.decisions.dynamics),
        escape(&info.written_by)
    );
    out.push_str("<div class=\"wide\"><table>");
    for (name, value) in &info.settings {
        let _ = write!(out, "<tr><td>{}</td><td>{}</td></tr>", escape(name), escape(value));
    }
    out.push_str("</table></div>");
    let mut linked = input.decisions.clone();
    let all = linked.overrides.len() <= LINKED;
    if !all {
        linked.overrides.clear();
    }
    let _ = writeln!(
        out,
        "<p>On the page: open the dynamics file, and put this at the end of the page's address{}:</p><pre class=\"link\">#{}</pre>",
        if all {
            ""
        } else {
            " (the settings; the decisions by hand are too many for an address: drop decisions.json)"
        },
        escape(&share::fragment(&linked))
    );
    let _ = writeln!(out, "<p>decisions.json</p><pre>{}</pre>", escape(&input.decisions.to_json()));
    out
}

fn number(value: f32) -> String {
    if value == f32::NEG_INFINITY { "none".to_owned() } else { format!("{value:.2}").replace('-', "−") }
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::threshold::{Action, Metric, Rule, Settings};
    use crate::formats::dynclean_json;
    use crate::metrics::Window;
    use crate::recording::dynamics::RunInfo;

    #[test]
    fn the_report_shows_figures_and_escapes_what_comes_from_files() {
        let json = br#"[{"tokens": ["<script>", "a"], "entities": [[0, 0, "X&Y"]]}]"#;
        let corpus = dynclean_json::read(json).unwrap();
        let rows = [0.0, -2.0, 0.0, -3.0, 0.0, -4.0];
        let dynamics = Dynamics {
            info: RunInfo {
                name: "<b>".into(),
                encoder: "/home/someone/models/tiny".into(),
                max_span_width: 8,
                ..RunInfo::default()
            },
            gold: Some(vec![]),
            ..Dynamics::of_one_epoch(corpus, &rows)
        };
        let judge = Judge::new(&dynamics, Window::first_epochs(1), Metric::Aum).unwrap();
        let zero = Rule::Fixed(0.0);
        let automatic = Settings::automatic(&dynamics, &judge.assigned);
        let settings = Settings { negatives: zero, positives: zero, action: Action::Remove, ..automatic };
        let decisions = Decisions::new("d1g35t".into(), settings);
        let score = |correct| NerScore { overall: Prf::from_counts(correct, 4, 4), per_type: vec![] };
        let tried = |chosen, dev_f1| Tried { settings: "1 < 2".into(), positives: 1234, negatives: 0, dev_f1, chosen };
        let epoch = |epoch, train_loss, dev_f1| CourseEpoch { epoch, train_loss, dev_f1 };
        let outcome = Outcome {
            test: TestScores { oracle: Some(score(4)), ..TestScores::new(score(2), score(3)) },
            tried: vec![tried(false, None), tried(true, Some(0.4567))],
            courses: vec![
                Course { title: "<script>".into(), epochs: vec![epoch(1, 0.5, None), epoch(2, 0.25, Some(0.5))] },
                Course { title: "no epoch".into(), epochs: vec![] },
            ],
        };
        let course = outcome.courses[0].clone();
        let input = Input { dynamics: &dynamics, judge: &judge, decisions: &decisions, outcome: Some(&outcome) };
        let page = html(&input).unwrap();
        assert!(!page.contains("<script"), "text from files must never be markup");
        assert!(page.contains("&lt;script&gt;") && page.contains("X&amp;Y"));
        assert!(page.contains("+25.0 F1 points"));
        assert!(page.contains("<td>oracle</td><td>100.0</td><td>100.0</td><td>100.0</td><td>+50.0</td>"));
        assert!(!page.contains("gold labels</td>") && !page.contains("and dev"));
        assert!(page.contains("<td>1 &lt; 2</td><td>1,234</td><td>0</td><td>45.7</td><td class=\"text\">taken</td>"));
        assert!(page.contains("<td>X&amp;Y</td><td>1</td><td>0</td><td>1</td>"));
        assert!(
            page.contains("F1 on dev") && !page.contains("no epoch"),
            "one training with two epochs, one scored on dev"
        );
        let unscored =
            Outcome { courses: vec![Course { epochs: vec![epoch(1, 0.5, None)], ..course }], ..outcome.clone() };
        let page_without = html(&Input { outcome: Some(&unscored), ..input }).unwrap();
        assert!(page_without.contains("Loss per span") && !page_without.contains("F1 on dev"));
        // Numbers that no training gives neither hang nor break the report.
        let odd = [3e38, f64::NAN, f64::INFINITY, -1.0].map(|loss| epoch(1, loss, Some(loss))).to_vec();
        let odd = Outcome { courses: vec![Course { title: "odd".into(), epochs: odd }], ..outcome.clone() };
        assert!(html(&Input { outcome: Some(&odd), ..input }).unwrap().contains("Loss per span"));
        assert!(page.contains("encoder tiny") && !page.contains("someone"));
        for reference in ["src=", "href=", "url(", "@import"] {
            assert!(!page.contains(reference), "{reference} could load something remote");
        }
        assert_eq!(page, html(&input).unwrap());
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1_269_878].map(thousands), ["0", "999", "1,000", "1,269,878"]);
    }
}
