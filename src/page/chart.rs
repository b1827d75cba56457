//! Lines over an axis: the curves of a training.

use maud::{Markup, html};

use super::axis::{Scale, label};
use super::written::{count, px};

/// How many points of a line are drawn: more than pixels of a phone help nobody, and each costs a few bytes.
const POINTS: usize = 200;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;

/// How far apart the names of lines have to be.
const NAME: f64 = 13.0;

/// Curves of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// What is drawn.
    pub title: String,
    /// What stands below the axis, such as `step`.
    pub across: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// Which of them is the best; the others are drawn behind it and alike.
    pub best: Option<usize>,
    /// What stands below it, such as which lines were left out; empty if nothing does.
    pub note: String,
}

/// A line of a chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// Where it goes: across and up. What is not finite is left out.
    pub points: Vec<(f64, f64)>,
}

/// A line with the points of it that are drawn, and its place in the chart.
struct Drawn<'c> {
    place: usize,
    line: &'c Line,
    points: Vec<(f64, f64)>,
}

impl Line {
    /// At most [`POINTS`] points: of each stretch the mean, which says more of a noisy loss than every hundredth value. Ends stay.
    pub(super) fn thinned(&self) -> Vec<(f64, f64)> {
        let finite = self.points.iter().copied();
        let finite: Vec<(f64, f64)> = finite
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .collect();
        if finite.len() <= POINTS {
            return finite;
        }
        let inner = &finite[1..finite.len() - 1];
        let stretch = inner.len().div_ceil(POINTS - 2);
        let mean = |points: &[(f64, f64)]| {
            let of = |part: fn(&(f64, f64)) -> f64| points.iter().map(part).sum::<f64>();
            (
                of(|p| p.0) / count(points.len()),
                of(|p| p.1) / count(points.len()),
            )
        };
        let means = inner.chunks(stretch).map(mean);
        std::iter::once(finite[0])
            .chain(means)
            .chain(finite.last().copied())
            .collect()
    }
}

/// The chart as a figure. `number` tells its parts from those of other charts.
pub(super) fn draw(chart: &Chart) -> Markup {
    let lines: Vec<Drawn<'_>> = chart
        .lines
        .iter()
        .enumerate()
        .map(|(place, line)| Drawn {
            place,
            line,
            points: line.thinned(),
        })
        .filter(|drawn| !drawn.points.is_empty())
        .collect();
    if lines.is_empty() {
        return html! {};
    }
    let named = lines.len() > 1;
    let widest = lines
        .iter()
        .map(|drawn| drawn.line.name.chars().count())
        .max();
    let room = if named {
        RIGHT + 6.6 * count(widest.unwrap_or(0).min(16))
    } else {
        RIGHT
    };
    let all = || lines.iter().flat_map(|drawn| drawn.points.iter());
    let across = Scale::over(all().map(|point| point.0), LEFT, WIDTH - room);
    let up = Scale::over(all().map(|point| point.1), HEIGHT - BOTTOM, TOP).padded(0.05);
    let said = describe(chart, &lines);
    let beside = places(&lines, &up);
    let is_best = |drawn: &Drawn<'_>| chart.best == Some(drawn.place);
    let drawn = || lines.iter().zip(&beside);
    let behind = drawn().filter(|(drawn, _)| !is_best(drawn));
    let ahead = drawn().filter(|(drawn, _)| is_best(drawn));
    html! {
        figure.chart {
            figcaption { (chart.title) }
            svg viewBox={ "0 0 " (px(WIDTH)) " " (px(HEIGHT)) } role="img" aria-label=(said)
                data-left=(px(LEFT)) data-right=(px(WIDTH - room)) data-low=(across.ends().0) data-high=(across.ends().1) {
                (axes(&across, &up, WIDTH - room, &chart.across))
                @for (Drawn { place, line, points }, height) in behind.chain(ahead) {
                    g class=(class(chart, *place)) {
                        @if chart.best.is_some() { title { (line.name) } }
                        polyline points=(joined(points, &across, &up)) data-name=(line.name) data-values=(values(points)) {}
                        @if points.len() <= 12 {
                            @for (x, y) in points {
                                circle cx=(px(across.place(*x))) cy=(px(up.place(*y))) r="2.5" {}
                            }
                        }
                        @if named {
                            text.name x=(px(WIDTH - room + 6.0)) y=(px(*height)) { (short(&line.name)) }
                        }
                    }
                }
            }
            p.readout aria-hidden="true" {}
            @if !chart.note.is_empty() { p.quiet { (chart.note) } }
        }
    }
}

/// How a line looks: in a colour of its own, or as one of many behind the best.
fn class(chart: &Chart, place: usize) -> String {
    match chart.best {
        None => format!("series s{}", place % 6),
        Some(best) if best == place => "series s0 best".into(),
        Some(_) => "series many".into(),
    }
}

