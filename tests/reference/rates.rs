//! Unfreezing and learning rates by layer and by name against PyTorch and timm, by `make_rates.py`.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::module::Module;
use refire::models::FreezePlan;
use refire::train::{AdamW, Common, Depth, Optimizer, Phase, Trained, Unfreezing, layer_decay};
use serde::Deserialize;

use crate::lessons::{Lessons, folder, report};

#[derive(Deserialize)]
struct Reference {
    learning_rate: f64,
    head_rate: f64,
    layer_decay: f64,
    weight_decay: f64,
    scales: Vec<f64>,
    losses: Vec<f64>,
}

#[test]
#[ignore = "needs pip and its registry"]
fn losses_while_layers_unfreeze_at_their_own_rates_are_those_of_pytorch() {
    let lessons = Lessons::new();
    let json = std::fs::read(folder().join("rates.json")).expect("rates.json is committed");
    let reference: Reference =
        serde_json::from_slice(&json).expect("rates.json is what make_rates.py writes");
    let anatomy = lessons.network.anatomy();
    let mut scales = layer_decay(reference.layer_decay, &anatomy);
    let mut of_blocks = BTreeMap::new();
    for (parameter, scale) in anatomy.parameters.iter().zip(&scales) {
        // Nothing goes through the pooler, which timm's transformer lacks.
        if parameter.used {
            of_blocks.insert(parameter.block, *scale);
        }
    }
    let of_blocks: Vec<f64> = of_blocks.into_values().collect();
    assert_eq!(of_blocks.len(), reference.scales.len());
    for (ours, theirs) in of_blocks.iter().zip(&reference.scales) {
        assert!((ours - theirs).abs() < 1e-12, "{of_blocks:?}");
    }
    for (parameter, scale) in anatomy.parameters.iter().zip(&mut scales) {
        if parameter.head {
            *scale = reference.head_rate / reference.learning_rate;
        }
    }

    // Epochs of four steps.
    let depths = [
        (1, Depth::Layers(0)),
        (2, Depth::Layers(2)),
        (3, Depth::All),
    ];
    let everything = FreezePlan::default()
        .resolve(&anatomy)
        .expect("an empty plan suits every network");
    let phases = Unfreezing::ByEpoch(BTreeMap::from(depths))
        .phases(&everything, &anatomy, 3)
        .expect("MiniLM has six layers");
    let common = Common {
        weight_decay: reference.weight_decay,
        ..Common::default()
    };
    let mut optimizer = Optimizer::new(Arc::new(AdamW::default()), common);
    let mut network = lessons.network.clone();
    let mut worst = 0.0_f64;
    for (Phase { plan, .. }, losses) in phases.iter().zip(reference.losses.chunks(4)) {
        let trained = anatomy.parameters.iter().zip(&scales).zip(&plan.frozen);
        let trained = trained.filter(|(_, frozen)| !**frozen);
        let trained =
            trained.map(|((parameter, scale), _)| Trained::new(parameter.clone(), *scale));
        optimizer.set_parameters(trained.collect());
        let mut training = network.freeze(plan).train();
        for (step, expected) in losses.iter().enumerate() {
            let (loss, gradients, _) = lessons.step(&training, step);
            worst = worst.max((loss - expected).abs() / expected);
            (training, _) = optimizer.step(training, &gradients, reference.learning_rate);
        }
        network = training.valid();
    }
    assert_eq!((phases.len(), reference.losses.len()), (3, 12));
    assert!(worst <= 1e-4, "the worst relative difference is {worst:e}");
    report(&format!(
        "loss of twelve steps while layers unfreeze: worst relative difference {worst:e}"
    ));
}
