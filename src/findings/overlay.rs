//! The curves of a matrix's instances over each other.

use serde_json::Value;

use super::Known;
use super::artifacts::Artifacts;
use super::curves;
use crate::page::{Chart, Line, Matrix, Page};

/// So many lines over each other can be told apart, and their names stand beside them.
const MOST: usize = 12;

/// So many points of a loss are drawn where several stand over each other.
const STRETCHES: usize = 40;

/// Where a line goes: across and up.
type Points = Vec<(f64, f64)>;

/// What an instance told while it trained.
struct Told {
    name: String,
    is_best: bool,
    lines: Vec<Value>,
}

/// Draws the loss and the figure of the validation of each matrix's instances over each other.
pub(super) fn overlay(artifacts: &Artifacts<'_>, known: &[Known<'_>], page: &mut Page) {
    for matrix in &mut page.matrices {
        let best = matrix.ranked().first().copied();
        let order = in_order(matrix, |at| {
            known[matrix.instances[at].place].record.is_some()
        });
        let drawn = sample(&order, MOST);
        let names = names(matrix, &drawn);
        let told = drawn.iter().zip(names).filter_map(|(at, name)| {
            let known = &known[matrix.instances[*at].place];
            let lines = curves::history(artifacts, known.node, known.record?)?;
            Some(Told {
                name,
                is_best: best == Some(*at),
                lines,
            })
        });
        let told: Vec<Told> = told.collect();
        let note = note(matrix, drawn.len(), order.len());
        matrix.curves = charts(&told, matrix.headline.as_deref(), &note);
    }
}

/// The instances that have a result: by rank, then those without a rank as they come.
fn in_order(matrix: &Matrix, has_result: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut order = matrix.ranked();
    let rest = 0..matrix.instances.len();
    let rest: Vec<usize> = rest.filter(|at| !order.contains(at)).collect();
    order.extend(rest);
    order.retain(|at| has_result(*at));
    order
}

/// At most `most` of `all`, evenly: the first, the last, and some between them.
fn sample(all: &[usize], most: usize) -> Vec<usize> {
    if all.len() <= most {
        return all.to_vec();
    }
    let (last, steps) = (all.len() - 1, most - 1);
    (0..most)
        .map(|step| all[(step * last + steps / 2) / steps])
        .collect()
}

/// Which instances are drawn, where not all are.
fn note(matrix: &Matrix, drawn: usize, all: usize) -> String {
    if drawn == all {
        return String::new();
    }
    match &matrix.headline {
        Some(name) => format!(
            "{drawn} of {all} instances are drawn: the best and the last by {name}, and evenly between them."
        ),
        None => format!("{drawn} of {all} instances are drawn, evenly among them."),
    }
}

/// What tells the instances that are drawn apart: those of their values that are not all the same.
fn names(matrix: &Matrix, drawn: &[usize]) -> Vec<String> {
    let value = |at: usize, key: usize| matrix.instances[at].values[key].as_str();
    let differs = |key: &usize| {
        let mut values = drawn.iter().map(|at| value(*at, *key));
        let first = values.next();
        values.any(|other| Some(other) != first)
    };
    let keys: Vec<usize> = (0..matrix.keys.len()).filter(differs).collect();
    let name = |at: &usize| {
        let values = keys.iter().map(|key| value(*at, *key));
        let values: Vec<&str> = values.filter(|value| !value.is_empty()).collect();
        values.join(" ")
    };
    drawn.iter().map(name).collect()
}

/// A chart of losses, and one of the figure by which the instances are told apart or the first that all were validated by.
fn charts(told: &[Told], headline: Option<&str>, note: &str) -> Vec<Chart> {
    let Some(first) = told.first() else {
        return Vec::new();
    };
    let across = curves::across(&first.lines);
    let validated = headline
        .and_then(|name| name.strip_prefix("validation_"))
        .map(str::to_owned)
        .or_else(|| curves::names(&first.lines).into_iter().next());
    let chart = |title: String, points: &dyn Fn(&[Value]) -> Points| {
        let lines = told.iter().map(|told| {
            let line = Line {
                name: told.name.clone(),
                points: points(&told.lines),
            };
            (told.is_best, line)
        });
        // A point alone is no curve.
        let lines: Vec<(bool, Line)> = lines.filter(|(_, line)| line.points.len() > 1).collect();
        Chart {
            title,
            across: across.into(),
            best: lines.iter().position(|(is_best, _)| *is_best),
            lines: lines.into_iter().map(|(_, line)| line).collect(),
            note: note.into(),
        }
    };
    let smooth = |lines: &[Value]| smoothed(curves::losses(lines));
    let mut losses = chart("loss of the instances".into(), &smooth);
    let longest = told
        .iter()
        .map(|told| curves::losses(&told.lines).len())
        .max();
    if longest > Some(STRETCHES) {
        let means = "Of stretches of steps it is the mean.";
        let note = [losses.note.as_str(), means].join(" ");
        losses.note = note.trim_start().into();
    }
    let mut charts = vec![losses];
    if let Some(name) = validated {
        let pointer = format!("/validation/{name}");
        let figure = |lines: &[Value]| curves::points(lines, across, &pointer);
        charts.push(chart(format!("{name} on the validation"), &figure));
    }
    charts.retain(|chart| !chart.lines.is_empty());
    charts
}

