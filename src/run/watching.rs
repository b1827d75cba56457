//! `refire watch`: a run, and another one whenever a digest that it depends on has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Project, Request, Workspace, run};
use crate::config::Overrides;
use crate::error::{Error, Kind, Result};
use crate::event::Sink;
use crate::exec::{Cancellation, Runner, Summary};
use crate::lock::Lock;
use crate::plan::Goal;
use crate::store::Digest;
use crate::threads;
use crate::watch::{Paths, Watcher};

/// How often is looked for changes while a run goes on.
const TICK: Duration = Duration::from_millis(20);

/// While a run goes on, looks take at most one part in so many of the time: it needs the processors more.
const SPARING: u32 = 10;

/// Where the system does not tell when a write is over, a file that has stayed the same for so long is taken for whole.
const SETTLED: Duration = Duration::from_millis(100);

/// Files that change for longer are not waited for.
const LONGEST_WRITE: Duration = Duration::from_mins(1);

/// How often the pipeline is read again because of what was not watched when it was read.
const ROUNDS: usize = 3;

/// What to do about a change while a run goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBusy {
    /// Run again when it has ended.
    #[default]
    Queue,
    /// Stop the stages that the change makes stale, let the others end, and run again.
    Restart,
}

/// What is watched, and how.
#[derive(Clone, Debug)]
pub struct Watch<'a> {
    /// The pipeline file.
    pub path: &'a Path,
    /// What changes it.
    pub overrides: &'a Overrides,
    /// What is asked of each run.
    pub request: &'a Request,
    /// What to do about a change while a run goes on.
    pub on_busy: OnBusy,
    /// Look so often instead of asking the system to tell.
    pub poll: Option<Duration>,
}

/// Where a watch speaks.
pub trait Audience {
    /// What shows the events of the next run.
    fn reporter(&self) -> Box<dyn Sink>;

    /// A run has ended.
    fn ended(&self, project: &Project, summary: &Summary);

    /// A run could not begin.
    fn refused(&self, error: &Error);

    /// It waits. So many files and folders are watched; `told` says whether the system tells of all changes.
    fn waiting(&self, paths: usize, told: bool);
}

/// Runs the pipeline, and again on every change of something that it reads, until `stop` says so.
///
/// # Errors
/// [`Kind::Interrupted`], when it is stopped. It ends in no other way.
pub fn watch(
    watch: &Watch<'_>,
    runner: &dyn Runner,
    audience: &dyn Audience,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Infallible> {
    let mut session = Session {
        look: Look::new(watch),
        runner,
        audience,
        stop,
        done: None,
        began: false,
        refusal: None,
        announced: None,
    };
    loop {
        if !session.turn()? {
            session.wait()?;
        }
    }
}

/// A watch in progress.
struct Session<'a> {
    look: Look<'a>,
    runner: &'a dyn Runner,
    audience: &'a dyn Audience,
    stop: &'a (dyn Fn() -> bool + Sync),
    /// What the last run was about. None, if another one has to follow whatever the files are.
    done: Option<State>,
    /// Whether a look has come before: what it finds first need not settle.
    began: bool,
    /// The last error that kept a run from beginning, as long as it does.
    refusal: Option<String>,
    /// Whether it was said that it waits, and whether the system tells of changes.
    announced: Option<bool>,
}

