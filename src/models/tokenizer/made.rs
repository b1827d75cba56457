//! Tokenizers of folders without a `tokenizer.json`: out of the files that older programs wrote, the same one that transformers makes of
//! them (`models/*/tokenization_*.py` and `convert_slow_tokenizer.py` of transformers 5.23), as the text of a `tokenizer.json`.
//!
//! Which class of transformers it would be stands in `tokenizer_config.json` or `config.json`, else it follows from the type of the model,
//! else from the files.

mod bert;
mod proto;
mod roberta;
mod sentencepiece;
mod special;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{folder, tokenizers};
use crate::error::{Context, Error, Result};
use crate::models::weights::write_new;
use special::{Added, Settings};

/// A tokenizer that was made of other files.
#[derive(Debug)]
pub(super) struct Made {
    /// The text of a `tokenizer.json`.
    pub(super) json: Vec<u8>,
    /// What `tokenizer_config.json` says beside what it said before.
    pub(super) config: Map<String, Value>,
    /// What it was made of and what was decided on the way, as a sentence for the user.
    pub(super) told: String,
}

impl Made {
    /// Writes it into `folder`, over the settings that are there.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        write_new(&folder.join("tokenizer.json"), &self.json)?;
        let path = folder.join("tokenizer_config.json");
        let mut settings = folder::optional(&path)?.unwrap_or_default();
        for (key, value) in &self.config {
            settings.entry(key).or_insert_with(|| value.clone());
        }
        // The class of the other files would be made of them again, and not of the tokenizer itself.
        settings.insert("tokenizer_class".into(), ANY[0].into());
        let mut json = serde_json::to_vec_pretty(&settings)
            .or_stage(|| format!("cannot write `{}`", path.display()))?;
        json.push(b'\n');
        write_new(&path, &json)
    }
}

/// The names of files that hold a model of SentencePiece, as their users call them.
pub(super) const SENTENCEPIECE: [&str; 4] = [
    "sentencepiece.bpe.model",
    "spm.model",
    "spiece.model",
    "tokenizer.model",
];

/// A class of transformers.
struct Class {
    /// Its name and those of classes that do the same.
    names: &'static [&'static str],
    /// The types of models that have it.
    model_types: &'static [&'static str],
    /// What it is made of.
    needs: Needs,
    make: fn(&Source<'_>) -> Result<Parts>,
}

/// The files that a tokenizer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Vocabulary,
    Pairs,
    /// One of [`SENTENCEPIECE`]; it is called so by those who save this class.
    SentencePiece(&'static str),
}

/// What a tokenizer is made from.
struct Source<'a> {
    folder: &'a Path,
    settings: &'a Settings,
    /// The file of a model of SentencePiece, where it is made of one.
    sentencepiece: PathBuf,
}

/// A tokenizer in parts, as `tokenizer.json` has them.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Value,
    added: Added,
    /// What networks of its kind take beside the ids.
    takes_types: bool,
    /// What was decided that the user should know.
    told: String,
}

const CLASSES: &[Class] = &[
    Class {
        names: &[
            "BertTokenizer",
            "DistilBertTokenizer",
            "ElectraTokenizer",
            "MobileBertTokenizer",
            "ConvBertTokenizer",
            "SqueezeBertTokenizer",
            "LayoutLMTokenizer",
            "LxmertTokenizer",
            "RetriBertTokenizer",
        ],
        model_types: &[
            "bert",
            "refire-bert",
            "distilbert",
            "electra",
            "mobilebert",
            "convbert",
            "squeezebert",
            "layoutlm",
            "lxmert",
            "megatron-bert",
            "ernie",
            "nezha",
            "qdqbert",
        ],
        needs: Needs::Vocabulary,
        make: bert::make,
    },
    Class {
        names: &["MPNetTokenizer"],
        model_types: &["mpnet"],
        needs: Needs::Vocabulary,
        make: bert::mpnet,
    },
    Class {
        names: &["RobertaTokenizer", "LongformerTokenizer", "BartTokenizer"],
        model_types: &[
            "roberta",
            "longformer",
            "bart",
            "data2vec-text",
            "ibert",
            "mega",
            "mra",
            "roberta-prelayernorm",
        ],
        needs: Needs::Pairs,
        make: roberta::make,
    },
    Class {
        names: &["XLMRobertaTokenizer"],
        model_types: &["xlm-roberta", "xlm-roberta-xl", "xmod"],
        needs: Needs::SentencePiece("sentencepiece.bpe.model"),
        make: sentencepiece::xlm_roberta,
    },
    Class {
        names: &["CamembertTokenizer"],
        model_types: &["camembert"],
        needs: Needs::SentencePiece("sentencepiece.bpe.model"),
        make: sentencepiece::camembert,
    },
    Class {
        names: &["AlbertTokenizer"],
        model_types: &["albert", "yoso"],
        needs: Needs::SentencePiece("spiece.model"),
        make: sentencepiece::albert,
    },
    Class {
        names: &["DebertaV2Tokenizer"],
        model_types: &["deberta-v2"],
        needs: Needs::SentencePiece("spm.model"),
        make: sentencepiece::deberta_v2,
    },
];

