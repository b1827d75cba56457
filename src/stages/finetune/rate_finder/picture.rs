//! The losses over the rates, as a picture.

use std::fmt::Write as _;

use crate::train::RateTried;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 44.0;

/// Where rates and losses lie in the picture.
struct Frame {
    /// Logarithms of the first and the last rate.
    rates: [f64; 2],
    /// The lowest and the greatest loss that is shown.
    losses: [f64; 2],
}

impl Frame {
    fn new(tried: &[RateTried]) -> Self {
        let rate = |of: Option<&RateTried>| of.map_or(0.0, |tried| tried.learning_rate.log10());
        let [first, last] = [rate(tried.first()), rate(tried.last())];
        let smoothed = || tried.iter().map(|tried| tried.smoothed_loss);
        let lowest = smoothed().fold(f64::INFINITY, f64::min);
        // Where it grows at the end it would hide what is below.
        let begin = tried.first().map_or(lowest, |tried| tried.smoothed_loss);
        let greatest = smoothed()
            .fold(lowest, f64::max)
            .min(begin + 2.0 * (begin - lowest).abs().max(0.05 * begin.abs()));
        let margin = (greatest - lowest).abs().max(1e-9) * 0.08;
        Self {
            rates: [first, last.max(first + 1e-9)],
            losses: [lowest - margin, greatest + margin],
        }
    }

    fn across(&self, rate: f64) -> f64 {
        let [first, last] = self.rates;
        LEFT + (rate.log10() - first) / (last - first) * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, loss: f64) -> f64 {
        let [lowest, greatest] = self.losses;
        let share = ((loss - lowest) / (greatest - lowest)).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

/// The smoothed loss over the rates, with a line at `found`.
pub(super) fn svg(tried: &[RateTried], found: Option<f64>) -> String {
    let frame = Frame::new(tried);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Loss by learning rate</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let _ = writeln!(
        text,
        "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#666\"/>"
    );
    #[expect(
        clippy::cast_possible_truncation,
        reason = "logarithms of rates are small"
    )]
    let decades = frame.rates[0].ceil() as i32..=frame.rates[1].floor() as i32;
    for decade in decades {
        let x = frame.across(10.0_f64.powi(decade));
        let _ = writeln!(
            text,
            "<path d=\"M{x:.1} {bottom}v5\" stroke=\"#666\"/><text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#444\">1e{decade}</text>",
            bottom + 18.0
        );
    }
    for share in [0.0, 0.5, 1.0] {
        let loss = frame.losses[0] + share * (frame.losses[1] - frame.losses[0]);
        let _ = writeln!(
            text,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\" dominant-baseline=\"middle\" fill=\"#444\">{loss:.3}</text>",
            LEFT - 8.0,
            frame.up(loss)
        );
    }
    let _ = writeln!(
        text,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#444\">learning rate</text>",
        f64::midpoint(LEFT, right),
        HEIGHT - 6.0
    );
    let line = |loss: fn(&RateTried) -> f64| -> String {
        let points = tried.iter().map(|tried| {
            let (x, y) = (frame.across(tried.learning_rate), frame.up(loss(tried)));
            format!("{x:.1},{y:.1}")
        });
        points.collect::<Vec<_>>().join(" ")
    };
    for (points, colour, width) in [
        (line(|tried| tried.loss), "#ccc", 1),
        (line(|tried| tried.smoothed_loss), "#1f6feb", 2),
    ] {
        let _ = writeln!(
            text,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        );
    }
    if let Some(rate) = found {
        let x = frame.across(rate);
        let _ = writeln!(
            text,
            "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#cf222e\" stroke-dasharray=\"4 4\"/><text x=\"{:.1}\" y=\"{:.0}\" fill=\"#cf222e\">{rate:.1e}</text>",
            x + 6.0,
            TOP + 12.0
        );
    }
    text.push_str("</svg>\n");
    text
}
