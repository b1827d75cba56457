//! A run: decides every stage as soon as its inputs are known, runs what is not cached, keeps going or stops.

mod cancellation;
mod decide;
mod job;
#[cfg(target_os = "linux")]
mod keeper;
mod machine;
mod preview;
mod protocol;
mod queue;
mod serve;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod thread_pool;
mod worker;
mod workers;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::Scope;
use std::time::Instant;

pub use cancellation::Cancellation;
pub use decide::{Decider, Decision, Last, Walked};
pub use job::{Failure, InProcess, Made, Runner, Surroundings, Task};
use machine::Pool;
pub use machine::{Machine, Share};
pub use preview::{Forecast, Preview};
use queue::{Queue, Queued};
pub use serve::serve;
use shared::Shared;
pub use state::{State, States};
use thread_pool::ThreadPool;
pub use workers::Workers;

use crate::error::{Error, Kind, Result};
use crate::event::{Event, Outcome};
use crate::fingerprint::Reason;
use crate::plan::{Node, Selection};
use crate::store::Digest;
pub use crate::store::Record;

/// How a run goes about it.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Run the named stages even if they are cached.
    pub force: bool,
    /// After a failure, go on with what does not depend on it.
    pub keep_going: bool,
    /// How many stages may run at once.
    pub jobs: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            force: false,
            keep_going: false,
            jobs: 1,
        }
    }
}

/// What a run came to.
#[derive(Default)]
pub struct Summary {
    /// By stage index: the record of each stage that has a result.
    pub results: Vec<Option<Box<Record>>>,
    /// By stage index: how it ended, if it was part of the run.
    pub outcomes: Vec<Option<Outcome>>,
    /// By stage index: whether it has a result that is not in the cache, because a file that it reads changed meanwhile.
    pub unkept: Vec<bool>,
    /// What went wrong, in order: the stage (empty for the run itself) and the error.
    pub errors: Vec<(String, Error)>,
}

impl Summary {
    /// The records that were made in this run.
    pub fn made(&self) -> impl Iterator<Item = &Record> {
        let results = self.results.iter().zip(&self.outcomes);
        results.filter_map(|(record, outcome)| {
            record
                .as_deref()
                .filter(|_| *outcome != Some(Outcome::Cached) && outcome.is_some())
        })
    }

    /// How many stages ended in one of `outcomes`.
    #[must_use]
    pub fn count(&self, outcomes: &[Outcome]) -> usize {
        self.outcomes
            .iter()
            .flatten()
            .filter(|outcome| outcomes.contains(outcome))
            .count()
    }
}

/// One run in progress.
pub struct Run<'a> {
    shared: Shared<'a>,
    selection: &'a Selection,
    options: RunOptions,
    states: States,
    pool: Pool,
    /// Stages that have to run and wait for room.
    queue: Queue,
    /// Keys in the making, and the stages that wait for the same key.
    making: BTreeMap<Digest, Vec<usize>>,
    started: BTreeMap<usize, Queued>,
    outcomes: Vec<Option<Outcome>>,
    /// By stage index: whether it has a result that is not in the cache.
    unkept: Vec<bool>,
    errors: Vec<(String, Error)>,
    interrupted: bool,
}

/// What a thread is asked to make: a stage, on its share of the machine.
type Order = (usize, Share);

/// What it sends when the stage has ended.
type Ended = (usize, Result<Made>);

impl<'a> Run<'a> {
    /// A run of the stages in `selection`.
    #[must_use]
    pub fn new(
        decider: &'a Decider<'a>,
        runner: &'a dyn Runner,
        around: Surroundings<'a>,
        selection: &'a Selection,
        options: RunOptions,
    ) -> Self {
        let nodes = &decider.plan.nodes;
        let needs = |node: &Node| -> Vec<usize> {
            let mut needs: Vec<usize> = node.inputs.iter().map(|edge| edge.from).collect();
            needs.sort_unstable();
            needs.dedup();
            needs
        };
        Self {
            shared: Shared::new(decider, runner, around),
            selection,
            options,
            states: States::new(nodes.iter().map(needs).collect(), &selection.included),
            pool: Pool::new(Machine::here(), options.jobs),
            queue: Queue::default(),
            making: BTreeMap::new(),
            started: BTreeMap::new(),
            outcomes: vec![None; nodes.len()],
            unkept: vec![false; nodes.len()],
            errors: Vec::new(),
            interrupted: false,
        }
    }

