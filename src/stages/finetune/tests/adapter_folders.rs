//! Adapters as peft's folders hold them: what an export writes, and what of others is read or refused.

use burn::tensor::Device;
use safetensors::SafeTensors;
use serde_json::{Map, json};

use super::adapters::{RATE, adapt, names, say};
use super::*;
use crate::models::{Network, export_adapter};
use crate::store::write_atomic;

/// A tiny BERT with adapters, tuned as transformers pools it; its folder, and that of the adapters alone.
fn exported(more: &Value) -> (Bench, PathBuf) {
    let bench = Bench::new("{}");
    adapt(&bench, false, more);
    let settings = format!(
        "{RATE}epochs = 2\nbatch_size = 8\nclassifier_dropout = 0.0\npooling = \"pooler\"\n"
    );
    let (tuned, _) = bench.tune(&settings).expect("it is tuned");
    std::fs::create_dir(bench.path("adapter")).expect("a folder");
    let how = export_adapter(&tuned, &bench.path("adapter")).expect("exported");
    assert!(how.contains("PeftModel.from_pretrained"), "{how}");
    bench.freeze("{}");
    (bench, tuned)
}

/// Reads the adapters in the folder `adapter` onto the model.
fn read(bench: &Bench, settings: &str) -> Result<PathBuf> {
    let text = format!("model = \"encoder\"\nadapter = \"adapter\"\n{settings}");
    let (folder, _) = bench.run(&*parse("lora", &text)?, "read", &|| false)?;
    Ok(folder)
}

