//! Texts that are compared against sentence-transformers, by `similar.py`: the losses of AdamW's first ten steps without dropout, and figures
//! of embeddings that are written down.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::Tensor;
use refire::config::{Parts, Table};
use refire::error::Source;
use refire::inputs::texts::{Encoder, Sentences};
use refire::models::{
    self, Activations, Card, Head, Loaded, Modality, Network, Pooling, TokenBatch,
};
use refire::random;
use refire::tasks::{self, Reading, Task};
use refire::train::{Compared, Gradients, Inputs, Optimizer, Pieces, Samples, Targets, Trained};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::vision::report;

#[derive(Deserialize)]
struct Reference {
    max_length: usize,
    learning_rate: f64,
    weight_decay: f64,
    texts: Vec<Vec<String>>,
    scores: Vec<f32>,
    batches: Vec<Vec<usize>>,
    cases: Vec<Case>,
    figures: Vec<Figures>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    members: usize,
    settings: String,
    losses: Vec<f64>,
}

#[derive(Deserialize)]
struct Figures {
    vectors: Vec<Vec<f32>>,
    rows: Vec<Vec<u32>>,
    scores: Vec<f32>,
    #[serde(rename = "figures")]
    expected: BTreeMap<String, f64>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("similar.json")).expect("what the script writes")
}

fn task() -> &'static Task {
    tasks::find("sentence-similarity").expect("a task")
}

/// Held while a test draws dropout, or sets what it is drawn from: a process has one generator.
static GENERATOR: Mutex<()> = Mutex::new(());

/// The tiny BERT with so much dropout.
fn tiny_bert(dropout: f64) -> tempfile::TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in ["tokenizer.json", "model.safetensors"] {
        std::fs::copy(from.join(file), folder.path().join(file)).expect("copied");
    }
    let config = std::fs::read(from.join("config.json")).expect("it is committed");
    let mut config: Map<String, Value> = serde_json::from_slice(&config).expect("JSON");
    for (key, value) in &mut config {
        if key.contains("dropout") {
            *value = json!(dropout);
        }
    }
    models::write_config(folder.path(), &config).expect("written");
    folder
}

fn load(folder: &Path) -> Loaded {
    let head = Head {
        modality: Modality::Texts,
        problem: task().targets.problem(),
        labels: Vec::new(),
        embedding_size: None,
        pooling: Some(Pooling::Mean),
        dropout: None,
        seed: 0,
    };
    let device = models::device("cpu").expect("every build has a CPU");
    Network::load(folder, &head, &device).expect("it loads")
}

/// Settings as a pipeline writes them.
fn reading(settings: &str) -> Box<dyn Reading> {
    let source = std::sync::Arc::new(Source::new("settings", settings.to_string()));
    let table = Table::parse(&source).expect("TOML");
    let reading = task()
        .targets
        .parse(&mut Parts::new(&table), Modality::Texts);
    reading.expect("settings")
}

#[test]
fn losses_of_steps_on_compared_texts_are_those_of_sentence_transformers() {
    let _generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let reference = reference();
    let device = models::device("cpu").expect("every build has a CPU");
    for case in &reference.cases {
        let folder = tiny_bert(0.0);
        let loaded = load(folder.path());
        let encoder = Encoder::new(folder.path(), &loaded, Some(reference.max_length), None);
        let (encoder, _) = encoder.expect("an encoder");
        let sentences = Sentences {
            first: reference.texts[0].clone(),
            second: None,
            apart: reference.texts[1..case.members].to_vec(),
        };
        let inputs = encoder.encode(&sentences).expect("encoded").inputs;
        let (tokens, pad_id) = (inputs.tokens.clone(), inputs.pad_id);
        let count = reference.texts[0].len();
        let scores = if case.settings.contains("target_column") {
            reference.scores.clone()
        } else {
            Vec::new()
        };
        let targets = Targets::Compared(Compared::new(count, case.members, scores));
        let samples = Samples::new(Inputs::Texts(inputs), targets);
        let loss = reading(&case.settings).loss(&[], &samples.targets);
        let loss = loss.expect("a loss");
        let mut network = loaded.network.train();
        let trained = network.parameters().into_iter().filter(|known| known.used);
        let trained = trained.map(|parameter| Trained::new(parameter, 1.0));
        let mut optimizer = Optimizer::adamw(reference.weight_decay, trained.collect());
        let mut worst = 0.0_f64;
        for (step, expected) in case.losses.iter().enumerate() {
            let batch = &reference.batches[step % reference.batches.len()];
            let texts = |row: &usize| {
                let row = *row;
                (0..case.members).map(move |member| member * count + row)
            };
            let rows = batch.iter().flat_map(texts);
            let rows: Vec<&[u32]> = rows.map(|row| &tokens[row][..]).collect();
            let input = Activations::Tokens(TokenBatch::new(&rows, pad_id, &device));
            let targets = samples.targets.take(batch.iter().copied());
            let total = loss.weight(&targets);
            let (value, gradients) = match loss.piece() {
                None => {
                    let outputs = network.outputs(0, input, None);
                    let found = loss.sum(outputs, &targets, total);
                    let value = f64::from(found.clone().into_scalar::<f32>());
                    (value, Gradients::new(&network, found.backward()))
                }
                Some(size) => {
                    let pieces = Pieces {
                        network: &network,
                        from: 0,
                        input,
                        size,
                        seed: 0,
                    };
                    pieces.run(|outputs| loss.sum(outputs, &targets, total))
                }
            };
            worst = worst.max((value - expected).abs() / expected);
            (network, _) = optimizer.step(network, &gradients, reference.learning_rate);
        }
        report(&format!(
            "{}: worst relative difference {worst:e}",
            case.name
        ));
        assert!(worst <= 1e-4, "{}: {worst:e}", case.name);
    }
}

