//! Threads, which the system may refuse: by `ulimit -u`, or by the limit of a container.

use std::error::Error as _;
use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

use crate::error::{Error, Result};

/// Starts a thread.
///
/// # Errors
/// If the system refuses it.
pub fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    let thread = Builder::new().name(name.into());
    thread.spawn(work).map_err(|error| refused(&error))
}

/// The same for a thread that ends before `scope` does.
///
/// # Errors
/// If the system refuses it.
pub fn start_in<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 's,
) -> Result<ScopedJoinHandle<'s, T>> {
    let thread = Builder::new().name(name.into());
    let started = thread.spawn_scoped(scope, work);
    started.map_err(|error| refused(&error))
}

/// Starts the threads that work is spread over, unless they are there. Without it, the first work that is spread starts
/// them, and panics if the system refuses.
///
/// # Errors
/// If the system refuses them.
pub fn start_all() -> Result<()> {
    static STARTED: OnceLock<Result<()>> = OnceLock::new();
    let start = || {
        let started = rayon::ThreadPoolBuilder::new().build_global();
        match started {
            // Without a source, they are there already.
            Err(error) if error.source().is_some() => Err(refused(&error)),
            _ => Ok(()),
        }
    };
    STARTED.get_or_init(start).clone()
}

/// Checks that so many more threads can be started, for libraries that panic, or wait for ever, where they cannot.
///
/// # Errors
/// If the system refuses them.
pub fn require(count: usize) -> io::Result<()> {
    // They end when nobody is there to send them anything.
    let (senders, started): (Vec<_>, Vec<_>) = (0..count)
        .map(|_| {
            let (sender, receiver) = channel::<()>();
            let wait = move || receiver.recv().is_ok();
            (sender, Builder::new().stack_size(64 << 10).spawn(wait))
        })
        .unzip();
    drop(senders);
    let mut refused = None;
    for thread in started {
        match thread {
            Ok(thread) => drop(thread.join()),
            Err(error) => refused = Some(error),
        }
    }
    refused.map_or(Ok(()), Err)
}

/// The error for a thread or a process that the system does not let us have.
#[must_use]
pub fn refused(error: &dyn std::error::Error) -> Error {
    Error::stage("the system allows no more threads")
        .because(error)
        .help(MORE)
}

/// Whether `error`, of starting a program, says that the system allows no more.
#[must_use]
pub fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// What to do about it.
pub const MORE: &str =
    "end other programs, or raise the limit of processes: `ulimit -u`, or that of the container";
