//! The course of the recorded training: loss and dev F1 by epoch.

use leptos::prelude::*;

use crate::format;
use crate::plots::sparkline;
use crate::state::App;

const WIDTH: f32 = 90.0;
const HEIGHT: f32 = 26.0;
/// The scale is never empty, also if all values are 0.
const LEAST: f32 = 1e-6;

/// One number of each epoch, as a line with its first and last value.
fn row(name: &'static str, test_id: &'static str, values: Vec<f32>, decimals: usize) -> impl IntoView {
    let line = sparkline::line(&values, WIDTH, HEIGHT, LEAST);
    let [first, last] = [values.first(), values.last()].map(|value| value.map_or(f32::NAN, |&value| value));
    let [first, last] = [first, last].map(|value| format::signed(value, decimals));
    view! {
        <tr data-testid=test_id>
            <th scope="row">{name}</th>
            <td>
                <svg class="spark" viewBox=format!("0 0 {WIDTH} {HEIGHT}") width=WIDTH height=HEIGHT aria-hidden="true">
                    <path d=line.path />
                </svg>
            </td>
            <td>{format!("{first}\u{a0}→\u{a0}{last}")}</td>
        </tr>
    }
}

/// Shows how the training went.
pub fn course(app: App) -> impl IntoView {
    move || {
        let course = app.file.with(|file| file.as_ref().map(|file| file.course.clone())).unwrap_or_default();
        if course.len() < 2 {
            return None;
        }
        let losses = course.iter().map(|epoch| epoch.train_loss as f32).collect();
        let f1: Vec<f32> = course.iter().filter_map(|epoch| Some(100.0 * epoch.dev_f1? as f32)).collect();
        let best = course.iter().filter_map(|epoch| Some((epoch.epoch, epoch.dev_f1?)));
        // If several epochs are equally good, the first one counts, as in the trainer.
        let best = best.reduce(|best, next| if next.1 > best.1 { next } else { best });
        Some(view! {
            <div class="heading">
                <h2>"Training"</h2>
                {best.map(|(epoch, _)| view! { <span class="tag" data-testid="best-epoch">"best epoch: " {epoch}</span> })}
            </div>
            <table class="figures" data-testid="course">
                <tbody>
                    {row("loss", "course-loss", losses, 2)}
                    {(!f1.is_empty()).then(|| row("F1 on dev", "course-f1", f1, 1))}
                </tbody>
            </table>
        })
    }
}
