//! Plans applied to a small encoder and to a small network with batch normalisations.

use burn::module::ParamId;

use super::*;
use crate::error::Kind;

fn blocks() -> Vec<String> {
    [
        "embeddings",
        "encoder.layer.0",
        "encoder.layer.1",
        "pooler",
        "classifier",
    ]
    .map(String::from)
    .to_vec()
}

/// A weight and a bias a block; the pooler is used or not.
fn encoder(pooler: bool) -> Anatomy {
    let blocks = blocks();
    let of_block = |(block, name): (usize, &String)| {
        ["weight", "bias"].map(|part| Parameter {
            name: format!("{name}.{part}"),
            full_name: format!("bert.{name}.{part}"),
            shape: vec![2],
            block,
            head: name == "classifier",
            used: pooler || name != "pooler",
            part: Part::Own,
            id: ParamId::new(),
        })
    };
    Anatomy {
        parameters: blocks.iter().enumerate().flat_map(of_block).collect(),
        blocks,
        batch_norms: BTreeSet::new(),
        shared: None,
    }
}

/// Two layers, each a convolution and a batch normalisation, and a head.
fn convolutions() -> Anatomy {
    let names = [
        "layer.0.conv.weight",
        "layer.0.bn.weight",
        "layer.0.bn.bias",
        "layer.1.conv.weight",
        "layer.1.bn.weight",
        "layer.1.bn.bias",
        "fc.weight",
        "fc.bias",
    ];
    let parameter = |(index, name): (usize, &&str)| Parameter {
        name: (*name).into(),
        full_name: (*name).into(),
        shape: vec![2],
        block: index / 3,
        head: name.starts_with("fc"),
        used: true,
        part: Part::Own,
        id: ParamId::new(),
    };
    Anatomy {
        blocks: ["layer.0", "layer.1", "fc"].map(String::from).to_vec(),
        parameters: names.iter().enumerate().map(parameter).collect(),
        batch_norms: BTreeSet::from([1, 2, 4, 5]),
        shared: None,
    }
}

/// The names of what trains, and the prefix.
fn trained(resolved: &Resolved, anatomy: &Anatomy) -> (Vec<String>, usize) {
    let trains = anatomy.parameters.iter().zip(&resolved.frozen);
    let names = trains
        .filter(|(_, frozen)| !**frozen)
        .map(|(parameter, _)| parameter.name.clone());
    (names.collect(), resolved.prefix)
}

/// The names of what trains in the encoder, and the prefix.
fn resolve(plan: &FreezePlan, pooler: bool) -> (Vec<String>, usize) {
    let anatomy = encoder(pooler);
    trained(&plan.resolve(&anatomy).expect("a good plan"), &anatomy)
}

fn layers(count: usize) -> FreezePlan {
    FreezePlan {
        trainable_layers: Some(count),
        ..FreezePlan::default()
    }
}

#[test]
fn an_empty_plan_trains_what_is_used() {
    let (trains, prefix) = resolve(&FreezePlan::default(), false);
    assert_eq!((trains.len(), prefix), (8, 0));
    assert!(!trains.contains(&"pooler.weight".to_string()));
    assert_eq!(resolve(&FreezePlan::default(), true).0.len(), 10);
}

#[test]
fn trainable_layers_counts_from_the_end() {
    let head = ["classifier.weight", "classifier.bias"];
    assert_eq!(
        resolve(&layers(0), true),
        (head.map(String::from).to_vec(), 4)
    );
    let (trains, prefix) = resolve(&layers(1), true);
    assert_eq!(trains[0], "encoder.layer.1.weight");
    assert_eq!(trains[2], "pooler.weight");
    assert_eq!((trains.len(), prefix), (6, 2));
    assert_eq!(resolve(&layers(2), true).1, 1);
}

#[test]
fn only_what_is_named_trainable_trains_and_frozen_wins() {
    let plan = FreezePlan {
        trainable: Some(vec!["*.bias".into()]),
        frozen: vec!["bert.embeddings.*".into()],
        ..FreezePlan::default()
    };
    let (trains, prefix) = resolve(&plan, false);
    let expected = [
        "encoder.layer.0.bias",
        "encoder.layer.1.bias",
        "classifier.weight",
        "classifier.bias",
    ];
    assert_eq!(trains, expected);
    assert_eq!(prefix, 1);
    let nothing_but_head = FreezePlan {
        trainable: Some(Vec::new()),
        ..FreezePlan::default()
    };
    assert_eq!(resolve(&nothing_but_head, false).1, 4);
}

