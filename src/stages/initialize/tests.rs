//! `initialize`: what it makes, what it tells, and what it refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::data::Table;
use crate::error::Kind;
use crate::models::{self, Card, Network, Tokenizer, Truncation};
use crate::stages::bench::{Bench, Made};

const BERT: &str = "{ model_type = 'bert', hidden_size = 8, num_hidden_layers = 1, num_attention_heads = 2, \
                    intermediate_size = 16, max_position_embeddings = 24 }";
const TOKENIZER: &str =
    "tokenizer = { kind = 'wordpiece', vocab_size = 40 }\ntable = 't'\ntext_column = 'text'";

fn tiny_bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert")
}

fn reviews() -> Table {
    let texts = [
        "A good film, a good cast.",
        "No good: a bad film.",
        "The cast is bad, the film too.",
    ];
    Table::of_text("text", &texts.map(String::from))
}

fn settings(rest: &str) -> String {
    format!("kind = 'initialize'\n{rest}")
}

fn from_nothing(seed: u64) -> Made {
    let settings = settings(&format!("config = {BERT}\n{TOKENIZER}"));
    let table = reviews();
    Bench::new()
        .run(&settings, &[("table", &table)], seed)
        .expect("made")
}

fn from_tiny_bert(rest: &str) -> crate::error::Result<Made> {
    let inputs = BTreeMap::from([("model".to_string(), tiny_bert())]);
    Bench::new().run_on(&settings(&format!("model = 'm'\n{rest}")), inputs, 1)
}

fn bytes(made: &Made, name: &str) -> Vec<u8> {
    std::fs::read(made.folder("model").join(name)).expect("it is there")
}

fn refusal(rest: &str) -> crate::error::Error {
    Bench::new().refusal(&settings(rest))
}

/// What looking at the stage without running it finds.
fn checked(bench: &Bench, rest: &str) -> crate::error::Error {
    let stage = bench.parse(&settings(rest)).expect("parsed");
    stage.check().expect_err("refused")
}

#[test]
fn a_model_is_made_of_a_config_and_texts() {
    let made = from_nothing(1);
    let folder = made.folder("model");
    let outline = Network::outline(folder).expect("a model");
    let tokenizer = Tokenizer::load(folder).expect("a tokenizer");
    assert_eq!(outline.network.vocabulary(), Some(tokenizer.vocab_size()));
    let texts = ["a good film".to_string()];
    let encoded = tokenizer.encode(&texts, None, 24, Truncation::default());
    assert!(encoded.expect("encoded")[0].ids.len() >= 5);
    let card = Card::read(folder).expect("a card");
    assert_eq!(card.random_weights.map(|random| random.seed), Some(1));
    for name in ["model.safetensors", "tokenizer.json", "config.json"] {
        assert_eq!(bytes(&made, name), bytes(&from_nothing(1), name), "{name}");
    }
    let other = from_nothing(2);
    assert_ne!(
        bytes(&made, "model.safetensors"),
        bytes(&other, "model.safetensors")
    );
    assert_eq!(
        bytes(&made, "tokenizer.json"),
        bytes(&other, "tokenizer.json")
    );
}

#[test]
fn a_corpus_that_is_too_small_for_its_vocabulary_is_told() {
    let large = TOKENIZER.replace("40", "400");
    let made = Bench::new()
        .run(
            &settings(&format!("config = {BERT}\n{large}")),
            &[("table", &reviews())],
            1,
        )
        .expect("made");
    let pieces = Tokenizer::load(made.folder("model"))
        .expect("a tokenizer")
        .vocab_size();
    assert!(pieces < 60);
    assert_eq!(
        made.notices[0],
        format!(
            "the texts are too few for a vocabulary of 400: no more pieces stand side by side twice, so the tokenizer has {pieces} and the network is made for those"
        )
    );
    let outline = Network::outline(made.folder("model")).expect("a model");
    assert_eq!(outline.network.vocabulary(), Some(pieces));
}

#[test]
fn another_models_network_and_tokenizer_are_taken_without_its_weights() {
    let made = from_tiny_bert("").expect("made");
    assert_eq!(
        bytes(&made, "tokenizer.json"),
        std::fs::read(tiny_bert().join("tokenizer.json")).expect("read")
    );
    assert_ne!(
        bytes(&made, "model.safetensors"),
        std::fs::read(tiny_bert().join("model.safetensors")).expect("read")
    );
    let (ours, theirs) = (
        Network::outline(made.folder("model")).expect("a model"),
        Network::outline(&tiny_bert()).expect("a model"),
    );
    let names = |network: &Network| {
        let below = network.parameters().into_iter().filter(|known| !known.head);
        below
            .map(|known| (known.name, known.shape))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&ours.network), names(&theirs.network));

    let changed = from_tiny_bert("config = { num_hidden_layers = 1 }").expect("made");
    let config = models::config(changed.folder("model")).expect("a config");
    assert_eq!(config["num_hidden_layers"], 1);
}