/// Names that stand for any tokenizer.
const ANY: [&str; 4] = [
    "PreTrainedTokenizerFast",
    "PreTrainedTokenizer",
    "TokenizersBackend",
    "AutoTokenizer",
];

/// Whether the folder at `path` has a tokenizer: a `tokenizer.json`, or files that one is made of.
#[must_use]
pub fn has_tokenizer(path: &Path) -> bool {
    let is_there = |name: &str| path.join(name).is_file();
    is_there("tokenizer.json")
        || is_there("vocab.txt")
        || is_there("vocab.json") && is_there("merges.txt")
        || SENTENCEPIECE.iter().any(|name| is_there(name))
}

/// The tokenizer of the files in `folder`; none if there are no such files.
///
/// # Errors
/// A class that refire does not know, files that are missing, damaged or contradict each other.
pub(super) fn make(path: &Path) -> Result<Option<Made>> {
    if !has_tokenizer(path) {
        return Ok(None);
    }
    let settings = Settings::read(path)?;
    let class = class(path, &settings)?;
    let sentencepiece = Needs::sentencepiece(path, class).unwrap_or_default();
    let source = Source {
        folder: path,
        settings: &settings,
        sentencepiece,
    };
    let parts = (class.make)(&source)?;
    let files = class.needs.files(&source);
    let json = json!({
        "version": "1.0",
        "truncation": null,
        "padding": parts.added.padding(),
        "added_tokens": parts.added.json(),
        "normalizer": parts.normalizer,
        "pre_tokenizer": parts.pre_tokenizer,
        "post_processor": parts.post_processor,
        "decoder": parts.decoder,
        "model": parts.model,
    });
    let mut config = parts.added.config();
    let mut inputs = vec!["input_ids", "attention_mask"];
    if parts.takes_types {
        inputs.insert(1, "token_type_ids");
    }
    config.insert("model_input_names".into(), inputs.into());
    // The library writes it, so that it reads again what it has read.
    let cannot = || {
        format!(
            "the tokenizer of {files} in `{}` cannot be made",
            path.display()
        )
    };
    let bytes = serde_json::to_vec(&json).or_stage(cannot)?;
    let json = tokenizers(cannot, || {
        tokenizers::Tokenizer::from_bytes(&bytes)?.to_string(true)
    })?;
    Ok(Some(Made {
        json: json.into_bytes(),
        config,
        told: format!(
            "there is no tokenizer.json: texts become tokens by {files}, as by transformers' {}{}",
            class.names[0], parts.told
        ),
    }))
}

