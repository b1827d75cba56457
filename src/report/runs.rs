//! Earlier runs → a table.

use std::collections::{BTreeMap, BTreeSet};

use anstyle::Style;

use super::figures::{metrics, seconds};
use super::table::{Align, Cell, Table};
use super::views::{BAD, GOOD, ODD, QUIET};
use crate::journal::RunRow;

/// How much of a commit's name is shown.
const SHORT: usize = 8;

/// How many figures of a run are shown.
const FIGURES: usize = 2;

/// Earlier runs as a table of at most `width` columns, if that can be: what was laid over the file, the params that are not the same in
/// all of them, and what they came to. Of those that an earlier refire wrote down only the pipeline's name is known.
#[must_use]
pub fn runs(rows: &[RunRow], width: usize) -> String {
    let whole = table(rows, true);
    if whole.width() <= width {
        return whole.render();
    }
    table(rows, false).render()
}

/// The table, with how many stages did what and the commits if it is to be `detailed`.
fn table(rows: &[RunRow], detailed: bool) -> Table {
    let differing = differing(rows);
    let has_headline = rows.iter().any(|row| row.headline.is_some());
    let has_revision = detailed && rows.iter().any(|row| row.revision.is_some());
    let mut head = vec![("run", Align::Left), ("pipeline", Align::Left)];
    head.extend(has_revision.then_some(("commit", Align::Left)));
    head.extend(differing.iter().map(|name| (*name, Align::Right)));
    head.extend(has_headline.then_some(("figures", Align::Left)));
    if detailed {
        head.extend(["ran", "cached", "failed", "skipped"].map(|name| (name, Align::Right)));
    }
    head.push(("took", Align::Right));
    let mut table = Table::new(head);
    for row in rows {
        let style = match row.seconds {
            None if row.running == Some(true) => Style::new(),
            None => ODD,
            Some(_) if row.failed > 0 => BAD,
            Some(_) if row.ran > 0 => GOOD,
            Some(_) => Style::new(),
        };
        let count = |count: usize| {
            let style = if count == 0 { QUIET } else { Style::new() };
            Cell::styled(count.to_string(), style)
        };
        let mut cells = vec![
            Cell::styled(&row.run, style),
            match row.configuration.file.as_str() {
                "" => row.pipeline.clone(),
                _ => row.configuration.to_string(),
            }
            .into(),
        ];
        let revision = row.revision.as_ref().and_then(|commit| commit.get(..SHORT));
        cells.extend(has_revision.then(|| revision.unwrap_or_default().into()));
        let value = |name: &&str| row.params.get(*name).cloned().unwrap_or_default();
        cells.extend(differing.iter().map(|name| Cell::from(value(name))));
        cells.extend(has_headline.then(|| headline(row).into()));
        if detailed {
            cells.extend([row.ran, row.cached, row.failed, row.skipped].map(count));
        }
        let took = match (row.seconds, row.running) {
            (Some(took), _) => seconds(took),
            (None, Some(true)) => "running".into(),
            (None, Some(false)) => "did not end".into(),
            (None, None) => "did not end, or is running".into(),
        };
        cells.push(took.into());
        table.row(cells);
    }
    table
}

/// The params that are not the same in all runs of which they are known.
fn differing(rows: &[RunRow]) -> Vec<&str> {
    let mut values: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
    let known = || rows.iter().filter(|row| !row.params.is_empty());
    for name in known().flat_map(|row| row.params.keys()) {
        let all = known().map(|row| row.params.get(name).map(String::as_str));
        values.insert(name, all.collect());
    }
    let differ = values.into_iter().filter(|(_, values)| values.len() > 1);
    differ.map(|(name, _)| name).collect()
}

/// The first figures of what a run came to.
fn headline(row: &RunRow) -> String {
    let Some(headline) = &row.headline else {
        return String::new();
    };
    // Those that people look at first.
    let mut figures: Vec<(&String, &f64)> = headline.metrics.iter().collect();
    figures.sort_by_key(|(name, _)| match name.as_str() {
        "accuracy" => 0,
        "best_epoch" | "best_step" => 3,
        name if name.starts_with("validation_") => 1,
        _ => 2,
    });
    format!(
        "{}: {}",
        headline.stage,
        metrics(figures.into_iter().take(FIGURES))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::samples;
    use crate::journal::Headline;

    fn row(run: &str, seconds: Option<f64>, running: Option<bool>) -> RunRow {
        RunRow {
            run: run.into(),
            pipeline: "sentiment".into(),
            configuration: samples::configuration(),
            params: BTreeMap::new(),
            revision: None,
            headline: None,
            stages: 5,
            ran: 1,
            cached: 0,
            failed: 0,
            skipped: 0,
            seconds,
            running,
        }
    }

    #[test]
    fn a_run_without_an_end_is_under_way_or_was_killed() {
        let shown = |seconds, running| runs(&[row("20260601-101112", seconds, running)], 120);
        assert!(shown(Some(61.0), Some(false)).contains(" 1 m 01 s"));
        assert!(shown(None, Some(true)).contains("running"));
        assert!(shown(None, Some(false)).contains("did not end"));
        assert!(shown(None, None).contains("or is running"));
    }

    #[test]
    fn runs_are_told_apart_by_what_differs_and_by_what_they_came_to() {
        let tried = |run: &str, rate: &str, accuracy: f64| RunRow {
            params: [("epochs", "10"), ("learning_rate", rate)]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            revision: Some("28df0a9c".repeat(5)),
            headline: Some(Headline {
                stage: "test".into(),
                metrics: [("accuracy", accuracy), ("aaa", 1.0), ("f1", 0.5)]
                    .map(|(name, value)| (name.into(), value))
                    .into(),
            }),
            ..row(run, Some(2.0), Some(false))
        };
        let rows = [
            tried("20260601-101112", "0.001", 0.75),
            tried("20260601-101113", "0.003", 0.5),
            row("20260601-101114", None, Some(false)),
        ];
        let plain = |width| anstream::adapter::strip_str(&runs(&rows, width)).to_string();
        insta::assert_snapshot!(plain(200));
        insta::assert_snapshot!(plain(80));
    }
}
