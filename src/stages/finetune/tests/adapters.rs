//! Models with adapters, of every architecture that has linear layers: what is remembered of the layers before the first adapter changes
//! nothing, `evaluate` measures what `predict` says, an interrupted training ends as one that is left alone; what comes of a training
//! holds the adapters and the head, and the model's own files as they are.

use safetensors::SafeTensors;
use serde_json::json;

use super::registry::{End, Subject, agree, interrupt, tunes_alike};
use super::*;
use crate::models::small::{SmallModel, small_models};
use crate::models::{
    Activations, Card, FreezePlan, Head, Lora, Modality, Network, Problem, TokenBatch,
};
use burn::tensor::Device;

pub(super) const RATE: &str = "learning_rate = 0.01\nlr_scheduler_type = \"constant\"\n";

/// Small models that can have adapters, with samples.
fn subjects() -> Vec<(SmallModel, Subject)> {
    let models = small_models().into_iter();
    let with_layers = models.filter(|model| {
        let outline = Network::outline(model.path()).expect("an outline");
        outline.network.layers().all().is_ok()
    });
    let subjects: Vec<_> = with_layers
        .map(|model| {
            let subject = Subject::new(&model);
            (model, subject)
        })
        .collect();
    assert!(subjects.len() >= 5, "transformers have linear layers");
    subjects
}

/// Gives the linear layers of a model adapters; those of its last block that has any alone if `only_last`. How many blocks come before
/// the first of them.
pub(super) fn adapt(bench: &Bench, only_last: bool, more: &Value) -> usize {
    let folder = bench.path("encoder");
    bench.freeze("{}");
    let network = Network::outline(&folder).expect("an outline").network;
    let mut names = network.layers().all().expect("linear layers");
    if only_last {
        let block = |name: &String| {
            let known = network.parameters().into_iter();
            let mut weights = known.filter(|known| known.name == format!("{name}.weight"));
            weights.next().expect("a weight").block
        };
        let last = names.iter().map(block).max().expect("layers");
        names.retain(|name| block(name) == last);
    }
    let mut lora = json!({ "r": 1, "lora_alpha": 4.0, "target_modules": names });
    let settings = lora.as_object_mut().expect("a table");
    settings.extend(more.as_object().expect("a table").clone());
    bench.freeze(&json!({ "lora": lora }).to_string());
    let anatomy = Network::outline(&folder)
        .expect("an outline")
        .network
        .anatomy();
    FreezePlan::default().prefix(&anatomy).expect("a prefix")
}

#[test]
fn what_is_remembered_before_the_first_adapter_changes_nothing() {
    for (_, subject) in subjects() {
        for more in [json!({}), json!({ "use_dora": true, "use_rslora": true })] {
            let is_first = more == json!({});
            subject.bench.events();
            let prefix = adapt(&subject.bench, true, &more);
            let what = format!("{}, adapters {more} from block {prefix}", subject.name);
            assert!(prefix > 0, "{what}");
            let settings = format!("{RATE}epochs = 2\nload_best_model_at_end = false\n");
            let remembered = tunes_alike(&subject, &settings, &what);
            // Other adapters behind the same layers find what these gave.
            assert_eq!(
                remembered > 0,
                is_first,
                "{what}: {remembered} were remembered"
            );
            let measured = subject.evaluate("kept", "");
            agree(&measured, &subject.predict("kept"), &what);
        }
    }
}

#[test]
fn an_interrupted_training_with_adapters_ends_in_the_same_bits() {
    use End::{Asked, Killed};
    for (_, subject) in subjects() {
        adapt(&subject.bench, false, &json!({ "use_dora": true }));
        subject.make_an_early_epoch_the_best();
        let (early, late) = ((Asked, 1, 1), (Asked, 3, 1));
        interrupt(&subject, true, &[&[early, late]]);
        interrupt(&subject, false, &[&[early, (Killed, 2, 1), late]]);
    }
}

