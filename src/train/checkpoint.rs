//! How far a training has come, in one file, so that an interrupted one goes on from there and ends in the same bits.
//!
//! The file is safetensors with its BLAKE3 digest behind it. It holds what training has changed so far (weights, running statistics,
//! the optimizer's moments, the best network), and in its metadata where training is.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::TensorData;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use super::history::StepFigures;
use super::trainer_state::{EpochFigures, Position, TrainerState};
use super::training::State;
use super::{Host, Optimizer};
use crate::models::{Network, Saved};

/// Raised by every change of what is in the file.
///
/// 2: the key of the stage. 3: the lines about steps. 4: the optimizer's rows by name, figures by step, means.
const FORMAT: &str = "refire checkpoint 4";

/// The key of the stage's key in the metadata: what the file is called.
const STAGE: &str = "stage";

/// What stands before the names of the optimizer's rows.
const OPTIMIZER: &str = "optimizer.";

/// The key of [`Words`] in the metadata.
const WORDS: &str = "training";

/// How often it is kept, at the most.
const PAUSE: Duration = Duration::from_mins(1);

/// Keeping it may take one part in so many of the time.
const SHARE: u32 = 20;

/// Keeps and finds the checkpoint of one training.
pub(super) struct Checkpoint<'a> {
    file: Option<&'a Path>,
    host: &'a dyn Host,
    /// The network before training.
    network: &'a Network,
    due: Cell<Instant>,
    /// After how many steps it is kept, in place of by time.
    each: Option<usize>,
}

/// What is no tensor. Numbers with a fraction are kept as their bits.
#[derive(Serialize, Deserialize)]
struct Words {
    position: Position,
    history: Vec<Figures>,
    lines: Vec<StepFigures>,
    best: Option<usize>,
    /// Whether there is a mean of networks.
    averages: bool,
    /// Parameter → steps made.
    steps: BTreeMap<String, i32>,
}

/// [`EpochFigures`], with their numbers as bits.
#[derive(Serialize, Deserialize)]
struct Figures {
    epoch: usize,
    step: Option<usize>,
    train_loss: u64,
    validation: BTreeMap<String, u64>,
}

impl<'a> Checkpoint<'a> {
    pub(super) fn new(host: &'a dyn Host, network: &'a Network, each: Option<usize>) -> Self {
        Self {
            file: host.checkpoint(),
            host,
            network,
            due: Cell::new(Instant::now() + PAUSE),
            each,
        }
    }

    /// Keeps where the training is, after `taken` steps, if it is time.
    pub(super) fn keep_if_due(&self, state: &State, trainer: &TrainerState, taken: usize) {
        let is_due = match self.each {
            Some(each) => taken > 0 && taken.is_multiple_of(each),
            None => Instant::now() >= self.due.get(),
        };
        if is_due {
            self.keep(state, trainer);
        }
    }

    /// Keeps where the training is, in place of where it was. If that is not possible, it says so.
    pub(super) fn keep(&self, state: &State, trainer: &TrainerState) {
        let Some(file) = self.file else { return };
        let started = Instant::now();
        if let Err(error) = self.write(file, state, trainer) {
            self.host
                .notice(format!("cannot keep how far the training is: {error}"));
        }
        self.due
            .set(Instant::now() + PAUSE.max(started.elapsed() * SHARE));
    }

    fn write(&self, file: &Path, state: &State, trainer: &TrainerState) -> io::Result<()> {
        let names = names(&state.network);
        let mut tensors = self.changed("network", &state.network.valid());
        if let Some((_, best)) = &trainer.best {
            tensors.extend(self.changed("best", best));
        }
        if let Some(average) = &state.average {
            tensors.extend(self.changed("average", average));
        }
        let mut steps = BTreeMap::new();
        for (id, (made, rows)) in state.optimizer.state() {
            let Some(name) = names.get(&id) else { continue };
            steps.insert(name.clone(), made);
            let rows = rows.into_iter();
            tensors.extend(
                rows.map(|(row, numbers)| {
                    (format!("{OPTIMIZER}{row}/{name}"), Saved::new(numbers))
                }),
            );
        }
        let bits = |figures: &EpochFigures| -> Figures {
            let validation = figures.validation.iter();
            let validation = validation.map(|(name, figure)| (name.clone(), figure.to_bits()));
            Figures {
                epoch: figures.epoch,
                step: figures.step,
                train_loss: figures.train_loss.to_bits(),
                validation: validation.collect(),
            }
        };
        let words = Words {
            position: trainer.position,
            history: trainer.history.iter().map(bits).collect(),
            lines: trainer.steps.clone(),
            best: trainer.best.as_ref().map(|(best, _)| *best),
            averages: state.average.is_some(),
            steps,
        };
        let metadata = HashMap::from([
            ("format".to_string(), FORMAT.to_string()),
            (STAGE.to_string(), name_of(file)),
            (WORDS.to_string(), serde_json::to_string(&words)?),
        ]);
        let folder = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // A folder of its own, because safetensors makes a file beside the one that it is to write.
        let workshop = tempfile::Builder::new()
            .prefix(file.file_name().unwrap_or_default())
            .tempdir_in(folder)?;
        let whole = workshop.path().join("whole");
        safetensors::serialize_to_file(tensors, Some(metadata), &whole)
            .map_err(io::Error::other)?;
        let digest = blake3::Hasher::new().update_mmap_rayon(&whole)?.finalize();
        let mut end = OpenOptions::new().append(true).open(&whole)?;
        end.write_all(digest.as_bytes())?;
        // A power cut may spoil it, which its digest tells.
        std::fs::rename(whole, file)
    }

