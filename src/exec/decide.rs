//! Cached or not, and why: the key of a stage whose inputs are known, and the record that it finds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::fingerprint::{Field, Fingerprint, Reason, Role, Walk};
use crate::plan::{Edge, Node, Plan};
use crate::stages::ArtifactType;
use crate::store::{Digest, Record, Store};

/// Where keys and records come from.
pub struct Decider<'a> {
    /// The graph.
    pub plan: &'a Plan,
    /// The cache.
    pub store: &'a Store,
    /// The class of the pipeline's device.
    pub device_class: &'a str,
    /// From the lock.
    pub last: Last<'a>,
    /// Stage index → the local files that it reads, by their digests when the run began.
    read: Mutex<BTreeMap<usize, Files>>,
    /// By stage index: its walk without inputs, made for its recipe and not yet used for its key.
    walks: Mutex<Vec<Option<Walked>>>,
}

/// The walk of a stage over its settings and its local files, and when it was made.
#[derive(Clone, Debug)]
pub struct Walked {
    at: Instant,
    walk: Walk,
}

/// Stage → its key when the pipeline last resolved.
pub type Last<'a> = HashMap<&'a str, &'a Digest>;

/// Role → digest.
type Files = Vec<(String, String)>;

/// How long a look at a stage's local files holds. Those that change while it runs are noticed afterwards.
const FRESH: Duration = Duration::from_secs(1);

/// From how many stages on waking threads costs less than it saves.
const MANY: usize = 64;

/// The verdict on a stage whose inputs are known.
pub enum Decision {
    /// A record was found and its outputs are whole.
    Cached(Box<Record>),
    /// It has to run.
    Run(Vec<Reason>),
}

impl<'a> Decider<'a> {
    /// Keys of the stages in `plan`; records from `store`.
    #[must_use]
    pub fn new(plan: &'a Plan, store: &'a Store, device_class: &'a str, last: Last<'a>) -> Self {
        Self {
            walks: Mutex::new(vec![None; plan.nodes.len()]),
            read: Mutex::default(),
            plan,
            store,
            device_class,
            last,
        }
    }

    /// The walks that were made for recipes, for another decider of the same plan.
    #[must_use]
    pub fn into_walks(self) -> Vec<Option<Walked>> {
        self.walks
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what another decider of the same plan saw a moment ago.
    #[must_use]
    pub fn with_walks(mut self, mut walks: Vec<Option<Walked>>) -> Self {
        walks.resize(self.plan.nodes.len(), None);
        self.walks = Mutex::new(walks);
        self
    }

    /// The fingerprint of stage `index`; `input` gives the digest of what comes in along an edge.
    ///
    /// # Errors
    /// A file of the stage that cannot be read.
    pub fn fingerprint(
        &self,
        index: usize,
        input: impl Fn(&Edge) -> Digest,
    ) -> Result<Fingerprint> {
        let node = &self.plan.nodes[index];
        let known = self.walks()[index].take();
        let walked = self.walk(index, known)?;
        Ok(with_inputs(walked.walk, node, input).finish(node.seed, Some(self.device_class)))
    }

    /// Makes the [`recipes`](Self::recipes) for a run. Meanwhile the records are read that the stages in `included` had when
    /// the pipeline last resolved: most often they are the ones that are asked for next.
    ///
    /// # Errors
    /// A file of a stage that cannot be read.
    pub fn begin(&self, included: &[bool]) -> Result<Vec<Option<Digest>>> {
        let nodes = self.plan.nodes.iter().zip(included);
        let included_nodes = nodes.filter(|(_, included)| **included);
        let keys = included_nodes.filter_map(|(node, _)| self.last.get(node.name.as_str()));
        let keys = self.store.unforeseen(keys.map(|key| **key).collect());
        if keys.len() < MANY {
            return self.recipes(included);
        }
        rayon::join(|| self.recipes(included), || self.store.look_ahead(keys)).0
    }

    /// The recipes of the stages in `included` and of all that they need; none for the others.
    ///
    /// # Errors
    /// A file of a stage that cannot be read.
    pub fn recipes(&self, included: &[bool]) -> Result<Vec<Option<Digest>>> {
        let wanted = self.plan.with_needs(included);
        let mut known = self.walks();
        let wanted: Vec<(usize, Option<Walked>)> = (0..included.len())
            .filter(|index| wanted[*index])
            .map(|index| (index, known[index].take()))
            .collect();
        drop(known);
        let walk = |(index, known)| Ok((index, self.walk(index, known)?));
        let walks: Vec<Result<(usize, Walked)>> = if wanted.len() < MANY {
            wanted.into_iter().map(walk).collect()
        } else {
            wanted.into_par_iter().map(walk).collect()
        };
        let mut recipes: Vec<Option<Digest>> = vec![None; included.len()];
        let mut known = self.walks();
        for walked in walks {
            let (index, walked) = walked?;
            let (node, walk) = (&self.plan.nodes[index], &walked.walk);
            let files = files_of(walk.fields());
            if !files.is_empty() {
                let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
                read.insert(index, files);
            }
            let input = |edge: &'a Edge| {
                let recipe = recipe_of_output(recipes[edge.from].as_ref(), &edge.output);
                (edge.port.as_str(), recipe.to_string())
            };
            let inputs: Vec<(&str, String)> = node.inputs.iter().map(input).collect();
            recipes[index] = Some(walk.recipe(&inputs, node.seed).into());
            known[index] = Some(walked);
        }
        Ok(recipes)
    }

