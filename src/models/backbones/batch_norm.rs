//! Batch normalisation (Ioffe and Szegedy, arXiv:1502.03167) of maps, with the numbers of PyTorch's `BatchNorm2d`.
//!
//! It stands in for Burn's, of which clones share their running statistics, so that what is written into one of them is in all; and
//! whose running variance is the population's, not the unbiased one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::{
    Content, Devices, Flag, Initializer, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor, Param, ParamId,
};
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor};

/// How much of a running statistic a batch replaces, unless a network says otherwise.
const MOMENTUM: f64 = 0.1;

/// Batch normalisation, a number of each kind for every channel.
#[derive(Module, Debug)]
pub(super) struct BatchNorm {
    pub(super) gamma: Param<Tensor<1>>,
    pub(super) beta: Param<Tensor<1>>,
    /// Whether it normalises with the statistics of the batch, and counts them on, where gradients are kept.
    training: Param<Flag>,
    pub(super) running_mean: Statistic,
    pub(super) running_var: Statistic,
    epsilon: f64,
    momentum: f64,
}

impl BatchNorm {
    /// A normalisation that changes nothing yet.
    pub(super) fn new(channels: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            gamma: Initializer::Ones.init([channels], device),
            beta: Initializer::Zeros.init([channels], device),
            training: Param::from_bool(true),
            running_mean: Statistic::new(Tensor::zeros([channels], device)),
            running_var: Statistic::new(Tensor::ones([channels], device)),
            epsilon,
            momentum: MOMENTUM,
        }
    }

    /// The same where a batch replaces so much of the running statistics.
    pub(super) fn with_momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// The same in a frozen block, with these running statistics.
    #[cfg(test)]
    pub(super) fn still(self, mean: Tensor<1>, variance: Tensor<1>) -> Self {
        Self {
            training: Param::from_bool(false),
            running_mean: Statistic::new(mean),
            running_var: Statistic::new(variance),
            ..self
        }
    }

    /// `[batch, channels, height, width]` → the same.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        if !self.measures(&x) {
            let (mean, variance) = (self.running_mean.value(), self.running_var.value());
            return batch_norm(x, gamma, beta, mean, variance, self.epsilon);
        }
        let [batch, _, height, width] = x.dims();
        let batch_norm = batch_norm_train(x, gamma, beta, self.epsilon);
        self.count(batch_norm.mean, batch_norm.variance, batch * height * width);
        batch_norm.output
    }

    /// Whether `x` is normalised with statistics of its own.
    pub(super) fn measures(&self, x: &Tensor<4>) -> bool {
        x.device().is_autodiff() && self.training.is_enabled()
    }

    /// Moves the running statistics towards the mean and the population's variance of a batch, of so many numbers a channel.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(super) fn count(&self, mean: Tensor<1>, variance: Tensor<1>, numbers: usize) {
        let numbers = numbers as f64;
        let unbiased = variance * (numbers / (numbers - 1.0).max(1.0));
        self.running_mean.count(mean, self.momentum);
        self.running_var.count(unbiased, self.momentum);
    }
}

/// A running mean or variance, which a forward pass in training counts on. A clone has a value of its own.
#[derive(Debug)]
pub(super) struct Statistic {
    id: ParamId,
    /// `[channels]`.
    value: Mutex<Tensor<1>>,
}

impl Statistic {
    fn new(value: Tensor<1>) -> Self {
        Self::with_id(ParamId::new(), value)
    }

    fn with_id(id: ParamId, value: Tensor<1>) -> Self {
        Self {
            id,
            value: Mutex::new(value),
        }
    }

    pub(super) fn value(&self) -> Tensor<1> {
        self.lock().clone()
    }

    /// Moves it towards the statistic of a batch.
    fn count(&self, of_batch: Tensor<1>, momentum: f64) {
        let mut value = self.lock();
        *value = value.clone() * (1.0 - momentum) + of_batch.detach() * momentum;
    }

    /// Nothing that is done while it is locked leaves it half-written.
    fn lock(&self) -> MutexGuard<'_, Tensor<1>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn map_value(self, change: impl FnOnce(Tensor<1>) -> Tensor<1>) -> Self {
        let value = self.value();
        Self::with_id(self.id, change(value))
    }
}

impl Clone for Statistic {
    fn clone(&self) -> Self {
        Self::with_id(self.id, self.value())
    }
}

impl Module for Statistic {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.visit_float(&Param::initialized(self.id, self.value()));
    }

    /// No mapper makes it require gradients.
    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let param = mapper.map_float(Param::initialized(self.id, self.value()));
        Self::with_id(self.id, param.val().set_require_grad(false))
    }

    fn to_device(self, device: &Device) -> Self {
        self.map_value(|value| value.to_device(device))
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn collect_devices(&self, mut devices: Devices) -> Devices {
        let device = self.value().device();
        if !devices.contains(&device) {
            devices.push(device);
        }
        devices
    }

    fn materialize(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        Self::with_id(self.id, self.value().without_autodiff())
    }

    fn train(self) -> Self {
        self.map_value(Tensor::from_inner)
    }
}

impl ModuleDisplayDefault for Statistic {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&"Statistic".to_string()).optional()
    }
}

impl ModuleDisplay for Statistic {}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, TensorData};

    use super::*;

    fn statistics(norm: &BatchNorm) -> [TensorData; 2] {
        [&norm.running_mean, &norm.running_var].map(|statistic| statistic.value().into_data())
    }

    #[test]
    fn a_clone_counts_its_own_statistics() {
        let device = Device::flex();
        let norm = BatchNorm::new(3, 1e-5, &device).train();
        let (clone, before) = (norm.clone(), statistics(&norm));
        let x = Tensor::random([4, 3, 2, 2], Distribution::Normal(1.0, 2.0), &device);
        let _ = clone.forward(Tensor::from_inner(x));
        assert_ne!(statistics(&clone), before);
        assert_eq!(statistics(&norm), before);
    }

    #[test]
    fn the_running_variance_is_the_unbiased_one() {
        let device = Device::flex();
        let norm = BatchNorm::new(1, 1e-5, &device).train();
        let x = Tensor::<1>::from_floats([0.0, 2.0], &device).reshape([2, 1, 1, 1]);
        let _ = norm.forward(Tensor::from_inner(x));
        let [mean, variance] = statistics(&norm);
        mean.assert_eq(&TensorData::from([0.1_f32]), true);
        // 0.9 × 1 + 0.1 × 2; the population's variance is 1.
        let variance = variance.try_to_vec::<f32>().expect("floats")[0];
        assert!((variance - 1.1).abs() < 1e-6, "{variance}");
    }
}
