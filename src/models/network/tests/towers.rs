//! Vision towers beside a text tower, and on their own.

use super::*;

/// The numbers of a tensor of this shape, and what they are called in the files of towers.
fn tensors(made: &Made, rename: impl Fn(&str) -> String) -> BTreeMap<String, Vec<usize>> {
    let tensors = made.tensors.iter();
    tensors
        .map(|(name, shape)| (rename(name), shape.clone()))
        .collect()
}

/// What the tower of `made` says of some images, with a head for the same labels.
fn expected(made: &Made) -> (Tensor<4>, TensorData) {
    let network = open(&folder(made, &made.config)).network;
    let images = images_of(side(&network), &Device::flex());
    (images.clone(), logits(&network, images))
}

#[test]
fn the_text_tower_of_a_whole_checkpoint_is_left_out() {
    for name in ["clip", "siglip"] {
        let made = made(name);
        let (images, expected) = expected(&made);
        let mut whole = Made {
            tensors: tensors(&made, str::to_string),
            config: made.config.clone(),
            name: name.into(),
        };
        for (other, shape) in [
            ("text_model.embeddings.token_embedding.weight", vec![5, 8]),
            (
                "text_model.encoder.layers.0.self_attn.q_proj.weight",
                vec![8, 8],
            ),
            ("text_model.head.weight", vec![8, 8]),
            ("text_projection.weight", vec![4, 8]),
            ("visual_projection.weight", vec![4, 16]),
            ("logit_scale", vec![1]),
            ("logit_bias", vec![1]),
        ] {
            whole.tensors.insert(other.into(), shape);
        }
        // What older versions of transformers kept beside the positions.
        let places = "vision_model.embeddings.position_ids";
        whole.tensors.insert(places.into(), vec![1, 16]);
        let loaded = open(&folder(&whole, &whole.config));
        assert_eq!(loaded.unused.len(), 7, "{name}: {:?}", loaded.unused);
        assert_eq!(logits(&loaded.network, images), expected, "{name}");
    }
}

#[test]
fn a_tower_alone_is_the_same_network_and_is_saved_as_what_a_classifier_is_read_from() {
    for (name, alone) in [
        ("clip", "clip_vision_model"),
        ("siglip", "siglip_vision_model"),
    ] {
        let made = made(name);
        let whole = open(&folder(&made, &made.config)).network;
        let images = images_of(side(&whole), &Device::flex());
        let Value::Object(mut config) = made.config["vision_config"].clone() else {
            panic!("{name}: the tower has a config");
        };
        config.insert("model_type".into(), alone.into());
        config.insert("problem_type".into(), "single_label_classification".into());
        let tower = Made {
            tensors: tensors(&made, |name| name.replace("vision_model.", "")),
            config: config.clone(),
            name: name.into(),
        };
        let folder = folder(&tower, &config);
        let labels = ["LABEL_0", "LABEL_1"];
        let loaded = load(&folder, &labels).expect("it loads");
        let saved = TempDir::new().expect("room");
        let card = models::Card {
            task: Some("image-classification".into()),
            labels: labels.map(String::from).to_vec(),
            ..models::Card::default()
        };
        loaded.network.save(saved.path(), &card).expect("saved");

        let config = models::config(saved.path()).expect("a config");
        assert_eq!(config["model_type"], name);
        assert_eq!(config["problem_type"], "single_label_classification");
        let tower = config["vision_config"].as_object().expect("an object");
        assert_eq!(tower["model_type"], alone);
        assert!(!tower.contains_key("id2label"), "{tower:?}");
        let again = open(&saved).network;
        assert_eq!(
            logits(&again, images.clone()),
            logits(&loaded.network, images.clone()),
            "{name}"
        );
        // The head of the tower alone was drawn; what is below it is the same.
        let below = |network: &Network| {
            let head = network.blocks().len() - 1;
            match network.forward(0..head, Activations::Images(images.clone())) {
                Activations::Pooled(x) => x.into_data(),
                other => panic!("{other:?} is no vector an image"),
            }
        };
        assert_eq!(below(&again), below(&whole), "{name}");
    }
}

#[test]
fn the_first_versions_of_transformers_say_it_under_another_key_which_goes_before() {
    let made = made("clip");
    let mut config = made.config.clone();
    let tower = config["vision_config"].clone();
    config.insert("vision_config_dict".into(), tower);
    config.insert(
        "vision_config".into(),
        serde_json::json!({ "hidden_size": 7 }),
    );
    open(&folder(&made, &config));
}