/// The frame: lines across at round numbers, numbers beside and below.
pub(super) fn axes(across: &Scale, up: &Scale, right: f64, name: &str) -> Markup {
    let bottom = HEIGHT - BOTTOM;
    html! {
        g.axes {
            @for tick in up.ticks(4.0) {
                @let y = px(up.place(tick));
                line.grid x1=(px(LEFT)) x2=(px(right)) y1=(y) y2=(y) {}
                text x=(px(LEFT - 6.0)) y=(px(up.place(tick) + 3.5)) text-anchor="end" { (label(tick)) }
            }
            line.base x1=(px(LEFT)) x2=(px(right)) y1=(px(bottom)) y2=(px(bottom)) {}
            @for tick in across.ticks(5.0) {
                @let x = px(across.place(tick));
                line.tick x1=(x) x2=(x) y1=(px(bottom)) y2=(px(bottom + 4.0)) {}
                text x=(x) y=(px(bottom + 15.0)) text-anchor="middle" { (label(tick)) }
            }
            text.unit x=(px(right)) y=(px(HEIGHT - 4.0)) text-anchor="end" { (name) " →" }
        }
    }
}

/// Where the names of lines stand: beside their ends, but not over each other.
fn places(lines: &[Drawn<'_>], up: &Scale) -> Vec<f64> {
    let end = |points: &[(f64, f64)]| points.last().map_or(0.0, |point| up.place(point.1) + 3.5);
    let mut order: Vec<(usize, f64)> = lines
        .iter()
        .enumerate()
        .map(|(at, drawn)| (at, end(&drawn.points)))
        .collect();
    order.sort_by(|one, other| one.1.total_cmp(&other.1));
    let mut lowest = f64::NEG_INFINITY;
    for (_, y) in &mut order {
        *y = y.max(lowest + NAME);
        lowest = *y;
    }
    let over = lowest - (HEIGHT - BOTTOM);
    let mut places = vec![0.0; lines.len()];
    for (at, y) in order {
        places[at] = if over > 0.0 { y - over } else { y };
    }
    places
}

fn short(name: &str) -> String {
    const LONGEST: usize = 16;
    if name.chars().count() <= LONGEST {
        return name.into();
    }
    format!("{}…", name.chars().take(LONGEST - 1).collect::<String>())
}

fn joined(points: &[(f64, f64)], across: &Scale, up: &Scale) -> String {
    let place = |(x, y): &(f64, f64)| format!("{},{}", px(across.place(*x)), px(up.place(*y)));
    points.iter().map(place).collect::<Vec<_>>().join(" ")
}

/// The values for who points at the line.
fn values(points: &[(f64, f64)]) -> String {
    let written =
        |(x, y): &(f64, f64)| format!("{},{}", label((x * 10.0).round() / 10.0), significant(*y));
    points.iter().map(written).collect::<Vec<_>>().join(" ")
}

/// Four digits that count.
fn significant(value: f64) -> String {
    if value == 0.0 || (1e-3..1e5).contains(&value.abs()) {
        label((value * 1e4).round() / 1e4)
    } else {
        format!("{value:.3e}")
    }
}

/// The chart in words, for who cannot see it.
fn describe(chart: &Chart, lines: &[Drawn<'_>]) -> String {
    let said = lines.iter().filter_map(|Drawn { line, points, .. }| {
        let (first, last) = (points.first()?, points.last()?);
        let name = &line.name;
        let (from, to) = (significant(first.1), significant(last.1));
        let (start, end) = (label(first.0), label(last.0));
        Some(format!(
            "{name} from {from} at {} {start} to {to} at {end}",
            chart.across
        ))
    });
    format!("{}: {}", chart.title, said.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_thinned_and_keep_their_ends() {
        let points: Vec<(f64, f64)> = (0..5000)
            .map(|n| (f64::from(n), f64::from(n % 7)))
            .collect();
        let line = Line {
            name: "loss".into(),
            points: points.clone(),
        };
        let thin = line.thinned();
        assert!(thin.len() <= POINTS, "{}", thin.len());
        assert_eq!((thin[0], thin[thin.len() - 1]), (points[0], points[4999]));
        assert!(
            (thin[100].1 - 3.0).abs() < 0.5,
            "a stretch is its mean: {:?}",
            thin[100]
        );
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let chart = |points: &[(f64, f64)]| Chart {
            title: "loss <by step>".into(),
            across: "step".into(),
            lines: vec![Line {
                name: "loss".into(),
                points: points.to_vec(),
            }],
            ..Chart::default()
        };
        assert_eq!(draw(&chart(&[])).into_string(), "");
        assert_eq!(draw(&chart(&[(1.0, f64::NAN)])).into_string(), "");
        let drawn = draw(&chart(&[(1.0, 0.5), (2.0, f64::INFINITY), (3.0, 0.25)])).into_string();
        assert!(!drawn.contains("inf") && !drawn.contains("NaN"), "{drawn}");
        assert!(drawn.contains("loss &lt;by step&gt;"), "{drawn}");
    }
}
