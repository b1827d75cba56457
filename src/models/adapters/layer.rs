//! The adapter of a linear layer: what is added to it, and how it goes into the layer's own weights.

use burn::module::{Initializer, Module, Param, Reparameterization};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::module::linear;
use burn::tensor::{Device, Tensor};

use crate::models::cpu;
use crate::models::cpu::operations::dropout;

/// Low-rank matrices beside those of a linear layer W: `W x + scale · B A dropout(x)` (LoRA, arXiv:2106.09685). With a magnitude m, whose
/// numbers are those of the outputs, each row of `W + scale · B A` is given the length that m says (DoRA, arXiv:2402.09353).
///
/// Burn keeps it at the parameter of W, which no walk over the module takes for anything but W; its own parameters stand behind it.
#[derive(Module, Debug)]
pub(in crate::models) struct Adapter {
    /// A: `[r, inputs]` in a checkpoint.
    a: Linear,
    /// B: `[outputs, r]` in a checkpoint.
    b: Linear,
    /// m: `[outputs]`.
    magnitude: Option<Param<Tensor<1>>>,
    dropout: Dropout,
    scale: f64,
}

impl Adapter {
    /// The first field of the path to its parameters, behind that of the layer's weight.
    pub(super) const FIELD: &'static str = "lora";

    /// One that changes nothing, of rank `r`, for a layer of so many `inputs` and `outputs`, with nothing in A yet. `magnitude` is there if
    /// it has one.
    pub(super) fn new(
        [inputs, outputs]: [usize; 2],
        r: usize,
        magnitude: Option<Param<Tensor<1>>>,
        [dropout, scale]: [f64; 2],
        device: &Device,
    ) -> Self {
        let zeros = |from, to| {
            LinearConfig::new(from, to)
                .with_bias(false)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        Self {
            a: zeros(inputs, r),
            b: zeros(r, outputs),
            magnitude,
            dropout: DropoutConfig::new(dropout).init(),
            scale,
        }
    }

    /// The same with these numbers in A, `[inputs, r]`.
    pub(super) fn with_a(self, numbers: Tensor<2>) -> Self {
        let a = Linear {
            weight: Param::from_tensor(numbers),
            bias: None,
        };
        Self { a, ..self }
    }

    /// What `layer`, whose adapter it is, makes of `x`, `[…, inputs]`.
    fn forward<const D: usize>(&self, layer: &Linear, x: Tensor<D>) -> Tensor<D> {
        let weight = layer.weight.base();
        let bias = layer.bias.as_ref().map(Param::val);
        let dropped = dropout(&self.dropout, x.clone());
        let low = linear(dropped.clone(), self.a.weight.val(), None);
        let added = linear(low, self.b.weight.val(), None).mul_scalar(self.scale);
        let Some(factor) = self.factor(&weight) else {
            return linear(x, weight, bias) + added;
        };
        // As peft computes it: dropout stands before all that the magnitude changes, and not before the layer itself.
        let factor = factor.unsqueeze::<D>();
        let changed = linear(dropped, weight.clone(), None);
        linear(x, weight, bias) + changed * (factor.clone() - 1.0) + added * factor
    }

    /// `scale · B A`: `[inputs, outputs]`, as Burn keeps a layer's weight.
    fn delta(&self) -> Tensor<2> {
        let product = self.a.weight.val().matmul(self.b.weight.val());
        product.mul_scalar(self.scale)
    }

    /// What each output is multiplied by, `[outputs]`; none without a magnitude. The length of the rows counts as a constant for
    /// gradients, as in section 4.3 of the paper.
    fn factor(&self, weight: &Tensor<2>) -> Option<Tensor<1>> {
        let magnitude = self.magnitude.as_ref()?;
        let lengths = lengths(weight.clone().detach() + self.delta().detach());
        Some(magnitude.val() / lengths)
    }
}

/// The length of what a weight, `[inputs, outputs]`, has for each output.
pub(super) fn lengths(weight: Tensor<2>) -> Tensor<1> {
    weight.square().sum_dim(0).sqrt().squeeze_dim(0)
}

impl Reparameterization for Adapter {
    const NAME: &'static str = Self::FIELD;

    /// The layer's weight with the adapter in it, without dropout.
    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let shape = base.shape();
        let weight: Tensor<2> = base.reshape(self.delta().shape());
        let factor = self.factor(&weight);
        let changed = weight + self.delta();
        let changed = match factor {
            Some(factor) => changed * factor.unsqueeze::<2>(),
            None => changed,
        };
        changed.reshape(shape)
    }
}

/// What `layer` makes of `x`, `[…, inputs]`, with its adapter if it has one. All linear layers of backbones go through it.
pub(in crate::models) fn adapted<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    match layer.weight.reparameterization::<Adapter>() {
        Some(adapter) => adapter.forward(layer, x),
        None => cpu::linear::linear(layer, x),
    }
}
