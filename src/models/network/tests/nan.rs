//! What is not a number shows in the logits, wherever in an image network it is, and is refused where weights are read.

use super::*;

/// The same network with NaN for all numbers of the tensor at `path`.
fn broken(network: &Network, path: &str) -> Network {
    let mut numbers = network.numbers();
    numbers.retain(|known, _| known == path);
    for data in numbers.values_mut() {
        data.as_mut_slice::<f32>().expect("f32").fill(f32::NAN);
    }
    let broken = network.clone().with_numbers(numbers);
    broken.expect("the tensor is the network's own")
}

fn is_nan(logits: &TensorData) -> bool {
    logits.iter::<f32>().any(f32::is_nan)
}

#[test]
fn no_layer_hides_what_is_not_a_number() {
    let small = small_models().into_iter();
    let small = small.filter(|model| model.modality == Modality::Images);
    let small = small.map(|model| (model.name.clone(), open_at(model.path()).network));
    let resnet = made("resnet18");
    let resnet = open(&folder(&resnet, &resnet.config)).network;
    for (name, network) in small.chain([("resnet18".to_string(), resnet)]) {
        let side = network
            .image_size()
            .unwrap_or_else(|| side(&network).max(32));
        let images = images_of(side, &Device::flex()).slice(0..2);
        assert!(!is_nan(&logits(&network, images.clone())), "{name}");
        // What the library has, and a classifier goes without.
        let unused = network.parameters().into_iter();
        let unused = unused.filter(|parameter| !parameter.used);
        let unused: Vec<String> = unused.map(|parameter| parameter.name).collect();
        let is_used = |path: &&String| !unused.contains(&network.names.of(path).0);
        // Every seventh tensor: of each block some, and of each kind of tensor some.
        for path in network.numbers().keys().filter(is_used).step_by(7) {
            let broken = broken(&network, path);
            let plain = logits(&broken, images.clone());
            assert!(is_nan(&plain), "{name}: {path} is hidden");
            // While it trains, a normalisation takes the statistics of its batch.
            if !path.contains("running_") {
                let images = Tensor::from_inner(images.clone());
                let trained = logits(&broken.train(), images);
                assert!(is_nan(&trained), "{name}: {path} is hidden in training");
            }
        }
    }
}

#[test]
fn weights_that_are_no_numbers_are_named_and_counted() {
    let made = made("resnet32");
    let folder = folder(&made, &made.config);
    let mut broken = open(&folder).network.numbers();
    broken.retain(|path, _| path.contains("running_"));
    let mut tensors = broken.values_mut();
    let mut next = || tensors.next().expect("it has statistics");
    let first = next().as_mut_slice::<f32>().expect("f32");
    (first[3], first[5], first[7]) = (f32::NAN, f32::NAN, f32::NEG_INFINITY);
    next().as_mut_slice::<f32>().expect("f32")[0] = f32::INFINITY;
    let loaded = open(&folder);
    let network = loaded.network.with_numbers(broken).expect("its own");
    network
        .save(folder.path(), &loaded.card)
        .expect("it is written");
    let device = models::device("cpu").expect("every build has a CPU");
    let error = Network::open(folder.path(), &device).expect_err("it is refused");
    let error = format!("{error:?}");
    assert!(
        error.contains("2 of its 16 values are NaN and 1 infinite, the first at [3]"),
        "{error}"
    );
    assert!(error.contains("1 more: "), "{error}");
    assert!(Network::outline(folder.path()).is_ok(), "no value is read");
}
