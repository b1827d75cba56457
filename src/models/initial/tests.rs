//! Weights that are drawn: of every architecture, from a seed, within what can be made.

use serde_json::json;

use super::super::small::all_made;
use super::super::{ARCHITECTURES, Network};
use super::*;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn small_bert() -> Map<String, Value> {
    object(json!({
        "model_type": "bert", "vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 12,
    }))
}

fn written(config: Map<String, Value>, seed: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let blank = Blank::new(config).expect("a network");
    blank.write(folder.path(), seed).expect("written");
    folder
}

fn weights_of(folder: &tempfile::TempDir) -> Vec<u8> {
    std::fs::read(folder.path().join("model.safetensors")).expect("weights")
}

fn refused(change: Value) -> String {
    let mut config = small_bert();
    config.extend(object(change));
    Blank::new(config)
        .expect_err("refused")
        .message()
        .to_string()
}

#[test]
fn every_architecture_can_begin_with_random_weights() {
    let mut made = all_made();
    made.sort_by_key(|made| {
        let shapes = made.tensors.values();
        shapes
            .map(|shape| shape.iter().product::<usize>())
            .sum::<usize>()
    });
    let made = made.into_iter().map(|made| made.config);
    let mut seen = Vec::new();
    for config in made.chain([small_bert()]) {
        let name = Blank::new(config.clone()).expect("a network").name();
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let folder = written(config, 1);
        let outline = Network::outline(folder.path()).expect("a model");
        assert!(outline.card.random_weights.is_some());
        assert!(outline.card.labels.is_empty());
        let loaded = Head {
            modality: outline.modality,
            problem: Problem::default(),
            labels: vec!["a".into(), "b".into()],
            embedding_size: None,
            pooling: None,
            dropout: None,
            seed: 1,
        };
        let loaded = Network::load(folder.path(), &loaded, &Device::flex()).expect("it loads");
        assert_eq!(loaded.unused, Vec::<String>::new());
        let parameters = loaded.network.parameters();
        let of_head = |name: &String| {
            let known = parameters.iter().find(|known| known.name == *name);
            known.is_some_and(|known| known.head)
        };
        assert!(loaded.missing.iter().all(of_head), "{:?}", loaded.missing);
    }
    for known in ARCHITECTURES {
        assert!(seen.contains(&known.name), "{}", known.name);
    }
}

#[test]
fn weights_follow_from_the_seed_and_from_their_names() {
    let [one, again, other] = [1, 1, 2].map(|seed| written(small_bert(), seed));
    assert_eq!(weights_of(&one), weights_of(&again));
    assert_ne!(weights_of(&one), weights_of(&other));
    let mut deeper = small_bert();
    deeper.insert("num_hidden_layers".into(), 3.into());
    let deeper = written(deeper, 1);
    let (one, deeper) = (weights_of(&one), weights_of(&deeper));
    let of = |bytes| safetensors::SafeTensors::deserialize(bytes).expect("safetensors");
    let (one, deeper) = (of(&one), of(&deeper));
    for (name, tensor) in one.tensors() {
        assert_eq!(
            deeper.tensor(&name).expect("it has it").data(),
            tensor.data(),
            "{name}"
        );
    }
}

#[test]
fn the_name_of_a_known_network_is_a_config() {
    let folder = written(object(json!({ "architecture": "resnet20" })), 1);
    let config = folder::config(folder.path()).expect("a config");
    assert!(config.contains_key("pretrained_cfg"));
    assert!(!config.contains_key("num_classes") && !config.contains_key("label_names"));
    assert_eq!(
        folder::labels(folder.path()).expect("labels"),
        Vec::<String>::new()
    );
}

