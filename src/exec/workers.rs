//! Stages in processes of their own: a crash, a kill for lack of memory, a time-out or Ctrl-C ends one stage.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::job::{Failure, Made, Runner, Surroundings, Task};
use super::machine::Share;
use super::protocol::{Message, Order, Usage};
use super::worker::{Line, Worker};
use crate::error::{Error, Kind, Result};
use crate::event::Event;

/// How long a worker has to stop by itself before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// How long a worker that has closed its output has to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a worker without work has to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a running stage looks whether it should stop.
const TICK: Duration = Duration::from_millis(50);

/// How long what a worker wrote to standard error before its last message may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// Longer stages end the worker that they ran in: the memory that it has used at most is then theirs.
const SHORT: Duration = Duration::from_secs(1);

/// Runs every stage in a worker.
pub struct Workers {
    program: PathBuf,
    /// Workers that wait for another light stage.
    idle: Mutex<Vec<Worker>>,
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

    /// A worker with this `share` of the machine that waits, or a new one.
    fn take(&self, share: &Share) -> Result<Worker> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(place) = idle.iter().position(|worker| worker.share() == share) {
            let mut worker = idle.swap_remove(place);
            if worker.is_alive() {
                return Ok(worker);
            }
        }
        drop(idle);
        Worker::start(&self.program, share)
    }
}

impl Runner for Workers {
    fn run(&self, task: &Task<'_>, around: &Surroundings<'_>) -> Result<Made, Failure> {
        // A light stage does its work in a program of its own, so that nothing is left behind in the worker.
        let light = task.node.kind.is_light();
        let mut worker = if light {
            self.take(&task.share)?
        } else {
            Worker::start(&self.program, &task.share)?
        };
        let started = Instant::now();
        let made = Supervision::new(task, around).work(&mut worker)?;
        if light && !worker.is_stopping() && started.elapsed() < SHORT {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(worker);
        }
        Ok(made)
    }
}

impl Drop for Workers {
    /// Lets those that wait clean up and end.
    fn drop(&mut self) {
        let idle = self.idle.get_mut().unwrap_or_else(PoisonError::into_inner);
        for worker in &mut *idle {
            worker.dismiss();
        }
        for worker in idle {
            worker.wait(PATIENCE);
        }
    }
}

/// A stage while a worker is at it.
struct Supervision<'a> {
    task: &'a Task<'a>,
    around: &'a Surroundings<'a>,
    deadline: Option<Instant>,
    /// Why it is to stop, once it is.
    why: Option<Error>,
    /// When the worker is killed, once it was asked to stop or has closed its output.
    kill_at: Option<Instant>,
    /// Whether it has closed its output.
    closed: bool,
}

impl<'a> Supervision<'a> {
    fn new(task: &'a Task<'a>, around: &'a Surroundings<'a>) -> Self {
        Self {
            task,
            around,
            // Beyond what a clock shows, there is none.
            deadline: task
                .timeout
                .and_then(|timeout| Instant::now().checked_add(timeout)),
            why: None,
            kill_at: None,
            closed: false,
        }
    }

    /// Has `worker` do the task; passes its events on until it is done.
    fn work(mut self, worker: &mut Worker) -> Result<Made, Failure> {
        let (task, around) = (self.task, self.around);
        worker.order(|sent| Order::new(task, around, sent))?;
        loop {
            match worker.hear(TICK) {
                Some(Line::Message(message)) => {
                    if let Some(end) = self.take(worker, message) {
                        return end;
                    }
                }
                Some(Line::Text(text)) => self.log(text),
                Some(Line::Closed) => {
                    self.closed = true;
                    self.kill_by(FAREWELL);
                }
                None if self.closed => {
                    if let Some(status) = worker.end(TICK)? {
                        worker.kill();
                        return Err(Failure::Failed(self.why_it_ended(status)));
                    }
                }
                // What is left of it stops by itself, and is killed if it does not.
                None if !worker.is_alive() => self.kill_by(GRACE),
                None => {}
            }
            self.stop_if_due(worker);
        }
    }

    /// What a message means; some if it is the last one.
    fn take(&mut self, worker: &mut Worker, message: Message) -> Option<Result<Made, Failure>> {
        let end = match message {
            Message::Event(event) => {
                self.around.events.send(&event);
                return None;
            }
            Message::Spawned(group) => {
                worker.leads(Some(group));
                return None;
            }
            Message::Done(record, kept, usage) => {
                self.used(usage);
                let record = *record;
                Ok(Made { record, kept })
            }
            Message::Damaged(port) => Err(Failure::DamagedInput(port)),
            Message::Failed(error, usage) => {
                self.used(usage);
                let why = self.why.take().or_else(|| self.why_it_stopped(worker));
                Err(Failure::Failed(why.unwrap_or_else(|| error.unpack())))
            }
        };
        worker.leads(None);
        // What it wrote last may be about why it failed.
        let patience = if end.is_ok() {
            Duration::ZERO
        } else {
            LAST_WORDS
        };
        while let Some(Line::Text(text)) = worker.hear(patience) {
            self.log(text);
        }
        Some(end)
    }

    /// Asks the worker to stop when the stage should, and kills it when it has not.
    fn stop_if_due(&mut self, worker: &mut Worker) {
        if self.why.is_none() {
            self.why = self.reason_to_stop();
            if self.why.is_some() {
                worker.ask_to_stop();
                self.kill_by(GRACE);
            }
        }
        if self
            .kill_at
            .is_some_and(|kill_at| Instant::now() >= kill_at)
        {
            worker.kill();
            self.kill_at = None;
        }
    }

    fn kill_by(&mut self, patience: Duration) {
        let kill_at = Instant::now() + patience;
        self.kill_at = Some(self.kill_at.map_or(kill_at, |known| known.min(kill_at)));
    }

    fn reason_to_stop(&self) -> Option<Error> {
        let (stage, cancellation) = (&self.task.node.name, self.around.cancellation);
        if cancellation.stop() || cancellation.is_outdated(stage) {
            let text = format!("stage `{stage}` was interrupted");
            return Some(Error::new(Kind::Interrupted, text));
        }
        let late = self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline);
        late.then(|| timed_out(stage, self.task.timeout.unwrap_or_default()))
    }

    /// Why it has stopped by itself, if it has: its keeper was killed.
    fn why_it_stopped(&self, worker: &mut Worker) -> Option<Error> {
        let status = worker.end(Duration::ZERO).ok().flatten()?;
        // One that ends by itself has said why.
        status
            .code()
            .is_none()
            .then(|| died(&self.task.node.name, status))
    }

    fn why_it_ended(&mut self, status: ExitStatus) -> Error {
        let why = self.why.take();
        why.unwrap_or_else(|| died(&self.task.node.name, status))
    }

    fn log(&self, text: String) {
        let stage = self.task.node.name.clone();
        self.around.events.send(&Event::Log { stage, text });
    }

    fn used(&self, usage: Usage) {
        self.around.events.send(&Event::Used {
            stage: self.task.node.name.clone(),
            cpu_seconds: usage.cpu_seconds,
            peak_memory: usage.peak_memory,
        });
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
