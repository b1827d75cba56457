//! How a text model pools the states of a text's tokens: what the caller, `refire.json`, an export's config or the files of
//! sentence-transformers say, else what its class does. What nobody asked for is told; where a guess would be a bad one, it is refused.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Result};
use crate::models::architecture::{LibraryHead, Source};
use crate::models::export::Library;
use crate::models::folder::{ModelFolder, optional};
use crate::models::weights::Reading;
use crate::models::{Head, Pooling, Problem};

/// The mean over the tokens that `mask`, `[batch, tokens]`, is 1 for: `[batch, tokens, width]` → `[batch, width]`.
pub(super) fn mean(states: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
    let [batch, tokens, width] = states.dims();
    let counts = mask.clone().sum_dim(1).clamp_min(1.0);
    let weights = (mask / counts).reshape([batch, 1, tokens]);
    weights.matmul(states).reshape([batch, width])
}

/// Of a network without a pooler, one or the other.
pub(super) fn pool(states: Tensor<3>, mask: Tensor<2>, pooling: Pooling) -> Tensor<2> {
    match pooling {
        Pooling::Mean => mean(states, mask),
        Pooling::Cls | Pooling::Pooler => first(states),
    }
}

/// The state of the first token: `[batch, tokens, width]` → `[batch, width]`.
pub(super) fn first(states: Tensor<3>) -> Tensor<2> {
    let [batch, _, width] = states.dims();
    states.slice([0..batch, 0..1]).reshape([batch, width])
}

/// A pooling, and what is to be told about it.
pub(super) struct Choice {
    pub(super) pooling: Pooling,
    /// What was decided that neither the caller nor refire wrote down, as sentences for the user.
    pub(super) told: Vec<String>,
}

/// The pooling of the network that is built of `source`: the one that the head asks for, else what the folder says, else the habit of
/// its class, which goes by whether the checkpoint has a pooler. What is to give embeddings pools by the mean where nothing says
/// otherwise, as in sentence-transformers. A head that takes the states of tokens has no use for the pooling: nothing is missed then, and
/// nothing told.
///
/// # Errors
/// A pooling that refire or the checkpoint does not have; a sentence encoder whose folder lacks what says how it pools; embeddings from
/// a checkpoint's pooler, for which sentence-transformers has no module.
pub(super) fn choose(source: &Source<'_>, has_pooler: bool) -> Result<Choice> {
    let Source {
        head,
        folder,
        checkpoint,
        reading,
        ..
    } = *source;
    if head.problem.head_kind().takes_tokens() {
        let choice = by_what_is_said(head, folder, &checkpoint.file, has_pooler, Reading::Headers)?;
        return Ok(Choice {
            told: Vec::new(),
            ..choice
        });
    }
    by_what_is_said(head, folder, &checkpoint.file, has_pooler, reading)
}

/// The same for an architecture, called `name`, whose classes go without a pooler: their classifiers have a layer of their own behind the
/// first token's state.
///
/// # Errors
/// The same, and a pooling by a pooler.
pub(super) fn choose_without_pooler(source: &Source<'_>, name: &str) -> Result<Choice> {
    if source.head.pooling == Some(Pooling::Pooler) {
        return Err(Error::stage(format!(
            "pooling = \"pooler\" is not for {name}: its classifier has a layer of its own in place of a pooler"
        ))
        .help("choose pooling = \"cls\", as its library does, or \"mean\""));
    }
    choose(source, false)
}

/// What loads a network in Python whose class takes the first token's state: the class that comes with it where it pools by the mean.
pub(super) fn library(head: &LibraryHead, pooling: Pooling) -> Library {
    match (head.library, pooling) {
        (Library::Transformers(class), Pooling::Mean) if !head.kind.takes_tokens() => {
            Library::OwnClass(class, Pooling::Mean)
        }
        (library, _) => library,
    }
}

