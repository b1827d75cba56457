//! The whole flow of a run on one screen: read, plan, decide, run, publish, lock. See [`run`].

mod against;
mod artifacts;
mod collect;
mod figures;
mod git;
mod history;
#[cfg(test)]
mod tests;
mod tracking;
mod watching;
mod workspace;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use against::AgainstLock;
pub use artifacts::{Lent, export, sweep_beside};
pub use collect::{Dropped, GRACE, Wanted, collect};
pub use figures::Figures;
pub use history::{Comparison, Version, metrics, params};
use tracking::Gathered;
pub use watching::{Audience, OnBusy, Watch, watch};
pub use workspace::Workspace;

use crate::config::{self, Overrides, Pipeline, Tracking};
use crate::error::{Error, Kind, Result};
use crate::event::{Configuration, Event, Outcome, Sink};
use crate::exec::{
    Cancellation, Decider, Forecast, Preview, Run, RunOptions, Runner, Summary, Surroundings,
    Walked,
};
use crate::journal::Journal;
use crate::lock::{Entry, Lock};
use crate::models;
pub use crate::models::{ARCHITECTURES, DEVICES};
use crate::plan::{Goal, Node, Plan, Selection};
use crate::stages::{Download, Gate};
use crate::store::{Digest, Record, Store};

/// From how many bytes of a lock on waking threads costs less than it saves.
const LARGE: u64 = 100_000;

/// A pipeline that was read and planned, with the cache and the lock beside it.
pub struct Project {
    /// The pipeline file.
    pub path: PathBuf,
    /// What runs of it are called after: the file and what is laid over it.
    pub configuration: Configuration,
    /// What it says.
    pub pipeline: Pipeline,
    /// Its stages in order.
    pub plan: Plan,
    /// Where artifacts, records and logs are.
    pub workspace: Workspace,
    /// The cache.
    pub store: Store,
    /// What the pipeline last resolved to.
    pub lock: Lock,
    lock_path: PathBuf,
    writes_lock: bool,
    device_class: String,
    /// What a watch has just seen; the next run goes on from it.
    walks: Vec<Option<Walked>>,
}

/// What a stage fetches from elsewhere.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The stage.
    pub stage: String,
    /// What it fetches.
    pub download: Download,
    /// How many bytes the cache has of its result; none if it is not there.
    pub cached: Option<u64>,
}

/// What is asked of a run.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Request {
    /// Which stages.
    pub goal: Goal,
    /// Run the named ones even if they are cached.
    pub force: bool,
    /// After a failure, go on with what does not depend on it.
    pub keep_going: bool,
    /// Fail if the lock does not describe the pipeline; never write it.
    pub locked: bool,
    /// Never touch the network.
    pub offline: bool,
    /// How many stages may run at once; 0 means one.
    pub jobs: usize,
}

