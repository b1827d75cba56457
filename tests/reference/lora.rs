//! Adapters against peft, by `make_lora.py`: which layers have them, what trains, and the losses of thirty steps of AdamW without dropout.

use std::collections::BTreeSet;

use burn::module::Module;
use burn::tensor::Tensor;
use refire::models::{
    self, Activations, Card, FreezePlan, Head, Layers, Lora, Modality, Network, Problem, TokenBatch,
};
use refire::train::{Gradients, Optimizer, Targets, Trained};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::vision::{Made, folder, named_images, report};

#[derive(Deserialize)]
struct Reference {
    learning_rate: f64,
    weight_decay: f64,
    batches: Vec<Vec<usize>>,
    classes: Vec<u32>,
    tokens: Vec<Vec<u32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    network: Made,
    settings: Settings,
    layers: Vec<String>,
    trained: Vec<String>,
    losses: Vec<f64>,
}

/// The settings of peft's `LoraConfig`.
#[derive(Deserialize)]
struct Settings {
    r: usize,
    lora_alpha: f64,
    lora_dropout: f64,
    target_modules: Value,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    modules_to_save: Vec<String>,
}

impl Settings {
    fn lora(&self, layers: &Layers) -> Lora {
        let targets = match self.target_modules.as_array() {
            None => layers.all().expect("it has linear layers"),
            Some(names) => {
                let names = names.iter().map(|name| name.as_str().expect("a name"));
                let found = names.map(|name| layers.matching(name).expect("it means some"));
                found.collect::<Vec<_>>().concat()
            }
        };
        let saved = self.modules_to_save.iter();
        let saved = saved.map(|name| layers.to_save(name).expect("it means some"));
        Lora {
            r: self.r,
            lora_alpha: self.lora_alpha,
            lora_dropout: self.lora_dropout,
            target_modules: targets,
            use_rslora: self.use_rslora,
            use_dora: self.use_dora,
            modules_to_save: saved.collect::<Vec<_>>().concat(),
        }
    }
}

impl Reference {
    /// The samples `batch` as `case` takes them.
    fn input(&self, case: &Case, batch: &[usize]) -> Activations {
        let device = models::device("cpu").expect("every build has a CPU");
        if modality(case) == Modality::Texts {
            let texts: Vec<&[u32]> = batch.iter().map(|row| &self.tokens[*row][..]).collect();
            return Activations::Tokens(TokenBatch::new(&texts, 0, &device));
        }
        let images = named_images("images", case.network.shape);
        let rows = batch.iter().map(|row| images.clone().slice(*row..*row + 1));
        Activations::Images(Tensor::from_inner(Tensor::cat(rows.collect(), 0)))
    }

    /// The worst relative difference of a step's loss.
    fn train(&self, case: &Case, network: Network) -> f64 {
        let resolved = network.resolve(&FreezePlan::default()).expect("a plan");
        let parameters = network.parameters().into_iter().zip(&resolved.frozen);
        let trained = parameters.filter(|(_, frozen)| !**frozen);
        let trained: Vec<_> = trained.map(|(known, _)| known).collect();
        let names: BTreeSet<&str> = trained
            .iter()
            .map(|known| known.full_name.as_str())
            .collect();
        let expected: BTreeSet<&str> = case.trained.iter().map(String::as_str).collect();
        assert_eq!(names, expected, "{}", case.name);
        let trained = trained.iter().map(|known| Trained::new(known.clone(), 1.0));
        let mut optimizer = Optimizer::adamw(self.weight_decay, trained.collect());
        let mut network = network.freeze(&resolved).train();
        let loss = loss();
        let mut worst = 0.0_f64;
        for (step, expected) in case.losses.iter().enumerate() {
            let batch = &self.batches[step % self.batches.len()];
            let targets = batch.iter().map(|row| self.classes[*row]);
            let targets = Targets::Classes(targets.collect());
            let blocks = 0..network.blocks().len();
            let logits = network
                .forward(blocks, self.input(case, batch))
                .into_logits();
            let found = loss.sum(logits, &targets, loss.weight(&targets));
            let value = f64::from(found.clone().into_scalar::<f32>());
            worst = worst.max((value - expected).abs() / expected);
            let gradients = Gradients::new(&network, found.backward());
            (network, _) = optimizer.step(network, &gradients, self.learning_rate);
        }
        report(&format!(
            "{}: worst relative difference {worst:e}",
            case.name
        ));
        worst
    }
}

fn modality(case: &Case) -> Modality {
    if case.network.config.contains_key("vocab_size") {
        Modality::Texts
    } else {
        Modality::Images
    }
}

/// Cross-entropy, as a pipeline asks for it.
fn loss() -> std::sync::Arc<dyn refire::train::Loss> {
    let source = refire::error::Source::new("settings", "");
    let table = refire::config::Table::parse(&std::sync::Arc::new(source)).expect("TOML");
    let task = refire::tasks::find("text-classification").expect("a task");
    let reading = task
        .targets
        .parse(&mut refire::config::Parts::new(&table), task.modality)
        .expect("settings");
    let (labels, targets) = (labels(), Targets::Classes(vec![0, 1, 2]));
    reading.loss(&labels, &targets).expect("a loss")
}

fn labels() -> Vec<String> {
    (0..3).map(|label| format!("LABEL_{label}")).collect()
}

#[test]
fn losses_of_steps_with_adapters_are_those_of_peft() {
    let reference: Reference =
        serde_json::from_str(include_str!("lora.json")).expect("what the script writes");
    assert_eq!(reference.cases.len(), 8);
    for case in &reference.cases {
        let (mut config, tensors) = (case.network.config.clone(), &case.network.tensors);
        let names = labels().into_iter().enumerate();
        let names: serde_json::Map<String, Value> = names
            .map(|(id, name)| (id.to_string(), json!(name)))
            .collect();
        config.insert("id2label".into(), names.into());
        let base = tensors.iter().filter(|(name, _)| !name.contains(".lora_"));
        let base = base.map(|(name, shape)| (name.clone(), shape.clone()));
        let outline = folder(&base.collect(), &config);
        let outline = Network::outline(outline.path()).expect("an outline");
        let lora = case.settings.lora(&outline.network.layers());
        let base = if modality(case) == Modality::Texts {
            "bert"
        } else {
            "vit"
        };
        let layers = lora.target_modules.iter();
        let layers: BTreeSet<String> = layers.map(|name| format!("{base}.{name}")).collect();
        assert_eq!(
            layers,
            case.layers.iter().cloned().collect(),
            "{}",
            case.name
        );

        let folder = folder(tensors, &config);
        let card = Card {
            lora: Some(lora),
            ..Card::default()
        };
        card.write(folder.path()).expect("written");
        let head = Head {
            modality: modality(case),
            problem: Problem::default(),
            labels: labels(),
            embedding_size: None,
            pooling: None,
            dropout: Some(0.0),
            seed: 0,
        };
        let device = models::device("cpu").expect("every build has a CPU");
        let loaded = Network::load(folder.path(), &head, &device).expect("it loads");
        assert!(
            loaded.missing.is_empty(),
            "{}: {:?}",
            case.name,
            loaded.missing
        );
        let worst = reference.train(case, loaded.network);
        assert!(worst <= 1e-3, "{}: {worst:e}", case.name);
    }
}
