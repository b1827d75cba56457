//! The keeper of a worker: its parent, which does nothing but wait for its end, and then ends all that it has left behind.
//!
//! A worker that is killed cannot end what its stages have started, and neither can a runner that is killed with it. The
//! process that the runner starts therefore splits in two before it does anything else: the keeper, which is called so in
//! the list of processes, and the worker. The kernel gives the keeper what the worker leaves behind, and tells the worker
//! when its keeper is killed. Only if both are killed at the same moment can anything be left.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};
use rustix::process::DumpableBehavior;

use crate::error::{Context, Error, Result};
use crate::{processes, threads};

/// How long what a worker has left behind may take to end, when it is killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Splits this process in two, and returns in the worker; the keeper ends as that ends. A program on the library that has
/// other threads already is a worker without a keeper.
///
/// # Errors
/// If the system refuses.
pub(super) fn split() -> Result<()> {
    // Away from the terminal, whose Ctrl-C is for the runner alone. It fails for one that was started by hand.
    let _ = rustix::process::setsid();
    processes::adopt();
    if !is_alone() {
        return Ok(());
    }
    let cannot = || "cannot split the worker from its keeper";
    let keeper = getpid();
    let signals = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM]);
    let before = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let before = before.or_stage(cannot)?;
    #[expect(unsafe_code, reason = "no safe call makes a process without a program")]
    // SAFETY: There is no other thread, which could hold a lock that the child waits for.
    let forked = unsafe { fork() }.map_err(std::io::Error::from);
    let forked = forked.or_stage(cannot);
    let forked = forked.map_err(|error| error.help(threads::MORE))?;
    if let ForkResult::Parent { child } = forked {
        keep(child, &signals);
    }
    before.thread_set_mask().or_stage(cannot)?;
    // This is not inherited.
    processes::adopt();
    // It stops in order: its keeper may be all that was killed.
    let stop = Some(rustix::process::Signal::TERM);
    rustix::process::set_parent_process_death_signal(stop).or_stage(cannot)?;
    if getppid() != keeper {
        return Err(Error::stage("the worker's keeper was killed"));
    }
    Ok(())
}

/// Whether this process has no thread but this one.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// Waits for the end of `worker`, or for the signal that it is to be killed. Who reads from the worker sees its end with
/// that of this process, which has its pipes open too: when nothing is left.
fn keep(worker: Pid, signals: &SigSet) -> ! {
    // Who ends all that is called refire does not end it.
    let _ = rustix::thread::set_name(c"stage-keeper");
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == worker => {
                processes::end_children(PATIENCE);
                exit(code);
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == worker => {
                processes::end_children(PATIENCE);
                die(signal);
            }
            Ok(WaitStatus::StillAlive) => {
                let told = signals.wait();
                if told == Ok(Signal::SIGTERM) {
                    // Its end is heard of.
                    let _ = kill(worker, Signal::SIGKILL);
                }
            }
            // Whoever started refire has children waited for by the system, which does not tell how they ended.
            Err(Errno::ECHILD) => exit(1),
            _ => {}
        }
    }
}

#[expect(clippy::exit, reason = "there is nothing to return to")]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

/// Ends this process by `signal`.
fn die(signal: Signal) -> ! {
    // The core that is of use is the worker's.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = SigSet::from_iter([signal]).thread_unblock();
    let _ = raise(signal);
    exit(128 + signal as i32)
}