/// Brings the stages that `request` names up to date: decided here, run by `runner`, told to `events`.
///
/// # Errors
/// What keeps the run from beginning: a wrong goal, a file that cannot be read, a lock that is out of date. What goes
/// wrong in stages is in the summary; [`Summary::verdict`] says which error counts.
pub fn run(
    project: &mut Project,
    request: &Request,
    runner: &dyn Runner,
    events: &dyn Sink,
    cancellation: &dyn Cancellation,
) -> Result<Summary> {
    let started = Instant::now();
    let selection = project.plan.select(&request.goal)?;
    let seen = std::mem::take(&mut project.walks);
    let decider = project.decider().with_walks(seen);
    let recipes = decider.begin(&selection.included)?;
    if request.locked {
        project.check_lock(&recipes, &selection)?;
    }
    let journal = Journal::begin(project.workspace.runs(), events)?;
    project.workspace.hide();
    let revision = git::checked_out(project.workspace.project());
    journal.send(&Event::RunStarted {
        pipeline: project.pipeline.name.clone(),
        configuration: project.configuration.clone(),
        run: journal.run().into(),
        stages: project.names(&selection.included),
        params: history::flat(&project.pipeline.params),
        revision: revision.clone(),
    });
    tell(&project.store, &journal);
    project.tell_lonely_gates(&selection, &journal);
    let gathered = Gathered::new(&journal);
    let against = AgainstLock {
        lock: &project.lock,
        next: &gathered,
    };
    let around = Surroundings {
        store: &project.store,
        events: &against,
        cancellation,
        device: &project.pipeline.device.0,
        offline: request.offline,
    };
    let options = RunOptions {
        force: request.force,
        keep_going: request.keep_going,
        jobs: request.jobs.max(1),
    };
    let went = Run::new(&decider, runner, around, &selection, options).go();
    let mut summary = went.inspect_err(|_| project.store.run_has_ended())?;
    let moved = summary.moved(&decider);
    drop(decider);
    for (stage, error) in project.contradictions(&summary, &moved) {
        if request.locked {
            summary.errors.push((stage, error));
        } else {
            let text = error.to_string();
            let stage = Some(stage);
            journal.send(&Event::Notice { stage, text });
        }
    }
    // What goes wrong from here on takes nothing back: it is told beside what the stages came to.
    let durable = project.store.make_durable(summary.made());
    let locked = if project.writes_lock && !request.locked {
        project.update_lock(&summary, &moved, &recipes)
    } else {
        Ok(())
    };
    for error in [durable, locked].into_iter().filter_map(Result::err) {
        summary.errors.push((String::new(), error));
    }
    project.pin();
    // Its results are in the lock.
    project.store.run_has_ended();
    if let Err(error) = project.store.save() {
        journal.send(&Event::Notice {
            stage: None,
            text: format!("files will be hashed again the next time: {error}"),
        });
    }
    tell(&project.store, &journal);
    for text in project.track(journal.run(), revision, gathered, &summary, request.offline) {
        journal.send(&Event::Notice { stage: None, text });
    }
    journal.send(&Event::RunFinished {
        ran: summary.count(&[Outcome::Ran]),
        cached: summary.count(&[Outcome::Cached]),
        failed: summary.count(&[Outcome::Failed]),
        skipped: summary.count(&[Outcome::Skipped, Outcome::Cancelled]),
        seconds: started.elapsed().as_secs_f64(),
    });
    Ok(summary)
}

/// Tells what the cache has noticed: damage that was found, for one.
fn tell(store: &Store, events: &dyn Sink) {
    for text in store.take_notices() {
        events.send(&Event::Notice { stage: None, text });
    }
}

impl Project {
    /// Reads and plans the pipeline at `path` and opens its cache.
    ///
    /// # Errors
    /// Whatever is wrong with the file, the lock or the cache folder.
    pub fn open(path: &Path, overrides: &Overrides) -> Result<Self> {
        Self::read(path, overrides, false, None)
    }

    /// The same, as if its file had these stages alone and named no tracker.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and a stage that needs one which is left out.
    pub fn open_part(
        path: &Path,
        overrides: &Overrides,
        stages: &BTreeSet<String>,
    ) -> Result<Self> {
        Self::read(path, overrides, false, Some(stages))
    }