/// The same of a network whose class pools by the checkpoint's pooler, if it has one, and by nothing else.
pub(super) fn library_by_pooler(head: &LibraryHead, pooling: Pooling, has_pooler: bool) -> Library {
    if head.kind.takes_tokens() {
        return head.library;
    }
    match (head.library, pooling) {
        (Library::SentenceTransformers, _) => head.library,
        (library, Pooling::Pooler) if has_pooler => library,
        (Library::Transformers(class), Pooling::Mean) => Library::OwnClass(class, Pooling::Mean),
        (Library::Transformers(class), _) => Library::OwnClass(class, Pooling::Cls),
        (library, _) => library,
    }
}

fn by_what_is_said(
    head: &Head,
    folder: &ModelFolder,
    file: &Path,
    has_pooler: bool,
    reading: Reading,
) -> Result<Choice> {
    let silent = |pooling| Choice {
        pooling,
        told: Vec::new(),
    };
    let embeds = head.problem == Problem::Embedding;
    // The pooler of another task's card is what that task's class has.
    let tuned = folder.card.pooling;
    let tuned = tuned.filter(|pooling| !embeds || *pooling != Pooling::Pooler);
    let choice = if let Some(pooling) = head.pooling.or(tuned) {
        silent(pooling)
    } else if let Some(pooling) = exported(folder)? {
        silent(pooling)
    } else {
        let modules = Modules::read(folder)?;
        match modules.pooling(folder)? {
            Some((pooling, said_by)) => Choice {
                pooling,
                told: [format!("pools by {}, as `{said_by}` says", words(pooling))]
                    .into_iter()
                    .chain(modules.left_out())
                    .collect(),
            },
            // An outline has no use for the pooling; what reads the values will say what is missing.
            None if reading == Reading::Headers => silent(habit(has_pooler)),
            None => {
                refuse_sentence_encoders(folder, file, &modules)?;
                if embeds {
                    by_mean()
                } else {
                    by_habit(folder, has_pooler)
                }
            }
        }
    };
    if embeds && choice.pooling == Pooling::Pooler {
        return Err(Error::stage(
            "pooling = \"pooler\" is for classifiers: embeddings are the mean over a text's tokens, or the first token's state",
        )
        .help("choose pooling = \"mean\" or \"cls\""));
    }
    if choice.pooling == Pooling::Pooler && !has_pooler {
        return Err(
            Error::stage("the checkpoint has no pooler for pooling = \"pooler\"")
                .help("choose pooling = \"cls\" or \"mean\""),
        );
    }
    Ok(choice)
}

fn words(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Mean => "the mean over a text's tokens",
        Pooling::Cls => "the first token's state",
        Pooling::Pooler => "the checkpoint's pooler over the first token",
    }
}

fn by_mean() -> Choice {
    let told = format!(
        "pools by {}, because nothing in the model's folder says how; `pooling` chooses another way",
        words(Pooling::Mean)
    );
    Choice {
        pooling: Pooling::Mean,
        told: vec![told],
    }
}

fn habit(has_pooler: bool) -> Pooling {
    if has_pooler {
        Pooling::Pooler
    } else {
        Pooling::Cls
    }
}

fn by_habit(folder: &ModelFolder, has_pooler: bool) -> Choice {
    let pooling = habit(has_pooler);
    let told = match class(folder) {
        Some(class) if is_classifier(class) => {
            format!("pools by {}, as {class} does", words(pooling))
        }
        _ => format!(
            "pools by {}, because nothing in the model's folder says how; `pooling` chooses another way",
            words(pooling)
        ),
    };
    Choice {
        pooling,
        told: vec![told],
    }
}

/// The class that the weights were saved from.
fn class(folder: &ModelFolder) -> Option<&str> {
    folder.config.get("architectures")?.get(0)?.as_str()
}

fn is_classifier(class: &str) -> bool {
    class.ends_with("ForSequenceClassification")
}

