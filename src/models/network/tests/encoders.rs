//! Encoders of texts, whatever the architecture: what they refuse, what is one weight in them, and that what goes out comes back.

use super::types::{FIRST, SECOND, logits_of};
use super::*;
use crate::models::{Card, Pooling, TokenBatch, copy_companions, export};

fn texts() -> impl Iterator<Item = crate::models::small::SmallModel> {
    let models = small_models().into_iter();
    models.filter(|model| model.modality == Modality::Texts)
}

fn of_type(model_type: &str) -> crate::models::small::SmallModel {
    let is_it = |model: &crate::models::small::SmallModel| {
        let config = models::config(model.path()).expect("a config");
        config["model_type"] == model_type
    };
    texts().find(is_it).expect("there is a small one")
}

fn head(problem: Problem, pooling: Option<Pooling>) -> Head {
    let labels = match problem {
        Problem::MaskedLanguage | Problem::Embedding => Vec::new(),
        _ => vec!["no".into(), "yes".into()],
    };
    Head {
        modality: Modality::Texts,
        problem,
        labels,
        embedding_size: None,
        pooling,
        dropout: None,
        seed: 7,
    }
}

fn load_with(folder: &std::path::Path, head: &Head) -> Result<Loaded> {
    Network::load(folder, head, &models::device("cpu")?)
}

fn open_or(folder: &TempDir, what: &str) -> Loaded {
    let device = models::device("cpu").expect("every build has a CPU");
    let opened = Network::open(folder.path(), &device);
    opened.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

/// Numbers that a network gives for two texts: its outputs, or those of each token.
fn outputs(network: &Network) -> TensorData {
    let batch = TokenBatch::new(&[&FIRST, &SECOND], 0, &Device::flex());
    let body = 0..network.blocks().len() - 1;
    match network.forward(body, Activations::Tokens(batch.clone())) {
        Activations::Pooled(_) => logits_of(network, batch),
        states => {
            let places = [vec![1, 4], vec![2]];
            let head = network.blocks().len() - 1;
            network.outputs(head, states, Some(&places)).into_data()
        }
    }
}

#[test]
fn what_is_exported_is_the_same_network_whatever_its_head_and_its_pooling() {
    let problems = [
        (Problem::SingleLabelClassification, Some(Pooling::Mean)),
        (Problem::MultiLabelClassification, Some(Pooling::Cls)),
        (Problem::Regression, None),
        (Problem::TokenClassification, None),
        (Problem::Embedding, Some(Pooling::Mean)),
        (Problem::Embedding, Some(Pooling::Cls)),
        (Problem::MaskedLanguage, None),
    ];
    for model in texts() {
        for (problem, pooling) in problems {
            let what = format!("{}, {problem:?}, {pooling:?}", model.name);
            let head = head(problem, pooling);
            let loaded =
                load_with(model.path(), &head).unwrap_or_else(|error| panic!("{what}: {error:?}"));
            let card = Card {
                task: Some("any".into()),
                problem,
                labels: head.labels,
                ..Card::default()
            };
            let (tuned, out) = (TempDir::new().expect("room"), TempDir::new().expect("room"));
            copy_companions(model.path(), tuned.path()).expect("copied");
            loaded.network.save(tuned.path(), &card).expect("saved");
            let expected = outputs(&loaded.network);
            let again = open_or(&tuned, &what);
            assert_eq!(outputs(&again.network), expected, "{what}, saved");
            export(tuned.path(), out.path()).expect("exported");
            let again = open_or(&out, &what);
            assert!(again.unused.is_empty(), "{what}: {:?}", again.unused);
            assert_eq!(outputs(&again.network), expected, "{what}, exported");
        }
    }
}

#[test]
fn a_pooler_is_for_networks_whose_classes_pool_by_one() {
    for model in texts() {
        let head = head(Problem::default(), Some(Pooling::Pooler));
        let config = models::config(model.path()).expect("a config");
        let pools = config["model_type"] == "bert" || config["model_type"] == "albert";
        match load_with(model.path(), &head) {
            Ok(_) => assert!(pools, "{}", model.name),
            Err(error) => {
                assert!(!pools, "{}: {error:?}", model.name);
                assert!(error.message().contains("in place of a pooler"), "{error}");
            }
        }
    }
}

#[test]
fn masked_tokens_are_guessed_by_their_vectors_or_not_at_all() {
    for model in texts() {
        let mut config = models::config(model.path()).expect("a config");
        if config["model_type"] == "bert" {
            continue;
        }
        config.insert("tie_word_embeddings".into(), false.into());
        write_config(model.path(), &config).expect("written");
        let error = load_with(model.path(), &head(Problem::MaskedLanguage, None));
        let error = error.expect_err("its last layer has weights of its own");
        let name = &model.name;
        assert!(
            error.message().contains("tie_word_embeddings"),
            "{name}: {error}"
        );
        let other = load_with(model.path(), &head(Problem::default(), None));
        assert!(
            other.is_ok(),
            "{name}: other heads have nothing to do with it"
        );
    }
}

#[test]
fn weights_that_layers_share_count_once_and_are_one_layer() {
    let model = of_type("albert");
    let network = Network::outline(model.path()).expect("an outline").network;
    let made = made(&model.name);
    let sizes = made.tensors.values();
    let sizes = sizes.map(|shape| shape.iter().product::<usize>());
    let body = network.parameters().into_iter().filter(|known| !known.head);
    assert_eq!(
        body.map(|known| known.size()).sum::<usize>(),
        sizes.sum::<usize>()
    );
    let anatomy = network.anatomy();
    assert_eq!((anatomy.layers().len(), anatomy.shared), (2, Some(4)));
    let last = FreezePlan {
        trainable_layers: Some(1),
        ..FreezePlan::default()
    };
    let prefix = network.resolve(&last).expect("a plan").prefix;
    assert_eq!(network.blocks()[prefix], "encoder.albert_layer_groups.1");
    let all = FreezePlan {
        trainable_layers: Some(4),
        ..FreezePlan::default()
    };
    let error = network.resolve(&all).expect_err("there are two");
    let error = format!("{error:?}");
    assert!(
        error.contains("its 4 layers share the weights of 2"),
        "{error}"
    );
}
