//! AdamW with the gradients clipped by their global norm, each parameter at its own share of the learning rate.
//!
//! Burn's own AdamW takes a pass over memory for each of its fourteen operations; on a processor that is a third of a step of a
//! small transformer. This one updates weights and moments in a single pass over plain slices. It runs on the host whatever the
//! device is.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::{Kept, Optimizer, Trained};
use crate::models::Network;
use crate::train::gradients::{Gradients, PIECE, numbers_mut};

/// The settings of [`AdamW`]; the defaults are `torch.optim.AdamW`'s.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamWSettings {
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Keeps the division by the root of the second moment finite.
    pub epsilon: f64,
    /// How fast weights shrink, apart from biases and norms.
    pub weight_decay: f64,
    /// How much the squares of those weights count in the loss: it has ½ `l2` Σw² more, so that the gradient has `l2` w more.
    pub l2: f64,
    /// The longest that the gradient of a step may be; none for no limit.
    pub max_grad_norm: Option<f64>,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            l2: 0.0,
            max_grad_norm: Some(1.0),
        }
    }
}

/// AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) with its state.
#[derive(Clone, Debug)]
pub struct AdamW {
    settings: AdamWSettings,
    /// The parameters that train, in an order that depends on the network alone.
    parameters: Vec<Trained>,
    moments: BTreeMap<ParamId, Moments>,
}

/// The state of a parameter: the running means of its gradient and of its square, since it began to train.
#[derive(Clone, Debug)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
    /// Steps made.
    steps: i32,
}

/// What one step needs to know beside the numbers.
#[derive(Clone, Copy)]
struct Step {
    /// What gradients are multiplied by, to clip them.
    scale: f32,
    /// What weights are multiplied by, to shrink them.
    shrink: f32,
    /// What of a weight is added to its gradient.
    l2: f32,
    beta2: f32,
    /// `1 - beta1` and `1 - beta2`.
    gain1: f32,
    gain2: f32,
    /// Learning rate over the first moment's bias correction.
    rate: f32,
    /// Root of the second moment's bias correction.
    root: f32,
    epsilon: f32,
}

impl AdamW {
    /// An optimizer for these parameters; others that get a gradient are left alone.
    #[must_use]
    pub fn new(settings: AdamWSettings, parameters: Vec<Trained>) -> Self {
        Self {
            settings,
            parameters,
            moments: BTreeMap::new(),
        }
    }

    /// Trains these parameters from now on. Those that trained before keep their state; the state of others begins with their first
    /// step, as in torch.
    pub fn set_parameters(&mut self, parameters: Vec<Trained>) {
        self.parameters = parameters;
    }

    /// Makes one step at learning `rate` and returns the changed network with the norm of the gradients before clipping.
    #[must_use]
    pub fn step<M: Module>(&mut self, network: M, gradients: &Gradients, rate: f64) -> (M, f64) {
        let norm = gradients.norm(self.parameters.iter().map(|parameter| parameter.id));
        // torch adds 1e-6 to the norm, and so scales a gradient of exactly the greatest norm too.
        let scale = self
            .settings
            .max_grad_norm
            .map_or(1.0, |greatest| (greatest / (norm + 1e-6)).min(1.0));
        let parameters = self.parameters.iter();
        let network = network.map(&mut Updater {
            settings: &self.settings,
            scale,
            rate,
            parameters: parameters.map(|known| (known.id, known)).collect(),
            gradients,
            moments: &mut self.moments,
        });
        (network, norm)
    }
}

impl Optimizer for AdamW {
    fn fresh(&self) -> Box<dyn Optimizer> {
        Box::new(Self::new(self.settings.clone(), Vec::new()))
    }

    fn set_parameters(&mut self, parameters: Vec<Trained>) {
        Self::set_parameters(self, parameters);
    }

    fn step(&mut self, network: Network, gradients: &Gradients, rate: f64) -> (Network, f64) {
        Self::step(self, network, gradients, rate)
    }