/// The class of the tokenizer in `folder`.
fn class(path: &Path, settings: &Settings) -> Result<&'static Class> {
    let config = folder::optional(&path.join("config.json"))?.unwrap_or_default();
    let word = |key: &str| config.get(key).and_then(Value::as_str);
    let named = settings.word("tokenizer_class").or(word("tokenizer_class"));
    let named = named.filter(|name| !ANY.contains(name));
    if let Some(name) = named {
        let plain = name.strip_suffix("Fast").unwrap_or(name);
        let class = CLASSES.iter().find(|class| class.names.contains(&plain));
        let class = class.ok_or_else(|| {
            let known = CLASSES.iter().flat_map(|class| class.names).copied();
            Error::stage(format!(
                "the model has no `tokenizer.json`, and refire does not know how to make one for the class `{name}`"
            ))
            .note(format!("it can for {}", known.collect::<Vec<_>>().join(", ")))
            .help("add `tokenizer.json` to the model's files: transformers' `AutoTokenizer` loads the tokenizer, and `save_pretrained` writes it")
        })?;
        class.needs.check(path, class)?;
        return Ok(class);
    }
    let model_type = word("model_type");
    let of_type = CLASSES
        .iter()
        .find(|class| model_type.is_some_and(|model_type| class.model_types.contains(&model_type)));
    let by_files = || CLASSES.iter().find(|class| class.needs.are_own(path));
    if let Some(class) = of_type {
        class.needs.check(path, class)?;
    }
    of_type.or_else(by_files).ok_or_else(|| {
        Error::stage("nothing in the model's folder says what kind of tokenizer its files are")
            .note("a file called `tokenizer.model` may be of any kind")
            .help("add `tokenizer_class` to its tokenizer_config.json, such as \"XLMRobertaTokenizer\"")
    })
}

impl Needs {
    /// Refuses a folder that lacks the files of `class`.
    fn check(self, path: &Path, class: &Class) -> Result<()> {
        let missing = match self {
            Self::Vocabulary => first_missing(path, &["vocab.txt"]),
            Self::Pairs => first_missing(path, &["vocab.json", "merges.txt"]),
            Self::SentencePiece(name) => match Self::sentencepiece(path, class) {
                Some(_) => None,
                None => Some(name),
            },
        };
        match missing {
            None => Ok(()),
            Some(name) => Err(Error::stage(format!(
                "the model has no `tokenizer.json`, and no `{name}`, of which one for the class `{}` could be made",
                class.names[0]
            ))
            .help("name either of them among the stage's files")),
        }
    }

    /// Whether the folder has them under the names by which they are known.
    fn are_own(self, path: &Path) -> bool {
        match self {
            Self::Vocabulary => first_missing(path, &["vocab.txt"]).is_none(),
            Self::Pairs => first_missing(path, &["vocab.json", "merges.txt"]).is_none(),
            Self::SentencePiece(name) => path.join(name).is_file(),
        }
    }

    /// The file with the model of SentencePiece for `class` in the folder.
    fn sentencepiece(path: &Path, class: &Class) -> Option<PathBuf> {
        let Self::SentencePiece(own) = class.needs else {
            return None;
        };
        let names = std::iter::once(own).chain(SENTENCEPIECE);
        names
            .map(|name| path.join(name))
            .find(|path| path.is_file())
    }

    /// The files, in words.
    fn files(self, source: &Source<'_>) -> String {
        match self {
            Self::Vocabulary => "vocab.txt".into(),
            Self::Pairs => "vocab.json and merges.txt".into(),
            Self::SentencePiece(_) => {
                let name = source.sentencepiece.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
        }
    }
}

fn first_missing(path: &Path, names: &[&'static str]) -> Option<&'static str> {
    names
        .iter()
        .find(|name| !path.join(name).is_file())
        .copied()
}

/// A `TemplateProcessing` that puts special tokens around one text and around two: what stands in a template is the name of a special
/// token, with the type of its segment, or `A` or `B`.
fn template(single: &[(&str, u32)], pair: &[(&str, u32)], special: &[(&str, u64)]) -> Value {
    let piece = |(name, of): &(&str, u32)| match *name {
        "A" | "B" => json!({ "Sequence": { "id": name, "type_id": of } }),
        name => json!({ "SpecialToken": { "id": name, "type_id": of } }),
    };
    let named = special.iter().map(|(name, id)| {
        let token = json!({ "id": name, "ids": [id], "tokens": [name] });
        ((*name).to_string(), token)
    });
    let named: Map<String, Value> = named.collect();
    json!({
        "type": "TemplateProcessing",
        "single": single.iter().map(piece).collect::<Value>(),
        "pair": pair.iter().map(piece).collect::<Value>(),
        "special_tokens": named,
    })
}

/// A file of the folder as text.
fn text(path: &Path) -> Result<String> {
    let cannot = || format!("cannot read `{}`", path.display());
    let bytes = std::fs::read(path).or_stage(cannot)?;
    String::from_utf8(bytes).or_stage(cannot)
}

#[cfg(test)]
mod tests;