impl Session<'_> {
    /// Looks, and runs if something has changed. Says whether to look again at once: what changed during the run is
    /// found so.
    fn turn(&mut self) -> Result<bool> {
        if !self.look.watcher.settle(self.stop) {
            return Err(interrupted());
        }
        let end = self.look_settled().and_then(|(mut project, state)| {
            if (self.stop)() || self.done.as_ref() == Some(&state) {
                return Ok(false);
            }
            self.announced = None;
            let undisturbed = self.run(&mut project, &state)?;
            self.done = undisturbed.then_some(state);
            Ok(true)
        });
        if (self.stop)() {
            return Err(interrupted());
        }
        end.or_else(|error| {
            // Once it is mended, it runs even if it became what it was.
            self.done = None;
            let text = words(&error);
            if self.refusal.as_ref() != Some(&text) {
                self.audience.refused(&error);
                self.announced = None;
                self.refusal = Some(text);
            }
            Ok(false)
        })
    }

    /// Looks. Where the system does not tell of writes, until two looks some time apart find the same.
    fn look_settled(&mut self) -> Result<(Project, State)> {
        let mut found = self.look.again();
        let is_first = !std::mem::replace(&mut self.began, true);
        let begin = Instant::now();
        while !is_first
            && !self.look.watcher.is_told()
            && !is_same(&found, self.done.as_ref(), self.refusal.as_deref())
            && begin.elapsed() < LONGEST_WRITE
            && !(self.stop)()
        {
            std::thread::sleep(SETTLED);
            let next = self.look.again();
            let state = found.as_ref().ok().map(|(_, state)| state);
            let refusal = found.as_ref().err().map(words);
            let is_settled = is_same(&next, state, refusal.as_deref());
            found = next;
            if is_settled {
                break;
            }
        }
        found
    }

    /// Waits until it is to look again. While the pipeline is refused, not all that it reads may be known, so it is
    /// looked from time to time even if nothing is told.
    fn wait(&mut self) -> Result<()> {
        let watcher = &self.look.watcher;
        if self.announced != Some(watcher.is_told()) {
            self.announced = Some(watcher.is_told());
            self.audience
                .waiting(watcher.paths().count(), watcher.is_told());
        }
        if watcher.wait(self.stop, self.refusal.is_some()) {
            Ok(())
        } else {
            Err(interrupted())
        }
    }

    /// One run. False, if the files were others at any moment while it went on: then its results may be another
    /// content's, or missing because of it, even if the files have become what they were.
    ///
    /// # Errors
    /// What kept it from beginning.
    fn run(&mut self, project: &mut Project, state: &State) -> Result<bool> {
        let control = Control::new(self.stop);
        let (runner, request) = (self.runner, self.look.watch.request);
        let reporter = self.audience.reporter();
        let (end, undisturbed) = std::thread::scope(|scope| {
            let events = &*reporter;
            let project = &mut *project;
            let running = threads::start_in(scope, "run", || {
                run(project, request, runner, events, &control)
            });
            let running = match running {
                Ok(running) => running,
                Err(error) => return (Err(error), true),
            };
            let undisturbed = self.look_meanwhile(state, &control, &|| running.is_finished());
            let end = running.join();
            let end = end.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (end, undisturbed)
        });
        drop(reporter);
        match end {
            Ok(summary) => self.audience.ended(project, &summary),
            // A file went at the last moment.
            Err(error) if error.kind() == Kind::Usage => return Err(error),
            Err(error) => self.audience.refused(&error),
        }
        self.refusal = None;
        Ok(undisturbed)
    }

    /// Holds the files against `state`, which a run began with, until it is over. Says whether they were always the same.
    fn look_meanwhile(
        &mut self,
        state: &State,
        control: &Control<'_>,
        is_over: &dyn Fn() -> bool,
    ) -> bool {
        let restart = self.look.watch.on_busy == OnBusy::Restart;
        let (mut undisturbed, mut stirred, mut next) = (true, false, Instant::now());
        while !is_over() {
            stirred |= self.look.watcher.has_changed(TICK);
            let enough = !undisturbed && !restart;
            if !stirred || enough || Instant::now() < next || (self.stop)() {
                continue;
            }
            stirred = false;
            let begin = Instant::now();
            match self.look.again() {
                Ok((_, now)) => {
                    undisturbed &= now == *state;
                    if restart {
                        control.supersede(state, &now);
                    }
                }
                // A file that is wrong at the moment stops nothing.
                Err(_) => undisturbed = false,
            }
            next = Instant::now() + SPARING * begin.elapsed();
        }
        undisturbed
    }
}

/// Whether a look found this state, or was refused in these words.
fn is_same(found: &Result<(Project, State)>, state: Option<&State>, refusal: Option<&str>) -> bool {
    match found {
        Ok((_, found)) => Some(found) == state,
        Err(error) => Some(words(error).as_str()) == refusal,
    }
}

/// All that an error says.
fn words(error: &Error) -> String {
    format!("{error:?}")
}

fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "interrupted")
}

/// Everything that a run depends on, by digest.
#[derive(Clone, Debug, PartialEq)]
struct State {
    device: String,
    /// Stage → its recipe, and the bounds of its gates.
    stages: BTreeMap<String, (Digest, Vec<Bounded>)>,
}

/// A metric, and the bits of what a gate holds it against.
type Bounded = (String, Option<u64>);