#[test]
fn the_head_stays_only_if_it_is_named() {
    let plan = FreezePlan {
        frozen: vec!["classifier.*".into()],
        trainable_layers: Some(1),
        ..FreezePlan::default()
    };
    let (trains, prefix) = resolve(&plan, false);
    assert_eq!(trains, ["encoder.layer.1.weight", "encoder.layer.1.bias"]);
    assert_eq!(prefix, 2);
}

#[test]
fn a_plan_survives_its_json() {
    let plan = FreezePlan {
        trainable: Some(Vec::new()),
        ..layers(3)
    };
    let json = serde_json::to_string(&plan).expect("serialises");
    assert_eq!(
        serde_json::from_str::<FreezePlan>(&json).expect("reads"),
        plan
    );
}

#[test]
fn a_pattern_can_be_a_regular_expression_over_the_whole_name() {
    let plan = FreezePlan {
        trainable: Some(vec![r"re:encoder\.layer\.[01]\.bias".into()]),
        ..FreezePlan::default()
    };
    let (trains, prefix) = resolve(&plan, false);
    assert_eq!(
        trains[..2],
        ["encoder.layer.0.bias", "encoder.layer.1.bias"]
    );
    assert_eq!((trains.len(), prefix), (4, 1));

    let part = Pattern::parse("re:bias").expect("a pattern");
    assert!(part.matching(&encoder(true).parameters).is_err());
    let broken = Pattern::parse("re:encoder.(").expect_err("refused");
    assert_eq!(broken.kind(), Kind::Usage);
}

#[test]
fn a_regular_expression_without_its_mark_is_told_apart() {
    let pattern = Pattern::parse(r"encoder\.layer\.(0|1)\..*").expect("a glob");
    let error = pattern
        .matching(&encoder(true).parameters)
        .expect_err("it matches nothing");
    assert!(
        error.notes().iter().any(|note| note.contains("`re:`")),
        "{error}"
    );
}

#[test]
fn bitfit_trains_biases_and_the_head() {
    let plan = FreezePlan {
        bitfit: true,
        ..FreezePlan::default()
    };
    let (trains, prefix) = resolve(&plan, false);
    let expected = [
        "embeddings.bias",
        "encoder.layer.0.bias",
        "encoder.layer.1.bias",
        "classifier.weight",
        "classifier.bias",
    ];
    assert_eq!((trains, prefix), (expected.map(String::from).to_vec(), 0));
    let (trains, prefix) = resolve(
        &FreezePlan {
            bitfit: true,
            ..layers(1)
        },
        false,
    );
    assert_eq!((trains.len(), prefix), (3, 2));
}

#[test]
fn train_bn_trains_batch_normalisations_in_frozen_blocks() {
    let anatomy = convolutions();
    let resolved = layers(0).resolve(&anatomy).expect("a good plan");
    assert_eq!(resolved.prefix, 2);
    let plan = FreezePlan {
        train_bn: true,
        frozen: vec!["layer.0.bn.*".into()],
        ..layers(0)
    };
    let (trains, prefix) = trained(&plan.resolve(&anatomy).expect("a good plan"), &anatomy);
    assert_eq!(trains[..2], ["layer.1.bn.weight", "layer.1.bn.bias"]);
    assert_eq!((trains.len(), prefix), (4, 1));
    let error = plan_with_train_bn()
        .resolve(&encoder(true))
        .expect_err("no norms");
    assert!(
        error.message().contains("no batch normalisation"),
        "{error}"
    );
}

fn plan_with_train_bn() -> FreezePlan {
    FreezePlan {
        train_bn: true,
        ..layers(0)
    }
}

#[test]
fn what_is_above_a_block_keeps_the_head() {
    let anatomy = encoder(false);
    let all = FreezePlan::default()
        .resolve(&anatomy)
        .expect("a good plan");
    let above = |block| {
        let resolved = all.above(block, &anatomy.parameters).expect("the head");
        trained(&resolved, &anatomy)
    };
    assert_eq!(above(anatomy.blocks.len()).1, 4);
    assert_eq!(above(2).0[0], "encoder.layer.1.weight");
    assert_eq!(above(0), trained(&all, &anatomy));
}

#[test]
fn layers_that_share_weights_are_one_layer_and_an_error_says_so() {
    let anatomy = Anatomy {
        shared: Some(12),
        ..convolutions()
    };
    let plan = FreezePlan {
        trainable_layers: Some(3),
        ..FreezePlan::default()
    };
    let error = plan.resolve(&anatomy).expect_err("there are two");
    let error = format!("{error:?}");
    assert!(error.contains("but the network has 2 layers"), "{error}");
    assert!(
        error.contains("its 12 layers share the weights of 2"),
        "{error}"
    );
}
