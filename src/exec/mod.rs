//! A run: decides every stage as soon as its inputs are known, runs what is not cached, keeps going or stops.

mod decide;
mod job;
mod preview;
mod state;

use std::collections::BTreeMap;
use std::time::Instant;

pub use decide::{Decider, Decision};
use job::Failure;
pub use job::Surroundings;
pub use preview::{Forecast, Preview};
pub use state::{State, States};

use crate::error::{Error, Kind, Result};
use crate::event::{Event, Outcome};
use crate::fingerprint::{Fingerprint, Reason};
use crate::plan::{Edge, Node, Selection};
use crate::store::{Digest, Record};

/// How a run goes about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conduct {
    /// Run the named stages even if they are cached.
    pub force: bool,
    /// After a failure, go on with what does not depend on it.
    pub keep_going: bool,
}

/// What a run came to.
#[derive(Default)]
pub struct Summary {
    /// By stage index: the record and the fingerprint of each stage that has a result.
    pub results: Vec<Option<(Record, Fingerprint)>>,
    /// By stage index: how it ended, if it was part of the run.
    pub outcomes: Vec<Option<Outcome>>,
    /// What went wrong, in order: the stage (empty for the run itself) and the error.
    pub errors: Vec<(String, Error)>,
}

impl Summary {
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
    decider: &'a Decider<'a>,
    around: &'a Surroundings<'a>,
    selection: &'a Selection,
    conduct: Conduct,
    states: States,
    summary: Summary,
}

/// How a stage ended, for its last event.
struct End {
    outcome: Outcome,
    key: String,
    reason: String,
    metrics: BTreeMap<String, f64>,
}

impl<'a> Run<'a> {
    /// A run of the stages in `selection`.
    #[must_use]
    pub fn new(
        decider: &'a Decider<'a>,
        around: &'a Surroundings<'a>,
        selection: &'a Selection,
        conduct: Conduct,
    ) -> Self {
        let nodes = &decider.plan.nodes;
        let needs = |node: &Node| {
            let from: std::collections::BTreeSet<usize> =
                node.inputs.iter().map(|edge| edge.from).collect();
            from.into_iter().collect()
        };
        let states = States::new(nodes.iter().map(needs).collect(), &selection.included);
        let summary = Summary {
            results: vec![None; nodes.len()],
            outcomes: vec![None; nodes.len()],
            errors: Vec::new(),
        };
        Self {
            decider,
            around,
            selection,
            conduct,
            states,
            summary,
        }
    }

    /// Brings every selected stage up to date, or says why not.
    ///
    /// # Errors
    /// What keeps the run from beginning: with `--single`, inputs that are not in the cache. What goes wrong in stages
    /// is in the summary.
    pub fn go(mut self) -> Result<Summary> {
        self.take_for_granted()?;
        while let Some(index) = self.states.next_ready() {
            if (self.around.cancelled)() {
                self.summary
                    .errors
                    .push((String::new(), Error::new(Kind::Interrupted, "interrupted")));
                self.states.stop();
                break;
            }
            let started = Instant::now();
            self.states.set(index, State::Running);
            let end = self.bring_up_to_date(index);
            self.finish(index, started, end);
            if !self.summary.errors.is_empty() && !self.conduct.keep_going {
                self.states.stop();
            }
        }
        self.report_skipped();
        Ok(self.summary)
    }

    /// With `--single`, looks up the results of stages that are needed but not part of the run.
    fn take_for_granted(&mut self) -> Result<()> {
        let included = &self.selection.included;
        let wanted = self.decider.plan.with_needs(included);
        for index in (0..wanted.len()).filter(|index| wanted[*index] && !included[*index]) {
            let fingerprint = self.fingerprint(index)?;
            match self.decider.decide(index, &fingerprint, false)? {
                Decision::Cached(record) => {
                    self.summary.results[index] = Some((*record, fingerprint))
                }
                Decision::Run(_) => {
                    let name = &self.node(index).name;
                    return Err(Error::usage(format!(
                        "stage `{name}` is needed, but its result is not in the cache"
                    ))
                    .help("run without --single"));
                }
            }
        }
        Ok(())
    }

    /// Finds or makes the result of stage `index` and checks its gates.
    fn bring_up_to_date(&mut self, index: usize) -> End {
        let (outcome, key, reason) = match self.resolve(index) {
            Ok(resolved) => resolved,
            Err(error) => {
                let stopped = error.kind() == Kind::Interrupted;
                let outcome = if stopped {
                    Outcome::Cancelled
                } else {
                    Outcome::Failed
                };
                let reason = error.to_string();
                self.summary
                    .errors
                    .push((self.node(index).name.clone(), error));
                return End {
                    outcome,
                    key: String::new(),
                    reason,
                    metrics: BTreeMap::new(),
                };
            }
        };
        let metrics = self.summary.results[index]
            .as_ref()
            .map(|(record, _)| record.metrics.clone())
            .unwrap_or_default();
        let Some(gate) = self
            .node(index)
            .stage
            .gates()
            .iter()
            .find(|gate| !gate.passes(&metrics))
        else {
            return End {
                outcome,
                key,
                reason,
                metrics,
            };
        };
        let error = gate.failure(&metrics);
        let reason = error.message().to_string();
        self.summary
            .errors
            .push((self.node(index).name.clone(), error));
        End {
            outcome: Outcome::Failed,
            key,
            reason,
            metrics,
        }
    }

