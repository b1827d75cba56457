//! Training of an image network against PyTorch, by `make_image_training.py`: the losses of AdamW's first steps on mixed images, with
//! all batch normalisations training.

use burn::module::Module;
use burn::tensor::Tensor;
use refire::models::Activations;
use refire::tasks::CrossEntropy;
use refire::train::{Gradients, Loss as _, Optimizer, Targets, Trained};
use serde::Deserialize;

use crate::vision::{Made, folder, named_images, open, report};

#[derive(Deserialize)]
struct Reference {
    network: Made,
    steps: Steps,
}

#[derive(Deserialize)]
struct Steps {
    labels: Vec<u32>,
    shares: Vec<f32>,
    learning_rate: f64,
    weight_decay: f32,
    label_smoothing: f32,
    losses: Vec<f64>,
}

#[test]
fn losses_of_steps_on_mixed_images_are_those_of_pytorch() {
    let reference: Reference =
        serde_json::from_str(include_str!("image_training.json")).expect("what the script writes");
    let (made, steps) = (reference.network, reference.steps);
    let folder = folder(&made.tensors, &made.config);
    let mut network = open(folder.path()).network.train();
    let trained = network
        .parameters()
        .into_iter()
        .map(|parameter| Trained::new(parameter, 1.0));
    let mut optimizer = Optimizer::adamw(steps.weight_decay.into(), trained.collect());
    let objective = CrossEntropy::new(vec![1.0; 7], steps.label_smoothing);
    let targets = Targets::Classes(steps.labels.clone());
    let total = objective.weight(&targets);
    let pure: Tensor<4> = Tensor::from_inner(named_images("images", made.shape));

    let mut worst = 0.0_f64;
    for (share, expected) in steps.shares.iter().zip(&steps.losses) {
        let mixed = pure.clone() * *share + pure.clone().flip([0]) * (1.0 - share);
        let blocks = 0..network.blocks().len();
        let logits = network.forward(blocks, Activations::Images(mixed));
        let loss = refire::train::mixed(&objective, logits.into_logits(), &targets, *share, total);
        let found = f64::from(loss.clone().into_scalar::<f32>());
        report(&format!("{share}: {found} {expected}"));
        worst = worst.max((found - expected).abs() / expected);
        let gradients = Gradients::new(&network, loss.backward());
        (network, _) = optimizer.step(network, &gradients, steps.learning_rate);
    }
    report(&format!(
        "loss of steps on mixed images: worst relative difference {worst:e}"
    ));
    assert!(worst <= 1e-5, "the worst relative difference is {worst:e}");
}