    /// Brings every selected stage up to date, or says why not.
    ///
    /// # Errors
    /// What keeps the run from beginning: with `--single`, inputs that are not in the cache. What goes wrong in stages
    /// is in the summary.
    pub fn go(mut self) -> Result<Summary> {
        self.shared.take_for_granted(&self.selection.included)?;
        let shared = self.shared.clone();
        std::thread::scope(|scope| {
            let (sender, ended) = channel::<Ended>();
            let refused = sender.clone();
            let mut threads = ThreadPool::new();
            let make = move |(index, share): Order| {
                let made = catch_unwind(AssertUnwindSafe(|| shared.make(index, &share)));
                let end = made.unwrap_or_else(|panic| Err(job::panicked(&*panic)));
                // The receiver lives until every stage has ended.
                let _ = sender.send((index, end));
            };
            loop {
                self.hand_out(scope, &mut threads, &make, &refused);
                if self.started.is_empty() {
                    break;
                }
                let Ok((index, end)) = ended.recv() else {
                    break;
                };
                self.take_back(index, &end);
            }
        });
        self.report_skipped();
        Ok(Summary {
            results: self.shared.into_results(),
            outcomes: self.outcomes,
            unkept: self.unkept,
            errors: self.errors,
        })
    }

    /// Decides stages that are ready; starts those that have to run while there is room.
    fn hand_out<'s>(
        &mut self,
        scope: &'s Scope<'s, '_>,
        threads: &mut ThreadPool<Order>,
        make: &(impl Fn(Order) + Clone + Send + 's),
        refused: &Sender<Ended>,
    ) {
        while let Some(index) = self.states.next_ready() {
            if self.is_stopping() {
                break;
            }
            self.states.set(index, State::Running);
            self.decide(index);
        }
        if self.is_stopping() {
            self.states.stop();
            for queued in self.queue.drain() {
                let waiting = self.making.remove(&queued.key).unwrap_or_default();
                for index in waiting.into_iter().chain([queued.index]) {
                    self.states.set(index, State::Skipped);
                }
            }
        }
        while let Some(queued) = self.next_to_start() {
            let index = queued.index;
            let limits = self.shared.node(index).limits;
            if let Some(text) = self.pool.lacks(&limits.resources) {
                self.shared.send(&Event::Notice {
                    stage: Some(self.name(index)),
                    text,
                });
            }
            let share = self.pool.take(index, limits.resources);
            self.shared.send(&Event::StageStarted {
                stage: self.name(index),
                key: queued.key.to_string(),
                reason: queued.reason.clone(),
            });
            let busy = self.started.len();
            let at = Instant::now();
            self.started.insert(index, Queued { at, ..queued });
            if let Err(error) = threads.give(scope, busy, (index, share), make) {
                // It is taken back as one that was begun.
                let _ = refused.send((index, Err(error)));
            }
        }
    }

    /// Whether nothing more may start.
    fn is_stopping(&mut self) -> bool {
        if !self.interrupted && self.shared.is_cancelled() {
            self.interrupted = true;
            self.errors
                .push((String::new(), Error::new(Kind::Interrupted, "interrupted")));
        }
        self.interrupted
            || self.shared.is_draining()
            || (!self.errors.is_empty() && !self.options.keep_going)
    }

    /// Decides stage `index`, whose inputs are known: it is done, or has to wait for room to run.
    fn decide(&mut self, index: usize) {
        let at = Instant::now();
        match self
            .shared
            .decide(index, self.options.force && self.selection.named[index])
        {
            Err(error) => self.fail(index, at, String::new(), error),
            Ok((Decision::Cached(record), _)) => {
                let key = record.key;
                self.shared.put(index, record);
                self.succeed(index, at, Outcome::Cached, key, String::new());
            }
            Ok((Decision::Run(reasons), fingerprint)) => {
                let key = Digest::from(fingerprint.digest());
                if let Some(waiting) = self.making.get_mut(&key) {
                    waiting.push(index);
                } else {
                    self.making.insert(key, Vec::new());
                    let queued = Queued {
                        index,
                        at,
                        key,
                        reason: in_words(&reasons),
                    };
                    let needs = self.shared.node(index).limits.resources;
                    self.queue.push(queued, needs, || self.shared.priorities());
                }
            }
        }
    }

    /// Takes the stage out of the queue that should start now.
    fn next_to_start(&mut self) -> Option<Queued> {
        if self.pool.is_full() {
            return None;
        }
        self.queue.pop(|needs| self.pool.fits(needs))
    }

