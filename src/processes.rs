//! Programs that refire starts, and what they start in turn: nothing of it is left when they have ended.
//!
//! On Unix a program leads a process group, which is ended as a whole. On Linux a process may also adopt what its programs
//! leave behind, whatever group or session it is in, and end that too.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// Lets the program of `command` lead a process group of its own.
pub fn lead_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Asks a program and its group to end, where there is a way to ask.
pub fn ask_group_to_end(child: &mut Child) {
    #[cfg(unix)]
    group::signal(child, rustix::process::Signal::TERM);
    #[cfg(not(unix))]
    kill_group(child);
}

/// Ends a program and its group by force. It is still to be waited for.
pub fn kill_group(child: &mut Child) {
    #[cfg(unix)]
    group::signal(child, rustix::process::Signal::KILL);
    // It has ended if this fails.
    let _ = child.kill();
}

/// How the program ended, if it has. What is left of its group is killed then.
///
/// # Errors
/// If it cannot be waited for.
pub fn ended_with_group(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    #[cfg(target_os = "linux")]
    children::bury(child.id());
    #[cfg(unix)]
    if !group::has_ended(child)? {
        return Ok(None);
    }
    #[cfg(unix)]
    group::signal(child, rustix::process::Signal::KILL);
    child.try_wait()
}

/// From now on this process becomes the parent of what its programs leave behind, so that
/// [`end_children`] ends it. For processes whose every child is theirs to end.
pub fn adopt() {
    #[cfg(target_os = "linux")]
    children::adopt();
}

/// Kills all children of this process, and their children, if it has [adopted](adopt) them. None may be left that
/// somebody still waits for. What the system does not let go within `patience` is left.
pub fn end_children(patience: Duration) {
    #[cfg(target_os = "linux")]
    children::end(patience);
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
}

#[cfg(unix)]
mod group {
    use std::io;
    use std::process::Child;

    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

    fn pid(child: &Child) -> Option<Pid> {
        Pid::from_raw(i32::try_from(child.id()).ok()?)
    }

    /// As long as the child is not waited for, its number is nobody else's.
    pub(super) fn signal(child: &Child, signal: Signal) {
        if let Some(group) = pid(child) {
            // There is nobody left in it if this fails.
            let _ = kill_process_group(group, signal);
        }
    }

    pub(super) fn has_ended(child: &Child) -> io::Result<bool> {
        let Some(pid) = pid(child) else {
            return Ok(true);
        };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(pid), look)?.is_some())
    }
}

#[cfg(target_os = "linux")]
mod children {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use rustix::io::Errno;
    use rustix::process::{
        Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, set_child_subreaper, waitid,
    };

    static ADOPTS: AtomicBool = AtomicBool::new(false);

    pub(super) fn adopt() {
        let adopts = set_child_subreaper(Some(getpid())).is_ok();
        ADOPTS.store(adopts, Ordering::Relaxed);
    }

    pub(super) fn end(patience: Duration) {
        if !ADOPTS.load(Ordering::Relaxed) {
            return;
        }
        let begin = Instant::now();
        loop {
            match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                // One that had ended is waited for now.
                Ok(Some(_)) | Err(Errno::INTR) => continue,
                Ok(None) => {}
                // There is none any more.
                Err(_) => return,
            }
            if begin.elapsed() > patience {
                return;
            }
            // Those of one that is killed become this process's, and are seen the next time.
            for child in here() {
                let _ = kill_process(child, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for those that have ended, except for `child`, for which somebody else waits.
    pub(super) fn bury(child: u32) {
        use nix::sys::wait::{Id, WaitPidFlag, waitid};
        if !ADOPTS.load(Ordering::Relaxed) {
            return;
        }
        let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        while let Ok(status) = waitid(Id::All, ended | WaitPidFlag::WNOWAIT)
            && let Some(pid) = status.pid()
            && u32::try_from(pid.as_raw()) != Ok(child)
        {
            let _ = waitid(Id::Pid(pid), ended);
        }
    }

    /// The children of this process that have not ended.
    fn here() -> impl Iterator<Item = Pid> {
        let parent = getpid().as_raw_nonzero().to_string();
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        processes.filter_map(move |process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
            // After the name in brackets, which may hold anything: state, parent.
            let (_, stat) = stat.rsplit_once(") ")?;
            let mut fields = stat.split(' ');
            let alive = fields.next()? != "Z";
            (alive && fields.next()? == parent).then(|| Pid::from_raw(pid))?
        })
    }
}
