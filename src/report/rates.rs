//! The losses over the rates that `lr-find` tried.

use std::fmt::Write as _;

/// Rows of the picture.
const ROWS: usize = 12;

/// The smoothed loss over the learning rate, in as many columns as fit into `width`, and the rate that is suggested.
pub(super) fn rates(tried: &[(f64, f64)], found: Option<f64>, width: usize) -> String {
    let mut text = picture(tried, found, width.saturating_sub(12).clamp(20, 72));
    let _ = match found {
        Some(rate) => writeln!(
            text,
            "the loss falls fastest at {rate:.1e}; a suggestion: learning_rate = {rate:.1e}"
        ),
        None => writeln!(text, "the loss falls at no rate that was tried"),
    };
    text
}

fn picture(tried: &[(f64, f64)], found: Option<f64>, columns: usize) -> String {
    let (Some(first), Some(last)) = (tried.first(), tried.last()) else {
        return String::new();
    };
    let (from, to) = (first.0.log10(), last.0.log10());
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place on a screen"
    )]
    let column = |rate: f64| {
        let way = (rate.log10() - from) / (to - from).max(1e-9);
        ((way * (columns - 1) as f64).round().max(0.0) as usize).min(columns - 1)
    };
    let mut heights: Vec<Vec<f64>> = vec![Vec::new(); columns];
    for (rate, loss) in tried {
        heights[column(*rate)].push(*loss);
    }
    let losses = || tried.iter().map(|(_, loss)| *loss);
    let lowest = losses().fold(f64::INFINITY, f64::min);
    let greatest = losses().fold(lowest, f64::max);
    // Where it grows at the end it would hide what is below.
    let begin = first.1;
    let greatest = greatest.min(begin + 2.0 * (begin - lowest).max(0.05 * begin.abs()));
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place on a screen"
    )]
    let row = |loss: f64| {
        let share = ((greatest - loss) / (greatest - lowest).max(1e-12)).clamp(0.0, 1.0);
        (share * (ROWS - 1) as f64).round() as usize
    };
    let mut cells = vec![vec![' '; columns]; ROWS];
    let mark = found.map(column);
    if let Some(mark) = mark {
        for cells in &mut cells {
            cells[mark] = '┊';
        }
    }
    for (column, losses) in heights.iter().enumerate() {
        for loss in losses {
            cells[row(*loss)][column] = '•';
        }
    }
    let mut text = String::new();
    for (number, cells) in cells.iter().enumerate() {
        let label = match number {
            0 => format!("{greatest:.3}"),
            number if number == ROWS - 1 => format!("{lowest:.3}"),
            _ => String::new(),
        };
        let cells: String = cells.iter().collect();
        let _ = writeln!(text, "{label:>9} │{}", cells.trim_end());
    }
    let _ = writeln!(text, "{:>9} └{}", "loss", "─".repeat(columns));
    let ends = format!("{:.0e}", first.0);
    let end = format!("{:.0e}", last.0);
    let between = columns.saturating_sub(ends.len() + end.len());
    let middle = format!("{:^between$}", "learning rate");
    let _ = writeln!(text, "{:>9}  {ends}{middle}{end}", "");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_drawn_over_the_rate() {
        let tried: Vec<(f64, f64)> = (0..60)
            .map(|step| {
                let way = f64::from(step) / 60.0;
                let falls = 0.5 / (1.0 + (-30.0 * (way - 0.6)).exp());
                let loss = 1.0 - falls + 9.0 * (way - 0.8).max(0.0);
                (1e-7 * 1e8_f64.powf(way), loss)
            })
            .collect();
        insta::assert_snapshot!(rates(&tried, Some(6.3e-3), 72));
        assert_eq!(
            rates(&[], None, 72),
            "the loss falls at no rate that was tried\n"
        );
    }
}
