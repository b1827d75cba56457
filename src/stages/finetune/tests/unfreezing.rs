//! What trains when, and at which rate, on the tiny BERT: blocks `embeddings`, two layers, `pooler` (nothing but the mean) and
//! `classifier`.

use std::collections::BTreeSet;

use super::*;

/// Full tuning without dropout, whose generator other tests in this process share.
pub(super) fn without_dropout(freeze: &str) -> Bench {
    let bench = Bench::new(freeze);
    let config = bench.path("encoder/config.json");
    let text = std::fs::read_to_string(&config)
        .expect("a config")
        .replace("0.1", "0.0");
    crate::store::write_atomic(&config, text.as_bytes()).expect("written");
    bench
}

/// The blocks with a tensor that is not the encoder's.
fn changed(bench: &Bench, tuned: &Path) -> BTreeSet<String> {
    let (before, after) = (weights(&bench.path("encoder")), weights(tuned));
    let before = safetensors::SafeTensors::deserialize(&before).expect("safetensors");
    let after = safetensors::SafeTensors::deserialize(&after).expect("safetensors");
    let block = |name: &str| {
        let parts: Vec<&str> = name.split('.').collect();
        parts[..if parts[0] == "encoder" { 3 } else { 1 }].join(".")
    };
    let differs = |name: &str| {
        let now = after.tensor(&format!("bert.{name}"));
        // What is frozen stays in the encoder's own file, under its names.
        let now = now.or_else(|_| after.tensor(name));
        before.tensor(name).expect("there").data() != now.expect("kept").data()
    };
    let names = before.names().into_iter();
    names.filter(|name| differs(name)).map(block).collect()
}

fn history(tuned: &Path) -> Vec<f64> {
    let card = std::fs::read(tuned.join("refire.json")).expect("a card");
    let card: Value = serde_json::from_slice(&card).expect("JSON");
    let epochs = card["training"]["history"].as_array().expect("a history");
    let losses = epochs.iter().map(|epoch| epoch["train_loss"].as_f64());
    losses.collect::<Option<_>>().expect("losses")
}

/// Settings whose epochs do not depend on how many there are.
const STEADY: &str = "batch_size = 8\nlearning_rate = 0.01\nlr_scheduler_type = \"constant\"\nload_best_model_at_end = false\n";

#[test]
fn layers_begin_to_train_in_their_epochs() {
    let expected: [(usize, &[&str]); 4] = [
        (1, &[]),
        (2, &["encoder.layer.1"]),
        (3, &["encoder.layer.0", "encoder.layer.1"]),
        (4, &["embeddings", "encoder.layer.0", "encoder.layer.1"]),
    ];
    for (epochs, blocks) in expected {
        let bench = without_dropout("{}");
        let settings = format!("{STEADY}epochs = {epochs}\ngradual_unfreezing = true");
        let (tuned, _) = bench.tune(&settings).expect("it trains");
        let blocks = blocks.iter().map(ToString::to_string).collect();
        assert_eq!(changed(&bench, &tuned), blocks, "{epochs}");
        let notices = bench.notices();
        let too_few = notices.contains("too few to unfreeze all");
        assert_eq!(too_few, epochs < 4, "{notices}");
    }
}