#[test]
fn dropout_stands_before_adapters_of_every_architecture() {
    for (_, subject) in subjects() {
        let tuned = |dropout: f64| {
            adapt(&subject.bench, false, &json!({ "lora_dropout": dropout }));
            let settings = format!("{RATE}epochs = 1\nload_best_model_at_end = false\n");
            weights(&subject.tune(&settings, "tuned").0)
        };
        let without = tuned(0.0);
        assert!(without == tuned(0.0), "{}", subject.name);
        assert!(without != tuned(0.5), "{}: no dropout", subject.name);
    }
}

/// The logits of a network for two texts.
pub(super) fn say(network: &Network) -> Vec<f32> {
    let texts: [&[u32]; 2] = [&[2, 10, 20, 30, 3], &[2, 40, 3]];
    let batch = TokenBatch::new(&texts, 0, &Device::flex());
    let logits = network.outputs(0, Activations::Tokens(batch), None);
    logits.into_data().try_into_vec::<f32>().expect("f32")
}

/// The names of the tensors in a file.
pub(super) fn names(file: &Path) -> Vec<String> {
    let bytes = std::fs::read(file).expect("readable");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    tensors.names().into_iter().map(String::from).collect()
}

/// A tiny BERT with adapters, tuned.
fn tuned(more: &Value) -> (Bench, PathBuf) {
    let bench = Bench::new("{}");
    adapt(&bench, false, more);
    let settings = format!("{RATE}epochs = 2\nbatch_size = 8\nclassifier_dropout = 0.0\n");
    let (folder, _) = bench.tune(&settings).expect("it is tuned");
    (bench, folder)
}

#[test]
fn what_comes_of_a_training_is_the_models_own_file_and_a_small_one() {
    let (bench, folder) = tuned(&json!({}));
    let notices = bench.notices();
    assert!(
        notices.contains("adapters of rank 1 are new on 12 layers"),
        "{notices}"
    );
    let files = std::fs::read_dir(&folder).expect("a folder");
    let files = files.map(|entry| entry.expect("an entry").path());
    let files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
    let base = std::fs::read(bench.path("encoder/model.safetensors")).expect("weights");
    let (own, new): (Vec<_>, Vec<_>) = files
        .iter()
        .partition(|file| std::fs::read(file).expect("readable") == base);
    assert_eq!(
        (own.len(), new.len()),
        (1, 1),
        "the model's own file is there as it was"
    );
    for name in names(new[0]) {
        assert!(
            name.contains(".lora_") || name.starts_with("classifier."),
            "{name} is neither an adapter's nor the head's"
        );
    }
}

#[test]
fn a_checkpoint_holds_the_adapters_and_the_head_alone() {
    let bench = Bench::new("{}");
    adapt(&bench, false, &json!({}));
    let settings = format!("{RATE}epochs = 2\nbatch_size = 8\nclassifier_dropout = 0.0\n");
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let cancelled = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 30;
    let stage = tuning(&settings).expect("it parses");
    let stopped = bench.run(&*stage, "tuned", &cancelled);
    assert_eq!(failure(stopped).kind(), Kind::Interrupted);
    let bytes = std::fs::read(bench.path("checkpoint")).expect("a checkpoint");
    let (bytes, _) = bytes.split_last_chunk::<32>().expect("a digest");
    let tensors = SafeTensors::deserialize(bytes).expect("safetensors");
    assert!(!tensors.is_empty());
    for name in tensors.names() {
        assert!(
            name.contains("lora") || name.contains("head.") || name.contains("classifier."),
            "{name} is neither an adapter's nor the head's"
        );
    }
}

#[test]
fn merged_weights_say_what_adapters_do() {
    for more in [
        json!({}),
        json!({ "use_dora": true }),
        json!({ "use_rslora": true }),
    ] {
        let (_bench, folder) = tuned(&more);
        let loaded = Network::open(&folder, &Device::flex()).expect("it opens");
        let adapted = say(&loaded.network);
        let merged = loaded.network.merged();
        assert!(merged.lora().is_none());
        assert!(
            merged
                .parameters()
                .iter()
                .all(|known| !known.name.contains("lora_"))
        );
        for (one, other) in adapted.iter().zip(say(&merged)) {
            assert!((one - other).abs() <= 1e-5, "{more}: {one}, {other}");
        }
    }
}