#[test]
fn figures_of_embeddings_are_those_of_sentence_transformers() {
    for case in reference().figures {
        let texts: Vec<u32> = case.rows.concat();
        let vectors = texts.iter().map(|text| &case.vectors[*text as usize]);
        let vectors: Vec<f32> = vectors.flatten().copied().collect();
        let mut found = BTreeMap::new();
        for scores in [Vec::new(), case.scores] {
            let column = (!scores.is_empty()).then(|| vec!["score".to_string()]);
            let outputs = task()
                .targets
                .open(&Card::default(), Modality::Texts, column);
            let targets = Targets::Compared(Compared {
                members: case.rows[0].len(),
                texts: texts.clone(),
                scores,
            });
            let report = outputs.expect("a card").score(&vectors, &targets);
            found.extend(report.expect("finite").figures);
        }
        assert!(found.len() >= 9, "{found:?}");
        for (name, figure) in found {
            let expected = case.expected[&name];
            let apart = (figure - expected).abs();
            assert!(apart <= 1e-6, "{name} is {figure}, not {expected}");
        }
    }
}

/// So many pairs of texts, all different, as a network with this tokenizer takes them.
fn pairs(count: usize, encoder: &Encoder) -> Samples {
    let reference = reference();
    let words: Vec<&str> = reference
        .texts
        .iter()
        .flatten()
        .flat_map(|text| text.split(' '))
        .collect();
    let text = |row: usize| {
        format!(
            "{} {} {row}",
            words[row % words.len()],
            words[row / 7 % words.len()]
        )
    };
    let sentences = Sentences {
        first: (0..count).map(text).collect(),
        second: None,
        apart: vec![(count..2 * count).map(text).collect()],
    };
    let inputs = encoder.encode(&sentences).expect("encoded").inputs;
    let targets = Targets::Compared(Compared::new(count, 2, Vec::new()));
    Samples::new(Inputs::Texts(inputs), targets)
}

#[test]
fn gradients_in_pieces_are_those_of_the_whole_batch_and_of_the_same_dropout() {
    const PAIRS: usize = 256;
    const SIZE: usize = 32;
    const SEED: u64 = 11;
    let _generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let device = models::device("cpu").expect("every build has a CPU");
    let mut values = Vec::new();
    for dropout in [0.0, 0.3] {
        let folder = tiny_bert(dropout);
        let loaded = load(folder.path());
        let (encoder, _) =
            Encoder::new(folder.path(), &loaded, Some(24), None).expect("an encoder");
        let samples = pairs(PAIRS, &encoder);
        let Inputs::Texts(texts) = &samples.inputs else {
            panic!("they are texts");
        };
        let rows = (0..2 * PAIRS).map(|row| &texts.tokens[row % 2 * PAIRS + row / 2][..]);
        let input = TokenBatch::new(&rows.collect::<Vec<_>>(), texts.pad_id, &device);
        let input = Activations::Tokens(input);
        let loss = reading("symmetric = true")
            .loss(&[], &samples.targets)
            .expect("a loss");
        let sum = |outputs| loss.sum(outputs, &samples.targets, loss.weight(&samples.targets));
        let network = loaded.network.train();
        let pieces = Pieces {
            network: &network,
            from: 0,
            input: input.clone(),
            size: SIZE,
            seed: SEED,
        };
        let (value, found) = pieces.run(sum);
        // The same batch at once: without dropout as a whole, with it from the draws of each piece.
        let outputs = if dropout == 0.0 {
            network.outputs(0, input, None)
        } else {
            let outputs = (0..2 * PAIRS).step_by(SIZE).map(|start| {
                models::reseed(&device, random::derive(SEED, "piece", &[start as u64]));
                network.outputs(0, input.take(start..start + SIZE), None)
            });
            Tensor::cat(outputs.collect(), 0)
        };
        let whole = sum(outputs);
        let expected = f64::from(whole.clone().into_scalar::<f32>());
        assert!(
            (value - expected).abs() <= 1e-5 * expected,
            "{value}, not {expected}"
        );
        values.push(value);
        let expected = Gradients::new(&network, whole.backward());
        let mut worst = 0.0_f32;
        for id in expected.parameters() {
            let (one, other) = (
                found.get(id).expect("it has one"),
                expected.get(id).expect("it has one"),
            );
            let apart = one
                .iter()
                .zip(other)
                .map(|(one, other)| (one - other).abs());
            worst = worst.max(apart.fold(0.0, f32::max));
        }
        report(&format!(
            "dropout {dropout}: gradients in pieces are {worst:e} apart at most"
        ));
        assert!(worst <= 1e-5, "dropout {dropout}: {worst:e}");
        assert_eq!(found.parameters().count(), expected.parameters().count());
    }
    assert!(
        (values[0] - values[1]).abs() > 1e-3,
        "nothing is dropped: {values:?}"
    );
}