/// What the config of an export says.
fn exported(folder: &ModelFolder) -> Result<Option<Pooling>> {
    let Some(pooling) = folder.config.get("pooling") else {
        return Ok(None);
    };
    let read = serde_json::from_value(pooling.clone());
    read.map(Some)
        .or_stage(|| unknown(&folder.path.join("config.json")))
}

fn unknown(path: &Path) -> String {
    format!(
        "`{}` asks for a pooling that refire does not have",
        path.display()
    )
}

// ------------------------------------------------------------------------------------- the files of sentence-transformers

/// `modules.json`: what a text goes through.
#[derive(Default)]
struct Modules(Option<Vec<Module>>);

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

impl Module {
    fn is(&self, class: &str) -> bool {
        self.class.rsplit('.').next() == Some(class)
    }
}

impl Modules {
    const FILE: &str = "modules.json";

    fn read(folder: &ModelFolder) -> Result<Self> {
        let path = folder.path.join(Self::FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let cannot = || format!("`{}` is no list of modules", path.display());
        let bytes = std::fs::read(&path).or_stage(cannot)?;
        serde_json::from_slice(&bytes)
            .map(|modules| Self(Some(modules)))
            .or_stage(cannot)
    }

    /// The folder of the pooling: by `modules.json`, else where it always is.
    fn folder(&self) -> &str {
        let named = self.0.iter().flatten().find(|module| module.is("Pooling"));
        named.map_or("1_Pooling", |module| &module.path)
    }

    /// Where the pooling is written down in the folder of a model.
    fn file(&self) -> PathBuf {
        Path::new(self.folder()).join("config.json")
    }

    /// The pooling that is written down, and where.
    fn pooling(&self, folder: &ModelFolder) -> Result<Option<(Pooling, String)>> {
        let file = self.file();
        let path = folder.path.join(&file);
        let Some(settings) = optional(&path)? else {
            return Ok(None);
        };
        let pooling = match modes(&settings)[..] {
            ["mean"] => Pooling::Mean,
            ["cls"] => Pooling::Cls,
            _ => {
                return Err(Error::stage(unknown(&path))
                    .help("choose one: pooling = \"mean\", \"cls\" or \"pooler\""));
            }
        };
        Ok(Some((pooling, file.display().to_string())))
    }

    /// A word on the modules that refire goes without.
    fn left_out(&self) -> Option<String> {
        let ours = |module: &&Module| !module.is("Transformer") && !module.is("Pooling");
        let others = self.0.iter().flatten().filter(ours);
        let others: Vec<&str> = others
            .map(|module| module.class.rsplit('.').next().unwrap_or_default())
            .collect();
        (!others.is_empty()).then(|| {
            format!(
                "of `{}` the encoder and the pooling are taken; left out: {}",
                Self::FILE,
                others.join(", ")
            )
        })
    }
}

/// The ways to pool that are turned on: `pooling_mode`, or a switch for each, as versions before 6 write them.
fn modes(settings: &Map<String, Value>) -> Vec<&str> {
    match settings.get("pooling_mode") {
        Some(Value::String(mode)) => vec![mode],
        Some(Value::Array(modes)) => modes.iter().filter_map(Value::as_str).collect(),
        _ => {
            let switches = settings.iter().filter(|(_, on)| **on == Value::Bool(true));
            let names = switches.filter_map(|(name, _)| name.strip_prefix("pooling_mode_"));
            names
                .map(|name| name.strip_suffix("_tokens").unwrap_or(name))
                .map(|name| name.strip_suffix("_token").unwrap_or(name))
                .collect()
        }
    }
}

/// Refuses to guess how a sentence encoder pools: its checkpoint may have a pooler that it was not trained with.
fn refuse_sentence_encoders(folder: &ModelFolder, file: &Path, modules: &Modules) -> Result<()> {
    if class(folder).is_some_and(is_classifier) {
        return Ok(());
    }
    let pooling = modules.file();
    let add = format!(
        "add \"{}\" to `files` of the stage `pretrained`",
        pooling.display()
    );
    if let Some(known) = Known::find(KNOWN, file)? {
        return Err(Error::stage(format!(
            "the model is {}, which pools by {}, but nothing in its folder says so",
            known.name,
            words(known.pooling)
        ))
        .help(format!(
            "{add}, or set pooling = \"{}\" here",
            known.pooling.name()
        )));
    }
    let files = [
        Modules::FILE,
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
    ];
    let mut signs = files
        .into_iter()
        .chain([modules.folder()])
        .filter(|name| folder.path.join(name).exists());
    match signs.next() {
        None => Ok(()),
        Some(sign) => Err(Error::stage(format!(
            "the model is a sentence encoder, as `{sign}` shows, but its folder lacks `{}`, which says how it pools",
            pooling.display()
        ))
        .help(format!(
            "{add}, or set `pooling` here: \"mean\", \"cls\" or \"pooler\""
        ))),
    }
}

/// Weights of a sentence encoder that are known by their bytes.
struct Known {
    name: &'static str,
    bytes: u64,
    sha256: &'static str,
    pooling: Pooling,
}

/// Those that come without their other files often enough.
const KNOWN: &[Known] = &[Known {
    name: "all-MiniLM-L6-v2",
    bytes: 90_868_376,
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    pooling: Pooling::Mean,
}];

impl Known {
    /// Which of `all` the weights in `file` are. It is read only if it has the length of one of them.
    fn find<'a>(all: &'a [Self], file: &Path) -> Result<Option<&'a Self>> {
        let cannot = || format!("cannot read `{}`", file.display());
        let bytes = std::fs::metadata(file).or_stage(cannot)?.len();
        let Some(known) = all.iter().find(|known| known.bytes == bytes) else {
            return Ok(None);
        };
        let mut opened = std::fs::File::open(file).or_stage(cannot)?;
        let mut hasher = Sha256::new();
        let mut piece = vec![0; 1 << 20];
        loop {
            match opened.read(&mut piece).or_stage(cannot)? {
                0 => break,
                read => hasher.update(&piece[..read]),
            }
        }
        let mut digits = String::new();
        for byte in hasher.finalize() {
            let _ = write!(digits, "{byte:02x}");
        }
        Ok((digits == known.sha256).then_some(known))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn modes_of(settings: &Value) -> Vec<&str> {
        modes(settings.as_object().expect("an object"))
    }