    fn rows(&self) -> &'static [&'static str] {
        &["first", "second"]
    }

    fn has_begun(&self) -> bool {
        !self.moments.is_empty()
    }

    fn state(&self) -> BTreeMap<ParamId, Kept<'_>> {
        let of_parameters = self.moments.iter().map(|(id, moments)| {
            let rows = vec![&moments.first[..], &moments.second[..]];
            let steps = moments.steps;
            (*id, Kept { steps, rows })
        });
        of_parameters.collect()
    }

    fn restore(&mut self, state: BTreeMap<ParamId, (i32, Vec<Vec<f32>>)>) {
        let of_parameters = state.into_iter().filter_map(|(id, (steps, rows))| {
            let [first, second] = <[Vec<f32>; 2]>::try_from(rows).ok()?;
            let moments = Moments {
                first,
                second,
                steps,
            };
            Some((id, moments))
        });
        self.moments = of_parameters.collect();
    }
}

struct Updater<'a> {
    settings: &'a AdamWSettings,
    /// What gradients are multiplied by, to clip them.
    scale: f64,
    rate: f64,
    parameters: BTreeMap<ParamId, &'a Trained>,
    gradients: &'a Gradients,
    moments: &'a mut BTreeMap<ParamId, Moments>,
}

impl ModuleMapper for Updater<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = parameter.id;
        let (Some(known), Some(gradient)) = (self.parameters.get(&id), self.gradients.get(id))
        else {
            return parameter;
        };
        let moments = self.moments.entry(id).or_insert_with(|| Moments {
            first: vec![0.0; gradient.len()],
            second: vec![0.0; gradient.len()],
            steps: 0,
        });
        moments.steps += 1;
        let rate = self.rate * known.rate_scale;
        let step = Step::new(self.settings, moments.steps, self.scale, rate, known.decays);
        let (id, tensor, mapper) = parameter.consume();
        let tensor = tensor.inner();
        let device = tensor.device();
        let mut weights = tensor.into_data();
        numbers_mut(&mut weights)
            .par_chunks_mut(PIECE)
            .zip(gradient.par_chunks(PIECE))
            .zip(moments.first.par_chunks_mut(PIECE))
            .zip(moments.second.par_chunks_mut(PIECE))
            .for_each(|(((weights, gradient), first), second)| {
                step.update(weights, gradient, first, second);
            });
        let tensor = Tensor::from_inner(Tensor::from_data(weights, &device)).require_grad();
        Param::from_mapped_value(id, tensor, mapper)
    }
}

impl Step {
    /// The constants of step `steps` of a parameter, counted from 1, at learning `rate`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weights are 32-bit floats; the constants are computed in 64, as torch does"
    )]
    fn new(settings: &AdamWSettings, steps: i32, scale: f64, rate: f64, decays: bool) -> Self {
        let correction1 = 1.0 - settings.beta1.powi(steps);
        let correction2 = 1.0 - settings.beta2.powi(steps);
        let decay = if decays { settings.weight_decay } else { 0.0 };
        Self {
            scale: scale as f32,
            shrink: (1.0 - rate * decay) as f32,
            l2: if decays { settings.l2 as f32 } else { 0.0 },
            beta2: settings.beta2 as f32,
            gain1: (1.0 - settings.beta1) as f32,
            gain2: (1.0 - settings.beta2) as f32,
            rate: (rate / correction1) as f32,
            root: correction2.sqrt() as f32,
            epsilon: settings.epsilon as f32,
        }
    }

    fn update(self, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let moments = first.iter_mut().zip(second);
        for ((weight, gradient), (first, second)) in weights.iter_mut().zip(gradient).zip(moments) {
            let mut gradient = gradient * self.scale;
            if self.l2 > 0.0 {
                gradient += self.l2 * *weight;
            }
            *first += (gradient - *first) * self.gain1;
            *second = *second * self.beta2 + gradient * gradient * self.gain2;
            let root = second.sqrt() / self.root + self.epsilon;
            *weight = *weight * self.shrink - self.rate * (*first / root);
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the layers of these tests stand in no network"
)]
mod tests {
    use burn::nn::Linear;
    use burn::optim::{AdamWConfig, GradientsParams};
    use burn::tensor::{Device, Int};

    use super::*;

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

