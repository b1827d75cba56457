//! Token types: the text of a pair that each token is of.

use std::path::Path;

use burn::tensor::{Int, Tensor};

use super::*;
use crate::models::{TokenBatch, copy_folder};

fn tiny() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert")
}

fn text_network(folder: &Path) -> Network {
    let head = Head {
        modality: Modality::Texts,
        problem: Problem::default(),
        labels: vec!["no".into(), "yes".into()],
        embedding_size: None,
        pooling: None,
        dropout: None,
        seed: 7,
    };
    let device = models::device("cpu").expect("every build has a CPU");
    let loaded = Network::load(folder, &head, &device).expect("it loads");
    loaded.network
}

pub(super) fn logits_of(network: &Network, batch: TokenBatch) -> TensorData {
    let blocks = 0..network.blocks().len();
    let logits = network.forward(blocks, Activations::Tokens(batch));
    logits.into_logits().into_data()
}

pub(super) const FIRST: [u32; 5] = [2, 30, 5, 3, 9];
pub(super) const SECOND: [u32; 3] = [2, 17, 3];

#[test]
fn types_that_are_all_zero_change_no_bit() {
    let (network, device) = (text_network(&tiny()), Device::flex());
    let plain = TokenBatch::new(&[&FIRST, &SECOND], 0, &device);
    let zeros = TokenBatch::with_types(&[(&FIRST, &[0; 5]), (&SECOND, &[])], 0, &device);
    assert!(zeros.types.is_none(), "there is nothing to look up");
    let looked_up = TokenBatch {
        types: Some(Tensor::<2, Int>::zeros([2, 5], &device)),
        ..plain.clone()
    };
    let expected = logits_of(&network, plain);
    assert_eq!(logits_of(&network, zeros), expected);
    assert_eq!(logits_of(&network, looked_up), expected);
}

#[test]
fn types_are_those_of_their_own_tokens() {
    let (network, device) = (text_network(&tiny()), Device::flex());
    let alone = |types: &[u32]| {
        let batch = TokenBatch::with_types(&[(&FIRST, types)], 0, &device);
        logits_of(&network, batch)
    };
    let (one, other) = (alone(&[0, 0, 1, 1, 1]), alone(&[0, 0, 0, 0, 1]));
    assert_ne!(one, other);
    assert_ne!(one, alone(&[]));
    // What is not said, and padding, is of type 0.
    assert_eq!(alone(&[0, 1]), alone(&[0, 1, 0, 0, 0]));
    let batch = TokenBatch::with_types(&[(&SECOND, &[0, 1, 1]), (&FIRST, &[])], 0, &device);
    let types = batch.types.expect("some are of type 1").into_data();
    let types: Vec<i64> = types.iter::<i64>().collect();
    assert_eq!(types, [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_network_with_one_type_of_token_ignores_types() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy_folder(&tiny(), folder.path()).expect("copied");
    let bytes = std::fs::read(tiny().join("model.safetensors")).expect("it is committed");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("it is safetensors");
    let tensors = file.iter().map(|(name, view)| {
        let view = match *view.shape() {
            [2, width] if name.contains("token_type") => {
                let row = &view.data()[..4 * width];
                TensorView::new(Dtype::F32, vec![1, width], row).expect("a row")
            }
            _ => view,
        };
        (name.to_string(), view)
    });
    let path = folder.path().join("model.safetensors");
    std::fs::remove_file(&path).expect("it was copied");
    safetensors::serialize_to_file(tensors, None, &path).expect("written");
    let json = std::fs::read(tiny().join("config.json")).expect("it is committed");
    let mut config: Map<String, Value> = serde_json::from_slice(&json).expect("an object");
    config.insert("type_vocab_size".into(), 1.into());
    write_config(folder.path(), &config).expect("written");

    let (network, device) = (text_network(folder.path()), Device::flex());
    assert_eq!(network.token_types(), Some(1));
    let pair = TokenBatch::with_types(&[(&FIRST, &[0, 0, 1, 1, 1])], 0, &device);
    let text = TokenBatch::new(&[&FIRST], 0, &device);
    assert_eq!(logits_of(&network, pair), logits_of(&network, text));

    config.insert("type_vocab_size".into(), 0.into());
    write_config(folder.path(), &config).expect("written");
    let error = Network::outline(folder.path()).expect_err("every token has a type");
    assert!(error.message().contains("type_vocab_size"), "{error}");
}
