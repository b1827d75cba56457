//! A command from its start to its end: what it writes is passed on, and nothing that it has started outlives it.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use super::StageContext;
use super::output::{Heard, Lines};
use crate::error::{Context, Error, Result};
use crate::processes;

/// How often a running command looks whether it should stop.
const TICK: Duration = Duration::from_millis(50);

/// How long a command that is asked to stop may take.
const GRACE: Duration = Duration::from_secs(2);

/// How long after a command's end what it has started may take to end, when it is killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// A command that is to stop.
struct Stopping {
    why: Error,
    /// When it is killed.
    kill_at: Instant,
}

/// Passes the command's output on line by line until it has ended with all that it started, by itself or because it was
/// asked to.
///
/// # Errors
/// [`Kind::Interrupted`](crate::error::Kind::Interrupted) if it was asked to stop.
pub(super) fn supervise(
    mut child: Child,
    mut lines: Lines,
    cx: &StageContext<'_>,
) -> Result<ExitStatus> {
    cx.spawned(child.id());
    let mut stopping: Option<Stopping> = None;
    let mut look_at = Instant::now() + TICK;
    let mut pause = Duration::from_micros(50);
    let status = loop {
        let heard = lines.next(look_at);
        if stopping.is_none()
            && let Err(why) = cx.check_cancelled()
        {
            processes::ask_group_to_end(&mut child);
            let kill_at = Instant::now() + GRACE;
            stopping = Some(Stopping { why, kill_at });
        }
        if let Heard::Line(line) = heard {
            cx.log(line);
            if Instant::now() < look_at {
                continue;
            }
        } else if let Heard::End = heard {
            // Most often it has ended as well, or will at once.
            std::thread::sleep(pause);
            pause = TICK.min(pause * 2);
        }
        if let Some(stopping) = &stopping
            && Instant::now() >= stopping.kill_at
        {
            processes::kill_group(&mut child);
        }
        let ended = processes::ended_with_group(&mut child);
        if let Some(status) = ended.or_stage(|| "cannot wait for the command")? {
            break status;
        }
        look_at = Instant::now() + TICK;
    };
    processes::end_children(PATIENCE);
    lines.finish();
    let end = Instant::now();
    while let Heard::Line(line) = lines.next(end) {
        cx.log(line);
    }
    stopping.map_or(Ok(status), |stopping| Err(stopping.why))
}
