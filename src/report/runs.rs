//! Earlier runs → a table.

use anstyle::Style;

use super::figures::seconds;
use super::table::{Align, Cell, Table};
use super::views::{BAD, GOOD, ODD, QUIET};
use crate::journal::RunRow;

/// Earlier runs as a table; of those that an earlier refire wrote down only the pipeline's name is known.
#[must_use]
pub fn runs(rows: &[RunRow]) -> String {
    let mut table = Table::new([
        ("run", Align::Left),
        ("pipeline", Align::Left),
        ("ran", Align::Right),
        ("cached", Align::Right),
        ("failed", Align::Right),
        ("skipped", Align::Right),
        ("took", Align::Right),
    ]);
    for row in rows {
        let style = match row.seconds {
            None if row.running == Some(true) => Style::new(),
            None => ODD,
            Some(_) if row.failed > 0 => BAD,
            Some(_) if row.ran > 0 => GOOD,
            Some(_) => Style::new(),
        };
        let count = |count: usize| {
            Cell::styled(
                count.to_string(),
                if count == 0 { QUIET } else { Style::new() },
            )
        };
        table.row([
            Cell::styled(&row.run, style),
            match row.configuration.file.as_str() {
                "" => row.pipeline.clone(),
                _ => row.configuration.to_string(),
            }
            .into(),
            count(row.ran),
            count(row.cached),
            count(row.failed),
            count(row.skipped),
            match (row.seconds, row.running) {
                (Some(took), _) => seconds(took),
                (None, Some(true)) => "running".into(),
                (None, Some(false)) => "did not end".into(),
                (None, None) => "did not end, or is running".into(),
            }
            .into(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::samples;

    #[test]
    fn a_run_without_an_end_is_under_way_or_was_killed() {
        let row = |seconds, running| RunRow {
            run: "20260601-101112".into(),
            pipeline: "sentiment".into(),
            configuration: samples::configuration(),
            stages: 5,
            ran: 1,
            cached: 0,
            failed: 0,
            skipped: 0,
            seconds,
            running,
        };
        let shown = |seconds, running| runs(&[row(seconds, running)]);
        assert!(shown(Some(61.0), Some(false)).contains(" 1 m 01 s"));
        assert!(shown(None, Some(true)).contains("running"));
        assert!(shown(None, Some(false)).contains("did not end"));
        assert!(shown(None, None).contains("or is running"));
    }
}
