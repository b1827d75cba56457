//! A model's folder: Hugging Face's JSON files and refire's card.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::tokenizer::TOKENIZER_FILES;
use super::{CARD_FILE, Card, Problem, weights};
use crate::error::{Context, Error, Result};

/// The most classes without a name: whether they are those of the weights is seen when these are read.
const MOST_CLASSES: u64 = 1_000_000;

/// What a folder says about its model, weights aside.
#[derive(Debug)]
pub(super) struct ModelFolder {
    /// Where it is.
    pub(super) path: PathBuf,
    /// `config.json`.
    pub(super) config: Map<String, Value>,
    /// `refire.json`.
    pub(super) card: Card,
}

impl ModelFolder {
    /// Reads the JSON files in the folder at `path`.
    ///
    /// # Errors
    /// No `config.json`, or files that cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_path_buf(),
            config: object(&path.join("config.json"))?,
            card: Card::read(path)?,
        })
    }

    /// What `config.json` says about `key`, if that is a word.
    pub(super) fn word(&self, key: &str) -> Option<&str> {
        self.config.get(key)?.as_str()
    }

    /// Which of `families`, values of `model_type`, it is; the first unless it is another.
    pub(super) fn family(&self, families: &'static [&'static str]) -> &'static str {
        let written = self.word("model_type");
        let found = families.iter().find(|family| written == Some(**family));
        found.or(families.first()).copied().unwrap_or_default()
    }

    /// Refuses what timm would build another network by than the one that `architecture` names.
    ///
    /// # Errors
    /// `model_args` that says anything.
    pub(super) fn refuse_model_args(&self) -> Result<()> {
        match self.config.get("model_args") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Object(settings)) if settings.is_empty() => Ok(()),
            Some(_) => Err(Error::stage(
                "config.json: `model_args` changes the network that `architecture` names, and refire builds that as it is",
            )),
        }
    }

    /// The class that the weights were saved from, if `config.json` says it.
    fn class(&self) -> Option<&str> {
        self.config.get("architectures")?.get(0)?.as_str()
    }

    /// `config.json` as an architecture's own config.
    ///
    /// # Errors
    /// Missing keys and values that the architecture does not know.
    pub(super) fn config_as<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(Value::Object(self.config.clone())).or_stage(|| {
            format!(
                "`{}` describes no network that refire can build",
                self.path.join("config.json").display()
            )
        })
    }

    /// What the outputs of the checkpoint's head mean: what refire or transformers wrote down, else what transformers' classes take for
    /// granted, a regression where there is one output.
    pub(super) fn problem(&self) -> Result<Problem> {
        if self.card.task.is_some() {
            return Ok(self.card.problem);
        }
        let written = self.config.get("problem_type");
        let written = written.and_then(|written| serde_json::from_value(written.clone()).ok());
        match written {
            Some(problem) => Ok(problem),
            None if self
                .class()
                .is_some_and(|class| class.ends_with("ForTokenClassification")) =>
            {
                Ok(Problem::TokenClassification)
            }
            None if self.labels()?.len() == 1 => Ok(Problem::Regression),
            None => Ok(Problem::default()),
        }
    }

    /// The labels that the checkpoint's classifier was trained for; none if it says nothing about them. timm's classes that
    /// have no names are numbered from 0; Hugging Face's classifiers have two labels where they do not name them.
    ///
    /// # Errors
    /// More classes than any network has.
    pub(super) fn labels(&self) -> Result<Vec<String>> {
        if !self.card.labels.is_empty() {
            return Ok(self.card.labels.clone());
        }
        if let Some(Value::Object(by_id)) = self.config.get("id2label") {
            return Ok((0..by_id.len())
                .map_while(|id| Some(by_id.get(&id.to_string())?.as_str()?.to_string()))
                .collect());
        }
        if let Some(Value::Array(names)) = self.config.get("label_names") {
            let names = names.iter().filter_map(Value::as_str);
            return Ok(names.map(str::to_string).collect());
        }
        if self
            .class()
            .is_some_and(|class| class.ends_with("Classification"))
        {
            return Ok(vec!["LABEL_0".into(), "LABEL_1".into()]);
        }
        let classes = self.config.get("num_classes").and_then(Value::as_u64);
        let classes = classes.unwrap_or(0);
        if classes > MOST_CLASSES {
            return Err(Error::stage(format!(
                "config.json: `num_classes` is {classes}, and at most {MOST_CLASSES} are taken"
            )));
        }
        Ok((0..classes).map(|class| class.to_string()).collect())
    }
}

/// The labels that the model in the folder at `path` was trained for, in the order of its outputs; none if it says nothing about
/// them.
///
/// # Errors
/// Files that cannot be read.
pub fn labels(path: &Path) -> Result<Vec<String>> {
    ModelFolder::open(path)?.labels()
}

/// The `config.json` of the model in the folder at `path`.
///
/// # Errors
/// A file that cannot be read.
pub fn config(path: &Path) -> Result<Map<String, Value>> {
    Ok(ModelFolder::open(path)?.config)
}

/// Fills the empty folder `to` with the model in `from`, its card left out. Files are linked where the disk can do that,
/// since nobody writes to them again.
///
/// # Errors
/// Those of the disk.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    copy(from, to, &|name| name != CARD_FILE, link)
}

