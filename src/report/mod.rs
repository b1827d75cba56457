//! Events, errors and tables → text. The only module that prints.
//!
//! What happens goes to stderr, results go to stdout, so that a result can be piped while the user still sees what
//! happens. With `--format json` stdout holds the events and nothing else.

mod answers;
mod artifact;
pub mod diagnostic;
mod differences;
pub mod figures;
pub mod graph;
mod json;
mod line;
mod measured;
mod metrics;
mod plain;
mod pretty;
mod rates;
mod results;
mod runs;
mod screen;
mod sparkline;
pub mod table;
mod views;
mod visible;

use std::io::{ErrorKind, IsTerminal as _, Write as _};

pub use answers::answers;
pub use artifact::artifact;
pub use differences::{MetricChange, ParamChange, metric_changes, param_changes};
pub use graph::GraphNode;
pub use measured::measured;
pub use metrics::{MetricsRow, Standing, metrics, rank};
pub use runs::runs;
pub use sparkline::sparkline;
pub use views::{DeviceRow, ModelRow, PlanRow, StatusRow, devices, models, params, plan, status};

pub use self::visible::visible;
use self::visible::visible_styled;
use crate::error::{Context as _, Error, Result};
use crate::event::Sink;

/// How a run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people: progress bars and colours; plain when stderr is not a terminal.
    #[default]
    Pretty,
    /// For logs: a line for each thing worth one.
    Plain,
    /// For programs: each event as a line of JSON on stdout, and nothing else there.
    Json,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// On terminals, unless `NO_COLOR` is set or `TERM` is `dumb`; also where `CLICOLOR_FORCE` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Decides about colours for everything printed from now on.
pub fn set_colour(colour: Colour) {
    let choice = match colour {
        Colour::Auto => anstream::ColorChoice::Auto,
        Colour::Always => anstream::ColorChoice::Always,
        Colour::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// What shows the events of a run.
#[must_use]
pub fn reporter(format: Format) -> Box<dyn Sink> {
    match format {
        Format::Json => Box::new(json::Json::new(std::io::stdout())),
        Format::Pretty if is_live() => Box::new(pretty::Pretty::new()),
        Format::Pretty | Format::Plain => {
            Box::new(plain::Plain::new(anstream::stderr(), anstream::stdout()))
        }
    }
}

/// Prints a result, which is plain text. A reader that has gone away, such as a pager, is no error.
///
/// # Errors
/// What keeps it from being written whole, such as a full disk.
pub fn print(text: &str) -> Result<()> {
    print_styled(&visible(text))
}

/// Prints a result that `report` has drawn of texts that can be shown, or that a stage wrote: with its colours where there is a
/// terminal for them.
///
/// # Errors
/// As [`print`].
pub fn print_styled(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    let written = stdout
        .write_all(visible_styled(text).as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::stage("cannot write to standard output").because(&error))
        }
        _ => Ok(()),
    }
}

/// Prints a result for programs. Characters that a terminal would obey are escaped, as JSON can any.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).or_stage(|| "cannot write JSON")?;
    print(&format!("{text}\n"))
}

/// Prints an error.
pub fn print_error(error: &Error) {
    let look = diagnostic::Look {
        unicode: is_live(),
        styled: true,
        width: width(),
    };
    print_styled_status(&diagnostic::render(error, look));
}

/// Prints what is not a result: a warning, a word on what was done. It is plain text.
pub fn print_status(text: &str) {
    print_styled_status(&visible(text));
}

/// The same for what `report` or clap has drawn, with its colours.
pub fn print_styled_status(text: &str) {
    let _ = anstream::stderr()
        .lock()
        .write_all(visible_styled(text).as_bytes());
}

/// Whether stderr is a terminal that can move its cursor.
fn is_live() -> bool {
    let term = std::env::var_os("TERM");
    let moves = term.is_none_or(|term| term != "dumb" && term != "linux");
    moves && std::io::stderr().is_terminal()
}

/// Whether somebody sees what is printed that is no result.
#[must_use]
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// `text` as it can be shown in one line.
#[must_use]
pub fn line(text: &str) -> String {
    visible(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// Columns of the terminal that results go to; 100 where they go elsewhere.
#[must_use]
pub fn width_of_output() -> usize {
    terminal_size::terminal_size_of(std::io::stdout())
        .map_or(100, |(width, _)| usize::from(width.0).max(40))
}

/// Columns of the terminal that results go to; none where they go elsewhere.
#[must_use]
pub fn room() -> Option<usize> {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map(|(width, _)| usize::from(width.0).max(40))
}

/// Columns of the terminal; 100 where there is none.
#[must_use]
pub fn width() -> usize {
    terminal_size::terminal_size_of(std::io::stderr())
        .map_or(100, |(width, _)| usize::from(width.0).max(40))
}
