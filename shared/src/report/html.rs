//! Writes the findings of a report as an HTML page.

use std::fmt::Write as _;

use super::charts::{self, ChartError};
use super::findings::{
    DecisionTexts, DictionaryEntries, Distribution, Findings, LISTED, MapCells, Quality, Suspicious,
};
use super::outcome::{Course, Outcome, TestScores, Tried};
use crate::cleaning::{CleaningSummary, Override};
use crate::detection::threshold::{Basis, Metric, Threshold};
use crate::evaluation::score::Prf;
use crate::recording::dynamics::{Negatives, RunInfo};

/// Titles of the two sides, negatives first.
const SIDES: [&str; 2] = ["Negatives (O)", "Positives (entity types)"];

impl Findings {
    /// Builds the page. `outcome` is what a run adds.
    ///
    /// # Errors
    /// When a chart cannot be drawn.
    pub fn html(&self, outcome: Option<&Outcome>) -> Result<String, ChartError> {
        let mut page = String::new();
        page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
        page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        let name = escape(&self.info.name);
        let _ = write!(page, "<title>{name} · DynClean report</title>\n<style>{STYLE}</style></head><body>\n");
        let _ = writeln!(page, "<header><h1>{name}</h1><p class=\"sub\">{}</p></header>", subtitle(self));
        if let Some(outcome) = outcome {
            page.push_str(&scores(&outcome.test));
            page.push_str(&sweep(&outcome.tried));
        }
        page.push_str(&counts(&self.summary, self.metric.name()));
        page.push_str(&self.dictionary.as_ref().map_or(String::new(), dictionary_check));
        page.push_str(&estimates(self));
        if let Some(sides) = &self.quality {
            page.push_str(&quality(sides));
            page.push_str(&curves(sides, &self.summary)?);
        }
        page.push_str(&distributions(self)?);
        page.push_str(&data_maps(self.maps.as_ref())?);
        let [negatives, positives] = &self.suspicious;
        page.push_str(&suspicious("Most suspicious positives", positives));
        page.push_str(&suspicious("Most suspicious negatives", negatives));
        page.push_str(&courses(&self.recorded, outcome)?);
        page.push_str(&reproduce(&self.info, &self.decisions));
        page.push_str("</body></html>\n");
        Ok(page)
    }
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

fn subtitle(findings: &Findings) -> String {
    let info = &findings.info;
    let negatives = match info.negatives {
        Negatives::Top => "top",
        Negatives::All => "all",
    };
    format!(
        "{} sentences · {} candidate spans · {} epochs · encoder {} · seed {} · {negatives} negatives",
        thousands(findings.sentences),
        thousands(findings.spans),
        findings.epochs,
        escape(last_part(&info.encoder)),
        info.seed
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

/// Shows loss and dev F1 by epoch. Without an outcome, it shows only the recorded training.
fn courses(recorded: &Course, outcome: Option<&Outcome>) -> Result<String, ChartError> {
    let given = outcome.map(|outcome| outcome.courses.clone()).filter(|courses| !courses.is_empty());
    let mut courses = given.unwrap_or_else(|| vec![recorded.clone()]);
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
fn estimates(findings: &Findings) -> String {
    if findings.estimates.iter().all(Option::is_none) {
        return String::new();
    }
    let how = if findings.metric == Metric::Trust {
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
    for (name, estimate) in ["negatives", "positives"].into_iter().zip(&findings.estimates) {
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
    if let Some(capitals) = &findings.capitals {
        let _ = writeln!(out, "<p class=\"note\">How far the text counts: {capitals}.</p>");
    }
    out
}

fn dictionary_check(DictionaryEntries { all, listed }: &DictionaryEntries) -> String {
    let mut out = format!(
        "<h2>Contradicted by annotated sentences</h2><p>{} dictionary entries, which label {} spans. A mistake that \
         repeats is learned like a right label: no threshold finds it. The spans have the label that their words have in \
         the annotated sentences (dev), or are removed where that is not clear.</p>",
        thousands(all.entries as u64),
        thousands(all.spans)
    );
    if listed.is_empty() {
        return out;
    }
    out.push_str(
        "<div class=\"wide\"><table><tr><th>words</th><th class=\"text\">distant label</th><th>spans</th>\
         <th>in annotated sentences</th><th>with this label</th><th class=\"text\">becomes</th></tr>",
    );
    for e in listed {
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
    if all.entries > listed.len() {
        let _ = writeln!(out, "<p class=\"note\">The {LISTED} with the most spans.</p>");
    }
    out
}

fn quality([negatives, positives]: &[Quality; 2]) -> String {
    let mut out = String::from(
        "<h2>Noise detection against gold</h2><div class=\"wide\"><table><tr><th></th><th>wrong in truth</th>\
         <th>judged wrong</th><th>precision</th><th>recall</th><th>F1</th><th>average precision</th></tr>",
    );
    for (name, q) in [("false positives", positives), ("false negatives", negatives)] {
        let _ = write!(
            out,
            "<tr><td>{name}</td><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td><td>{:.3}</td></tr>",
            thousands(q.prf.actual),
            thousands(q.prf.predicted),
            q.prf.precision,
            q.prf.recall,
            q.prf.f1,
            q.average_precision
        );
    }
    out + "</table></div>\n"
}

/// The thresholds in force, negatives first.
fn thresholds(summary: &CleaningSummary) -> [f32; 2] {
    [summary.thresholds.negatives.value, summary.thresholds.positives.value]
}

fn curves(sides: &[Quality; 2], summary: &CleaningSummary) -> Result<String, ChartError> {
    let mut out = String::from(
        "<p class=\"note\">What any threshold would give; the point is the threshold in force.</p><div class=\"pair\">",
    );
    for ((title, side), threshold) in SIDES.into_iter().zip(sides).zip(thresholds(summary)) {
        out.push_str(&charts::precision_recall(title, &side.curve, threshold)?);
    }
    Ok(out + "</div>\n")
}

fn distributions(findings: &Findings) -> Result<String, ChartError> {
    let metric = findings.metric.name();
    let mut out = format!(
        "<h2>{metric} of real spans and threshold samples</h2><p class=\"note\">A low {metric} says that the model preferred \
         another label while it learned. Threshold samples are spans with a deliberately wrong label. The vertical \
         line is the threshold: spans to its left are judged wrong. Counts are on a logarithmic scale.</p>\
         <div class=\"pair\">",
    );
    let sides = SIDES.into_iter().zip(&findings.distributions).zip(thresholds(&findings.summary));
    for ((title, Distribution { real, samples }), threshold) in sides {
        out.push_str(&charts::histogram(title, findings.metric, real, samples, threshold)?);
    }
    Ok(out + "</div>\n")
}

fn data_maps(maps: Option<&[MapCells; 2]>) -> Result<String, ChartError> {
    let Some(maps) = maps else {
        return Ok(
            "<h2>Data map</h2><p class=\"note\">Only margins were recorded: confidence and variability are not \
                   known.</p>\n"
                .to_owned(),
        );
    };
    let mut out = String::from(
        "<h2>Data map</h2><p class=\"note\">Each cell is a group of spans; darker means more (logarithmic). Top: easy to \
         learn. Right: ambiguous. Bottom left: hard to learn, often wrong.</p><div class=\"pair\">",
    );
    for (title, cells) in SIDES.into_iter().zip(maps) {
        out.push_str(&charts::data_map(title, cells)?);
    }
    Ok(out + "</div>\n")
}

fn suspicious(title: &str, spans: &[Suspicious]) -> String {
    let mut out = format!(
        "<h2>{title}</h2><div class=\"wide\"><table><tr><th>sentence</th><th class=\"text\">distant</th>\
         <th class=\"text\">predicted</th><th>wrong</th><th>AUM</th><th class=\"text\">decision</th></tr>"
    );
    for s in spans {
        let words = |words: &[String]| words.iter().map(|word| escape(word)).collect::<Vec<_>>();
        out.push_str("<tr><td>");
        out.push_str(if s.is_begin_cut { "… " } else { "" });
        for word in words(&s.before) {
            let _ = write!(out, "{word} ");
        }
        let _ = write!(out, "<mark>{}</mark> ", words(&s.span).join(" "));
        for word in words(&s.after) {
            let _ = write!(out, "{word} ");
        }
        out.push_str(if s.is_end_cut { "…" } else { "" });
        let decision = match &s.decision {
            Override::Keep => "keep".to_owned(),
            Override::Remove => "remove".to_owned(),
            Override::Relabel(label) => format!("relabel to {}", escape(label)),
        };
        let _ = write!(
            out,
            "<div class=\"note\">{}</div></td><td class=\"text\">{}</td><td class=\"text\">{}</td><td>{}</td><td>{}</td>\
             <td class=\"text\">{decision}</td></tr>",
            escape(&s.because),
            escape(&s.distant),
            s.predicted.as_deref().map_or(String::new(), escape),
            s.wrong.map_or(String::new(), |wrong| format!("{:.0}%", (100.0 * wrong).clamp(1.0, 99.0))),
            s.aum.map_or(String::new(), number),
        );
    }
    if spans.is_empty() {
        out.push_str("<tr><td>none</td></tr>");
    }
    out + "</table></div>\n"
}

fn reproduce(info: &RunInfo, decisions: &DecisionTexts) -> String {
    let mut out = String::from("<h2>How to reproduce</h2>");
    let _ = write!(
        out,
        "<p>Dynamics file with digest <code>{}</code>, written by {}. With it and the decisions below:</p>\
         <pre>trainer clean dynamics.dyn --corpus train.json --decisions decisions.json --out cleaned.json</pre>",
        escape(&decisions.dynamics),
        escape(&info.written_by)
    );
    out.push_str("<div class=\"wide\"><table>");
    for (name, value) in &info.settings {
        let _ = write!(out, "<tr><td>{}</td><td>{}</td></tr>", escape(name), escape(value));
    }
    out.push_str("</table></div>");
    let _ = writeln!(
        out,
        "<p>On the page: open the dynamics file, and put this at the end of the page's address{}:</p><pre class=\"link\">#{}</pre>",
        if decisions.is_fragment_complete {
            ""
        } else {
            " (the settings; the decisions by hand are too many for an address: drop decisions.json)"
        },
        escape(&decisions.fragment)
    );
    let _ = writeln!(out, "<p>decisions.json</p><pre>{}</pre>", escape(&decisions.json));
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

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1_269_878].map(thousands), ["0", "999", "1,000", "1,269,878"]);
    }
}