    #[test]
    fn old_and_new_settings_of_sentence_transformers_are_read() {
        let old = json!({
            "word_embedding_dimension": 384,
            "pooling_mode_cls_token": false,
            "pooling_mode_mean_tokens": true,
            "include_prompt": true,
        });
        assert_eq!(modes_of(&old), ["mean"]);
        assert_eq!(modes_of(&json!({"pooling_mode_cls_token": true})), ["cls"]);
        assert_eq!(modes_of(&json!({"pooling_mode": "cls"})), ["cls"]);
        let both = json!({"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true});
        assert_eq!(modes_of(&both).len(), 2);
        let other = json!({"pooling_mode_mean_sqrt_len_tokens": true});
        assert_eq!(modes_of(&other), ["mean_sqrt_len"]);
    }

    #[test]
    fn weights_are_known_by_their_bytes() {
        let known = [Known {
            name: "three letters",
            bytes: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            pooling: Pooling::Mean,
        }];
        let folder = tempfile::tempdir().expect("a temporary folder");
        let find = |bytes: &[u8]| {
            let file = folder.path().join("weights");
            crate::models::weights::write_new(&file, bytes).expect("written");
            let found = Known::find(&known, &file).expect("readable");
            found.map(|known| known.name)
        };
        assert_eq!(find(b"abc"), Some("three letters"));
        assert_eq!(find(b"xyz"), None);
        assert_eq!(find(b"abcd"), None);
    }
}
