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

/// Three samples: texts with padding, or images.
fn samples(network: &Network, modality: Modality, device: &Device) -> Activations {
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
            let wave = |place: u16| (f32::from(place) * 0.7).sin();
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
) -> (Vec<f32>, Vec<(ParamId, Vec<f32>)>) {
    let network = network.clone().to_device(device);
    let plain = network.outputs(0, samples(&network, modality, device), None);
    let plain = plain.into_data().try_into_vec::<f32>().expect("f32");
    let network = network.train();
    let samples = match samples(&network, modality, device) {
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
    let length = |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| x * x).sum::<f32>().sqrt();
    let between = length(&mut one.iter().zip(other).map(|(a, b)| a - b));
    between / length(&mut one.iter().copied()).max(1e-3)
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
            let (outputs, gradients) = computed(&network, model.modality, &Device::flex());
            let (others, other_gradients) = computed(&network, model.modality, &device);
            let mut worst = apart(&outputs, &others);
            assert_eq!(gradients.len(), other_gradients.len(), "{}", model.name);
            for ((id, one), (other_id, other)) in gradients.iter().zip(&other_gradients) {
                assert_eq!(id, other_id, "{}", model.name);
                worst = worst.max(apart(one, other));
            }
            println!("{} on {name}: {worst:e}, forwards {:e}", model.name, apart(&outputs, &others));
            if worst.is_nan() || worst > 1e-3 {
                wrong.push(format!("{} on {name}: {worst:e} apart", model.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
