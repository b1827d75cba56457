//! What the threads of a run share: the results so far, and how a stage is decided and made from them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::decide::{Decider, Decision};
use super::job::{Failure, Made, Runner, Surroundings, Task};
use super::machine::Share;
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::fingerprint::Fingerprint;
use crate::plan::{Edge, Node};
use crate::store::{Digest, Record};

/// By stage index: the record of each stage that has a result.
type Results = Vec<Option<Box<Record>>>;

#[derive(Clone)]
pub(super) struct Shared<'a> {
    decider: &'a Decider<'a>,
    runner: &'a dyn Runner,
    around: Surroundings<'a>,
    results: Arc<Mutex<Results>>,
    /// Stage index → held while its result, found damaged, is made again: once, whoever needs it.
    repairs: Arc<Mutex<BTreeMap<usize, Arc<Mutex<()>>>>>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(
        decider: &'a Decider<'a>,
        runner: &'a dyn Runner,
        around: Surroundings<'a>,
    ) -> Self {
        let results = Arc::new(Mutex::new(vec![None; decider.plan.nodes.len()]));
        Self {
            decider,
            runner,
            around,
            results,
            repairs: Arc::default(),
        }
    }

    pub(super) fn node(&self, index: usize) -> &'a Node {
        &self.decider.plan.nodes[index]
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.around.cancellation.stop()
    }

    /// Whether what runs may end but nothing more is to start.
    pub(super) fn is_draining(&self) -> bool {
        self.around.cancellation.drain()
    }

    pub(super) fn send(&self, event: &Event) {
        self.around.events.send(event);
    }

    pub(super) fn put(&self, index: usize, record: Box<Record>) {
        self.results()[index] = Some(record);
    }

    pub(super) fn metrics(&self, index: usize) -> BTreeMap<String, f64> {
        self.results()[index]
            .as_ref()
            .map(|record| record.metrics.clone())
            .unwrap_or_default()
    }

    pub(super) fn into_results(self) -> Results {
        std::mem::take(&mut *self.results())
    }

    /// The verdict on stage `index`, whose inputs are known.
    pub(super) fn decide(&self, index: usize, forced: bool) -> Result<(Decision, Fingerprint)> {
        let fingerprint = self.fingerprint(index)?;
        Ok((
            self.decider.decide(index, &fingerprint, forced)?,
            fingerprint,
        ))
    }

    /// With `--single`, looks up the results of stages that are needed but not `included`.
    pub(super) fn take_for_granted(&self, included: &[bool]) -> Result<()> {
        let wanted = self.decider.plan.with_needs(included);
        for index in (0..wanted.len()).filter(|index| wanted[*index] && !included[*index]) {
            match self.decide(index, false)? {
                (Decision::Cached(record), _) => {
                    let node = self.node(index);
                    if let Some(error) = node.broken_gate(&record.metrics) {
                        let text =
                            format!("stage `{}` is needed, but {}", node.name, error.message());
                        return Err(error.with_message(text));
                    }
                    self.put(index, record);
                }
                (Decision::Run(_), _) => {
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

    /// By stage index: how long the stage and the longest chain of stages behind it took when they last ran.
    pub(super) fn priorities(&self) -> Vec<f64> {
        let nodes = &self.decider.plan.nodes;
        let mut behind = vec![0.0_f64; nodes.len()];
        for index in (0..nodes.len()).rev() {
            // What never ran counts as something, so that longer chains still come first.
            behind[index] += self
                .decider
                .last_seconds(&nodes[index].name)
                .ok()
                .flatten()
                .unwrap_or(1.0);
            for edge in &nodes[index].inputs {
                behind[edge.from] = behind[edge.from].max(behind[index]);
            }
        }
        behind
    }

    /// Runs stage `index` on its `share` of the machine, again after a failure if its settings say so.
    pub(super) fn make(&self, index: usize, share: &Share) -> Result<Made> {
        let node = self.node(index);
        self.around.store.run_is_under_way();
        let mut pause = Duration::from_secs(1);
        for left in (0..=node.limits.retries).rev() {
            match self.attempt(index, share) {
                Err(error) if left > 0 && error.kind() == Kind::Stage => {
                    let text = format!(
                        "{error}; tried again in {} s, {left} tries left",
                        pause.as_secs()
                    );
                    self.send(&Event::Notice {
                        stage: Some(node.name.clone()),
                        text,
                    });
                    self.send(&Event::Log {
                        stage: node.name.clone(),
                        text: "-- tried again --".into(),
                    });
                    self.sleep(pause);
                    if self.is_cancelled() || self.is_draining() {
                        return Err(error);
                    }
                    pause = pause.saturating_mul(2);
                }
                end => return end,
            }
        }
        unreachable!("the last attempt returns")
    }

    fn sleep(&self, pause: Duration) {
        let end = Instant::now() + pause;
        while Instant::now() < end && !self.is_cancelled() && !self.is_draining() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs stage `index` once; when an input turns out damaged, first what makes that input.
    fn attempt(&self, index: usize, share: &Share) -> Result<Made> {
        let node = self.node(index);
        // Each round repairs one input, so a stage is tried at most once more than it has inputs.
        for _ in 0..=node.inputs.len() {
            let fingerprint = self.fingerprint(index)?;
            let inputs = node
                .inputs
                .iter()
                .map(|edge| (edge.port.clone(), self.digest(edge)))
                .collect();
            let task = Task {
                node,
                inputs,
                fingerprint,
                share: share.clone(),
                timeout: node.limits.timeout,
                times: self.times(node),
            };
            match self.runner.run(&task, &self.around) {
                Ok(made) => return Ok(made),
                Err(Failure::Failed(error)) => return Err(error),
                Err(Failure::DamagedInput(port)) => self.repair(index, &port, share)?,
            }
        }
        Err(
            Error::stage("an input is damaged again after it was made anew")
                .help("check the disk that holds the cache"),
        )
    }

    /// Makes the input at `port` of stage `index` again.
    fn repair(&self, index: usize, port: &str, share: &Share) -> Result<()> {
        let Some(edge) = self
            .node(index)
            .inputs
            .iter()
            .find(|edge| edge.port == port)
        else {
            return Ok(());
        };
        let mut repairs = self.repairs.lock().unwrap_or_else(PoisonError::into_inner);
        let repair = Arc::clone(repairs.entry(edge.from).or_default());
        drop(repairs);
        // Repairs of repairs go up the graph only, so no two wait for each other.
        let _once = repair.lock().unwrap_or_else(PoisonError::into_inner);
        if self.around.store.mend(&self.digest(edge))? {
            return Ok(());
        }
        self.send(&Event::Notice {
            stage: Some(self.node(edge.from).name.clone()),
            text: "its result is damaged in the cache and is made again".into(),
        });
        let made = self.make(edge.from, share)?;
        self.put(edge.from, Box::new(made.record));
        Ok(())
    }

    fn fingerprint(&self, index: usize) -> Result<Fingerprint> {
        self.decider.fingerprint(index, |edge| self.digest(edge))
    }

    /// What comes in along `edge`; its stage has a result.
    fn digest(&self, edge: &Edge) -> Digest {
        let results = self.results();
        results[edge.from]
            .as_ref()
            .and_then(|record| record.outputs.get(&edge.output))
            .copied()
            .unwrap_or(Digest::from([0; 32]))
    }

    /// Input port → how long it took to make what comes there, for a stage that shows it.
    fn times(&self, node: &Node) -> BTreeMap<String, f64> {
        if !node.stage.shows_times() {
            return BTreeMap::new();
        }
        let results = self.results();
        let time = |edge: &Edge| {
            let record = results[self.decider.plan.costly(edge)].as_ref()?;
            Some((edge.port.clone(), record.seconds))
        };
        node.inputs.iter().filter_map(time).collect()
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        // A result is put in whole, so a panic elsewhere leaves nothing half done.
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