/// Looks at the files, and at what there is to be watched.
struct Look<'a> {
    watch: &'a Watch<'a>,
    watcher: Watcher,
}

impl<'a> Look<'a> {
    fn new(watch: &'a Watch<'a>) -> Self {
        let path = absolute(watch.path);
        let mut ours = vec![absolute(&Lock::path(watch.path, watch.overrides))];
        let mut folder = path.parent().unwrap_or(&path).to_path_buf();
        if let Ok(workspace) = Workspace::find(watch.path) {
            ours.push(workspace.runs().parent().unwrap_or(workspace.runs()).into());
            ours.push(workspace.cache().into());
            folder = workspace.project().into();
        }
        let mut watcher = Watcher::new(watch.poll, &folder, &ours);
        watcher.watch(Paths {
            read: BTreeSet::from([path]),
            searched: BTreeSet::new(),
        });
        Self { watch, watcher }
    }

    /// Reads the pipeline and digests all that it reads. What is read is watched first, so that no change falls between.
    fn again(&mut self) -> Result<(Project, State)> {
        self.watcher.catch_up();
        let found = self.read();
        self.watcher.rest();
        found
    }

    fn read(&mut self) -> Result<(Project, State)> {
        let open = || Project::open(self.watch.path, self.watch.overrides);
        let mut project = open()?;
        for _ in 0..ROUNDS {
            if !self.watcher.watch(project.reads()) {
                break;
            }
            project = open()?;
        }
        let state = project.state(&self.watch.request.goal)?;
        Ok((project, state))
    }
}

impl Project {
    /// The pipeline, the files that its stages read, and the folders in which files may appear that they would read.
    fn reads(&self) -> Paths {
        // The system is asked once for the folder that thousands of paths are relative to.
        let here = std::env::current_dir().unwrap_or_default();
        let mut paths = Paths::default();
        paths.read.insert(here.join(&self.path));
        for node in &self.plan.nodes {
            let files = node.stage.files().into_iter();
            paths.read.extend(files.map(|file| here.join(file.path)));
            let folders = node.stage.folders().into_iter();
            paths.searched.extend(folders.map(|path| here.join(path)));
        }
        paths
    }

    fn state(&mut self, goal: &Goal) -> Result<State> {
        let included = self.plan.select(goal)?.included;
        let decider = self.decider();
        let recipes = decider.recipes(&included)?;
        self.walks = decider.into_walks();
        self.store.save()?;
        let stages = self
            .plan
            .nodes
            .iter()
            .zip(recipes)
            .filter_map(|(node, recipe)| {
                let gates = node.stage.gates().iter();
                let gates = gates
                    .map(|gate| {
                        (
                            gate.metric.clone(),
                            gate.number(&node.baseline).map(f64::to_bits),
                        )
                    })
                    .collect();
                Some((node.name.clone(), (recipe?, gates)))
            });
        Ok(State {
            device: self.device_class.clone(),
            stages: stages.collect(),
        })
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Ctrl-C, and what a change while a run goes on makes of it.
struct Control<'a> {
    stop: &'a (dyn Fn() -> bool + Sync),
    drain: AtomicBool,
    outdated: Mutex<BTreeSet<String>>,
}

impl<'a> Control<'a> {
    fn new(stop: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self {
            stop,
            drain: AtomicBool::new(false),
            outdated: Mutex::default(),
        }
    }

    /// The run was begun with `then`, but the files are `now`. Once they were others, another run follows, so nothing more
    /// starts even if they become what they were.
    fn supersede(&self, then: &State, now: &State) {
        let same_device = then.device == now.device;
        let changed = |(stage, then): &(&String, &(Digest, _))| {
            !same_device || now.stages.get(*stage).is_none_or(|now| now.0 != then.0)
        };
        let outdated = then.stages.iter().filter(changed);
        *self.outdated.lock().unwrap_or_else(PoisonError::into_inner) =
            outdated.map(|(stage, _)| stage.clone()).collect();
        self.drain.fetch_or(then != now, Ordering::Relaxed);
    }
}

impl Cancellation for Control<'_> {
    fn stop(&self) -> bool {
        (self.stop)()
    }

    fn drain(&self) -> bool {
        self.drain.load(Ordering::Relaxed)
    }

    fn is_outdated(&self, stage: &str) -> bool {
        let outdated = self.outdated.lock().unwrap_or_else(PoisonError::into_inner);
        outdated.contains(stage)
    }
}
