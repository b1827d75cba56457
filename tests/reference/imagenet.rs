//! Public ImageNet weights on photos of their classes: that they are loaded right, and get the input that they expect.

use std::path::{Path, PathBuf};

use refire::data::images::{Transform, decode};
use refire::inputs;
use refire::models::{self, Activations, ImageInput, Network};

use crate::needs;
use crate::vision::{public_folder, report};

/// Top-1 accuracy that each network must reach on the sample.
const EXPECTED: [(&str, f64); 2] = [("mobilenet_v2", 0.68), ("tf_efficientnet_lite0", 0.75)];

/// Photos that go through a network together.
const BATCH: usize = 32;

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn public_weights_name_photos_of_imagenet() {
    let Some(sample) = needs::shared("imagenet-sample") else {
        return;
    };
    let index = std::fs::read_to_string(sample.join("class_index.tsv")).expect("readable");
    let photos: Vec<(usize, PathBuf)> = index
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(class, file)| Some((class.parse().ok()?, sample.join(file))))
        .filter(|(_, photo)| photo.exists())
        .collect();
    assert_eq!(photos.len(), 342);
    for (architecture, expected) in EXPECTED {
        let folder = public_folder(architecture).expect("it is in a wheel");
        let right = right(folder.path(), &photos);
        #[expect(clippy::cast_precision_loss, reason = "a few hundred photos")]
        let accuracy = right as f64 / photos.len() as f64;
        report(&format!(
            "{architecture}: {right} of {} right, {accuracy:.4}",
            photos.len()
        ));
        assert!(accuracy >= expected, "{architecture}: {accuracy}");
    }
}

/// How many of the photos the model in `folder` names right.
fn right(folder: &Path, photos: &[(usize, PathBuf)]) -> usize {
    let device = models::device("cpu").expect("every build has a CPU");
    let loaded = Network::open(folder, &device).expect("the model loads");
    let input = ImageInput::of(folder).expect("its input is readable");
    let input = input.expect("it takes images");
    let transform = inputs::photos::transform(&input);
    let blocks = 0..loaded.network.blocks().len();
    let mut right = 0;
    for batch in photos.chunks(BATCH) {
        let squares: Vec<Vec<u8>> = batch
            .iter()
            .map(|(_, path)| square(path, &transform))
            .collect();
        let squares: Vec<&[u8]> = squares.iter().map(Vec::as_slice).collect();
        let images = input.normalise(&squares, [input.size; 2], &device);
        let logits = loaded
            .network
            .forward(blocks.clone(), Activations::Images(images));
        let classes = logits.into_logits().argmax(1).into_data();
        let classes = classes
            .iter::<i64>()
            .map(|class| usize::try_from(class).ok());
        right += classes
            .zip(batch)
            .filter(|(found, (class, _))| *found == Some(*class))
            .count();
    }
    right
}

fn square(path: &Path, transform: &Transform) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("the photo is there");
    let image = decode(&bytes, 1 << 26).expect("the photo decodes");
    let mut pixels = vec![0; transform.bytes()];
    transform.apply(&image, &mut pixels);
    pixels
}