    /// The same for a run of `goal`. If that is the whole pipeline, the records that its stages had when it last resolved
    /// are read meanwhile: most often they are the ones that the run asks for.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_for(path: &Path, overrides: &Overrides, goal: &Goal) -> Result<Self> {
        Self::read(path, overrides, goal.stages.is_empty(), None)
    }

    fn read(
        path: &Path,
        overrides: &Overrides,
        ahead: bool,
        part: Option<&BTreeSet<String>>,
    ) -> Result<Self> {
        let lock_path = Lock::path(path, overrides);
        let workspace = Workspace::find(path)?;
        let large = std::fs::metadata(&lock_path).is_ok_and(|lock| lock.len() >= LARGE);
        let now = || {
            let mut pipeline = config::load(path, overrides)?;
            if let Some(part) = part {
                let stages = &mut pipeline.stages;
                stages.retain(|stage| part.contains(&stage.name));
                pipeline.tracking = Tracking::default();
            }
            Ok((Plan::new(&pipeline)?, pipeline))
        };
        let before = || {
            let lock = Lock::read(&lock_path)?.unwrap_or_default();
            // A pipeline that turns out wrong leaves no folder behind.
            let cache = Some(workspace.cache()).filter(|cache| cache.is_dir());
            let store = cache.map(Store::open).transpose()?;
            if let (true, Some(store)) = (ahead && large, &store) {
                store.look_ahead(lock.stages.values().map(|entry| entry.key).collect());
            }
            Ok((lock, store))
        };
        let (now, before): (Result<_>, Result<_>) = if large {
            rayon::join(now, before)
        } else {
            (now(), before())
        };
        let (mut plan, pipeline) = now?;
        check_device(&pipeline)?;
        hold_against_committed(&mut plan, path, overrides);
        let (lock, store) = before?;
        let store = store.map_or_else(|| Store::open(workspace.cache()), Ok)?;
        workspace.hide();
        Ok(Self {
            path: path.into(),
            configuration: workspace.configuration(path, overrides),
            device_class: models::device_class(&pipeline.device.0),
            // With `-S` the file is not what ran, so the lock beside it must not say so.
            writes_lock: overrides.set.is_empty(),
            store,
            pipeline,
            plan,
            workspace,
            lock,
            lock_path,
            walks: Vec::new(),
        })
    }

    /// Tells which gates pass because no lock was committed that they could compare with.
    fn tell_lonely_gates(&self, selection: &Selection, events: &dyn Sink) {
        let nodes = self.plan.nodes.iter().zip(&selection.included);
        for (node, _) in nodes.filter(|(_, included)| **included) {
            for metric in node.without_baseline() {
                events.send(&Event::Notice {
                    stage: Some(node.name.clone()),
                    text: format!(
                        "no committed lock says what `{metric}` was: the gate that compares with it passes"
                    ),
                });
            }
        }
    }

    /// Checks everything that can be checked without running: files that stages read, and what their kinds can tell.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<()> {
        for node in &self.plan.nodes {
            node.stage
                .check()
                .map_err(|error| error.or_at(&node.span, ""))?;
        }
        self.decider()
            .recipes(&vec![true; self.plan.nodes.len()])
            .map(drop)
    }

    /// What stages fetch from elsewhere, in order, each with whether that is in the cache and then with its size.
    ///
    /// # Errors
    /// A file or a cache that cannot be read.
    pub fn downloads(&self) -> Result<Vec<Expected>> {
        let previews = self.preview(&Goal::default(), false)?;
        let expected = |preview: &Preview| {
            let node = &self.plan.nodes[preview.index];
            let cached = match &preview.forecast {
                Forecast::Cached(record) | Forecast::Fails(record, _) => Some(record.bytes),
                _ => None,
            };
            let all = node.stage.downloads().into_iter();
            let all = all.map(|download| Expected {
                stage: node.name.clone(),
                cached,
                download,
            });
            all.collect::<Vec<_>>()
        };
        Ok(previews.iter().flat_map(expected).collect())
    }

    /// What a run of `goal` would do.
    ///
    /// # Errors
    /// A wrong goal, a file or a cache that cannot be read.
    pub fn preview(&self, goal: &Goal, force: bool) -> Result<Vec<Preview>> {
        self.decider().preview(&self.plan.select(goal)?, force)
    }

    /// The lock and its keys are looked up here.
    fn decider(&self) -> Decider<'_> {
        let entries = self.lock.stages.iter();
        let last = entries.map(|(stage, entry)| (stage.as_str(), &entry.key));
        let (plan, store, class) = (&self.plan, &self.store, &self.device_class);
        Decider::new(plan, store, class, last.collect())
    }

    fn check_lock(&self, recipes: &[Option<Digest>], selection: &Selection) -> Result<()> {
        let nodes = self.plan.nodes.iter().zip(recipes).zip(&selection.included);
        let included = nodes.filter(|(_, included)| **included);
        let recipes = included
            .filter_map(|((node, recipe), _)| Some((node.name.as_str(), (*recipe)?)))
            .collect();
        self.lock.check(&self.lock_path, &recipes)
    }

    /// The stages whose key is that of the lock and whose result is not: what is made of the same comes out otherwise, or
    /// somebody has exchanged what is in the cache.
    fn contradictions(&self, summary: &Summary, moved: &[bool]) -> Vec<(String, Error)> {
        let results = self.plan.nodes.iter().zip(&summary.results).zip(moved);
        let contradiction = |((node, record), moved): ((&Node, &Option<Box<Record>>), &bool)| {
            let record = record.as_ref().filter(|_| !*moved)?;
            let what = self.lock.stages.get(&node.name)?.contradiction(record)?;
            let (name, lock) = (&node.name, self.lock_path.display());
            let text = format!(
                "stage `{name}` has other {what} than `{lock}` says for the same key: it is not \
                 reproducible, or its result was changed in the cache"
            );
            let help = format!("make it anew with `refire run --force {name}` and compare");
            Some((name.clone(), Error::new(Kind::Locked, text).help(help)))
        };
        results.filter_map(contradiction).collect()
    }

    /// Writes into the lock what a run resolved and takes out stages that are gone. What another run has written
    /// meanwhile stays. What is `moved` does not enter: its recipe and its result are of different files.
    fn update_lock(
        &mut self,
        summary: &Summary,
        moved: &[bool],
        recipes: &[Option<Digest>],
    ) -> Result<()> {
        if !self.apply(summary, moved, recipes) {
            return Ok(());
        }
        let _alone = Lock::alone(&self.lock_path);
        sweep_beside(&self.lock_path);
        if let Some(lock) = Lock::read(&self.lock_path)? {
            self.lock = lock;
            self.apply(summary, moved, recipes);
        }
        self.lock.write(&self.lock_path)
    }

    /// The same for the lock in memory; says whether that changed anything.
    fn apply(&mut self, summary: &Summary, moved: &[bool], recipes: &[Option<Digest>]) -> bool {
        let (nodes, stages) = (&self.plan.nodes, &mut self.lock.stages);
        let known = nodes.iter().filter(|node| stages.contains_key(&node.name));
        let mut changed = known.count() < stages.len();
        if changed {
            let names: BTreeSet<&str> = nodes.iter().map(|node| &*node.name).collect();
            stages.retain(|stage, _| names.contains(stage.as_str()));
        }
        let results = summary.results.iter().zip(recipes).zip(moved);
        for (node, result) in nodes.iter().zip(results) {
            let ((Some(record), Some(recipe)), false) = result else {
                continue;
            };
            let entry = Entry::new(*recipe, record);
            if stages.get(&node.name) != Some(&entry) {
                stages.insert(node.name.clone(), entry);
                changed = true;
            }
        }
        changed
    }

    /// Tells those who share the cache what the lock needs.
    fn pin(&self) {
        let keys = self.lock.stages.values().map(|entry| &entry.key);
        // In a cache that can only be read nothing is collected either.
        let _ = self.store.pin(&self.lock_path, keys);
    }

    /// The pipeline as a command line names it: `pipelines/a.toml --profile smoke`.
    fn command_line(&self) -> String {
        let file = self.path.display().to_string();
        let named = Configuration {
            file,
            ..self.configuration.clone()
        };
        named.to_string()
    }

    fn names(&self, included: &[bool]) -> Vec<String> {
        let nodes = self.plan.nodes.iter().zip(included);
        nodes
            .filter(|(_, included)| **included)
            .map(|(node, _)| node.name.clone())
            .collect()
    }
}