/// The same without what [`Network::save`](super::Network::save) writes itself: the config and the weights. What is left
/// are the tokenizer's files and the like.
///
/// # Errors
/// Those of the disk.
pub fn copy_companions(from: &Path, to: &Path) -> Result<()> {
    copy(from, to, &is_companion, link)
}

/// The same without what describes the model to people, and without its tokenizer unless that is `with_tokenizer`.
///
/// # Errors
/// Those of the disk.
pub fn copy_inputs(from: &Path, to: &Path, with_tokenizer: bool) -> Result<()> {
    let wanted = |name: &str| {
        let unwanted = name == "README.md" || !with_tokenizer && TOKENIZER_FILES.contains(&name);
        is_companion(name) && !unwanted
    };
    copy(from, to, &wanted, link)
}

/// The same as files of their own, which their owner may write to.
pub(super) fn own_companions(from: &Path, to: &Path) -> Result<()> {
    copy(from, to, &is_companion, copy_file)
}

/// A copy of the file `from` that its owner may write to.
pub(super) fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut to = std::fs::File::create_new(to)?;
    std::io::copy(&mut std::fs::File::open(from)?, &mut to).map(drop)
}

fn is_companion(name: &str) -> bool {
    name != CARD_FILE && name != "config.json" && !weights::is_weights(Path::new(name))
}

fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::hard_link(from, to).or_else(|_| std::fs::copy(from, to).map(drop))
}

/// `wanted` decides on the names of files in the folder itself; its folders are copied as they are. `place` copies a file.
fn copy(
    from: &Path,
    to: &Path,
    wanted: &dyn Fn(&str) -> bool,
    place: fn(&Path, &Path) -> std::io::Result<()>,
) -> Result<()> {
    let failed = |path: &Path| format!("cannot copy `{}`", path.display());
    for entry in std::fs::read_dir(from).or_stage(|| failed(from))? {
        let entry = entry.or_stage(|| failed(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            std::fs::create_dir_all(&target).or_stage(|| failed(&source))?;
            copy(&source, &target, &|_| true, place)?;
        } else if wanted(&entry.file_name().to_string_lossy()) {
            place(&source, &target).or_stage(|| failed(&source))?;
        }
    }
    Ok(())
}

/// `config` of a model with the outputs that `card` names, as Hugging Face's class `class` reads it.
pub(super) fn classifier_config(
    config: &Map<String, Value>,
    class: &str,
    card: &Card,
) -> Map<String, Value> {
    let mut config = config.clone();
    let ids = card.labels.iter().enumerate();
    let id2label = ids
        .clone()
        .map(|(id, label)| (id.to_string(), Value::from(label.as_str())));
    let label2id = ids.map(|(id, label)| (label.clone(), Value::from(id)));
    config.insert("architectures".into(), Value::from(vec![class]));
    if card.problem.has_labels() {
        config.insert("id2label".into(), Value::Object(id2label.collect()));
        config.insert("label2id".into(), Value::Object(label2id.collect()));
    } else {
        config.shift_remove("id2label");
        config.shift_remove("label2id");
    }
    if card.problem.is_problem_type() {
        config.insert("problem_type".into(), card.problem.name().into());
    } else {
        config.shift_remove("problem_type");
    }
    for key in ["dtype", "torch_dtype"] {
        if let Some(value) = config.get_mut(key) {
            *value = "float32".into();
        }
    }
    config
}

/// What `config.json` says of a classifier for `labels` as timm writes it, on top of what it says already.
pub(super) fn timm_config(config: &Map<String, Value>, labels: &[String]) -> Map<String, Value> {
    let mut config = config.clone();
    config.insert("num_classes".into(), labels.len().into());
    config.insert("label_names".into(), labels.into());
    config
}

/// Writes `config` as the `config.json` of the model in `folder`, as Hugging Face does: indented by two, a newline at the end.
///
/// # Errors
/// Those of the disk.
pub fn write_config(folder: &Path, config: &Map<String, Value>) -> Result<()> {
    let path = folder.join("config.json");
    let mut json = serde_json::to_vec_pretty(config)
        .or_stage(|| format!("cannot write `{}`", path.display()))?;
    json.push(b'\n');
    weights::write_new(&path, &json)
}

/// What a text file holds behind its byte order mark, if it has one.
pub(super) fn unmarked(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// The object in the JSON file at `path`.
fn object(path: &Path) -> Result<Map<String, Value>> {
    let bytes = std::fs::read(path).map_err(|error| {
        Error::stage(format!("cannot read `{}`", path.display()))
            .because(&error)
            .help("a model is a folder with Hugging Face's config.json and weights; for a bare file of weights, `architecture = \"…\"` in the stage `pretrained` writes it")
    })?;
    serde_json::from_slice(unmarked(&bytes))
        .or_stage(|| format!("`{}` is not a JSON object", path.display()))
}

/// The object in the JSON file at `path`, if there is such a file.
pub(super) fn optional(path: &Path) -> Result<Option<Map<String, Value>>> {
    if path.exists() {
        object(path).map(Some)
    } else {
        Ok(None)
    }
}