    fn take_back(&mut self, index: usize, end: &Result<Made>) {
        let Some(queued) = self.started.remove(&index) else {
            return;
        };
        self.pool.give_back(index);
        match end {
            Ok(made) => {
                self.put(index, made.clone());
                self.succeed(index, queued.at, Outcome::Ran, queued.key, queued.reason);
            }
            Err(error) => self.fail(index, queued.at, queued.key.to_string(), error.clone()),
        }
        for follower in self.making.remove(&queued.key).unwrap_or_default() {
            self.follow(follower, queued.key, end);
        }
    }

    /// Gives a stage that waited for another one with the same key what that one came to.
    fn follow(&mut self, index: usize, key: Digest, end: &Result<Made>) {
        let at = Instant::now();
        match end {
            Ok(made) => {
                self.put(index, made.clone());
                self.succeed(index, at, Outcome::Cached, key, String::new());
            }
            Err(error) if error.kind() == Kind::Interrupted => {
                let text = format!("stage `{}` was interrupted", self.name(index));
                let error = Error::new(Kind::Interrupted, text);
                self.fail(index, at, key.to_string(), error);
            }
            Err(_) => {
                let text = "a stage with the same inputs and settings failed";
                self.fail(index, at, key.to_string(), Error::stage(text));
            }
        }
    }

    fn put(&mut self, index: usize, made: Made) {
        self.unkept[index] = !made.kept;
        self.shared.put(index, Box::new(made.record));
    }

    /// Stage `index` has a result; its gates decide whether it ended well.
    fn succeed(
        &mut self,
        index: usize,
        at: Instant,
        outcome: Outcome,
        key: Digest,
        reason: String,
    ) {
        let metrics = self.shared.metrics(index);
        let broken = self.shared.node(index).broken_gate(&metrics);
        let (outcome, reason) = match broken {
            None => (outcome, reason),
            Some(error) => {
                let reason = error.message().to_string();
                self.errors.push((self.name(index), error));
                (Outcome::Failed, reason)
            }
        };
        self.finish(index, at, outcome, key.to_string(), reason, metrics);
    }

    fn fail(&mut self, index: usize, at: Instant, key: String, error: Error) {
        let stopped = error.kind() == Kind::Interrupted;
        let outcome = if stopped {
            Outcome::Cancelled
        } else {
            Outcome::Failed
        };
        let reason = error.to_string();
        self.errors.push((self.name(index), error));
        self.finish(index, at, outcome, key, reason, BTreeMap::new());
    }

    fn finish(
        &mut self,
        index: usize,
        at: Instant,
        outcome: Outcome,
        key: String,
        reason: String,
        metrics: BTreeMap<String, f64>,
    ) {
        let next = match outcome {
            Outcome::Ran | Outcome::Cached => State::Done,
            Outcome::Failed => State::Failed,
            Outcome::Skipped | Outcome::Cancelled => State::Skipped,
        };
        if self.states.get(index) != next {
            self.states.set(index, next);
        }
        self.outcomes[index] = Some(outcome);
        let (stage, seconds) = (self.name(index), at.elapsed().as_secs_f64());
        self.shared.send(&Event::StageFinished {
            stage,
            outcome,
            seconds,
            key,
            reason,
            metrics,
        });
    }

    fn report_skipped(&mut self) {
        for index in 0..self.outcomes.len() {
            if self.states.get(index) == State::Skipped && self.outcomes[index].is_none() {
                let reason = match self.states.blamed(index) {
                    Some(need) => format!("`{}` did not end well", self.name(need)),
                    None => "the run stopped".into(),
                };
                self.finish(
                    index,
                    Instant::now(),
                    Outcome::Skipped,
                    String::new(),
                    reason,
                    BTreeMap::new(),
                );
            }
        }
    }

    fn name(&self, index: usize) -> String {
        self.shared.node(index).name.clone()
    }
}

/// Reasons on one line; those that instances of a matrix have in common are one.
#[must_use]
pub fn in_words(reasons: &[Reason]) -> String {
    let mut told: Vec<(String, Option<String>, usize)> = Vec::new();
    for reason in reasons {
        let several = reason.of_several();
        let same = told
            .iter_mut()
            .find(|(_, known, _)| several.is_some() && *known == several);
        match same {
            Some((_, _, count)) => *count += 1,
            None => told.push((reason.to_string(), several, 1)),
        }
    }
    let words = told.into_iter().map(|told| match told {
        (_, Some(several), count) if count > 1 => format!("{count} {several}"),
        (one, ..) => one,
    });
    words.collect::<Vec<_>>().join(", ")
}
