//! On every device that is built in, every network computes what it does on the CPU: logits, and the gradients of all weights.

use burn::tensor::Gradients;

use super::*;
use crate::models::TokenBatch;
use crate::models::small::SmallModel;

/// Devices beside the CPU that this build of the tests is for, and that have to be there.
const OTHERS: &[&str] = &[
    #[cfg(feature = "libtorch")]
    "libtorch",
    #[cfg(feature = "wgpu")]
    "wgpu",
];

/// Takes the gradients of a network's parameters, in their order.
struct Taken {
    from: Gradients,
    found: Vec<(ParamId, Vec<f32>)>,
}

impl ModuleVisitor for Taken {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = parameter.val().grad_remove(&mut self.from) {
            let numbers = gradient.into_data().try_into_vec::<f32>().expect("f32");
            self.found.push((parameter.id, numbers));
        }
    }
}

/// Three samples: texts with padding, or images, which are changed by the share `nudge`.
fn samples(network: &Network, modality: Modality, device: &Device, nudge: f32) -> Activations {
    match modality {
        Modality::Texts => {
            let texts: [&[u32]; 3] = [
                &[2, 10, 20, 30, 3],
                &[2, 40, 3],
                &[2, 11, 12, 13, 14, 15, 16, 3],
            ];
            Activations::Tokens(TokenBatch::new(&texts, 0, device))
        }
        Modality::Images => {
            // The last maps are not of one pixel each: the statistics of three numbers would make much of small differences.
            let side = side(network).max(network.image_size().unwrap_or(96));
            let wave = |place: u16| (f32::from(place) * 0.7).sin() * (1.0 + nudge);
            let numbers = (0..u16::MAX).cycle().map(wave);
            let numbers = numbers.take(9 * side * side).collect();
            let images = TensorData::new(numbers, [3, 3, side, side]);
            Activations::Images(Tensor::from_data(images, device))
        }
    }
}

/// What a network says of the samples, and the gradients of the sum of the squares of that.
fn computed(
    network: &Network,
    modality: Modality,
    device: &Device,
    nudge: f32,
) -> (Vec<f32>, Vec<(ParamId, Vec<f32>)>) {
    let network = network.clone().to_device(device);
    let plain = network.outputs(0, samples(&network, modality, device, nudge), None);
    let plain = plain.into_data().try_into_vec::<f32>().expect("f32");
    let network = network.train();
    let samples = match samples(&network, modality, device, nudge) {
        Activations::Images(images) => Activations::Images(Tensor::from_inner(images)),
        tokens => tokens,
    };
    let outputs = network.outputs(0, samples, None);
    let back = (outputs.clone() * outputs).sum().backward();
    let mut taken = Taken {
        from: back,
        found: Vec::new(),
    };
    network.visit(&mut taken);
    (plain, taken.found)
}

/// How far apart two vectors are, by the length of the first one.
fn apart(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    let length =
        |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| x * x).sum::<f32>().sqrt();
    let between = length(&mut one.iter().zip(other).map(|(a, b)| a - b));
    between / length(&mut one.iter().copied()).max(1e-3)
}

/// How far apart the gradients of any parameter are.
fn farthest(one: &[(ParamId, Vec<f32>)], other: &[(ParamId, Vec<f32>)]) -> f32 {
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().zip(other).map(|((id, one), (other_id, other))| {
        assert_eq!(id, other_id);
        apart(one, other)
    });
    // A NaN is as far away as can be.
    pairs.fold(0.0, |most, x| if x <= most { most } else { x })
}

fn loaded(model: &SmallModel) -> Network {
    let head = Head {
        modality: model.modality,
        problem: Problem::default(),
        labels: vec!["bad".into(), "good".into()],
        embedding_size: None,
        pooling: None,
        dropout: Some(0.0),
        seed: 7,
    };
    let loaded = Network::load(model.path(), &head, &Device::flex());
    loaded.expect("it loads").network
}

#[test]
fn every_network_computes_the_same_on_every_device() {
    let mut wrong = Vec::new();
    for name in OTHERS {
        let device = models::device(name).expect("it is built in");
        for model in small_models() {
            let network = loaded(&model);
            let on = |device: &Device, nudge| computed(&network, model.modality, device, nudge);
            let (outputs, gradients) = on(&Device::flex(), 0.0);
            let (others, other_gradients) = on(&device, 0.0);
            // Where a unit stands at a kink, a difference in the last bits turns its gradient on or off: no closer than the network is to
            // itself when its images change by a millionth.
            let (_, nudged) = on(&Device::flex(), 1e-6);
            let forwards = apart(&outputs, &others);
            let (back, own) = (
                farthest(&gradients, &other_gradients),
                farthest(&gradients, &nudged),
            );
            println!(
                "{} on {name}: {forwards:e} forwards, {back:e} back, {own:e} by itself",
                model.name
            );
            if !(forwards <= 1e-5 && back <= 2e-3 + 10.0 * own) {
                wrong.push(format!(
                    "{} on {name}: {forwards:e} and {back:e} apart",
                    model.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