impl Summary {
    /// By stage index: whether its result is of other files than its recipe, or comes from one that is.
    fn moved(&self, decider: &Decider<'_>) -> Vec<bool> {
        let nodes = &decider.plan.nodes;
        let mut moved = vec![false; nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            let is_of_recipe = |record| decider.is_of_recipe(index, record);
            moved[index] = self.unkept[index]
                || !self.results[index].as_deref().is_none_or(is_of_recipe)
                || node.inputs.iter().any(|edge| moved[edge.from]);
        }
        moved
    }

    /// The error that decides the exit code: an interruption, else a failed stage, else a broken gate.
    #[must_use]
    pub fn verdict(&self) -> Option<&Error> {
        let rank = |error: &&Error| match error.kind() {
            Kind::Interrupted => 0,
            Kind::Stage => 1,
            Kind::Usage | Kind::Locked => 2,
            Kind::Gate => 3,
        };
        self.errors.iter().map(|(_, error)| error).min_by_key(rank)
    }
}

/// Gives the stages whose gates compare with the lock that was committed last what that says of them; nothing where there is none.
fn hold_against_committed(plan: &mut Plan, path: &Path, overrides: &Overrides) {
    let is_relative = |node: &Node| node.stage.gates().iter().any(Gate::is_relative);
    if !plan.nodes.iter().any(is_relative) {
        return;
    }
    let Ok(mut known) = history::metrics(path, overrides, "HEAD") else {
        return;
    };
    for node in plan.nodes.iter_mut().filter(|node| is_relative(node)) {
        let metrics = known.remove(&node.name).unwrap_or_default();
        node.baseline = metrics.iter().cloned().collect();
    }
}

fn check_device(pipeline: &Pipeline) -> Result<()> {
    let (device, span) = &pipeline.device;
    models::check_device(device).map_err(|error| match span {
        Some(span) => error.or_at(span, ""),
        None => error,
    })
}
