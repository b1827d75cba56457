//! Adapters on their way into a network: new ones, and those of a checkpoint.

use std::collections::BTreeMap;

use burn::module::{Initializer, Param, ParamId, Reparameterizer};
use burn::tensor::{Device, Tensor, TensorData};

use super::layer::{Adapter, lengths};
use super::{Lora, is_adapter};
use crate::error::{Error, Result};
use crate::models::Parameter;
use crate::models::weights::{Checkpoint, list};
use crate::random::{Random, derive};

/// Puts adapters on layers.
pub(in crate::models) struct Attacher<'a> {
    pub(in crate::models) lora: &'a Lora,
    /// The weights that get one.
    pub(in crate::models) weights: BTreeMap<ParamId, Parameter>,
    /// From what their numbers are drawn; none if they come from elsewhere.
    pub(in crate::models) seed: Option<u64>,
}

impl Reparameterizer for Attacher<'_> {
    type Reparam = Adapter;

    fn reparameterize<const D: usize>(
        &mut self,
        _: &str,
        weight: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<Adapter>) {
        let Some(known) = self.weights.get(&weight.id) else {
            return (weight, None);
        };
        let &[outputs, inputs] = &known.shape[..] else {
            return (weight, None);
        };
        let (lora, device) = (self.lora, weight.lazy_device());
        let magnitude = lora.use_dora.then(|| match self.seed {
            // Rows keep the length that they have.
            Some(_) => Param::from_tensor(lengths(weight.base().reshape([inputs, outputs]))),
            None => Initializer::Zeros.init([outputs], &device),
        });
        let numbers = [lora.lora_dropout, lora.scale()];
        let adapter = Adapter::new([inputs, outputs], lora.r, magnitude, numbers, &device);
        let adapter = match self.seed {
            Some(seed) => {
                let seed = derive(seed, &format!("adapter of {}", known.name), &[]);
                adapter.with_a(drawn([inputs, lora.r], seed, &device))
            }
            None => adapter,
        };
        (weight, Some(adapter))
    }
}

/// A, `[inputs, r]`, from the distribution that peft draws it from: PyTorch's `kaiming_uniform_` with a = √5, which is uniform up to
/// 1/√inputs on both sides of 0. Row by row of a checkpoint, so that a higher rank leaves the numbers of a lower one as they are.
fn drawn([inputs, r]: [usize; 2], seed: u64, device: &Device) -> Tensor<2> {
    let mut random = Random::new(seed);
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    let bound = (inputs as f64).sqrt().recip();
    let mut numbers = vec![0.0; inputs * r];
    for row in 0..r {
        for input in 0..inputs {
            #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
            let number = random.between([-bound, bound]) as f32;
            numbers[input * r + row] = number;
        }
    }
    Tensor::from_data(TensorData::new(numbers, [inputs, r]), device)
}

/// Refuses tensors of `checkpoint` that a network has no place for.
///
/// # Errors
/// Names that are not `known`, with their shapes.
pub(in crate::models) fn refuse_strange(
    checkpoint: &Checkpoint,
    known: impl Fn(&str) -> bool,
) -> Result<()> {
    let shapes = checkpoint.shapes();
    let strange = shapes.iter().filter(|(name, _)| !known(name));
    let strange: Vec<String> = strange
        .map(|(name, shape)| format!("{name} {shape:?}"))
        .collect();
    if strange.is_empty() {
        return Ok(());
    }
    Err(Error::stage(format!(
        "`{}` holds {} tensors that this model has no place for",
        checkpoint.file.display(),
        strange.len()
    ))
    .note(format!("left over: {}", list(&strange)))
    .help("take the model that the adapters were trained on"))
}

/// Holds the adapters of `checkpoint` against those that a network has by `parameters`, before any is read.
///
/// # Errors
/// Names and shapes that do not fit.
pub(in crate::models) fn account(checkpoint: &Checkpoint, parameters: &[Parameter]) -> Result<()> {
    let shapes = checkpoint.shapes();
    let ours: BTreeMap<&str, &[usize]> = parameters
        .iter()
        .filter(|known| is_adapter(&known.name))
        .map(|known| (known.name.as_str(), &known.shape[..]))
        .collect();
    let missing = ours.keys().filter(|name| !shapes.contains_key(*name));
    let missing: Vec<String> = missing.map(ToString::to_string).collect();
    let strange = shapes.iter().filter(|(name, _)| !ours.contains_key(*name));
    let strange: Vec<String> = strange
        .map(|(name, shape)| format!("{name} {shape:?}"))
        .collect();
    let other = shapes.iter().filter_map(|(name, shape)| {
        let wanted = ours.get(name).filter(|wanted| *wanted != shape)?;
        Some(format!("{name} {shape:?}, and not {wanted:?}"))
    });
    let other: Vec<String> = other.collect();
    let mut error = Error::stage(format!(
        "the adapters in `{}` are not for this network",
        checkpoint.file.display()
    ))
    .help("take the model that they were trained on");
    let lists = [
        ("of another shape", &other),
        ("for layers that it does not have", &strange),
        ("missing", &missing),
    ];
    for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        error = error.note(format!("{what}: {}", list(names)));
    }
    if [&missing, &strange, &other]
        .iter()
        .all(|names| names.is_empty())
    {
        Ok(())
    } else {
        Err(error)
    }
}
