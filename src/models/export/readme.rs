//! The README of an export: what the folder holds, what goes in, what comes out, and how it is loaded.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Library;
use crate::data::images::{CropMargin, ResizeMode};
use crate::models::{Card, ImageInput, Network, Problem};

/// The text. `how` is the Python that loads the folder, `photos` what [`photos`] says of a model of images.
pub(super) fn text(
    library: &Library,
    network: &Network,
    card: &Card,
    how: &str,
    photos: Option<&str>,
) -> String {
    let mut text = format!("{}\n\n```python\n{how}```\n", about(library));
    if card.problem == Problem::Embedding {
        text.push_str(&embeddings(network, card));
        return text;
    }
    if network.vocabulary().is_some() {
        text.push_str(&texts(library, network, card));
    }
    text.push_str(photos.unwrap_or_default());
    text.push_str(&outputs(card));
    text
}

/// What the outputs mean, one by one.
fn outputs(card: &Card) -> String {
    let what = match card.problem {
        Problem::SingleLabelClassification => "A logit for each label, in this order:",
        Problem::MultiLabelClassification => {
            "A logit for each label, in this order. A label's probability is its logit's sigmoid, and a sample has the label from the \
             probability on that stands beside it:"
        }
        Problem::Regression => "Numbers, in this order:",
        Problem::MaskedLanguage => {
            return "\n## What comes out\n\nFor each token a logit for each token of the tokenizer: what may stand where a mask does.\n".into();
        }
        Problem::TokenClassification => {
            "For each token a logit for each label, in this order. What the model says of a word is what it says of its first token:"
        }
        Problem::Embedding => "An embedding.",
    };
    let mut text = format!("\n## What comes out\n\n{what}\n\n");
    for (place, label) in card.labels.iter().enumerate() {
        let _ = write!(text, "{place}. `{label}`");
        if card.problem == Problem::MultiLabelClassification {
            let threshold = card.thresholds.get(place).copied();
            let _ = write!(text, ", from {} on", threshold.unwrap_or(Card::THRESHOLD));
        }
        text.push('\n');
    }
    text
}

/// What kind of folder it is, in a sentence or two.
fn about(library: &Library) -> &'static str {
    match library {
        Library::Transformers(_) => "A model that transformers loads by itself.",
        Library::OwnClass(..) => {
            "A model for transformers and for sentence-transformers. It pools the states of a text's tokens in a way that \
             transformers has no class for, so the class comes with it, in `modeling_refire.py`; `trust_remote_code=True` lets \
             transformers run it. Other classes refuse the folder, because they would pool in another way."
        }
        Library::SentenceTransformers => {
            "A model that gives embeddings of texts, which sentence-transformers loads by itself."
        }
        Library::Torchvision => "Weights with torchvision's names.",
        Library::Timm => "A model that timm loads by itself.",
        Library::Repository(_) => "Weights with the names of a repository of models.",
    }
}

/// What goes into a model that gives embeddings, and what comes out.
fn embeddings(network: &Network, card: &Card) -> String {
    let longest = card.max_length.or(network.max_tokens()).unwrap_or_default();
    let size = card.embedding_size.unwrap_or(network.width());
    format!(
        "\n## What goes in\n\nTexts, each on its own, as tokens of the tokenizer in `tokenizer.json`, cut at {longest} (`max_length`, \
         special tokens included):\n\n\
         ```python\nembeddings = model.encode([\"a text\", \"another\"])\nsimilarity = model.similarity(embeddings, embeddings)\n```\n\
         \n## What comes out\n\nAn embedding of {size} numbers a text. Their lengths say nothing: texts are compared by the cosine of \
         the angle between their embeddings.\n"
    )
}

/// How texts become the model's input.
fn texts(library: &Library, network: &Network, card: &Card) -> String {
    let tuned = card.tuned_by();
    let pairs = tuned.word("text_pair_column").is_some();
    let truncation = tuned.word("truncation").unwrap_or("longest_first");
    let logits = match card.problem {
        Problem::Regression => "numbers",
        _ => "logits",
    };
    let mut text = String::new();
    // It cuts pairs in one way only.
    if matches!(library, Library::OwnClass(..)) && (!pairs || truncation == "longest_first") {
        let sample = if pairs {
            "(\"a text\", \"another\")"
        } else {
            "\"a text\""
        };
        let _ = write!(
            text,
            "\nsentence-transformers needs no code of the folder's; what it calls embeddings are the {logits}:\n\n\
             ```python\nfrom sentence_transformers import SentenceTransformer\n\n\
             {logits} = SentenceTransformer(\".\").encode([{sample}])\n```\n",
        );
    }
    let by_word = card.problem == Problem::TokenClassification;
    let (what, samples) = if by_word {
        let words = "[[\"a\", \"text\"]], is_split_into_words=True, truncation=True".into();
        ("Lists of words", words)
    } else if pairs {
        let cut = format!("[\"a text\"], [\"another\"], truncation=\"{truncation}\"");
        ("Pairs of texts", cut)
    } else {
        ("Texts", "[\"a text\"], truncation=True".into())
    };
    let longest = card.max_length.or(network.max_tokens()).unwrap_or_default();
    let _ = write!(
        text,
        "\n## What goes in\n\n{what}, as tokens of the tokenizer in `tokenizer.json`, cut at {longest} (`max_length`, special tokens \
         included):\n\n\
         ```python\nfrom transformers import AutoTokenizer\n\n\
         tokenizer = AutoTokenizer.from_pretrained(\".\")\n\
         batch = tokenizer({samples}, padding=True, return_tensors=\"pt\")\n\
         {logits} = model(**batch).logits\n```\n"
    );
    text
}

/// How photos become the input of a model with this `config.json`.
pub(super) fn photos(input: &ImageInput, config: &Map<String, Value>) -> String {
    let shifted = match (input.mode, input.margin) {
        (ResizeMode::Shorter, CropMargin::Even) if !config.contains_key("pretrained_cfg") => {
            " It rounds the margin down, so that some photos come out shifted by a pixel."
        }
        _ => "",
    };
    format!(
        "\n## What goes in\n\nPhotos, turned as their Exif orientation says (`PIL.ImageOps.exif_transpose`) and converted to RGB, then: {}. \
         Of the colours, which go from 0 to 1, the mean {:?} is subtracted, and the rest divided by {:?}. transformers' \
         `AutoImageProcessor` does all but the turning.{shifted}\n",
        input.description(),
        input.mean,
        input.std,
    )
}