    #[test]
    fn weights_are_held_down_as_if_their_squares_were_in_the_loss() {
        let step = |l2: f64, decays: bool| {
            let settings = AdamWSettings {
                l2,
                weight_decay: 0.0,
                ..AdamWSettings::default()
            };
            Step::new(&settings, 1, 1.0, 0.1, decays)
        };
        let updated = |step: Step, gradient: [f32; 2]| {
            let (mut weights, mut first, mut second) = ([2.0, -1.0], [0.0; 2], [0.0; 2]);
            step.update(&mut weights, &gradient, &mut first, &mut second);
            (weights, first, second)
        };
        let held = updated(step(0.5, true), [0.25, 0.75]);
        assert_eq!(held, updated(step(0.0, true), [0.25 + 1.0, 0.75 - 0.5]));
        // Biases and norms are left alone.
        let free = updated(step(0.5, false), [0.25, 0.75]);
        assert_eq!(free, updated(step(0.0, false), [0.25, 0.75]));
    }

    fn trained(linear: &Linear) -> Vec<Trained> {
        let bias = linear.bias.as_ref().expect("it has a bias");
        [linear.weight.id, bias.id]
            .map(|id| Trained {
                id,
                name: String::new(),
                decays: true,
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

    #[test]
    fn without_clipping_it_is_the_adamw_of_burn() {
        let mut ours = layer(4, 3);
        let mut theirs = ours.clone();
        let settings = AdamWSettings {
            max_grad_norm: None,
            weight_decay: 0.1,
            ..AdamWSettings::default()
        };
        let mut our_optimizer = AdamW::new(settings, trained(&ours));
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
        let difference = (ours.weight.val() - theirs.weight.val())
            .abs()
            .max()
            .into_scalar::<f32>();
        assert!(difference < 1e-5, "{difference}");
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

        let mut optimizer = AdamW::new(AdamWSettings::default(), trained(&linear));
        let (_, norm) = optimizer.step(linear, &gradients, 0.1);
        assert!((norm - by_hand).abs() < 1e-9 * by_hand && norm > 1.0);
        let clipped = optimizer
            .moments
            .values()
            .flat_map(|moments| &moments.first)
            .map(|first| (f64::from(*first) / 0.1).powi(2))
            .sum::<f64>()
            .sqrt();
        assert!((clipped - 1.0).abs() < 1e-5, "{clipped}");
    }

    #[test]
    fn a_parameter_that_begins_to_train_later_begins_with_its_own_first_step() {
        let linear = layer(4, 3);
        let [weight, bias]: [Trained; 2] = trained(&linear).try_into().expect("two parameters");
        let mut late = AdamW::new(AdamWSettings::default(), vec![weight.clone()]);
        let gradients = Gradients::new(&linear, loss(&linear, 1).backward());
        let (early, _) = late.step(linear.clone(), &gradients, 0.1);
        assert_eq!(bias_of(&early), bias_of(&linear));

        late.set_parameters(vec![weight, bias.clone()]);
        let unclipped = AdamWSettings {
            max_grad_norm: None,
            ..AdamWSettings::default()
        };
        late.settings = unclipped.clone();
        let mut fresh = AdamW::new(unclipped, vec![bias]);
        let gradients = Gradients::new(&early, loss(&early, 2).backward());
        let (with_late, _) = late.step(early.clone(), &gradients, 0.1);
        let (with_fresh, _) = fresh.step(early, &gradients, 0.1);
        assert_eq!(bias_of(&with_late), bias_of(&with_fresh));
    }

    fn bias_of(linear: &Linear) -> Vec<f32> {
        let bias = linear.bias.as_ref().expect("it has a bias");
        bias.val().into_data().try_to_vec().expect("floats")
    }

    #[test]
    fn the_rate_of_a_parameter_is_scaled() {
        let linear = layer(4, 3);
        let gradients = Gradients::new(&linear, loss(&linear, 1).backward());
        let step = |rate_scale, rate| {
            let parameters = trained(&linear).into_iter().map(|known| Trained {
                rate_scale,
                ..known
            });
            let mut optimizer = AdamW::new(AdamWSettings::default(), parameters.collect());
            let (network, _) = optimizer.step(linear.clone(), &gradients, rate);
            let weight = network.weight.val().into_data();
            weight.try_to_vec::<f32>().expect("floats")
        };
        assert_eq!(step(0.25, 0.5), step(1.0, 0.125));
        assert_ne!(step(0.25, 0.5), step(1.0, 0.5));
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
}
