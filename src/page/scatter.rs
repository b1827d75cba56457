//! Dots: a setting across, a figure up, an instance of a matrix each.

use maud::{Markup, html};

use super::axis::{Scale, label};
use super::written::{count, px};

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;

/// How wide a character of an axis is, about.
const CHARACTER: f64 = 6.6;

/// So many values of a setting have a place of their own each on the axis.
const MOST: usize = 14;

/// One dot.
pub(super) struct Dot<'d> {
    /// The value of the setting.
    pub(super) value: &'d str,
    /// The figure.
    pub(super) figure: f64,
    /// What it is, for who points at it.
    pub(super) name: &'d str,
    /// Whether it is the best.
    pub(super) best: bool,
}

/// The dots over the values of `setting`. Values stand in their order, evenly, since they are most often steps of a grid; many numbers
/// stand where they lie.
pub(super) fn draw(setting: &str, figure: &str, dots: &[Dot<'_>]) -> Markup {
    let dots: Vec<&Dot<'_>> = dots.iter().filter(|dot| dot.figure.is_finite()).collect();
    let mut values: Vec<&str> = Vec::new();
    for dot in &dots {
        if !values.contains(&dot.value) {
            values.push(dot.value);
        }
    }
    if values.len() < 2 {
        return html! {};
    }
    let number = |value: &str| {
        value
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
    };
    let numbers: Vec<Option<f64>> = values.iter().map(|value| number(value)).collect();
    let all_numbers = numbers.iter().all(Option::is_some);
    if all_numbers {
        values.sort_by(|one, other| {
            number(one)
                .unwrap_or(0.0)
                .total_cmp(&number(other).unwrap_or(0.0))
        });
    } else if values.len() > MOST {
        return html! {};
    }
    let even = values.len() <= MOST;
    let logarithmic = !even && numbers.iter().flatten().all(|number| *number > 0.0);
    let place = |value: &str| {
        if even {
            return values
                .iter()
                .position(|known| *known == value)
                .map_or(0.0, count);
        }
        let number = number(value).unwrap_or(0.0);
        if logarithmic { number.log10() } else { number }
    };
    let across =
        Scale::over(values.iter().map(|value| place(value)), LEFT, WIDTH - RIGHT).padded(0.06);
    let up = Scale::over(dots.iter().map(|dot| dot.figure), HEIGHT - BOTTOM, TOP).padded(0.08);
    let bottom = HEIGHT - BOTTOM;
    let ticks: Vec<(f64, String)> = if even {
        let texts: Vec<String> = values
            .iter()
            .map(|value| cut(value, 72 / values.len().max(1)))
            .collect();
        // Numbers go up, so that some may be left out where all would stand over each other.
        let widest = texts.iter().map(|text| text.chars().count()).max();
        let wide = (count(widest.unwrap_or(0)) + 1.0) * CHARACTER * count(values.len());
        let crowded = all_numbers && wide > WIDTH - LEFT - RIGHT;
        let every = if crowded { 2 } else { 1 };
        let ticks = values.iter().zip(texts);
        let ticks = ticks.map(|(value, text)| (place(value), text));
        ticks.step_by(every).collect()
    } else {
        let written = |tick: f64| {
            if logarithmic {
                label(10f64.powf(tick))
            } else {
                label(tick)
            }
        };
        across
            .ticks(4.0)
            .into_iter()
            .map(|tick| (tick, written(tick)))
            .collect()
    };
    html! {
        figure.chart.small {
            figcaption { (figure) " by " (setting) }
            svg viewBox={ "0 0 " (px(WIDTH)) " " (px(HEIGHT)) } role="img" aria-label={ (figure) " by " (setting) ", " (dots.len()) " instances" } {
                g.axes {
                    @for tick in up.ticks(4.0) {
                        @let y = px(up.place(tick));
                        line.grid x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(y) y2=(y) {}
                        text x=(px(LEFT - 6.0)) y=(px(up.place(tick) + 3.5)) text-anchor="end" { (label(tick)) }
                    }
                    line.base x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(px(bottom)) y2=(px(bottom)) {}
                    @for (tick, text) in &ticks {
                        text x=(px(across.place(*tick))) y=(px(bottom + 15.0)) text-anchor="middle" { (text) }
                    }
                    text.unit x=(px(WIDTH - RIGHT)) y=(px(HEIGHT - 6.0)) text-anchor="end" { (setting) " →" }
                }
                g.series.s0.dots {
                    @for dot in &dots {
                        circle.best[dot.best] cx=(px(across.place(place(dot.value)))) cy=(px(up.place(dot.figure)))
                            r=(if dot.best { "5" } else { "3.5" }) { title { (dot.name) ": " (label(dot.figure)) } }
                    }
                }
            }
        }
    }
}

fn cut(text: &str, longest: usize) -> String {
    let longest = longest.max(4);
    if text.chars().count() <= longest {
        return text.into();
    }
    format!("{}…", text.chars().take(longest - 1).collect::<String>())
}
