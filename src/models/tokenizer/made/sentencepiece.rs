//! Models of SentencePiece: the tokenizers of XLM-RoBERTa, CamemBERT, ALBERT and DeBERTa-v2.
//!
//! The first three are made as transformers' classes are (`models/*/tokenization_*.py`), DeBERTa-v2's as transformers' converter
//! makes it (`convert_slow_tokenizer.py`): its class leaves out what SentencePiece replaces characters by. A model that merges pairs
//! is given the merges that the scores of its pieces say, as the converter's `generate_merges` finds them.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::{Value, json};
use tokenizers::normalizers::Precompiled;

use super::proto::{Kind, SentencePiece};
use super::special::{Added, Token, Usual};
use super::{Parts, Source, template};
use crate::error::{Context, Error, Result};

const SPACE: &str = "▁";
/// What SentencePiece's pieces are shorter than, by far: it makes none of more than 16 characters unless it is told to.
const LONGEST: usize = 1000;

/// A vocabulary in the order of its ids, with a score each.
type Vocabulary = Vec<(String, f64)>;

/// A model that was read.
struct Model {
    proto: SentencePiece,
    /// What replaces characters, as a normalizer; none if nothing does.
    charsmap: Option<Value>,
}

impl Model {
    fn read(source: &Source<'_>) -> Result<Self> {
        let path = &source.sentencepiece;
        let cannot = || format!("cannot read `{}`", path.display());
        let bytes = std::fs::read(path).or_stage(cannot)?;
        let proto = SentencePiece::read(&bytes).map_err(|error| {
            let cause = error.causes().first().cloned();
            let refused = Error::stage(cannot()).cause(error.message());
            cause.into_iter().fold(refused, Error::cause)
        })?;
        let charsmap = (!proto.charsmap.is_empty()).then(|| {
            let normalizer = super::tokenizers(cannot, || {
                Ok(serde_json::to_value(Precompiled::from(&proto.charsmap)?)?)
            })?;
            let Value::Object(mut fields) = normalizer else {
                return Err(Error::stage(cannot()));
            };
            fields.insert("type".into(), "Precompiled".into());
            Ok(Value::Object(fields))
        });
        Ok(Self {
            charsmap: charsmap.transpose()?,
            proto,
        })
    }

    fn pieces(&self) -> impl Iterator<Item = (String, f64)> {
        let pieces = self.proto.pieces.iter();
        pieces.map(|piece| (piece.text.clone(), piece.score.into()))
    }

    /// The pieces that stand for no text, and those that are always whole.
    fn special(&self) -> Vec<Token> {
        let pieces = self.proto.pieces.iter();
        let special = pieces.filter(|piece| piece.kind != Kind::Other);
        let token = special.map(|piece| Token::added(&piece.text, piece.kind == Kind::Control));
        token.collect()
    }

    /// The model of a tokenizer with this vocabulary.
    fn json(&self, vocabulary: &Vocabulary, unk_id: usize) -> Result<Value> {
        if !self.proto.is_bpe {
            return Ok(json!({
                "type": "Unigram", "unk_id": unk_id, "vocab": vocabulary, "byte_fallback": false,
            }));
        }
        let ids: serde_json::Map<String, Value> = vocabulary
            .iter()
            .zip(0_usize..)
            .map(|((piece, _), id)| (piece.clone(), id.into()))
            .collect();
        Ok(json!({
            "type": "BPE", "dropout": null, "unk_token": self.proto.unk_piece, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": false, "ignore_merges": false, "vocab": ids,
            "merges": self.merges(vocabulary)?,
        }))
    }

    /// The pairs of pieces that make a piece of `vocabulary`, those of the highest score first, then those of longer parts.
    fn merges(&self, vocabulary: &Vocabulary) -> Result<Vec<[String; 2]>> {
        let pieces = self.proto.pieces.iter().zip(0_usize..);
        let ids: HashMap<&str, usize> = pieces.map(|(piece, id)| (&*piece.text, id)).collect();
        let mut merges = Vec::new();
        for (piece, score) in vocabulary {
            if piece.chars().count() > LONGEST {
                return Err(Error::stage(format!(
                    "the model of SentencePiece has a piece of more than {LONGEST} characters"
                )));
            }
            let splits = piece
                .char_indices()
                .skip(1)
                .map(|(at, _)| piece.split_at(at));
            let known = splits
                .filter_map(|(left, right)| Some((*ids.get(left)?, *ids.get(right)?, left, right)));
            let mut known: Vec<_> = known.collect();
            known.sort_by_key(|(left, right, ..)| (*left, *right));
            merges.extend(
                known
                    .into_iter()
                    .map(|(.., left, right)| (score, left, right)),
            );
        }
        // Python sorts by the score and the lengths, the highest first; what is the same stays in its order.
        merges.sort_by(|one, other| {
            let lengths = |(_, left, right): &(&f64, &str, &str)| {
                (
                    Reverse(left.chars().count()),
                    Reverse(right.chars().count()),
                )
            };
            let by_score = other.0.total_cmp(one.0);
            by_score.then_with(|| lengths(one).cmp(&lengths(other)))
        });
        let pair = |(_, left, right): (&f64, &str, &str)| [left.to_string(), right.to_string()];
        Ok(merges.into_iter().map(pair).collect())
    }