    /// Finds or makes the result of stage `index`: how, its key, and why it ran.
    fn resolve(&mut self, index: usize) -> Result<(Outcome, String, String)> {
        let fingerprint = self.fingerprint(index)?;
        let key = Digest::from(fingerprint.digest()).to_string();
        let forced = self.conduct.force && self.selection.named[index];
        let (outcome, record, reason) = match self.decider.decide(index, &fingerprint, forced)? {
            Decision::Cached(record) => (Outcome::Cached, *record, String::new()),
            Decision::Run(reasons) => {
                let (stage, reason) = (self.node(index).name.clone(), in_words(&reasons));
                self.around.events.send(&Event::StageStarted {
                    stage,
                    reason: reason.clone(),
                });
                (Outcome::Ran, self.make(index, &fingerprint)?, reason)
            }
        };
        self.summary.results[index] = Some((record, fingerprint));
        Ok((outcome, key, reason))
    }

    /// Runs stage `index`; when an input turns out damaged, first what makes that input.
    fn make(&mut self, index: usize, fingerprint: &Fingerprint) -> Result<Record> {
        // Each round repairs one input, so a stage is tried at most once more than it has inputs.
        for _ in 0..=self.node(index).inputs.len() {
            let inputs = self
                .node(index)
                .inputs
                .iter()
                .map(|edge| (edge.port.clone(), self.digest(edge)))
                .collect();
            match job::run(self.node(index), &inputs, fingerprint, self.around) {
                Ok(record) => return Ok(record),
                Err(Failure::Failed(error)) => return Err(error),
                Err(Failure::DamagedInput(port)) => self.repair(index, &port)?,
            }
        }
        Err(
            Error::stage("an input is damaged again after it was made anew")
                .help("check the disk that holds the cache"),
        )
    }

    /// Makes the input at `port` of stage `index` again.
    fn repair(&mut self, index: usize, port: &str) -> Result<()> {
        let Some(from) = self
            .node(index)
            .inputs
            .iter()
            .find(|edge| edge.port == port)
            .map(|edge| edge.from)
        else {
            return Ok(());
        };
        let name = self.node(from).name.clone();
        let text = "its result is damaged in the cache and is made again".into();
        self.around.events.send(&Event::Notice {
            stage: Some(name),
            text,
        });
        let fingerprint = self.fingerprint(from)?;
        let record = self.make(from, &fingerprint)?;
        self.summary.results[from] = Some((record, fingerprint));
        Ok(())
    }

    fn fingerprint(&self, index: usize) -> Result<Fingerprint> {
        self.decider.fingerprint(index, |edge| self.digest(edge))
    }

    /// What comes in along `edge`; its stage has a result.
    fn digest(&self, edge: &Edge) -> Digest {
        let result = self.summary.results[edge.from].as_ref();
        result
            .and_then(|(record, _)| record.outputs.get(&edge.output))
            .copied()
            .unwrap_or(Digest::from([0; 32]))
    }

    fn node(&self, index: usize) -> &'a Node {
        &self.decider.plan.nodes[index]
    }

    fn finish(&mut self, index: usize, started: Instant, end: End) {
        let next = match end.outcome {
            Outcome::Ran | Outcome::Cached => State::Done,
            Outcome::Failed => State::Failed,
            Outcome::Skipped | Outcome::Cancelled => State::Skipped,
        };
        if self.states.get(index) != next {
            self.states.set(index, next);
        }
        self.summary.outcomes[index] = Some(end.outcome);
        self.around.events.send(&Event::StageFinished {
            stage: self.node(index).name.clone(),
            outcome: end.outcome,
            seconds: started.elapsed().as_secs_f64(),
            key: end.key,
            reason: end.reason,
            metrics: end.metrics,
        });
    }

    fn report_skipped(&mut self) {
        for index in 0..self.decider.plan.nodes.len() {
            if self.states.get(index) == State::Skipped && self.summary.outcomes[index].is_none() {
                let reason = match self.states.blamed(index) {
                    Some(need) => format!("`{}` did not end well", self.node(need).name),
                    None => "the run stopped".into(),
                };
                let end = End {
                    outcome: Outcome::Skipped,
                    key: String::new(),
                    reason,
                    metrics: BTreeMap::new(),
                };
                self.finish(index, Instant::now(), end);
            }
        }
    }
}

/// Reasons on one line.
#[must_use]
pub fn in_words(reasons: &[Reason]) -> String {
    reasons
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
