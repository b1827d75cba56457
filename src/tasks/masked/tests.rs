//! Masked tokens: the loss and its gradients against transformers, figures, and what `predict` adds.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use super::loss::OverMasked;
use super::outputs::Fillings;
use crate::models::{
    Activations, Head, Masking, Modality, Network, Problem, TokenBatch, Tokenizer,
};
use crate::tasks::{Given, Naming, Outputs, Values};
use crate::train::{Gradients, Loss, Mark, Marks, Optimizer, Targets, Trained};

fn tiny_bert() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny-bert"))
}

fn fillings() -> Fillings {
    Fillings {
        masking: Masking {
            probability: 0.15,
            whole_words: false,
            packing: false,
        },
    }
}

fn marks(samples: Vec<Vec<(u32, u32)>>) -> Marks {
    let mark = |(class, place)| Mark {
        class,
        place: Some(place),
    };
    let samples: Vec<Vec<Mark>> = samples
        .into_iter()
        .map(|marks| marks.into_iter().map(mark).collect())
        .collect();
    Marks {
        begins: vec![true; samples.len()],
        samples,
    }
}

/// What `tests/reference/masked.py` writes.
#[derive(Deserialize)]
struct Reference {
    learning_rate: f64,
    weight_decay: f64,
    batches: Vec<Vec<Sample>>,
    losses: Vec<f64>,
}

#[derive(Deserialize)]
struct Sample {
    ids: Vec<u32>,
    labels: Vec<i64>,
}

/// The tiny BERT without dropout, with the head of the reference.
fn reference_model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |name: &str| std::fs::read(tiny_bert().join(name)).expect("it is committed");
    let mut config: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&read("config.json")).expect("JSON");
    for (key, value) in &mut config {
        if key.contains("dropout") {
            *value = 0.0.into();
        }
    }
    crate::models::write_config(folder.path(), &config).expect("written");
    let (encoder, head) = (
        read("model.safetensors"),
        include_bytes!("../../../tests/reference/masked.safetensors"),
    );
    let of = |bytes| safetensors::SafeTensors::deserialize(bytes).expect("safetensors");
    let (encoder, head) = (of(&encoder), of(head));
    let tensors = encoder.tensors().into_iter().chain(head.tensors());
    let path = folder.path().join("model.safetensors");
    safetensors::serialize_to_file(tensors, None, &path).expect("written");
    folder
}

#[test]
fn losses_of_ten_steps_are_those_of_transformers() {
    let json = include_str!("../../../tests/reference/masked.json");
    let reference: Reference = serde_json::from_str(json).expect("masked.py made it");
    let head = Head {
        modality: Modality::Texts,
        problem: Problem::MaskedLanguage,
        labels: Vec::new(),
        embedding_size: None,
        pooling: None,
        dropout: None,
        seed: 0,
    };
    let device = Device::flex();
    let loaded = Network::load(reference_model().path(), &head, &device).expect("it loads");
    assert_eq!(loaded.missing, Vec::<String>::new());
    let mut network = loaded.network.train();
    let trained = network.parameters().into_iter().filter(|known| known.used);
    let trained = trained.map(|parameter| Trained::new(parameter, 1.0));
    let mut optimizer = Optimizer::adamw(reference.weight_decay, trained.collect());
    for (batch, expected) in reference.batches.iter().zip(&reference.losses) {
        let ids: Vec<&[u32]> = batch.iter().map(|sample| &sample.ids[..]).collect();
        let of_sample = |sample: &Sample| {
            let labels = (0..).zip(&sample.labels);
            let masked =
                labels.filter_map(|(place, label)| Some((u32::try_from(*label).ok()?, place)));
            masked.collect()
        };
        let targets = Targets::Masked(marks(batch.iter().map(of_sample).collect()));
        let input = Activations::Tokens(TokenBatch::new(&ids, 0, &device));
        let outputs = network.outputs(0, input, targets.places().as_deref());
        let loss = OverMasked.sum(outputs, &targets, OverMasked.weight(&targets));
        let found = f64::from(loss.clone().into_scalar::<f32>());
        assert!(
            (found - expected).abs() / expected < 1e-4,
            "{found}, not {expected}"
        );
        let gradients = Gradients::new(&network, loss.backward());
        (network, _) = optimizer.step(network, &gradients, reference.learning_rate);
    }
}

#[test]
fn nothing_masked_is_no_loss() {
    let targets = Targets::Masked(marks(vec![Vec::new()]));
    assert!((OverMasked.weight(&targets) - 1.0).abs() < f32::EPSILON);
    let targets = Targets::Masked(marks(vec![vec![(1, 0)], vec![(0, 2)]]));
    let outputs = Tensor::<2>::from_floats([[0.0, 0.0], [0.0, 0.0]], &Device::flex());
    let loss = OverMasked.sum(outputs, &targets, OverMasked.weight(&targets));
    assert!((loss.into_scalar::<f32>() - 2.0_f32.ln()).abs() < 1e-6);
}

#[test]
fn figures_are_over_masked_tokens() {
    let targets = Targets::Masked(marks(vec![vec![(1, 0), (2, 1)], vec![(3, 4)]]));
    let outputs = [
        -1.0, 1.0, 1.0, 0.4, //
        -2.0, 0.0, 5.0, 0.3, //
        -3.0, 1.0, 3.0, 0.9,
    ];
    let report = fillings().score(&outputs, &targets).expect("numbers");
    let figure = |name: &str| report.figures[name];
    assert!((figure("masked_loss") - 2.0).abs() < 1e-12);
    assert!((figure("perplexity") - 2.0_f64.exp()).abs() < 1e-12);
    assert!((figure("masked_accuracy") - 2.0 / 3.0).abs() < 1e-12);
    let none = fillings().score(&[], &Targets::Masked(marks(Vec::new())));
    assert_eq!(none.expect("no number").undefined.len(), 3);
}

#[test]
fn masks_are_filled_one_after_the_other() {
    let tokenizer = Tokenizer::load(tiny_bert()).expect("a tokenizer");
    let id = |text: &str| {
        let encoded = tokenizer.encode(
            &[text.into()],
            None,
            8,
            crate::models::Truncation::default(),
        );
        encoded.expect("encoded")[0].ids[1]
    };
    #[expect(clippy::cast_precision_loss, reason = "a small id")]
    let (food, film) = (id("food") as f32, id("film") as f32);
    let outputs = [-1.0, 0.0, food, 0.5, -1.0, 1.0, film, 0.25];
    let texts = ["the [MASK] and the [MASK]", "no mask"].map(String::from);
    let targets = Targets::Masked(marks(vec![vec![(0, 2), (0, 5)], Vec::new()]));
    let given = Given {
        outputs: &outputs,
        samples: texts.len(),
        words: None,
        masks: Some((&texts, &targets, &tokenizer)),
        raw: false,
    };
    let values = fillings().values(&given).expect("values");
    assert_eq!(
        values,
        [
            Values::Words(vec!["the food and the film".into(), "no mask".into()]),
            Values::Lists(
                vec![vec!["food".into(), "film".into()], Vec::new()],
                " ".into()
            ),
            Values::NumberLists(vec![vec![Some(0.5), Some(0.25)], Vec::new()]),
        ]
    );
    let naming = Naming {
        prefix: "it_",
        raw: false,
        of_texts: false,
    };
    assert_eq!(
        fillings().columns(&naming),
        ["it_filled", "it_tokens", "it_probabilities"]
    );
}