    /// The numbers of `network` that are not those before training.
    fn changed(&self, role: &str, network: &Network) -> Vec<(String, Saved)> {
        let before = self.network.numbers();
        let changed = network.numbers().into_iter().filter(|(path, data)| {
            before.get(path).map(TensorData::as_bytes) != Some(data.as_bytes())
        });
        changed
            .map(|(path, data)| (format!("{role}/{path}"), Saved::new(data)))
            .collect()
    }

    /// Where an interrupted training was, if one was kept. Its network is on the plain device.
    pub(super) fn find(&self, optimizer: &Optimizer) -> Option<(State, TrainerState)> {
        let file = self.file?;
        let bytes = std::fs::read(file).ok()?;
        match self.read(&bytes, &name_of(file), optimizer) {
            Ok(found) => Some(found),
            Err(what) => {
                self.host.notice(format!(
                    "what an interrupted training left is damaged ({what}): it begins anew"
                ));
                None
            }
        }
    }

    /// What `bytes` of the stage with this `key` hold, else what is wrong with them.
    fn read(
        &self,
        bytes: &[u8],
        key: &str,
        optimizer: &Optimizer,
    ) -> Result<(State, TrainerState), &'static str> {
        let (bytes, digest) = bytes.split_last_chunk::<32>().ok_or("it is too short")?;
        if blake3::Hasher::new().update_rayon(bytes).finalize() != *digest {
            return Err("its digest is another");
        }
        let (words, own) = words(bytes).ok_or("it is of another refire")?;
        if own != key {
            return Err("it is of another stage");
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|_| "it is no safetensors file")?;
        let mut roles = roles(&tensors).ok_or("its tensors are not numbers")?;
        let network = self.filled(roles.remove("network"))?;
        let best = match words.best {
            Some(best) => Some((best, self.filled(roles.remove("best"))?)),
            None => None,
        };
        let average = words.averages.then(|| self.filled(roles.remove("average")));
        let average = average.transpose()?;
        let mut states = BTreeMap::new();
        for (id, name) in names(&network) {
            if let Some(steps) = words.steps.get(&name) {
                let rows = roles.iter_mut().filter_map(|(role, tensors)| {
                    let row = role.strip_prefix(OPTIMIZER)?;
                    Some((row.to_string(), tensors.remove(&name)?))
                });
                states.insert(id, (*steps, rows.collect()));
            }
        }
        let trainer = TrainerState {
            history: words.history.into_iter().map(figures).collect(),
            steps: words.lines,
            best,
            position: words.position,
        };
        let mut optimizer = optimizer.fresh();
        optimizer.restore(states);
        let state = State {
            network,
            optimizer,
            average,
            moving: BTreeSet::new(),
        };
        Ok((state, trainer))
    }

    /// The network before training with `numbers` in place of its own.
    fn filled(
        &self,
        numbers: Option<BTreeMap<String, TensorData>>,
    ) -> Result<Network, &'static str> {
        let network = self.network.clone();
        let filled = network.with_numbers(numbers.unwrap_or_default());
        filled.ok_or("it is of another network")
    }
}

/// The epoch, counted from 1, at which the training goes on that left `file`; none if it has begun none. The file's head is
/// read and no more, so that a damaged one may still promise something.
#[must_use]
pub fn resumes_at(file: &Path) -> Option<usize> {
    let stage = name_of(file);
    let mut file = File::open(file).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let mut header = Vec::new();
    let length = u64::from_le_bytes(length);
    file.take(length).read_to_end(&mut header).ok()?;
    let header: Header = serde_json::from_slice(&header).ok()?;
    if header.metadata.get(STAGE) != Some(&stage) {
        return None;
    }
    let words: Words = serde_json::from_str(header.metadata.get(WORDS)?).ok()?;
    Some(words.position.epoch).filter(|epoch| *epoch > 0)
}

/// The head of a safetensors file, without the tensors.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: HashMap<String, String>,
}

/// What a checkpoint is called: the key of its stage.
fn name_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What is no tensor, out of the metadata, and the key of the stage.
fn words(bytes: &[u8]) -> Option<(Words, String)> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let metadata = header.metadata().as_ref()?;
    let known = metadata
        .get("format")
        .is_some_and(|format| format == FORMAT);
    let words = || {
        let words = serde_json::from_str(metadata.get(WORDS)?).ok()?;
        Some((words, metadata.get(STAGE)?.clone()))
    };
    known.then(words)?
}

/// The figures that were kept as bits.
fn figures(kept: Figures) -> EpochFigures {
    let validation = kept.validation.into_iter();
    EpochFigures {
        epoch: kept.epoch,
        step: kept.step,
        train_loss: f64::from_bits(kept.train_loss),
        validation: validation
            .map(|(name, figure)| (name, f64::from_bits(figure)))
            .collect(),
    }
}

/// Role → name → numbers.
fn roles(tensors: &SafeTensors<'_>) -> Option<BTreeMap<String, BTreeMap<String, TensorData>>> {
    let mut roles: BTreeMap<String, BTreeMap<String, TensorData>> = BTreeMap::new();
    for (name, view) in tensors.iter() {
        let (role, name) = name.split_once('/')?;
        let numbers = view.data().chunks_exact(size_of::<f32>());
        let numbers: Vec<f32> = numbers
            .map(|bytes| bytes.try_into().map(f32::from_le_bytes))
            .collect::<Result<_, _>>()
            .ok()?;
        let data = TensorData::new(numbers, view.shape().to_vec());
        roles
            .entry(role.into())
            .or_default()
            .insert(name.into(), data);
    }
    Some(roles)
}

/// Burn's names for the parameters → theirs.
fn names(network: &Network) -> BTreeMap<burn::module::ParamId, String> {
    let parameters = network.parameters().into_iter();
    parameters
        .map(|parameter| (parameter.id, parameter.name))
        .collect()
}
