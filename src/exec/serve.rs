//! The other end of a worker: reads orders, runs stages, says what happens. Ends when its runner does.

use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::job::{Failure, InProcess, Runner, Surroundings};
use super::protocol::{Message, Order, Request, Usage};
use crate::config::{Sources, WireError};
use crate::error::{Context, Error, Result};
use crate::event::{Event, Sink};
use crate::store::Store;
use crate::{processes, threads};

/// At most one step of progress in this time is passed on.
const PROGRESS: Duration = Duration::from_millis(50);

/// How long what a stage has left behind may take to end, when it is killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Works off orders from standard input until it closes, in a process that has no other thread yet. `listen` has its
/// argument set when the system asks this process to stop.
///
/// # Errors
/// Orders that cannot be read, and a system that refuses what a worker needs.
pub fn serve(listen: impl FnOnce(Arc<AtomicBool>) -> Result<()>) -> Result<()> {
    let output = Output::take()?;
    let begun = begin(listen);
    // Who waits for a stage is to know why there will be none.
    let (stop, orders) = begun.inspect_err(|error| output.say(&failed(error, Usage::default())))?;
    let mut known = Known::default();
    for order in orders {
        let order = order?;
        let message = match obey(&order, &mut known, &output, &stop) {
            Ok(message) => message,
            Err(Failure::DamagedInput(port)) => Message::Damaged(port),
            Err(Failure::Failed(error)) => failed(&error, Usage::default()),
        };
        processes::end_children(PATIENCE);
        output.say(&message);
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

/// Becomes a worker: the flag that says that it is to stop, and the stages that are ordered.
fn begin(
    listen: impl FnOnce(Arc<AtomicBool>) -> Result<()>,
) -> Result<(Arc<AtomicBool>, Receiver<Result<Order>>)> {
    #[cfg(target_os = "linux")]
    super::keeper::split()?;
    // Away from the terminal, whose Ctrl-C is for the runner alone. It fails for one that was started by hand.
    #[cfg(all(unix, not(target_os = "linux")))]
    let _ = rustix::process::setsid();
    let stop = Arc::new(AtomicBool::new(false));
    listen(Arc::clone(&stop))?;
    let (sender, orders) = channel();
    let asked = Arc::clone(&stop);
    threads::start("orders", move || {
        take_requests(&sender, &asked);
        asked.store(true, Ordering::Relaxed);
        drop(sender);
        end_what_does_not_stop();
    })?;
    Ok((stop, orders))
}

/// Reads what the runner asks for, as long as it is there.
fn take_requests(orders: &Sender<Result<Order>>, stop: &AtomicBool) {
    let lines = std::io::stdin().lock().lines();
    for line in lines.map_while(std::result::Result::ok) {
        let order = match serde_json::from_str(&line).or_stage(|| "cannot read the order") {
            Ok(Request::Stop) => {
                stop.store(true, Ordering::Relaxed);
                continue;
            }
            Ok(Request::Run(order)) => Ok(*order),
            Err(error) => Err(error),
        };
        if orders.send(order).is_err() {
            return;
        }
    }
}

/// What stays from one order to the next.
#[derive(Default)]
struct Known {
    sources: Sources,
    store: Option<Store>,
}

impl Known {
    /// The cache that `order` names, opened once.
    fn store(&mut self, order: &Order) -> Result<&Store> {
        let opened = self
            .store
            .take()
            .filter(|store| store.root() == order.store);
        let store = opened.map_or_else(|| Store::open(&order.store), Ok)?;
        Ok(self.store.insert(store))
    }
}

fn obey(
    order: &Order,
    known: &mut Known,
    output: &Output,
    stop: &Arc<AtomicBool>,
) -> Result<Message, Failure> {
    let node = order.node(&mut known.sources)?;
    // A light stage spreads no work of its own.
    if !node.kind.is_light() {
        threads::start_all()?;
    }
    let store = known.store(order)?;
    let cancelled = || stop.load(Ordering::Relaxed);
    let around = Surroundings {
        store,
        events: output,
        cancellation: &cancelled,
        device: &order.device,
        offline: order.offline,
    };
    let before = usage();
    let made = InProcess.run(&order.task(&node), &around);
    let used = usage().since(before);
    // What is not written down is hashed again.
    let _ = store.save();
    for text in store.take_notices() {
        output.send(&Event::Notice {
            stage: Some(node.name.clone()),
            text,
        });
    }
    match made {
        Ok(made) => Ok(Message::Done(Box::new(made.record), made.kept, used)),
        Err(Failure::Failed(error)) => Ok(failed(&error, used)),
        Err(damaged) => Err(damaged),
    }
}

fn failed(error: &Error, used: Usage) -> Message {
    Message::Failed(Box::new(WireError::pack(error)), used)
}

/// The runner is gone. What does not stop by itself is killed, the worker with it.
fn end_what_does_not_stop() {
    std::thread::sleep(Duration::from_secs(3));
    processes::end_children(PATIENCE);
    #[cfg(unix)]
    {
        use rustix::process::{Signal, getpgrp, getpid, kill_process_group};
        // Only a group of our own: a worker that was started by hand shares its shell's.
        if getpgrp() == getpid() {
            let _ = kill_process_group(getpid(), Signal::KILL);
        }
    }
    std::process::abort();
}

/// Where every line is a message.
struct Output {
    to: Mutex<std::fs::File>,
    last_progress: Mutex<Option<Instant>>,
}

impl Output {
    /// Takes standard output for messages alone: what a library writes there goes to standard error from now on.
    #[cfg(unix)]
    fn take() -> Result<Self> {
        use std::os::fd::AsFd;
        let cannot = || "cannot use the worker's standard output";
        let to = std::io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .or_stage(cannot)?;
        nix::unistd::dup2_stdout(std::io::stderr())
            .map_err(std::io::Error::from)
            .or_stage(cannot)?;
        Ok(Self::to(to.into()))
    }

    #[cfg(not(unix))]
    fn take() -> Result<Self> {
        use std::os::windows::io::AsHandle;
        let to = std::io::stdout().as_handle().try_clone_to_owned();
        let to = to.or_stage(|| "cannot use the worker's standard output")?;
        Ok(Self::to(to.into()))
    }

    fn to(to: std::fs::File) -> Self {
        Self {
            to: Mutex::new(to),
            last_progress: Mutex::new(None),
        }
    }

    fn say(&self, message: &Message) {
        let Ok(mut line) = serde_json::to_vec(message) else {
            return;
        };
        line.push(b'\n');
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        // When nobody listens any more, standard input closes as well.
        let _ = to.write_all(&line);
    }

    /// Whether a step of progress comes so soon after the last one that nobody would see it.
    fn is_too_soon(&self, event: &Event) -> bool {
        let Event::Progress { done, total, .. } = event else {
            return false;
        };
        let mut last = self
            .last_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if done < total && last.is_some_and(|last| last.elapsed() < PROGRESS) {
            return true;
        }
        *last = Some(Instant::now());
        false
    }
}

impl Sink for Output {
    fn send(&self, event: &Event) {
        if !self.is_too_soon(event) {
            self.say(&Message::Event(event.clone()));
        }
    }

    fn spawned(&self, group: u32) {
        self.say(&Message::Spawned(group));
    }
}

/// What this process and the programs that it waited for have used so far.
#[cfg(unix)]
fn usage() -> Usage {
    use nix::sys::resource::{UsageWho, getrusage};
    let mut total = Usage::default();
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let Ok(used) = getrusage(who) else { continue };
        for time in [used.user_time(), used.system_time()] {
            #[expect(clippy::cast_precision_loss, reason = "seconds, to the microsecond")]
            let seconds = time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
            total.cpu_seconds += seconds;
        }
        // Kibibytes, except on macOS, where it is bytes.
        let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
        let peak = u64::try_from(used.max_rss()).unwrap_or(0) * unit;
        total.peak_memory = total.peak_memory.max(Some(peak));
    }
    total
}

#[cfg(not(unix))]
fn usage() -> Usage {
    Usage::default()
}

impl Usage {
    /// What was used after `before`. The system only tells the most memory so far, so that of a stage is not known if an
    /// earlier one in the same worker has taken as much.
    fn since(self, before: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            peak_memory: self
                .peak_memory
                .filter(|_| self.peak_memory > before.peak_memory),
        }
    }
}