/// Digests over the names and shapes that `tests/reference/make_backbones.py` has found below the heads of networks.
#[test]
fn every_network_that_is_known_by_name_has_the_tensors_of_its_library() {
    use sha2::Digest;

    #[derive(serde::Deserialize)]
    struct Outlines {
        outlines: std::collections::BTreeMap<String, String>,
    }

    let json = include_str!("../../../tests/reference/backbones.json");
    let Outlines { outlines } = serde_json::from_str(json).expect("make_backbones.py made it");
    let mut seen = 0;
    for known in ARCHITECTURES {
        // Those for CIFAR-10 are in no library.
        if known.name == "ResNet for CIFAR" {
            continue;
        }
        for name in known.checkpoints() {
            let config = object(json!({ "architecture": name }));
            let blank = Blank::new(config).expect("a network");
            let parameters = weights::parameters(&blank.backbone).into_iter();
            let lines = parameters.map(|seen| {
                let name = (known.naming.parameter)(&seen.path);
                format!("{name} {:?}", seen.shape)
            });
            let mut lines: Vec<String> = lines.collect();
            lines.sort();
            let digest = sha2::Sha256::digest(lines.join("\n"));
            let (first, _) = digest.split_first_chunk().expect("32 bytes");
            let digest = format!("{:016x}", u64::from_be_bytes(*first));
            assert_eq!(outlines.get(name), Some(&digest), "{name}: {lines:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, outlines.len());
}

#[test]
fn configs_that_contradict_themselves_are_refused() {
    let cases = [
        (
            json!({ "num_attention_heads": 3 }),
            "config.json: `hidden_size` 8 is not a multiple of `num_attention_heads` 3",
        ),
        (
            json!({ "pad_token_id": 40 }),
            "config.json: `pad_token_id` is none of the 40 tokens that `vocab_size` is for",
        ),
        (
            json!({ "pad_token_id": -1 }),
            "config.json: `pad_token_id` is none of the 40 tokens that `vocab_size` is for",
        ),
        (
            json!({ "initializer_range": -0.1 }),
            "config.json: `initializer_range` is no standard deviation",
        ),
        (
            json!({ "num_hidden_layers": 1001 }),
            "config.json: `num_hidden_layers` is 1001, and at most 1000 are made",
        ),
        (
            json!({ "model_type": "t5" }),
            "`config.json` names the model type `t5`, which refire does not know",
        ),
        (
            json!({ "hidden_size": "8" }),
            "`config.json` describes no network that refire can build",
        ),
    ];
    for (change, message) in cases {
        assert_eq!(refused(change), message);
    }
    for size in [1_usize << 40, 1 << 62] {
        let message = refused(json!({ "vocab_size": size }));
        assert!(
            message.contains("at most 2000000000 are drawn"),
            "{message}"
        );
    }
}

/// Why a config is refused that changes that of a small network of this type so.
fn refused_of(model_type: &str, change: Value) -> Error {
    let mut made = all_made().into_iter().map(|made| made.config);
    let made = made.find(|config| config.get("model_type") == Some(&model_type.into()));
    let mut config = made.expect("there is a small one");
    config.extend(object(change));
    let what = format!("{config:?}");
    Blank::new(config).expect_err(&what)
}

/// Configs of small networks of a type are refused, changed so, with these words.
fn all_are_refused(cases: &[(&str, Value, &str)]) {
    for (model_type, change, message) in cases {
        let error = refused_of(model_type, change.clone());
        assert_eq!(error.message(), format!("config.json: {message}"));
    }
}

#[test]
fn configs_of_other_encoders_that_contradict_themselves_are_refused() {
    let cases = [
        (
            "roberta",
            json!({ "pad_token_id": null }),
            "`pad_token_id` is null, and positions are counted from it on",
        ),
        (
            "roberta",
            json!({ "pad_token_id": 180 }),
            "`pad_token_id` is none of the 180 tokens that `vocab_size` is for",
        ),
        (
            "roberta",
            json!({ "max_position_embeddings": 2 }),
            "`max_position_embeddings` 2 leaves no position behind `pad_token_id` 1",
        ),
        (
            "roberta",
            json!({ "is_decoder": true }),
            "`is_decoder` is true, and refire has RoBERTa as an encoder only",
        ),
        (
            "distilbert",
            json!({ "n_heads": 3 }),
            "`dim` 32 is not a multiple of `n_heads` 3",
        ),
        (
            "distilbert",
            json!({ "n_layers": 1001 }),
            "`n_layers` is 1001, and at most 1000 are made",
        ),
        (
            "distilbert",
            json!({ "seq_classif_dropout": 1.0 }),
            "`seq_classif_dropout` must be at least 0 and below 1",
        ),
        (
            "distilbert",
            json!({ "sinusoidal_pos_embds": true }),
            "`sinusoidal_pos_embds` is true, and refire draws the vectors of positions",
        ),
        (
            "mpnet",
            json!({ "relative_attention_num_buckets": 31 }),
            "`relative_attention_num_buckets` is 31, and there are 32 kinds of distances",
        ),
        (
            "mpnet",
            json!({ "pad_token_id": 0 }),
            "`pad_token_id` must be 1: MPNet counts tokens from that id on, whatever is written here",
        ),
        (
            "electra",
            json!({ "embedding_size": 0 }),
            "`embedding_size` is 0",
        ),
        (
            "albert",
            json!({ "inner_group_num": 0 }),
            "`inner_group_num` is 0",
        ),
        (
            "albert",
            json!({ "num_hidden_groups": 5 }),
            "`num_hidden_groups` is 5, more than the 4 of `num_hidden_layers`",
        ),
        (
            "albert",
            json!({ "num_hidden_layers": 1_000_000_007 }),
            "`num_hidden_layers` is 1000000007, and at most 1000 are made",
        ),
    ];
    all_are_refused(&cases);
}

#[test]
fn configs_of_other_kinds_of_attention_that_contradict_themselves_are_refused() {
    let cases = [
        (
            "modernbert",
            json!({ "num_attention_heads": 32 }),
            "heads of 1 numbers, by `hidden_size` and `num_attention_heads`, are no pairs to turn",
        ),
        (
            "modernbert",
            json!({ "intermediate_size": 1_u64 << 63 }),
            "`intermediate_size` is 9223372036854775808, and nothing is so large",
        ),
        (
            "modernbert",
            json!({ "layer_types": ["full_attention"] }),
            "`layer_types` names 1 layers, and `num_hidden_layers` is 2",
        ),
        (
            "modernbert",
            json!({ "rope_scaling": { "factor": 2.0 } }),
            "`rope_scaling` is set, and refire turns positions without scaling",
        ),
        (
            "modernbert",
            json!({ "rope_parameters": { "full_attention": { "rope_theta": 0.0 } } }),
            "a `rope_theta` is 0, not above 0",
        ),
        (
            "modernbert",
            json!({ "initializer_cutoff_factor": 0.0 }),
            "`initializer_cutoff_factor` is not above 0",
        ),
        (
            "deberta-v2",
            json!({ "position_buckets": 16, "max_relative_positions": 4 }),
            "`position_buckets` is 16 for distances up to 4, and buckets grow from half their number to that",
        ),
        (
            "deberta-v2",
            json!({ "pos_att_type": "c2p|p2p" }),
            "`pos_att_type` names `p2p`, which is neither `c2p` nor `p2c`",
        ),
        (
            "deberta-v2",
            json!({ "conv_kernel_size": 4 }),
            "`conv_kernel_size` is 4, not an odd number up to 1001",
        ),
        (
            "deberta-v2",
            json!({ "attention_head_size": 7 }),
            "`attention_head_size` is 7, and refire has DeBERTa with 8 for these sizes alone",
        ),
    ];
    all_are_refused(&cases);
}

#[test]
fn vocabularies_that_nobody_can_draw_are_refused_whatever_the_encoder() {
    let others = ["roberta", "distilbert", "mpnet", "electra", "albert"];
    for model_type in others.into_iter().chain(["modernbert", "deberta-v2"]) {
        let error = refused_of(model_type, json!({ "vocab_size": 1_u64 << 62 }));
        assert!(
            error.message().contains("at most 2000000000 are drawn"),
            "{error}"
        );
    }
}

#[test]
fn the_nearest_type_of_model_is_named_and_all_that_are_known() {
    for (written, meant) in [
        ("robreta", "roberta"),
        ("distill-bert", "distilbert"),
        ("XLM-RoBERTa", "xlm-roberta"),
    ] {
        let error = Blank::new(object(json!({ "model_type": written }))).expect_err("unknown");
        let error = format!("{error:?}");
        assert!(
            error.contains(&format!("did you mean `{meant}`")),
            "{error}"
        );
        assert!(error.contains("known model types: bert, "), "{error}");
    }
}

#[test]
fn the_padding_token_is_nothing() {
    let mut config = small_bert();
    config.insert("pad_token_id".into(), 3.into());
    let weights = weights_of(&written(config, 1));
    let weights = safetensors::SafeTensors::deserialize(&weights).expect("safetensors");
    let words = weights
        .tensor("embeddings.word_embeddings.weight")
        .expect("it is there");
    let rows: Vec<bool> = words
        .data()
        .chunks(8 * 4)
        .map(|row| row.iter().all(|byte| *byte == 0))
        .collect();
    assert_eq!(rows.iter().position(|zero| *zero), Some(3));
    assert_eq!(rows.iter().filter(|zero| **zero).count(), 1);
}

/// What `tests/reference/make_initial.py` has found in the libraries.
#[derive(serde::Deserialize)]
struct Reference {
    drawn: f64,
    networks: Vec<Drawn>,
}

#[derive(serde::Deserialize)]
struct Drawn {
    name: String,
    config: Map<String, Value>,
    tensors: std::collections::BTreeMap<String, Statistics>,
}

/// Of the numbers of a tensor: mean and standard deviation, and the share that is further than two of them from 0.
#[derive(serde::Deserialize)]
struct Statistics {
    shape: Vec<usize>,
    mean: f64,
    std: f64,
    #[serde(default)]
    beyond: f64,
    #[serde(default)]
    zero_rows: Vec<usize>,
}

#[test]
fn weights_are_distributed_as_their_libraries_draw_them() {
    let json = include_str!("../../../tests/reference/initial.json");
    let Reference { drawn, networks } =
        serde_json::from_str(json).expect("make_initial.py made it");
    for Drawn {
        name,
        config,
        tensors,
    } in networks
    {
        let bytes = weights_of(&written(config, 1));
        let weights = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let ours = weights
            .names()
            .into_iter()
            .filter(|name| !name.contains("running_"));
        let (mut ours, theirs): (Vec<_>, Vec<_>) = (ours.collect(), tensors.keys().collect());
        ours.sort_unstable();
        assert_eq!(ours, theirs, "{name}");
        for (tensor, theirs) in tensors {
            let ours = weights.tensor(&tensor).expect("it is there");
            assert_eq!(ours.shape(), theirs.shape, "{name}: {tensor}");
            let numbers = ours
                .data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes));
            let numbers: Vec<f64> = numbers.map(f64::from).collect();
            agree(&numbers, &theirs, drawn)
                .unwrap_or_else(|what| panic!("{name}: {tensor}: {what}"));
        }
    }
}

/// Whether numbers may come from the distribution that so many networks of the library show: within six standard errors.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn agree(numbers: &[f64], theirs: &Statistics, drawn: f64) -> Result<(), String> {
    let count = numbers.len() as f64;
    let share = |which: &dyn Fn(f64) -> bool| {
        numbers.iter().filter(|number| which(**number)).count() as f64 / count
    };
    if theirs.std == 0.0 {
        let same = share(&|number| (number - theirs.mean).abs() < 1e-12);
        return if same < 1.0 {
            Err(format!("not all are {}", theirs.mean))
        } else {
            Ok(())
        };
    }
    let errors = 6.0 * ((1.0 + 1.0 / drawn) / count).sqrt();
    let mean = numbers.iter().sum::<f64>() / count;
    let variance = numbers
        .iter()
        .map(|number| (number - mean).powi(2))
        .sum::<f64>()
        / count;
    let std = variance.sqrt();
    let beyond = share(&|number| number.abs() > 2.0 * theirs.std);
    let row = numbers.len() / theirs.shape[0];
    let zeros: Vec<usize> = numbers
        .chunks(row)
        .enumerate()
        .filter(|(_, row)| row.len() > 1 && row.iter().all(|number| *number == 0.0))
        .map(|(index, _)| index)
        .collect();
    if (mean - theirs.mean).abs() > errors * theirs.std {
        return Err(format!("the mean is {mean}, not {}", theirs.mean));
    }
    if (std / theirs.std - 1.0).abs() > errors / 2.0_f64.sqrt() {
        return Err(format!(
            "the standard deviation is {std}, not {}",
            theirs.std
        ));
    }
    if (beyond - theirs.beyond).abs()
        > errors * (theirs.beyond * (1.0 - theirs.beyond)).sqrt() + 1e-3
    {
        return Err(format!("{beyond} are far out, not {}", theirs.beyond));
    }
    if zeros != theirs.zero_rows {
        return Err(format!(
            "the rows {zeros:?} are 0, not {:?}",
            theirs.zero_rows
        ));
    }
    Ok(())
}
