//! Training with batch normalisations, some of them frozen with their block, against PyTorch, by `make_batch_norm.py`.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use refire::models::{Activations, FreezePlan, Network};
use refire::tasks::CrossEntropy;
use refire::train::{Gradients, Loss as _, Optimizer, Targets, Trained};
use serde::Deserialize;
use serde_json::json;

use crate::vision::{Config, folder, formula, named_images, open, report};

#[derive(Deserialize)]
struct Reference {
    learning_rate: f64,
    weight_decay: f64,
    sizes: Vec<usize>,
    side: usize,
    classes: usize,
    tensors: BTreeMap<String, Vec<usize>>,
    losses: Vec<f64>,
    statistics: BTreeMap<String, Vec<f32>>,
}

/// The numbers of every parameter and statistic.
#[derive(Default)]
struct Values(BTreeMap<ParamId, Vec<f32>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let numbers = param.val().into_data().try_to_vec().expect("floats");
        self.0.insert(param.id, numbers);
    }
}

/// The running statistics by name.
fn statistics(network: &Network) -> BTreeMap<String, Vec<f32>> {
    let mut values = Values::default();
    network.visit(&mut values);
    let statistics = network.statistics().into_iter();
    statistics
        .map(|known| (known.full_name, values.0[&known.id].clone()))
        .collect()
}

#[test]
fn losses_and_running_statistics_are_those_of_pytorch() {
    let json = include_str!("batch_norm.json");
    let reference: Reference =
        serde_json::from_str(json).expect("batch_norm.json is what make_batch_norm.py writes");
    let config = json!({ "architecture": "resnet20", "num_classes": reference.classes });
    let config: Config = config.as_object().expect("a table").clone();
    let folder = folder(&reference.tensors, &config);
    let mut network = open(folder.path()).network;
    let plan = FreezePlan {
        trainable: Some(vec!["layer3.*".into()]),
        ..FreezePlan::default()
    };
    let plan = network.resolve(&plan).expect("a good plan");
    let trained = network.parameters().into_iter().zip(&plan.frozen);
    let trained = trained.filter(|(_, frozen)| !**frozen);
    let trained = trained.map(|(parameter, _)| Trained::new(parameter, 1.0));
    let mut optimizer = Optimizer::adamw(reference.weight_decay, trained.collect());
    let objective = CrossEntropy::new(vec![1.0; reference.classes], 0.0);

    network = network.freeze(&plan).train();
    let mut worst = 0.0_f64;
    for (step, expected) in reference.losses.iter().enumerate() {
        let size = reference.sizes[step % reference.sizes.len()];
        let images = named_images(
            &format!("images {step}"),
            [size, 3, reference.side, reference.side],
        );
        let labels = (0..size).map(|index| (step + index) % reference.classes);
        let labels = labels.map(|label| u32::try_from(label).expect("few classes"));
        let targets = Targets::Classes(labels.collect());
        let images = Activations::Images(Tensor::from_inner(images));
        let logits = network.forward(0..network.blocks().len(), images);
        let total = objective.weight(&targets);
        let loss = objective.sum(logits.into_logits(), &targets, total);
        let value = f64::from(loss.clone().into_scalar::<f32>());
        worst = worst.max((value - expected).abs() / expected);
        let gradients = Gradients::new(&network, loss.backward());
        (network, _) = optimizer.step(network, &gradients, reference.learning_rate);
    }
    report(&format!(
        "loss of ten steps with batch normalisations: worst relative difference {worst:e}"
    ));
    assert!(worst <= 1e-4, "the worst relative difference is {worst:e}");

    let found = statistics(&network.valid());
    let differences = reference.statistics.iter().flat_map(|(name, expected)| {
        let pairs = found[name].iter().zip(expected);
        pairs.map(|(a, b)| (a - b).abs() / b.abs().max(0.1))
    });
    let worst = differences.fold(0.0, f32::max);
    report(&format!(
        "running statistics: worst relative difference {worst:e}"
    ));
    assert!(worst <= 1e-4, "the worst relative difference is {worst:e}");
    let frozen = found.iter().filter(|(name, _)| !name.starts_with("layer3"));
    for (name, numbers) in frozen {
        assert_eq!(*numbers, formula(name, &reference.tensors[name]), "{name}");
    }
}