#[test]
fn adapters_of_a_layer_that_another_head_goes_past_stay_as_they_are() {
    let bench = Bench::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert"));
    let names = ["encoder.layer.1.output.dense", "pooler.dense"];
    let lora = json!({ "r": 1, "lora_alpha": 1.0, "target_modules": names });
    bench.freeze(&json!({ "lora": lora }).to_string());
    let head = Head {
        modality: Modality::Texts,
        problem: Problem::TokenClassification,
        labels: vec!["O".into(), "B-X".into()],
        embedding_size: None,
        pooling: None,
        dropout: None,
        seed: 0,
    };
    let loaded = Network::load(&bench.path("encoder"), &head, &Device::flex()).expect("it loads");
    let network = loaded.network;
    let frozen = network
        .resolve(&FreezePlan::default())
        .expect("a plan")
        .frozen;
    let parameters = network.parameters().into_iter().zip(frozen);
    let trained = parameters.filter(|(_, frozen)| !frozen);
    let trained: Vec<String> = trained.map(|(known, _)| known.name).collect();
    assert_eq!(
        trained,
        [
            "encoder.layer.1.output.dense.lora_A.weight",
            "encoder.layer.1.output.dense.lora_B.weight",
            "classifier.weight",
            "classifier.bias",
        ]
    );
}

#[test]
fn tuned_adapters_are_tuned_further() {
    let (bench, folder) = tuned(&json!({}));
    std::fs::remove_dir_all(bench.path("encoder")).expect("it is there");
    copy(&folder, &bench.path("encoder"));
    bench.events();
    let settings = format!("{RATE}epochs = 1\nbatch_size = 8\nclassifier_dropout = 0.0\n");
    let (again, _) = bench.tune(&settings).expect("it is tuned");
    assert!(
        !bench.notices().contains("are new"),
        "they are those of before"
    );
    assert!(weights(&again) != weights(&bench.path("encoder")));
}

#[test]
fn adapters_for_another_network_are_refused_with_names_and_shapes() {
    let (bench, folder) = tuned(&json!({}));
    let wrong = |change: &dyn Fn(&mut Lora)| {
        let mut card = Card::read(&folder).expect("a card");
        change(card.lora.as_mut().expect("adapters"));
        std::fs::remove_file(folder.join("refire.json")).expect("it is there");
        card.write(&folder).expect("written");
        let error = Network::open(&folder, &Device::flex()).expect_err("it is refused");
        format!("{error}\n{}", error.notes().join("\n"))
    };
    let before = Card::read(&folder).expect("a card").lora.expect("adapters");
    let said = wrong(&|lora| lora.r = 2);
    assert!(said.contains("are not for this network"), "{said}");
    assert!(
        said.contains("lora_A.weight [1, 32], and not [2, 32]"),
        "{said}"
    );
    let said = wrong(&|lora| {
        *lora = before.clone();
        lora.target_modules.remove(0);
    });
    assert!(
        said.contains("for layers that it does not have: encoder.layer.0.attention.self.query.lora_A.weight [1, 32]"),
        "{said}"
    );
    let said = wrong(&|lora| {
        *lora = before.clone();
        lora.target_modules[0] = "encoder.layer.7.attention.self.query".into();
    });
    assert!(
        said.contains("`encoder.layer.7.attention.self.query`, which is no linear layer"),
        "{said}"
    );
    let said = wrong(&|lora| {
        *lora = before.clone();
        lora.use_dora = true;
    });
    assert!(
        said.contains("missing: encoder.layer.0.attention.output.dense.lora_magnitude_vector"),
        "{said}"
    );
    let mut card = Card::read(&folder).expect("a card");
    card.lora = None;
    card.write(&folder).expect("written");
    let error = Network::open(&folder, &Device::flex()).expect_err("it is refused");
    assert!(
        error
            .message()
            .contains("nothing says by how much they count"),
        "{error}"
    );
    drop(bench);
}
