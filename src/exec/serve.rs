//! The other end of a worker: reads orders, runs stages, says what happens. Ends when its runner does.

use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::job::{Failure, InProcess, Runner, Surroundings};
use super::protocol::{Message, Order, Usage};
use crate::config::{Sources, WireError};
use crate::error::{Context, Result};
use crate::event::{Event, Sink};
use crate::store::Store;

/// At most one step of progress in this time is passed on.
const PROGRESS: Duration = Duration::from_millis(50);

/// Works off orders from standard input until it closes. `stop` is set when the runner asks to stop, or is gone.
///
/// # Errors
/// Orders that cannot be read.
pub fn serve(stop: &Arc<AtomicBool>) -> Result<()> {
    super::pages::for_worker();
    let (sender, orders) = channel::<String>();
    let alone = Arc::clone(stop);
    std::thread::spawn(move || {
        for line in std::io::stdin()
            .lock()
            .lines()
            .map_while(std::result::Result::ok)
        {
            if sender.send(line).is_err() {
                return;
            }
        }
        alone.store(true, Ordering::Relaxed);
        drop(sender);
        end_what_does_not_stop();
    });
    let output = Output {
        last_progress: Mutex::new(None),
    };
    let mut known = Known::default();
    for line in orders {
        let order: Order = serde_json::from_str(&line).or_stage(|| "cannot read the order")?;
        let message = match obey(&order, &mut known, &output, stop) {
            Ok(message) => message,
            Err(Failure::DamagedInput(port)) => Message::Damaged(port),
            Err(Failure::Failed(error)) => Message::Failed(Box::new(WireError::pack(&error))),
        };
        Output::say(&message);
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
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
    let store = known.store(order)?;
    let cancelled = || stop.load(Ordering::Relaxed);
    let around = Surroundings {
        store,
        events: output,
        wish: &cancelled,
        device: &order.device,
        offline: order.offline,
    };
    let before = usage();
    let record = InProcess.run(&order.task(&node), &around)?;
    // What is not written down is hashed again.
    let _ = store.save();
    for text in store.take_notices() {
        output.send(&Event::Notice {
            stage: Some(node.name.clone()),
            text,
        });
    }
    let after = usage();
    let used = Usage {
        cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        peak_memory: after.peak_memory,
    };
    Ok(Message::Done(Box::new(record), used))
}

/// The runner is gone. What does not stop by itself is killed, the worker with it.
fn end_what_does_not_stop() {
    std::thread::sleep(Duration::from_secs(3));
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

/// Standard output, where every line is a message.
struct Output {
    last_progress: Mutex<Option<Instant>>,
}

impl Output {
    fn say(message: &Message) {
        let Ok(mut line) = serde_json::to_vec(message) else {
            return;
        };
        line.push(b'\n');
        let mut output = std::io::stdout().lock();
        // When nobody listens any more, standard input closes as well.
        let _ = output.write_all(&line).and_then(|()| output.flush());
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
            Self::say(&Message::Event(event.clone()));
        }
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
        total.peak_memory = total
            .peak_memory
            .max(u64::try_from(used.max_rss()).unwrap_or(0) * unit);
    }
    total
}

#[cfg(not(unix))]
fn usage() -> Usage {
    Usage::default()
}