fn config(bench: &Bench) -> Map<String, Value> {
    let bytes = std::fs::read(bench.path("adapter/adapter_config.json")).expect("a config");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Writes `changes` into the config, where null takes a key out.
fn change(bench: &Bench, changes: &Value) {
    let mut config = config(bench);
    config.extend(changes.as_object().expect("a table").clone());
    let json = serde_json::to_vec(&config).expect("JSON");
    write_atomic(&bench.path("adapter/adapter_config.json"), &json).expect("written");
}

/// Writes the tensors of the folder under other names, or leaves them out.
fn rename(bench: &Bench, rename: impl Fn(&str) -> Option<String>) {
    let path = bench.path("adapter/adapter_model.safetensors");
    let bytes = std::fs::read(&path).expect("weights");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let renamed = tensors
        .iter()
        .filter_map(|(name, view)| Some((rename(name)?, view)));
    let bytes = safetensors::serialize(renamed, None).expect("well-formed");
    write_atomic(&path, &bytes).expect("written");
}

#[test]
fn an_exported_adapter_gives_its_base_what_the_tuned_model_says() {
    for more in [
        json!({}),
        json!({ "use_dora": true }),
        json!({ "use_rslora": true, "modules_to_save": ["embeddings.LayerNorm"] }),
    ] {
        let (bench, tuned) = exported(&more);
        let written = names(&bench.path("adapter/adapter_model.safetensors"));
        for name in &written {
            assert!(name.starts_with("base_model.model."), "{name}");
        }
        let has = |name: &str| written.iter().any(|known| known == name);
        assert!(has(
            "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight"
        ));
        assert!(has("base_model.model.classifier.weight"));
        let saved = "base_model.model.bert.embeddings.LayerNorm.weight";
        assert_eq!(
            has(saved),
            more.get("modules_to_save").is_some(),
            "{written:?}"
        );

        let folder = read(&bench, "").unwrap_or_else(|error| panic!("{more}: {error}"));
        let notices = bench.notices();
        assert!(
            notices.contains("adapters of rank 1 for 12 linear layers, and a head for bad, good"),
            "{notices}"
        );
        let open = |folder: &Path| Network::open(folder, &Device::flex()).expect("it opens");
        let (one, other) = (open(&tuned), open(&folder));
        assert_eq!(say(&one.network), say(&other.network), "{more}");
        assert_eq!(one.card.training, other.card.training);
    }
}

#[test]
fn an_adapter_of_peft_comes_without_a_card_and_its_labels_are_named() {
    let (bench, tuned) = exported(&json!({}));
    std::fs::remove_file(bench.path("adapter/refire.json")).expect("it is there");
    // What peft writes beside: that these say nothing of what is computed.
    change(
        &bench,
        &json!({ "peft_version": "0.21.2", "rank_pattern": {}, "lora_bias": false, "megatron_core": "megatron.core" }),
    );
    let error = failure(read(&bench, ""));
    assert!(
        error
            .message()
            .contains("nothing says which labels that is for"),
        "{error}"
    );
    let error = failure(read(&bench, "labels = ['bad', 'good', 'other']"));
    assert!(error.message().contains("classifier"), "{error}");
    bench.freeze(r#"{"pooling": "pooler"}"#);
    let folder = read(&bench, "labels = ['bad', 'good']").expect("it is read");
    let open = |folder: &Path| Network::open(folder, &Device::flex()).expect("it opens");
    assert_eq!(say(&open(&tuned).network), say(&open(&folder).network));
    let further = "model = \"read\"\ntrain = \"train\"\ntask = \"text-classification\"\nlabels = [\"bad\", \"good\"]\n\
                   epochs = 1\nbatch_size = 8\nclassifier_dropout = 0.0\n";
    let stage = parse("finetune", further).expect("it parses");
    bench
        .run(&*stage, "further", &|| false)
        .expect("it is tuned further");
}

#[test]
fn adapters_without_a_head_go_onto_a_model_that_has_learnt_nothing() {
    let (bench, _) = exported(&json!({}));
    std::fs::remove_file(bench.path("adapter/refire.json")).expect("it is there");
    rename(&bench, |name| {
        name.contains("lora_").then(|| name.to_string())
    });
    let error = failure(read(&bench, "labels = ['bad', 'good']"));
    assert!(
        error.message().contains("has a head for bad, good"),
        "{error}"
    );
    read(&bench, "").expect("it is read");
    assert!(bench.notices().contains("and no head"));
}

#[test]
fn folders_that_refire_does_not_know_are_refused() {
    for (changes, expected) in [
        (json!({ "peft_type": "IA3" }), "of the type `IA3`"),
        (json!({ "r": 0 }), "`r` is 0"),
        (json!({ "r": -1 }), "describes no adapters"),
        (json!({ "r": 2 }), "are not for this network"),
        (json!({ "r": 1_000_000_000 }), "`r` is 1000000000"),
        (json!({ "lora_alpha": 0 }), "`lora_alpha` must be above 0"),
        (
            json!({ "lora_dropout": 1.5 }),
            "`lora_dropout` must be at least 0",
        ),
        (json!({ "bias": "all" }), "`bias` is \"all\""),
        (
            json!({ "rank_pattern": { "query": 4 } }),
            "`rank_pattern` is",
        ),
        (
            json!({ "fan_in_fan_out": true }),
            "`fan_in_fan_out` is true",
        ),
        (
            json!({ "init_lora_weights": "pissa" }),
            "`init_lora_weights` is \"pissa\"",
        ),
        (json!({ "what_comes_next": 1 }), "`what_comes_next` is 1"),
        (json!({ "use_dora": true }), "are not for this network"),
    ] {
        let (bench, _) = exported(&json!({}));
        change(&bench, &changes);
        let error = failure(read(&bench, ""));
        let said = format!("{error} {:?}", error.causes());
        assert!(said.contains(expected), "{changes}: {said}");
    }
}

#[test]
fn adapters_for_another_base_are_refused_with_names_and_shapes() {
    let (bench, _) = exported(&json!({}));
    rename(&bench, |name| Some(name.replace("layer.1.", "layer.11.")));
    let error = failure(read(&bench, ""));
    assert!(
        error
            .message()
            .contains("`encoder.layer.11.attention.output.dense`, which is no linear layer"),
        "{error}"
    );
    let (bench, _) = exported(&json!({ "modules_to_save": ["embeddings.LayerNorm"] }));
    rename(&bench, |name| {
        Some(name.replace("embeddings.LayerNorm", "embeddings.norm"))
    });
    let error = failure(read(&bench, ""));
    assert!(
        error
            .message()
            .contains("2 tensors that this model has no place for"),
        "{error}"
    );
    assert!(
        error
            .notes()
            .join(" ")
            .contains("embeddings.norm.weight [32]"),
        "{error:?}"
    );
    let (bench, _) = exported(&json!({}));
    rename(&bench, |name| {
        (!name.contains("lora_")).then(|| name.to_string())
    });
    let error = failure(read(&bench, ""));
    assert!(error.message().contains("holds no adapters"), "{error}");
    let (bench, _) = exported(&json!({}));
    std::fs::remove_file(bench.path("adapter/adapter_model.safetensors")).expect("it is there");
    let error = failure(read(&bench, ""));
    assert!(
        error
            .message()
            .contains("has no `adapter_model.safetensors`"),
        "{error}"
    );
}

#[test]
fn what_has_no_adapters_is_exported_whole() {
    let bench = Bench::new("{}");
    let (tuned, _) = bench.tune(FROZEN).expect("it is tuned");
    std::fs::create_dir(bench.path("adapter")).expect("a folder");
    let error = failure(export_adapter(&tuned, &bench.path("adapter")));
    assert!(
        error.message().contains("the model has no adapters"),
        "{error}"
    );
}

#[test]
fn what_peft_could_not_load_is_exported_whole() {
    let export = |settings: &str| {
        let bench = Bench::new("{}");
        adapt(&bench, false, &json!({}));
        let text = format!(
            "model = \"encoder\"\ntrain = \"train\"\nepochs = 1\nbatch_size = 16\n{settings}"
        );
        let stage = parse("finetune", &text).expect("it parses");
        let (tuned, _) = bench.run(&*stage, "tuned", &|| false).expect("it is tuned");
        std::fs::create_dir(bench.path("adapter")).expect("a folder");
        failure(export_adapter(&tuned, &bench.path("adapter")))
    };
    let error = export("task = \"fill-mask\"\nmask_probability = 0.5");
    assert!(
        error.message().contains("the vectors of all tokens"),
        "{error}"
    );
    let error =
        export("task = \"text-classification\"\nlabels = [\"bad\", \"good\"]\npooling = \"mean\"");
    assert!(
        error
            .message()
            .contains("none of transformers' own classes"),
        "{error}"
    );
}

#[test]
fn settings_that_an_adapter_has_already_are_refused() {
    for (settings, expected) in [
        (
            "adapter = 'a'\nr = 8",
            "`adapter` and `r` both say what the adapters are",
        ),
        ("labels = ['a']", "`labels` is for an `adapter`"),
        ("adapter = 'a'\nlabels = ['a']", "needs two labels"),
        ("adapter = 'a'\nlabels = ['a', 'b', 'a']", "`a` comes twice"),
        ("adapter = 'a'\nlabels = ['a', '']", "a label is empty"),
    ] {
        let error = refusal(parse("lora", &format!("model = 'a'\n{settings}")));
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.message().contains(expected), "{error}");
    }
}
