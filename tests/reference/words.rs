//! A label a word against transformers, by `words.py`: the losses of AdamW's first ten steps without dropout.

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use refire::config::{Parts, Table};
use refire::error::Source;
use refire::inputs::texts::Encoder;
use refire::models::{self, Activations, Head, Modality, Network, TokenBatch};
use refire::tasks;
use refire::train::{Gradients, Mark, Marks, Optimizer, Targets, Trained};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::vision::report;

#[derive(Deserialize)]
struct Reference {
    settings: Settings,
    max_length: usize,
    batches: Vec<Vec<usize>>,
    words: Vec<Vec<String>>,
    labels: Vec<Vec<u32>>,
    names: Vec<String>,
    head: HeadWeights,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Settings {
    learning_rate: f64,
    weight_decay: f64,
}

#[derive(Deserialize)]
struct HeadWeights {
    weight: Vec<Vec<f32>>,
    bias: Vec<f32>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    every_token: bool,
    losses: Vec<f64>,
}

/// The tiny BERT without dropout, with the head of the reference, as transformers saves it.
fn tiny_bert(reference: &Reference) -> tempfile::TempDir {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(
        data.join("tokenizer.json"),
        folder.path().join("tokenizer.json"),
    )
    .expect("copied");
    let read = |name: &str| std::fs::read(data.join(name)).expect("it is committed");
    let mut config: Map<String, Value> =
        serde_json::from_slice(&read("config.json")).expect("JSON");
    for (key, value) in &mut config {
        if key.contains("dropout") {
            *value = json!(0.0);
        }
    }
    let names = reference.names.iter().enumerate();
    let names: Map<String, Value> = names
        .map(|(id, name)| (id.to_string(), json!(name)))
        .collect();
    config.insert("id2label".into(), names.into());
    config.insert(
        "architectures".into(),
        json!(["BertForTokenClassification"]),
    );
    config.shift_remove("problem_type");
    models::write_config(folder.path(), &config).expect("written");
    let body = read("model.safetensors");
    let body = safetensors::SafeTensors::deserialize(&body).expect("safetensors");
    let bytes = |numbers: &[f32]| -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect()
    };
    let (weight, bias) = (
        bytes(&reference.head.weight.concat()),
        bytes(&reference.head.bias),
    );
    let labels = reference.names.len();
    let head = [
        (
            "classifier.weight",
            vec![labels, reference.head.weight[0].len()],
            &weight,
        ),
        ("classifier.bias", vec![labels], &bias),
    ];
    let head = head.map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape, bytes).expect("of that size");
        (name.to_owned(), view)
    });
    let own = body.iter().filter(|(name, _)| !name.contains("classifier"));
    let all = own.map(|(name, view)| (name.to_owned(), view)).chain(head);
    safetensors::serialize_to_file(all, None, &folder.path().join("model.safetensors"))
        .expect("written");
    folder
}

#[test]
fn losses_of_steps_with_a_label_a_word_are_those_of_transformers() {
    let reference = include_str!("words.json");
    let reference: Reference = serde_json::from_str(reference).expect("what the script writes");
    let folder = tiny_bert(&reference);
    let device = models::device("cpu").expect("every build has a CPU");
    let task = tasks::find("token-classification").expect("a task");
    let head = Head {
        modality: Modality::Texts,
        problem: task.targets.problem(),
        labels: reference.names.clone(),
        embedding_size: None,
        pooling: None,
        dropout: Some(0.0),
        seed: 0,
    };
    let source = Arc::new(Source::new("settings", ""));
    let table = Table::parse(&source).expect("TOML");
    let reading = task
        .targets
        .parse(&mut Parts::new(&table), task.modality)
        .expect("settings");
    let mark = |(place, class): (u32, &u32)| Mark {
        class: *class,
        place: Some(place),
    };
    let words = Marks {
        samples: reference
            .labels
            .iter()
            .map(|labels| (0..).zip(labels).map(mark).collect())
            .collect(),
        begins: vec![true; reference.labels.len()],
    };
    // Behind the first token of `B-X` is `I-X`.
    let further = |class: u32| class.max(1);
    for case in &reference.cases {
        let loaded = Network::load(folder.path(), &head, &device).expect("it loads");
        assert!(loaded.missing.is_empty(), "{:?}", loaded.missing);
        let length = Some(reference.max_length);
        let (encoder, _) = Encoder::new(folder.path(), &loaded, length, None).expect("an encoder");
        let words_as_tokens = encoder.encode_words(&reference.words).expect("encoded");
        let further: Option<&dyn Fn(u32) -> u32> = case.every_token.then_some(&further);
        let targets = Targets::Tokens(words_as_tokens.marks(&words, further));
        let loss = reading.loss(&reference.names, &targets).expect("a loss");
        let mut network = loaded.network.train();
        let trained = network.parameters().into_iter().filter(|known| known.used);
        let trained = trained.map(|parameter| Trained::new(parameter, 1.0));
        let mut optimizer = Optimizer::adamw(reference.settings.weight_decay, trained.collect());
        let mut worst = 0.0_f64;
        for (step, expected) in case.losses.iter().enumerate() {
            let batch = &reference.batches[step % reference.batches.len()];
            let targets = targets.take(batch.iter().copied());
            let tokens: Vec<&[u32]> = batch
                .iter()
                .map(|row| &words_as_tokens.inputs.tokens[*row][..])
                .collect();
            let input = TokenBatch::new(&tokens, words_as_tokens.inputs.pad_id, &device);
            let places = targets.places();
            let outputs = network.outputs(0, Activations::Tokens(input), places.as_deref());
            let found = loss.sum(outputs, &targets, loss.weight(&targets));
            let value = f64::from(found.clone().into_scalar::<f32>());
            worst = worst.max((value - expected).abs() / expected);
            let gradients = Gradients::new(&network, found.backward());
            (network, _) = optimizer.step(network, &gradients, reference.settings.learning_rate);
        }
        report(&format!(
            "a label a word, {}: worst relative difference {worst:e}",
            case.name
        ));
        assert!(worst <= 1e-4, "{}: {worst:e}", case.name);
    }
}