    /// Those of the normalizers that there are, one after the other.
    fn normalizers(&self, before: Vec<Value>, behind: Vec<Value>) -> Value {
        let all = before.into_iter().chain(self.charsmap.clone());
        let all: Vec<Value> = all.chain(behind).collect();
        json!({ "type": "Sequence", "normalizers": all })
    }
}

fn at(vocabulary: &Vocabulary) -> impl Fn(&str) -> Option<u64> {
    let pieces = vocabulary.iter().zip(0..);
    let ids: HashMap<String, u64> = pieces.map(|((piece, _), id)| (piece.clone(), id)).collect();
    move |piece: &str| ids.get(piece).copied()
}

fn metaspace(prepend_scheme: &str) -> Value {
    json!({ "type": "Metaspace", "replacement": SPACE, "prepend_scheme": prepend_scheme, "split": true })
}

/// Spaces as pieces have them, in the words between spaces.
fn words(prepend_scheme: &str) -> Value {
    let split = json!({ "type": "WhitespaceSplit" });
    json!({ "type": "Sequence", "pretokenizers": [split, metaspace(prepend_scheme)] })
}

/// Whether a space is put before each text, as Metaspace calls that.
fn prepend_scheme(source: &Source<'_>) -> Result<&'static str> {
    let wanted = source.settings.flag("add_prefix_space")?.unwrap_or(true);
    Ok(if wanted { "always" } else { "never" })
}

/// The special tokens of XLM-RoBERTa and CamemBERT around one text and two, whose types are the same.
fn around(first: (&str, u64), last: (&str, u64)) -> Value {
    let ((first, first_id), (last, last_id)) = (first, last);
    template(
        &[(first, 0), ("A", 0), (last, 0)],
        &[
            (first, 0),
            ("A", 0),
            (last, 0),
            (last, 0),
            ("B", 0),
            (last, 0),
        ],
        &[(first, first_id), (last, last_id)],
    )
}

const FAIRSEQ: Usual = ["<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"];

/// transformers' `XLMRobertaTokenizer`: fairseq's ids, which begin with other special tokens than the model's.
pub(super) fn xlm_roberta(source: &Source<'_>) -> Result<Parts> {
    let model = Model::read(source)?;
    let name = |name: &str, usual: &str| content(source, name, usual);
    let mut vocabulary: Vocabulary = vec![
        (name("bos_token", "<s>")?, 0.0),
        (name("pad_token", "<pad>")?, 0.0),
        (name("eos_token", "</s>")?, 0.0),
        (name("unk_token", "<unk>")?, 0.0),
    ];
    vocabulary.extend(model.pieces().skip(3));
    vocabulary.push((name("mask_token", "<mask>")?, 0.0));
    fairseq(source, &model, &vocabulary, 3, |mask| mask)
}

/// transformers' `CamembertTokenizer`: fairseq's ids, with the model's own special tokens behind others that are not used.
pub(super) fn camembert(source: &Source<'_>) -> Result<Parts> {
    let model = Model::read(source)?;
    let name = |name: &str, usual: &str| content(source, name, usual);
    let unknown = name("unk_token", "<unk>")?;
    let mut vocabulary: Vocabulary = vec![
        ("<s>NOTUSED".into(), 0.0),
        (name("pad_token", "<pad>")?, 0.0),
        ("</s>NOTUSED".into(), 0.0),
        (unknown.clone(), 0.0),
        ("<unk>NOTUSED".into(), -100.0),
    ];
    vocabulary.extend(model.pieces().skip(1));
    vocabulary.push((name("mask_token", "<mask>")?, 0.0));
    let unk_id = vocabulary.iter().position(|(piece, _)| *piece == unknown);
    fairseq(
        source,
        &model,
        &vocabulary,
        unk_id.unwrap_or(0),
        Token::with_lstrip,
    )
}

/// The text of the special token called `name`.
fn content(source: &Source<'_>, name: &str, usual: &str) -> Result<String> {
    Ok(source.settings.token(name, usual)?.content)
}

fn fairseq(
    source: &Source<'_>,
    model: &Model,
    vocabulary: &Vocabulary,
    unk_id: usize,
    mask: fn(Token) -> Token,
) -> Result<Parts> {
    let scheme = prepend_scheme(source)?;
    let added = Added::new(
        source.settings,
        &FAIRSEQ,
        mask,
        model.special(),
        &at(vocabulary),
        vocabulary.len(),
    )?;
    Ok(Parts {
        normalizer: model.charsmap.clone().unwrap_or(Value::Null),
        pre_tokenizer: words(scheme),
        post_processor: around(added.named("bos_token"), added.named("eos_token")),
        decoder: metaspace(scheme),
        model: model.json(vocabulary, unk_id)?,
        added,
        takes_types: false,
        told: String::new(),
    })
}

const ALBERT: Usual = [
    "[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]",
];

/// transformers' `AlbertTokenizer`.
pub(super) fn albert(source: &Source<'_>) -> Result<Parts> {
    let model = Model::read(source)?;
    let (settings, scheme) = (source.settings, prepend_scheme(source)?);
    let vocabulary: Vocabulary = model.pieces().collect();
    let added = Added::new(
        settings,
        &ALBERT,
        |mask| mask,
        model.special(),
        &at(&vocabulary),
        vocabulary.len(),
    )?;
    let replace =
        |from: &str| json!({ "type": "Replace", "pattern": { "String": from }, "content": "\"" });
    let mut normalizers = vec![replace("``"), replace("''")];
    if !settings.flag("keep_accents")?.unwrap_or(false) {
        normalizers.extend([json!({ "type": "NFKD" }), json!({ "type": "StripAccents" })]);
    }
    let lowercase = settings.flag("do_lower_case")?.unwrap_or(true);
    if lowercase {
        normalizers.push(json!({ "type": "Lowercase" }));
    }
    let id = |name: &str| added.named(name).1;
    Ok(Parts {
        normalizer: model.normalizers(normalizers, Vec::new()),
        pre_tokenizer: words(scheme),
        post_processor: bert_template(id("cls_token"), id("sep_token")),
        decoder: metaspace(scheme),
        model: model.json(&vocabulary, 1)?,
        added,
        takes_types: true,
        told: cases(lowercase),
    })
}

const DEBERTA: Usual = [
    "[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]",
];

/// The tokenizer of transformers' `DebertaV2Converter`.
pub(super) fn deberta_v2(source: &Source<'_>) -> Result<Parts> {
    let model = Model::read(source)?;
    let (settings, scheme) = (source.settings, prepend_scheme(source)?);
    let vocabulary: Vocabulary = model.pieces().collect();
    let added = Added::new(
        settings,
        &DEBERTA,
        |mask| mask,
        model.special(),
        &at(&vocabulary),
        vocabulary.len(),
    )?;
    let lowercase = settings.flag("do_lower_case")?.unwrap_or(false);
    let mut normalizers = Vec::new();
    if lowercase {
        normalizers.push(json!({ "type": "Lowercase" }));
    }
    normalizers.push(json!({ "type": "Strip", "strip_left": true, "strip_right": true }));
    let one_space = json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " });
    let mut split = Vec::new();
    if settings.flag("split_by_punct")?.unwrap_or(false) {
        split.push(json!({ "type": "Punctuation", "behavior": "Isolated" }));
    }
    split.push(metaspace(scheme));
    let unk_id = usize::try_from(model.proto.unk_id).unwrap_or(usize::MAX);
    Ok(Parts {
        normalizer: model.normalizers(normalizers, vec![one_space]),
        pre_tokenizer: json!({ "type": "Sequence", "pretokenizers": split }),
        post_processor: bert_template(added.id("[CLS]"), added.id("[SEP]")),
        decoder: metaspace(scheme),
        model: model.json(&vocabulary, unk_id)?,
        added,
        takes_types: true,
        told: cases(lowercase),
    })
}

/// BERT's special tokens, as ALBERT and DeBERTa-v2 have them.
fn bert_template(cls: u64, sep: u64) -> Value {
    template(
        &[("[CLS]", 0), ("A", 0), ("[SEP]", 0)],
        &[("[CLS]", 0), ("A", 0), ("[SEP]", 0), ("B", 1), ("[SEP]", 1)],
        &[("[CLS]", cls), ("[SEP]", sep)],
    )
}

fn cases(lowercase: bool) -> String {
    if lowercase {
        ", in lower case".into()
    } else {
        ", in upper and lower case".into()
    }
}
