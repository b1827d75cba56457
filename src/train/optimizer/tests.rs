//! Every rule against torch, timm and transformers; by tensors as in one pass; and what all of them share.
#![expect(
    clippy::disallowed_methods,
    reason = "the layers of these tests stand in no network"
)]

use burn::nn::Linear;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::Int;
use serde::Deserialize;

use super::*;

/// All rules, each with numbers of its own.
fn rules() -> Vec<(&'static str, Arc<dyn Rule>)> {
    let sgd = |momentum, nesterov| Arc::new(Sgd { momentum, nesterov });
    vec![
        ("adamw", Arc::new(AdamW::default())),
        ("sgd", sgd(0.0, false)),
        ("sgd momentum", sgd(0.9, false)),
        ("sgd nesterov", sgd(0.9, true)),
        ("lion", Arc::new(Lion::default())),
        ("adafactor", Arc::new(Adafactor::default())),
        ("lamb", Arc::new(Lamb::default())),
        ("muon", Arc::new(Muon::default())),
    ]
}

/// A rule without its pass: by tensors alone.
#[derive(Debug)]
struct ByTensors(Arc<dyn Rule>);

impl Rule for ByTensors {
    fn rows(&self, at: &At<'_>) -> &'static [&'static str] {
        self.0.rows(at)
    }

    fn length(&self, name: &str, at: &At<'_>) -> usize {
        self.0.length(name, at)
    }

    fn step(
        &self,
        at: &At<'_>,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        rows: &mut [Tensor<1>],
    ) -> Tensor<1> {
        self.0.step(at, weights, gradient, rows)
    }
}

/// A parameter, its gradients and what each rule makes of it, by `tests/reference/make_optimizers.py`.
#[derive(Deserialize)]
struct Reference {
    rate: f64,
    weight_decay: f64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    rule: String,
    shape: Vec<usize>,
    /// Whether it shrinks.
    decays: bool,
    hidden: bool,
    before: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    after: Vec<f32>,
}

impl Case {
    /// The weights after a step for each gradient, by `rule`.
    fn run<const D: usize>(&self, rule: Arc<dyn Rule>, reference: &Reference) -> Vec<f32> {
        let device = Device::flex().autodiff();
        let shape: [usize; D] = self.shape.clone().try_into().expect("as many dimensions");
        let data = |numbers: &[f32]| TensorData::new(numbers.to_vec(), shape);
        let weights = Tensor::<D>::from_data(data(&self.before), &device);
        let mut module = Param::from_tensor(weights);
        let common = Common {
            weight_decay: reference.weight_decay,
            max_grad_norm: None,
            l2: 0.0,
        };
        let mut optimizer = Optimizer::new(rule, common);
        optimizer.set_parameters(vec![Trained {
            id: module.id,
            name: String::new(),
            decays: self.decays,
            hidden: self.hidden,
            rate_scale: 1.0,
        }]);
        for gradient in &self.gradients {
            let towards = Tensor::<D>::from_data(data(gradient), &device);
            let loss = (module.val() * towards).sum();
            let gradients = Gradients::new(&module, loss.backward());
            (module, _) = optimizer.step(module, &gradients, reference.rate);
        }
        let after = module.val().into_data();
        after.try_to_vec().expect("floats")
    }

