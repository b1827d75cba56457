//! Ctrl-C: the first asks the run to stop, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Context as _, Kind, Result};
use crate::{report, threads};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Lets the process go on when its terminal is closed, which is no word of the user's. For what ends by itself; to be called before
/// there is a second thread.
pub(super) fn outlive_terminal() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        let mut hangup = SigSet::empty();
        hangup.add(Signal::SIGHUP);
        // Programs that are started begin with a mask of their own.
        let _ = hangup.thread_block();
    }
}

/// Takes Ctrl-C (and SIGTERM, and SIGHUP where the terminal is not outlived) from now on.
///
/// # Errors
/// If the system refuses the handler.
pub(super) fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::Relaxed) {
            exit();
        }
        report::print_status(
            "\nstopping; what is finished is kept. Press Ctrl-C again to stop at once\n",
        );
    })
    .or_stage(|| "cannot listen to Ctrl-C")
    .map_err(|error| error.help(threads::MORE))
}

/// Whether the user asked to stop.
pub(super) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

#[expect(
    clippy::exit,
    reason = "the user asked twice: nothing more may be waited for"
)]
fn exit() {
    std::process::exit(i32::from(Kind::Interrupted.exit_code()));
}
