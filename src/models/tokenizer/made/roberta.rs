//! `vocab.json` and `merges.txt`: the byte pair encoding of RoBERTa, transformers' `RobertaTokenizer`
//! (`models/roberta/tokenization_roberta.py`).

use serde_json::{Map, Value, json};

use super::special::{Added, Usual};
use super::{Parts, Source, text};
use crate::error::{Context, Error, Result};

const USUAL: Usual = ["<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"];

/// The tokenizer of the `vocab.json` and `merges.txt` in the folder.
///
/// # Errors
/// Files that hold no vocabulary, or no pairs.
pub(super) fn make(source: &Source<'_>) -> Result<Parts> {
    let path = source.folder.join("vocab.json");
    let cannot = || format!("`{}` is no vocabulary: token → id", path.display());
    let vocab: Map<String, Value> = serde_json::from_str(&text(&path)?).or_stage(cannot)?;
    let is_id = |id: &Value| id.as_u64().is_some_and(|id| u32::try_from(id).is_ok());
    if let Some((token, _)) = vocab.iter().find(|(_, id)| !is_id(id)) {
        return Err(Error::stage(cannot()).cause(format!("`{token}` has no id")));
    }
    let merges = merges(source)?;
    let settings = source.settings;
    let add_prefix_space = settings.flag("add_prefix_space")?.unwrap_or(false);
    let trim_offsets = settings.flag("trim_offsets")?.unwrap_or(true);
    let added = Added::new(
        settings,
        &USUAL,
        |mask| mask,
        Vec::new(),
        &|token| vocab.get(token)?.as_u64(),
        vocab.len(),
    )?;
    let ((cls, cls_id), (sep, sep_id)) = (added.named("cls_token"), added.named("sep_token"));
    let told = if add_prefix_space {
        ", with a space put before each text"
    } else {
        ""
    };
    Ok(Parts {
        normalizer: Value::Null,
        pre_tokenizer: json!({
            "type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": true,
        }),
        post_processor: json!({
            "type": "RobertaProcessing", "sep": [sep, sep_id], "cls": [cls, cls_id], "trim_offsets": trim_offsets,
            "add_prefix_space": add_prefix_space,
        }),
        decoder: json!({
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
        }),
        model: json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": merges,
        }),
        added,
        takes_types: false,
        told: told.into(),
    })
}

/// The pairs of `merges.txt`, in the order in which they are joined.
fn merges(source: &Source<'_>) -> Result<Vec<[String; 2]>> {
    let path = source.folder.join("merges.txt");
    let written = text(&path)?;
    let lines = written.trim_end_matches(['\n', '\r']).lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.starts_with("#version") && !written.is_empty());
    let pair = |(number, line): (usize, &str)| {
        let mut parts = line.split(' ').map(String::from);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(first), Some(second), None) => Ok([first, second]),
            _ => Err(Error::stage(format!(
                "line {} of `{}` is no pair of tokens: `{line}`",
                number + 1,
                path.display()
            ))),
        }
    };
    lines.map(pair).collect()
}