    fn after(&self, rule: Arc<dyn Rule>, reference: &Reference) -> Vec<f32> {
        match self.shape.len() {
            1 => self.run::<1>(rule, reference),
            2 => self.run::<2>(rule, reference),
            _ => self.run::<4>(rule, reference),
        }
    }
}

/// The greatest difference of two rows, over the greatest change of the weights.
fn difference(found: &[f32], expected: &[f32], before: &[f32]) -> f64 {
    let greatest = |a: &[f32], b: &[f32]| {
        let pairs = a.iter().zip(b);
        pairs.fold(0.0, |most, (a, b)| f64::max(most, f64::from((a - b).abs())))
    };
    assert_eq!(found.len(), expected.len());
    greatest(found, expected) / greatest(expected, before)
}

#[test]
fn steps_are_those_of_torch_timm_and_transformers() {
    let reference = include_str!("../../../tests/reference/optimizers.json");
    let reference: Reference = serde_json::from_str(reference).expect("a reference");
    for (name, rule) in rules() {
        let cases = reference.cases.iter().filter(|case| case.rule == name);
        let cases: Vec<_> = cases.collect();
        assert!(
            cases.len() >= 3,
            "{name} has a vector, a matrix and a kernel"
        );
        for case in cases {
            let by_tensors: Arc<dyn Rule> = Arc::new(ByTensors(Arc::clone(&rule)));
            for (way, rule) in [("its way", Arc::clone(&rule)), ("tensors", by_tensors)] {
                let found = case.after(rule, &reference);
                let difference = difference(&found, &case.after, &case.before);
                assert!(
                    difference < 1e-5,
                    "{name} by {way}, {:?}: {difference:e}",
                    case.shape
                );
            }
        }
    }
}

/// A layer with the same weights in every run.
fn layer(from: usize, to: usize) -> Linear {
    let device = Device::flex().autodiff();
    let weight = Tensor::<1, Int>::arange(0..i64::try_from(from * to).expect("small"), &device)
        .float()
        .sin()
        .reshape([from, to]);
    Linear {
        weight: Param::from_tensor(weight),
        bias: Some(Param::from_tensor(Tensor::zeros([to], &device))),
    }
}

fn trained(linear: &Linear) -> Vec<Trained> {
    let bias = linear.bias.as_ref().expect("it has a bias");
    [linear.weight.id, bias.id]
        .map(|id| Trained {
            id,
            name: String::new(),
            decays: true,
            hidden: id == linear.weight.id,
            rate_scale: 1.0,
        })
        .to_vec()
}

fn input(step: u32) -> Tensor<2> {
    let device = Device::flex();
    let data =
        (0..24).map(|at| f32::from(u8::try_from((at * 7 + step) % 11).expect("small")) - 5.0);
    Tensor::<1>::from_floats(data.collect::<Vec<_>>().as_slice(), &device)
        .reshape([6, 4])
        .autodiff()
}

fn loss(linear: &Linear, step: u32) -> Tensor<1> {
    (linear.forward(input(step)).powi_scalar(2)).mean()
}

fn weights(linear: &Linear) -> Vec<f32> {
    let data = linear.weight.val().into_data();
    data.try_to_vec().expect("floats")
}

fn bias(linear: &Linear) -> Vec<f32> {
    let bias = linear.bias.as_ref().expect("it has a bias");
    bias.val().into_data().try_to_vec().expect("floats")
}

/// An optimizer of these parameters.
fn optimizer(rule: &Arc<dyn Rule>, common: Common, parameters: Vec<Trained>) -> Optimizer {
    let mut optimizer = Optimizer::new(Arc::clone(rule), common);
    optimizer.set_parameters(parameters);
    optimizer
}

#[test]
fn without_clipping_adamw_is_that_of_burn() {
    let mut ours = layer(4, 3);
    let mut theirs = ours.clone();
    let mut our_optimizer = Optimizer::adamw(0.1, trained(&ours));
    let mut their_optimizer = AdamWConfig::new()
        .with_epsilon(1e-8)
        .with_weight_decay(0.1)
        .init();
    for step in 0..20 {
        let gradients = Gradients::new(&ours, loss(&ours, step).backward());
        (ours, _) = our_optimizer.step(ours, &gradients, 0.05);
        let gradients = GradientsParams::from_grads(loss(&theirs, step).backward(), &theirs);
        theirs = their_optimizer.step(0.05, theirs, gradients);
    }
    let difference = difference(&weights(&ours), &weights(&theirs), &weights(&layer(4, 3)));
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn weights_are_held_down_as_if_their_squares_were_in_the_loss() {
    for (name, rule) in rules() {
        let linear = layer(4, 3);
        let step = |l2: f64, loss: Tensor<1>, decays: bool| {
            let common = Common {
                l2,
                weight_decay: 0.0,
                max_grad_norm: None,
            };
            let parameters = trained(&linear).into_iter();
            let parameters = parameters.map(|known| Trained { decays, ..known });
            let mut optimizer = optimizer(&rule, common, parameters.collect());
            let gradients = Gradients::new(&linear, loss.backward());
            weights(&optimizer.step(linear.clone(), &gradients, 0.1).0)
        };
        let squares = linear.weight.val().powi_scalar(2).sum().mul_scalar(0.25);
        let plain = || loss(&linear, 1);
        let before = weights(&linear);
        let held = step(0.5, plain(), true);
        let told = step(0.0, plain() + squares, true);
        let difference = difference(&held, &told, &before);
        assert!(difference < 1e-4, "{name}: {difference}");
        // Biases and norms are left alone.
        let free = step(0.5, plain(), false);
        assert_eq!(free, step(0.0, plain(), false), "{name}");
    }
}

#[test]
fn clipping_scales_all_gradients_by_their_common_norm() {
    let linear = layer(4, 3);
    let gradients = Gradients::new(&linear, (loss(&linear, 1) * 100.0).backward());
    let order = || trained(&linear).into_iter().map(|parameter| parameter.id);
    let by_hand = order()
        .filter_map(|id| gradients.get(id))
        .flatten()
        .map(|number| f64::from(*number).powi(2))
        .sum::<f64>()
        .sqrt();
    assert!((gradients.norm(order()) - by_hand).abs() < 1e-9 * by_hand);

    // Of SGD without momentum a step is the gradient.
    let rules: [Arc<dyn Rule>; 2] = [
        Arc::new(Sgd::default()),
        Arc::new(ByTensors(Arc::new(Sgd::default()))),
    ];
    for rule in rules {
        let common = Common {
            weight_decay: 0.0,
            ..Common::default()
        };
        let mut optimizer = optimizer(&rule, common, trained(&linear));
        let (after, norm) = optimizer.step(linear.clone(), &gradients, 0.1);
        assert!((norm - by_hand).abs() < 1e-9 * by_hand && norm > 1.0);
        let before = [weights(&linear), bias(&linear)].concat();
        let after = [weights(&after), bias(&after)].concat();
        let moved = before.iter().zip(&after);
        let moved = moved.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        assert!((moved.sqrt() - 0.1).abs() < 1e-6, "{moved}");
    }
}

#[test]
fn a_parameter_that_begins_to_train_later_begins_with_its_own_first_step() {
    for (name, rule) in rules() {
        let linear = layer(4, 3);
        let [weight, late]: [Trained; 2] = trained(&linear).try_into().expect("two parameters");
        let common = Common {
            max_grad_norm: None,
            ..Common::default()
        };
        let mut both = optimizer(&rule, common.clone(), vec![weight.clone()]);
        let gradients = Gradients::new(&linear, loss(&linear, 1).backward());
        let (early, _) = both.step(linear.clone(), &gradients, 0.1);
        assert_eq!(bias(&early), bias(&linear), "{name}");

        both.set_parameters(vec![weight, late.clone()]);
        let mut fresh = optimizer(&rule, common, vec![late]);
        let gradients = Gradients::new(&early, loss(&early, 2).backward());
        let (with_late, _) = both.step(early.clone(), &gradients, 0.1);
        let (with_fresh, _) = fresh.step(early, &gradients, 0.1);
        assert_eq!(bias(&with_late), bias(&with_fresh), "{name}");
    }
}

#[test]
fn a_state_that_was_kept_goes_on_in_the_same_bits() {
    for (name, rule) in rules() {
        let mut straight = layer(4, 3);
        let mut through = optimizer(&rule, Common::default(), trained(&straight));
        let mut restored = straight.clone();
        for step in 0..4 {
            let gradients = Gradients::new(&straight, loss(&straight, step).backward());
            (straight, _) = through.step(straight, &gradients, 0.1);
            if step == 1 {
                restored = straight.clone();
            }
        }
        let mut first = optimizer(&rule, Common::default(), trained(&restored));
        let mut layer = layer_with_ids(&restored);
        for step in 0..2 {
            let gradients = Gradients::new(&layer, loss(&layer, step).backward());
            (layer, _) = first.step(layer, &gradients, 0.1);
        }
        let mut second = first.fresh();
        assert!(!second.has_begun());
        second.restore(first.state());
        second.set_parameters(trained(&restored));
        for step in 2..4 {
            let gradients = Gradients::new(&restored, loss(&restored, step).backward());
            (restored, _) = second.step(restored, &gradients, 0.1);
        }
        assert_eq!(weights(&restored), weights(&straight), "{name}");
    }
}

/// The first layer, with the names that Burn has for the parameters of `other`.
fn layer_with_ids(other: &Linear) -> Linear {
    let first = layer(4, 3);
    let bias = other.bias.as_ref().expect("it has a bias");
    Linear {
        weight: Param::initialized(other.weight.id, first.weight.val()),
        bias: first
            .bias
            .map(|of_first| Param::initialized(bias.id, of_first.val())),
    }
}

#[test]
fn the_rate_of_a_parameter_is_scaled() {
    let linear = layer(4, 3);
    let gradients = Gradients::new(&linear, loss(&linear, 1).backward());
    for (name, rule) in rules() {
        let step = |rate_scale, rate| {
            let parameters = trained(&linear).into_iter();
            let parameters = parameters.map(|known| Trained {
                rate_scale,
                ..known
            });
            let mut optimizer = optimizer(&rule, Common::default(), parameters.collect());
            weights(&optimizer.step(linear.clone(), &gradients, rate).0)
        };
        assert_eq!(step(0.25, 0.5), step(1.0, 0.125), "{name}");
        assert_ne!(step(0.25, 0.5), step(1.0, 0.5), "{name}");
    }
}

#[test]
fn the_sum_of_parts_is_the_gradient_of_the_whole() {
    let linear = layer(4, 3);
    let mut sum = Gradients::new(&linear, loss(&linear, 1).backward());
    sum.add(Gradients::new(&linear, loss(&linear, 2).backward()));
    let whole = Gradients::new(&linear, (loss(&linear, 1) + loss(&linear, 2)).backward());
    let id = linear.weight.id;
    let (sum, whole) = (sum.get(id).expect("summed"), whole.get(id).expect("whole"));
    assert!(sum.iter().zip(whole).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn norms_have_the_same_bits_on_any_number_of_threads() {
    let linear = layer(700, 300);
    let input = Tensor::<2>::ones([8, 700], &Device::flex()).autodiff();
    let gradients = Gradients::new(
        &linear,
        linear.forward(input).powi_scalar(2).sum().backward(),
    );
    let norm = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        pool.install(|| gradients.norm(gradients.parameters()))
    };
    assert_eq!(norm(1).to_bits(), norm(3).to_bits());
}