#[test]
fn the_epochs_of_the_head_alone_are_those_of_a_frozen_encoder() {
    let frozen = without_dropout(r#"{"freeze": {"trainable_layers": 0}}"#);
    let (tuned, _) = frozen
        .tune(&format!("{STEADY}epochs = 2"))
        .expect("it trains");
    let alone = history(&tuned);
    let bench = without_dropout("{}");
    let (tuned, _) = bench
        .tune(&format!("{STEADY}epochs = 3\nfreeze_epochs = 2"))
        .expect("it trains");
    assert_eq!(history(&tuned)[..2], alone);
    assert_eq!(changed(&bench, &tuned).len(), 3);
    let (by_table, _) = bench
        .tune(&format!(
            "{STEADY}epochs = 3\ngradual_unfreezing = {{ 3 = \"all\" }}"
        ))
        .expect("it trains");
    assert_eq!(history(&by_table)[..2], alone);
}

#[test]
fn remembered_features_do_not_change_a_bit() {
    let settings = format!("{STEADY}epochs = 4\ngradual_unfreezing = true");
    let bench = without_dropout("{}");
    let fresh = weights(&bench.tune(&settings).expect("it trains").0);
    assert!(bench.features_computed() > 0);
    let again = weights(&bench.tune(&settings).expect("it trains").0);
    assert_eq!(bench.features_computed(), 0, "each phase has its memo");
    assert!(fresh == again);

    let bench = without_dropout(r#"{"freeze": {"trainable_layers": 1}}"#);
    bench
        .tune(&format!("{STEADY}epochs = 1"))
        .expect("it trains");
    crate::store::write_atomic(&bench.path("encoder/refire.json"), b"{}").expect("written");
    let after_another_plan = weights(&bench.tune(&settings).expect("it trains").0);
    assert!(fresh == after_another_plan);
}

#[test]
fn a_lower_layer_learns_more_slowly() {
    let far = |settings: &str| {
        let bench = without_dropout("{}");
        // One step from the same weights: AdamW moves a weight by the learning rate.
        let one_step = "epochs = 1\nbatch_size = 80\nlearning_rate = 0.001\nweight_decay = 0.0\n\
                        lr_scheduler_type = \"constant\"\n";
        let (tuned, _) = bench
            .tune(&format!("{one_step}{settings}"))
            .expect("it trains");
        let (before, after) = (weights(&bench.path("encoder")), weights(&tuned));
        let before = safetensors::SafeTensors::deserialize(&before).expect("safetensors");
        let after = safetensors::SafeTensors::deserialize(&after).expect("safetensors");
        let numbers = |tensor: safetensors::tensor::TensorView<'_>| {
            let (numbers, _) = tensor.data().as_chunks::<4>();
            let numbers = numbers.iter().map(|number| f32::from_le_bytes(*number));
            numbers.collect::<Vec<_>>()
        };
        [
            "embeddings.LayerNorm",
            "encoder.layer.0.output.LayerNorm",
            "encoder.layer.1.output.LayerNorm",
        ]
        .map(|name| {
            let name = format!("{name}.weight");
            let before = numbers(before.tensor(&name).expect("there"));
            let after = numbers(after.tensor(&format!("bert.{name}")).expect("kept"));
            let moved = before.iter().zip(&after).map(|(a, b)| (a - b).abs());
            moved.fold(0.0, f32::max)
        })
    };
    let close = |found: [f32; 3], expected: [f32; 3]| {
        let mut pairs = found.iter().zip(expected);
        assert!(
            pairs.all(|(found, expected)| (found / expected - 1.0).abs() < 0.01),
            "{found:?}, not {expected:?}"
        );
    };
    close(far(""), [1e-3; 3]);
    close(far("layer_decay = 0.5"), [1.25e-4, 2.5e-4, 5e-4]);
    close(
        far("layer_decay = 0.5\nlearning_rates = { \"encoder.layer.0.*\" = 2e-3 }"),
        [1.25e-4, 2e-3, 5e-4],
    );
}

#[test]
fn features_that_are_too_large_are_not_kept() {
    let bench = Bench::frozen();
    let settings = format!("{FROZEN}feature_cache_max = \"1kB\"");
    let (tuned, _) = bench.tune(&settings).expect("it trains");
    assert_eq!(bench.features_computed(), 0);
    let evaluate = |more: &str| {
        let settings = format!("model = \"tuned\"\ntable = \"validation\"\n{more}");
        let stage = parse("evaluate", &settings).expect("it parses");
        bench
            .run(&*stage, "measured", &|| false)
            .expect("it is measured");
        bench.features_computed()
    };
    assert_eq!(evaluate(""), 0, "the model says how it was tuned");
    assert_eq!(evaluate("feature_cache_max = \"1MiB\""), 20);
    bench.tune(&settings).expect("it trains");
    let notices = bench.notices();
    assert!(notices.contains("`feature_cache_max`"), "{notices}");
    assert!(tuned.exists());
}

#[test]
fn what_a_network_does_not_have_is_refused_at_its_place() {
    let cases = [
        ("gradual_unfreezing = { 1 = 3 }", "the network has 2"),
        (
            "learning_rates = { \"encoder.layers.*\" = 1e-3 }",
            "matches no parameter",
        ),
        (
            "learning_rates = { \"*.bias\" = 1e-3, \"classifier.*\" = 1e-2 }",
            "two rates for `classifier.bias`",
        ),
    ];
    for (settings, words) in cases {
        let error = failure(Bench::new("{}").tune(settings));
        assert!(error.message().contains(words), "{settings}: {error}");
        assert_eq!(error.kind(), Kind::Stage, "{settings}");
        assert_eq!(error.labels()[0].span.line(), 6, "{settings}");
    }
    let error = failure(Bench::frozen().tune("learning_rates = { \"embeddings.*\" = 1e-3 }"));
    assert!(
        error.message().contains("all that it matches is frozen"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_runs() {
    let cases = [
        (
            "gradual_unfreezing = true\nfreeze_epochs = 1",
            "both say when",
            6,
        ),
        ("epochs = 2\nfreeze_epochs = 2", "nothing but the head", 7),
        ("gradual_unfreezing = {}", "names no epoch", 6),
        (
            "gradual_unfreezing = { 0 = 1 }",
            "not the number of an epoch",
            6,
        ),
        ("gradual_unfreezing = { 1 = \"most\" }", "most", 6),
        ("gradual_unfreezing = { 1 = -1 }", "-1", 6),
        ("gradual_unfreezing = 3", "true, or a table", 6),
        (
            "epochs = 3\ngradual_unfreezing = { 4 = 1 }",
            "`epochs` is 3",
            7,
        ),
        (
            "epochs = 3\ngradual_unfreezing = { 1 = \"all\", 2 = 1 }",
            "do not freeze again",
            7,
        ),
        ("layer_decay = 0.0", "layer_decay", 6),
        ("layer_decay = 1.5", "layer_decay", 6),
        ("learning_rates = { \"classifier.*\" = 0.0 }", "above 0", 6),
        ("learning_rates = { \"re:(\" = 1e-3 }", "not a pattern", 6),
        ("feature_cache_max = \"2 gigs\"", "cannot read `2 gigs`", 6),
    ];
    for (settings, words, line) in cases {
        let error = refusal(tuning(settings));
        assert!(error.message().contains(words), "{settings}: {error}");
        assert_eq!(error.kind(), Kind::Usage, "{settings}");
        assert_eq!(error.labels()[0].span.line(), line, "{settings}: {error}");
    }
}