/// Points of a noisy line as the means of [`STRETCHES`] stretches at most, so that several can be told apart.
#[expect(clippy::cast_precision_loss, reason = "there are few points")]
fn smoothed(points: Points) -> Points {
    if points.len() <= STRETCHES {
        return points;
    }
    let mean = |points: &[(f64, f64)]| {
        let count = points.len() as f64;
        let (x, y) = points
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (x / count, y / count)
    };
    points
        .chunks(points.len().div_ceil(STRETCHES))
        .map(mean)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::page::{Figure, Instance};

    fn matrix(count: usize) -> Matrix {
        let instance = |place: usize| Instance {
            place,
            values: vec![place.to_string(), "0.1".into()],
            figures: vec![Figure {
                name: "validation_f1".into(),
                #[expect(clippy::cast_precision_loss, reason = "a small number")]
                value: place as f64,
                ..Figure::default()
            }],
            ..Instance::default()
        };
        Matrix {
            keys: vec!["seed".into(), "rate".into()],
            instances: (0..count).map(instance).collect(),
            headline: Some("validation_f1".into()),
            higher_is_better: true,
            ..Matrix::default()
        }
    }

    #[test]
    fn many_instances_are_sampled_evenly_with_the_best_and_the_last() {
        let matrix = matrix(100);
        let order = in_order(&matrix, |at| at != 99);
        let drawn = sample(&order, MOST);
        assert_eq!(drawn, [98, 89, 80, 71, 62, 53, 45, 36, 27, 18, 9, 0]);
        assert_eq!(
            note(&matrix, drawn.len(), order.len()),
            "12 of 99 instances are drawn: the best and the last by validation_f1, and evenly between them."
        );
        assert_eq!(names(&matrix, &drawn)[1], "89");
        assert_eq!(sample(&order[..3], MOST), [98, 97, 96]);
        assert_eq!(note(&matrix, 3, 3), "");
    }

    #[test]
    fn long_losses_are_means_of_stretches() {
        let points: Vec<(f64, f64)> = (0..100).map(|n| (f64::from(n), f64::from(n % 2))).collect();
        let smooth = smoothed(points.clone());
        assert_eq!(smooth.len(), 34);
        assert_eq!(smooth[0], (1.0, 1.0 / 3.0));
        assert_eq!(smoothed(points[..40].to_vec()), points[..40]);
    }

    #[test]
    fn instances_share_a_chart_of_losses_and_one_of_their_figure() {
        let told = |name: &str, is_best, steps: i64| Told {
            name: name.into(),
            is_best,
            lines: (0..steps)
                .flat_map(|step| {
                    [
                        json!({"step": step, "loss": 0.5}),
                        json!({"step": step, "validation": {"log_loss": 0.5, "f1": 0.25}}),
                    ]
                })
                .collect(),
        };
        let told = [told("a", false, 1), told("b", false, 3), told("c", true, 3)];
        let found = charts(&told, Some("validation_f1"), "some");
        let titles: Vec<&str> = found.iter().map(|chart| chart.title.as_str()).collect();
        assert_eq!(titles, ["loss of the instances", "f1 on the validation"]);
        for chart in &found {
            assert_eq!((chart.lines.len(), chart.best), (2, Some(1)));
            assert_eq!(
                (chart.across.as_str(), chart.note.as_str()),
                ("step", "some")
            );
        }
        // Without a figure that tells them apart it is the first that they have.
        assert_eq!(charts(&told, None, "")[1].title, "f1 on the validation");
        assert!(charts(&[], None, "").is_empty());
    }
}
