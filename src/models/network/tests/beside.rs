//! A network that is saved beside the one that it was made from: the same network, in files of which one is the base's share.

use super::*;
use crate::models::{CARD_FILE, Card};

/// The names of the safetensors files in `folder`.
fn files(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".safetensors"))
        .collect();
    names.sort();
    names
}

#[test]
fn it_is_the_same_network_whatever_the_architecture() {
    for name in [
        "resnet32",
        "mobilenet_v2",
        "tf_efficientnet_lite0",
        "resnet18",
        "vit",
        "deit",
        "resnet",
        "convnext",
        "test_convnext",
        "dinov2",
        "clip",
        "siglip",
        "mobilenet_v3_small",
    ] {
        let made = made(name);
        let base = folder(&made, &made.config);
        let loaded = load(&base, &["cat", "dog"]).expect("it loads");
        let card = Card {
            task: Some("image-classification".into()),
            labels: vec!["cat".into(), "dog".into()],
            ..Card::default()
        };
        let images = images_of(side(&loaded.network), &Device::flex());
        let expected = logits(&loaded.network, images.clone());
        let beside = TempDir::new().expect("room");
        let network = &loaded.network;
        network
            .save_beside(base.path(), beside.path(), &card)
            .expect("saved");
        assert_eq!(files(&beside).len(), 2, "{name}: what is new is the head");
        let again = open(&beside);
        assert!(again.unused.is_empty(), "{name}: {:?}", again.unused);
        assert_eq!(logits(&again.network, images.clone()), expected, "{name}");

        // Beside itself, all of it is the same, and its files are used again.
        let third = TempDir::new().expect("room");
        again
            .network
            .save_beside(beside.path(), third.path(), &card)
            .expect("saved");
        for file in files(&beside).iter().map(String::as_str).chain([CARD_FILE]) {
            let read = |folder: &TempDir| std::fs::read(folder.path().join(file)).expect(file);
            assert!(read(&beside) == read(&third), "{name}: {file}");
        }
        assert_eq!(logits(&open(&third).network, images), expected, "{name}");
    }
}

#[test]
fn a_network_that_has_little_in_common_with_its_base_is_one_file() {
    let (one, other) = (made("resnet32"), TempDir::new().expect("room"));
    let base = folder(&one, &one.config);
    let loaded = open(&base);
    let mut numbers = loaded.network.numbers();
    for data in numbers.values_mut() {
        for number in data.as_mut_slice::<f32>().expect("f32") {
            *number += 0.5;
        }
    }
    let changed = loaded.network.with_numbers(numbers).expect("its own");
    changed
        .save_beside(base.path(), other.path(), &loaded.card)
        .expect("saved");
    assert_eq!(files(&other), ["model.safetensors"]);
    let images = images(&Device::flex());
    assert_eq!(
        logits(&open(&other).network, images.clone()),
        logits(&changed, images)
    );
}
