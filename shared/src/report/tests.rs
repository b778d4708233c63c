use super::*;
use crate::cleaning::Decisions;
use crate::detection::judge::Judge;
use crate::detection::threshold::{Action, Metric, Rule, Settings};
use crate::evaluation::score::{NerScore, Prf};
use crate::formats::dynclean_json;
use crate::metrics::Window;
use crate::recording::dynamics::{Dynamics, RunInfo};

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
    let findings = Findings::new(&dynamics, &judge, &decisions).unwrap();
    let page = findings.html(Some(&outcome)).unwrap();
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
    let unscored = Outcome { courses: vec![Course { epochs: vec![epoch(1, 0.5, None)], ..course }], ..outcome.clone() };
    let page_without = findings.html(Some(&unscored)).unwrap();
    assert!(page_without.contains("Loss per span") && !page_without.contains("F1 on dev"));
    // Numbers that no training gives neither hang nor break the report.
    let odd = [3e38, f64::NAN, f64::INFINITY, -1.0].map(|loss| epoch(1, loss, Some(loss))).to_vec();
    let odd = Outcome { courses: vec![Course { title: "odd".into(), epochs: odd }], ..outcome.clone() };
    assert!(findings.html(Some(&odd)).unwrap().contains("Loss per span"));
    assert!(page.contains("encoder tiny") && !page.contains("someone"));
    for reference in ["src=", "href=", "url(", "@import"] {
        assert!(!page.contains(reference), "{reference} could load something remote");
    }
    assert_eq!(page, findings.html(Some(&outcome)).unwrap());
}
