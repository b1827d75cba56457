//! Stages in processes of their own: a crash, a kill for lack of memory, a time-out or Ctrl-C ends one stage.
//!
//! A worker leads a process group, so that it is ended together with every program that it started. Its standard input
//! stays open while the runner lives: when it closes, the worker knows that it is alone and stops.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::job::{Failure, Runner, Surroundings, Task};
use super::protocol::{Message, Order};
use crate::config::Sources;
use crate::error::{Context, Error, Kind, Result};
use crate::event::Event;
use crate::store::Record;

/// How long a worker has to stop by itself before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// How long a worker without work has to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a running stage looks whether it should stop.
const TICK: Duration = Duration::from_millis(50);

/// Runs every stage in a worker.
pub struct Workers {
    program: PathBuf,
    /// Workers that wait for another light stage.
    idle: Mutex<Vec<Worker>>,
}

/// What comes from a worker: a line of its output, or of what it writes to standard error.
enum Line {
    Message(Message),
    Text(String),
    Closed,
}

struct Worker {
    /// The files that came with its orders so far.
    sent: Sources,
    child: Child,
    /// None once it is to end.
    orders: Option<ChildStdin>,
    lines: Receiver<Line>,
}

impl Workers {
    /// Workers that are started as `program worker`.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            idle: Mutex::default(),
        }
    }

    fn take(&self, threads: usize) -> Result<Worker> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.map_or_else(|| Worker::start(&self.program, threads), Ok)
    }
}

impl Runner for Workers {
    fn run(&self, task: &Task<'_>, around: &Surroundings<'_>) -> Result<Record, Failure> {
        // A light stage does its work in a program of its own, so that nothing is left behind in the worker.
        let light = task.node.kind.is_light();
        let mut worker = if light {
            self.take(task.threads)?
        } else {
            Worker::start(&self.program, task.threads)?
        };
        let record = worker.work(task, around)?;
        if light {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(worker);
        }
        Ok(record)
    }
}

impl Worker {
    fn start(program: &PathBuf, threads: usize) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for variable in ["RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "OMP_NUM_THREADS"] {
            command.env(variable, threads.to_string());
        }
        // A training step frees its tensors and the next takes as much again: pages that went back to the system in
        // between cost a fifth of the processor's time.
        command.env("MIMALLOC_PURGE_DELAY", "-1");
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command
            .spawn()
            .or_stage(|| format!("cannot start the worker `{}`", program.display()))?;
        let broken = || Error::stage("the worker has no pipes");
        let orders = Some(child.stdin.take().ok_or_else(broken)?);
        let (output, errors) = child
            .stdout
            .take()
            .zip(child.stderr.take())
            .ok_or_else(broken)?;
        let (sender, lines) = channel();
        let texts = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output)
                .lines()
                .map_while(std::result::Result::ok)
            {
                let line = serde_json::from_str(&line).map_or(Line::Text(line), Line::Message);
                if sender.send(line).is_err() {
                    return;
                }
            }
            let _ = sender.send(Line::Closed);
        });
        std::thread::spawn(move || {
            for line in BufReader::new(errors)
                .lines()
                .map_while(std::result::Result::ok)
            {
                if texts.send(Line::Text(line)).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            sent: Sources::new(),
            child,
            orders,
            lines,
        })
    }

    /// Has the worker do `task`; passes its events on until it is done.
    fn work(&mut self, task: &Task<'_>, around: &Surroundings<'_>) -> Result<Record, Failure> {
        let order = Order::new(task, around, &mut self.sent);
        let mut line = serde_json::to_vec(&order).or_stage(|| "cannot write the worker's order")?;
        line.push(b'\n');
        // A worker that is gone is noticed below, with the reason why.
        if let Some(orders) = &mut self.orders {
            let _ = orders.write_all(&line).and_then(|()| orders.flush());
        }
        let stage = &task.node.name;
        let deadline = task.timeout.map(|timeout| Instant::now() + timeout);
        let mut stop_at: Option<Instant> = None;
        let mut why = None;
        loop {
            match self.lines.recv_timeout(TICK) {
                Ok(Line::Message(Message::Event(event))) => around.events.send(&event),
                Ok(Line::Message(Message::Done(record, usage))) => {
                    around.events.send(&Event::Used {
                        stage: stage.clone(),
                        cpu_seconds: usage.cpu_seconds,
                        peak_memory: usage.peak_memory,
                    });
                    return Ok(*record);
                }
                Ok(Line::Message(Message::Damaged(port))) => {
                    return Err(Failure::DamagedInput(port));
                }
                Ok(Line::Message(Message::Failed(error))) => {
                    return Err(Failure::Failed(why.unwrap_or_else(|| error.unpack())));
                }
                Ok(Line::Text(text)) => around.events.send(&Event::Log {
                    stage: stage.clone(),
                    text,
                }),
                Ok(Line::Closed) | Err(RecvTimeoutError::Disconnected) => {
                    let status = self
                        .child
                        .wait()
                        .or_stage(|| "cannot wait for the worker")?;
                    return Err(Failure::Failed(why.unwrap_or_else(|| died(stage, status))));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if why.is_none() {
                why = if around.wish.stop() || around.wish.is_outdated(stage) {
                    Some(Error::new(
                        Kind::Interrupted,
                        format!("stage `{stage}` was interrupted"),
                    ))
                } else if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    Some(timed_out(stage, task.timeout.unwrap_or_default()))
                } else {
                    None
                };
                if why.is_some() {
                    stop_at = Some(Instant::now() + GRACE);
                    signal(&self.child, false);
                }
            }
            if stop_at.is_some_and(|stop_at| Instant::now() >= stop_at) {
                signal(&self.child, true);
                stop_at = None;
            }
        }
    }
}

impl Drop for Workers {
    /// Lets those that wait clean up and end.
    fn drop(&mut self) {
        let idle = self.idle.get_mut().unwrap_or_else(PoisonError::into_inner);
        for worker in &mut *idle {
            worker.orders = None;
        }
        for worker in idle {
            worker.wait(PATIENCE);
        }
    }
}

impl Worker {
    /// Waits for its end, but not for longer than `patience`.
    fn wait(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for Worker {
    /// Ends the worker and whatever it started.
    fn drop(&mut self) {
        signal(&self.child, true);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn timed_out(stage: &str, timeout: Duration) -> Error {
    Error::stage(format!(
        "stage `{stage}` did not end within {} s",
        timeout.as_secs_f64()
    ))
    .help("raise its `timeout`, or find out from its log what it waited for")
}

/// The error for a worker that ended without a word.
fn died(stage: &str, status: ExitStatus) -> Error {
    let error = Error::stage(format!(
        "the worker of stage `{stage}` ended before its work: {status}"
    ));
    #[cfg(unix)]
    if std::os::unix::process::ExitStatusExt::signal(&status) == Some(9) {
        return error
            .note("something killed it; the system does so when memory runs out")
            .help("give the stage more memory: a smaller `batch_size` or `max_length`, fewer stages at once");
    }
    error.help("its last words are in the stage's log")
}

/// Asks the worker to stop, or kills its whole process group.
#[cfg(unix)]
fn signal(child: &Child, kill: bool) {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return;
    };
    let _ = if kill {
        kill_process_group(pid, Signal::KILL)
    } else {
        kill_process(pid, Signal::TERM)
    };
}

#[cfg(not(unix))]
fn signal(_: &Child, _: bool) {}