    /// The walk of stage `index`: the one that is `known`, if it was made just now.
    fn walk(&self, index: usize, known: Option<Walked>) -> Result<Walked> {
        if let Some(walked) = known.filter(|walked| walked.at.elapsed() < FRESH) {
            return Ok(walked);
        }
        let node = &self.plan.nodes[index];
        let mut walk = Walk::new(node.kind.name(), node.kind.version());
        node.stage.describe(&mut walk);
        for file in node.stage.files() {
            let blame =
                |error: Error| error.or_at(&file.span, format!("stage `{}` reads it", node.name));
            let digest = self.store.hash_path(&file.path).map_err(blame)?;
            walk.file(&file.role, digest.to_string());
        }
        let at = Instant::now();
        Ok(Walked { at, walk })
    }

    fn walks(&self) -> MutexGuard<'_, Vec<Option<Walked>>> {
        // A walk is put in whole, so a panic elsewhere leaves nothing half done.
        self.walks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `record` of stage `index` is of the files that its recipe is of.
    #[must_use]
    pub fn is_of_recipe(&self, index: usize, record: &Record) -> bool {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.get(&index).is_none_or(|files| {
            let fingerprint = Fingerprint::from_explanation(record.explanation.iter());
            files_of(fingerprint.fields()) == *files
        })
    }

    /// Looks for a record of stage `index` under the key of `fingerprint`.
    ///
    /// # Errors
    /// A cache that cannot be read.
    pub fn decide(
        &self,
        index: usize,
        fingerprint: &Fingerprint,
        forced: bool,
    ) -> Result<Decision> {
        if forced {
            return Ok(Decision::Run(vec![Reason::Forced]));
        }
        Ok(match self.store.record(&fingerprint.digest().into())? {
            Some(record) if self.is_whole(index, &record) && self.agrees(index, &record) => {
                Decision::Cached(record)
            }
            Some(_) => Decision::Run(vec![Reason::Lost]),
            None => Decision::Run(self.differences(index, fingerprint)?),
        })
    }

    /// Whether `record` holds every output of stage `index` and none is damaged.
    fn is_whole(&self, index: usize, record: &Record) -> bool {
        let mut outputs = self.plan.nodes[index].outputs.iter();
        outputs.all(|output| {
            record
                .outputs
                .get(&output.port)
                .is_some_and(|digest| self.store.is_whole(digest))
        })
    }

    /// Whether the figures in `record`, which gates are held against, are those that its result holds, if it holds any. A
    /// record with others is dropped.
    fn agrees(&self, index: usize, record: &Record) -> bool {
        #[derive(Deserialize)]
        struct Held {
            figures: BTreeMap<String, f64>,
        }
        if record.metrics.is_empty() {
            return true;
        }
        let held = self.plan.nodes[index].outputs.iter().find_map(|output| {
            let is_metrics = output.artifact == ArtifactType::Metrics;
            let file = output.artifact.file().filter(|_| is_metrics)?;
            let json = self
                .store
                .read_file(record.outputs.get(&output.port)?, file)?;
            serde_json::from_slice::<Held>(&json).ok()
        });
        let agrees = held.is_none_or(|held| held.figures == record.metrics);
        if !agrees {
            self.store
                .distrust(record, "has other figures than its result");
        }
        agrees
    }

    /// What differs between `fingerprint` and the last result of stage `index`.
    fn differences(&self, index: usize, fingerprint: &Fingerprint) -> Result<Vec<Reason>> {
        let Some(old) = self.last_fingerprint(index)? else {
            return Ok(vec![Reason::New]);
        };
        let reasons = Reason::between(&old, fingerprint);
        Ok(if reasons.is_empty() {
            vec![Reason::Lost]
        } else {
            reasons
        })
    }

    /// What differs apart from inputs, for a stage whose inputs are not known yet.
    ///
    /// # Errors
    /// A file of the stage or a cache that cannot be read.
    pub fn own_differences(&self, index: usize) -> Result<Vec<Reason>> {
        let Some(old) = self.last_fingerprint(index)? else {
            return Ok(Vec::new());
        };
        let new = self.fingerprint(index, |_| Digest::from([0; 32]))?;
        let own = |reason: &Reason| {
            !matches!(
                reason,
                Reason::Changed {
                    role: Role::Input,
                    ..
                }
            )
        };
        Ok(Reason::between(&old, &new)
            .into_iter()
            .filter(own)
            .collect())
    }

    fn last_fingerprint(&self, index: usize) -> Result<Option<Fingerprint>> {
        let Some(key) = self.last.get(self.plan.nodes[index].name.as_str()) else {
            return Ok(None);
        };
        Ok(self
            .store
            .record(key)?
            .map(|record| Fingerprint::from_explanation(record.explanation.iter())))
    }
}

fn files_of(fields: &[Field]) -> Files {
    let files = fields.iter().filter(|field| field.role == Role::File);
    let mut files: Files = files
        .map(|field| (field.name.clone(), field.value.clone()))
        .collect();
    files.sort();
    files
}

fn with_inputs(mut walk: Walk, node: &Node, input: impl Fn(&Edge) -> Digest) -> Walk {
    for edge in &node.inputs {
        walk.input(&edge.port, input(edge).to_string());
    }
    walk
}

/// What stands for an output of a stage in the recipes of those that need it.
fn recipe_of_output(stage: Option<&Digest>, output: &str) -> Digest {
    static BEGINNING: LazyLock<blake3::Hasher> =
        LazyLock::new(|| blake3::Hasher::new_derive_key("refire output recipe"));
    let mut hasher = BEGINNING.clone();
    hasher.update(stage.map_or(&[0; 32], Digest::as_bytes).as_slice());
    hasher.update(output.as_bytes());
    Digest::from(*hasher.finalize().as_bytes())
}