#[test]
fn a_new_tokenizer_replaces_the_models() {
    let table = reviews();
    let bench = Bench::new();
    let folder = bench.path("table");
    std::fs::create_dir(&folder).expect("made");
    table.write(&folder).expect("written");
    let inputs = BTreeMap::from([("model".into(), tiny_bert()), ("table".into(), folder)]);
    let made = bench
        .run_on(&settings(&format!("model = 'm'\n{TOKENIZER}")), inputs, 1)
        .expect("made");
    assert_ne!(
        bytes(&made, "tokenizer.json"),
        std::fs::read(tiny_bert().join("tokenizer.json")).expect("read")
    );
    let told = "the network is made for the 40 pieces of the new tokenizer; the model's is for";
    assert!(
        made.notices.iter().any(|notice| notice.starts_with(told)),
        "{:?}",
        made.notices
    );
}

#[test]
fn a_network_for_images_needs_its_name_alone() {
    let bench = Bench::new();
    let made = bench
        .run(&settings("config = { architecture = 'resnet20' }"), &[], 1)
        .expect("made");
    let outline = Network::outline(made.folder("model")).expect("a model");
    assert_eq!(outline.network.image_size(), None);
    assert_eq!(
        made.notices,
        ["a ResNet for CIFAR of 269072 random weights, which nobody has trained"]
    );
}

#[test]
fn a_config_may_be_a_file_and_enters_by_its_content() {
    let bench = Bench::new();
    bench.write("small.json", br#"{ "architecture": "resnet20" }"#);
    let rest = settings("config = 'small.json'");
    let (described, skipped) = bench.described(&rest);
    assert!(!described.contains_key("config"));
    assert_eq!(skipped, ["config"]);
    let stage = bench.parse(&rest).expect("parsed");
    assert_eq!(stage.files().len(), 1);
    stage.check().expect("a config");
    bench.write("small.json", b"[]");
    let error = checked(&bench, "config = 'small.json'");
    assert!(
        error.message().ends_with("small.json` is no config.json"),
        "{error}"
    );
    assert_eq!(error.labels().len(), 1);
}

#[test]
fn a_config_that_contradicts_itself_is_shown_at_its_place() {
    let bench = Bench::new();
    let heads = BERT.replace("num_attention_heads = 2", "num_attention_heads = 3");
    let error = checked(&bench, &format!("config = {heads}\n{TOKENIZER}"));
    assert_eq!(error.kind(), Kind::Usage);
    assert_eq!(
        error.message(),
        "config.json: `hidden_size` 8 is not a multiple of `num_attention_heads` 3"
    );
    assert_eq!(error.labels().len(), 2);
    let error = checked(&bench, "config = { architecture = 'resnet21' }");
    assert!(
        error.message().contains("the architecture `resnet21`"),
        "{error}"
    );
    assert_eq!(error.labels().len(), 1);
    let vocabulary = BERT.replace("hidden_size", "vocab_size = 30, hidden_size");
    let error = refusal(&format!("config = {vocabulary}\n{TOKENIZER}"));
    assert_eq!(
        error.message(),
        "`vocab_size` is 30 in `config`, but 40 in `tokenizer`"
    );
    assert_eq!(error.labels().len(), 2);
    let padding = BERT.replace("hidden_size", "pad_token_id = 1, hidden_size");
    let error = refusal(&format!("config = {padding}\n{TOKENIZER}"));
    assert_eq!(
        error.message(),
        "`pad_token_id` is 1, but the padding token of a new tokenizer is 0"
    );
}

#[test]
fn a_vocabulary_without_room_for_the_characters_is_refused() {
    let table = reviews();
    let small = TOKENIZER.replace("40", "12");
    let error = Bench::new()
        .run(
            &settings(&format!("config = {BERT}\n{small}")),
            &[("table", &table)],
            1,
        )
        .expect_err("too small");
    assert!(
        error
            .message()
            .starts_with("`vocab_size` is 12, but the characters of the texts alone make"),
        "{error}"
    );
    let nothing = Table::of_text("text", &[String::new()]);
    let error = Bench::new()
        .run(
            &settings(&format!("config = {BERT}\n{TOKENIZER}")),
            &[("table", &nothing)],
            1,
        )
        .expect_err("no word");
    assert_eq!(
        error.message(),
        "the texts have no word to train a tokenizer on"
    );
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let cases = [
        ("", "this stage does not say what the network is"),
        (
            "model = 'm'\nconfig = 'config.json'",
            "`model` and a file as `config` both say what the network is",
        ),
        (
            "model = 'm'\ntable = 't'",
            "`table` is for a `tokenizer` to train",
        ),
        (
            "model = 'm'\ntext_column = 'text'",
            "`text_column` is for a `tokenizer` to train",
        ),
        (
            "model = 'm'\ntokenizer = { kind = 'wordpiece', vocab_size = 40 }",
            "`tokenizer` needs texts to be trained on",
        ),
        (
            "model = 'm'\ntable = 't'\ntokenizer = { kind = 'wordpiece', vocab_size = 40 }",
            "`tokenizer` needs the column of the texts",
        ),
    ];
    for (rest, message) in cases {
        let error = refusal(rest);
        assert_eq!(error.message(), message);
        assert!(!error.labels().is_empty(), "{message}");
    }
    let bench = Bench::new();
    let error = checked(
        &bench,
        &format!("config = {BERT}").replace("hidden_size", "vocab_size = 40, hidden_size"),
    );
    assert_eq!(error.message(), "a network for texts needs a tokenizer");
    let error = checked(
        &bench,
        &format!("config = {{ architecture = 'resnet20' }}\n{TOKENIZER}"),
    );
    assert_eq!(error.message(), "a network for images has no tokenizer");
}
