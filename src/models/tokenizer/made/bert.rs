//! `vocab.txt`: the `WordPiece` tokenizers of BERT and of `MPNet`, transformers' `BertTokenizer` and `MPNetTokenizer`
//! (`models/bert/tokenization_bert.py`, `models/mpnet/tokenization_mpnet.py`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::special::{Added, Token, Usual};
use super::{Parts, Source, template, text};
use crate::error::{Error, Result};

const USUAL: Usual = ["", "", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];
const USUAL_OF_MPNET: Usual = ["<s>", "</s>", "[UNK]", "</s>", "<pad>", "<s>", "<mask>"];

/// BERT's tokenizer of the `vocab.txt` in the folder.
///
/// # Errors
/// A file that holds no vocabulary.
pub(super) fn make(source: &Source<'_>) -> Result<Parts> {
    of_vocabulary(
        source,
        &USUAL,
        |mask| mask,
        |cls, sep| {
            let ((cls, cls_id), (sep, sep_id)) = (cls, sep);
            template(
                &[(cls, 0), ("A", 0), (sep, 0)],
                &[(cls, 0), ("A", 0), (sep, 0), ("B", 1), (sep, 1)],
                &[(cls, cls_id), (sep, sep_id)],
            )
        },
    )
}

/// `MPNet`'s tokenizer of the `vocab.txt` in the folder: BERT's words in between the tokens of RoBERTa.
///
/// # Errors
/// A file that holds no vocabulary.
pub(super) fn mpnet(source: &Source<'_>) -> Result<Parts> {
    let parts = of_vocabulary(source, &USUAL_OF_MPNET, Token::with_lstrip, |cls, sep| {
        json!({
            "type": "RobertaProcessing", "sep": [sep.0, sep.1], "cls": [cls.0, cls.1], "trim_offsets": true,
            "add_prefix_space": false,
        })
    })?;
    Ok(Parts {
        takes_types: false,
        ..parts
    })
}

/// A token's text and its id.
type Named<'a> = (&'a str, u64);

/// The tokenizer of the `vocab.txt` in the folder for a class with the `usual` special tokens, of which that for masks is made by `mask`,
/// and that are put around texts by what `post_processor` makes of those for the beginning and for the end.
fn of_vocabulary(
    source: &Source<'_>,
    usual: &Usual,
    mask: fn(Token) -> Token,
    post_processor: fn(Named<'_>, Named<'_>) -> Value,
) -> Result<Parts> {
    let path = source.folder.join("vocab.txt");
    let written = text(&path)?;
    // As the library reads it: of two lines that are the same, the latter counts.
    let lines = written.lines().map(str::trim_end);
    let vocab: BTreeMap<&str, usize> = lines.zip(0..).collect();
    if vocab.len() < 2 {
        return Err(Error::stage(format!(
            "`{}` is no vocabulary: it has {} tokens, one on each line",
            path.display(),
            vocab.len()
        )));
    }
    let settings = source.settings;
    let asked = settings.flag("do_lower_case")?;
    let lowercase = asked.unwrap_or(true);
    let added = Added::new(
        settings,
        usual,
        mask,
        Vec::new(),
        &|token| vocab.get(token).map(|id| *id as u64),
        vocab.len(),
    )?;
    let unknown = added.named("unk_token").0;
    if !vocab.contains_key(unknown) {
        return Err(Error::stage(format!(
            "`{}` has no `{unknown}`, which stands for unknown words",
            path.display()
        ))
        .help("take the vocabulary of this model, or name its token as `unk_token` in tokenizer_config.json"));
    }
    let ids: Map<String, Value> = vocab
        .iter()
        .map(|(token, id)| ((*token).to_string(), (*id).into()))
        .collect();
    let told = match (asked, has_capitals(&vocab)) {
        (Some(true), _) => ", in lower case".into(),
        (Some(false), _) => ", in upper and lower case".into(),
        (None, false) => ", in lower case, as nothing says otherwise".into(),
        (None, true) => ", in lower case, since nothing says otherwise, though vocab.txt has capital letters: if the model tells them \
                         apart, add `\"do_lower_case\": false` to its tokenizer_config.json"
            .into(),
    };
    Ok(Parts {
        normalizer: json!({
            "type": "BertNormalizer", "clean_text": true,
            "handle_chinese_chars": settings.flag("tokenize_chinese_chars")?.unwrap_or(true),
            "strip_accents": settings.flag("strip_accents")?, "lowercase": lowercase,
        }),
        pre_tokenizer: json!({ "type": "BertPreTokenizer" }),
        post_processor: post_processor(added.named("cls_token"), added.named("sep_token")),
        decoder: json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
        model: json!({
            "type": "WordPiece", "unk_token": added.named("unk_token").0, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": ids,
        }),
        added,
        takes_types: true,
        told,
    })
}

/// Whether it has words with capital letters, special tokens aside.
fn has_capitals(vocab: &BTreeMap<&str, usize>) -> bool {
    let is_word = |token: &str| !token.starts_with(['[', '<']);
    let mut words = vocab.keys().filter(|token| is_word(token));
    words.any(|word| word.chars().any(char::is_uppercase))
}
