//! Trainings that count steps, and those that end in a mean of weights.

use super::interruption::all_of;
use super::registry::{Subject, interrupted};
use super::*;
use crate::models::small::small_models;

/// One step at a time: the same batches at a rate that stays.
const PLAIN: &str = "lr_scheduler_type = \"constant\"\nlearning_rate = 0.01\nweight_decay = 0.0\n";

/// The weights, by name.
fn numbers(folder: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = weights(folder);
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let floats = |bytes: &[u8]| -> Vec<f32> {
        let (words, _) = bytes.as_chunks::<4>();
        words.iter().map(|word| f32::from_le_bytes(*word)).collect()
    };
    let all = tensors
        .iter()
        .filter(|(_, view)| view.dtype() == safetensors::Dtype::F32);
    all.map(|(name, view)| (name.to_string(), floats(view.data())))
        .collect()
}

/// Fails unless each number of `found` is `share` of the way from that of `one` to that of `other`.
fn lies_between(
    found: &BTreeMap<String, Vec<f32>>,
    one: &BTreeMap<String, Vec<f32>>,
    other: &BTreeMap<String, Vec<f32>>,
    share: f32,
    what: &str,
) {
    assert_eq!(found.len(), one.len(), "{what}");
    let mut apart = 0.0_f32;
    for (name, found) in found {
        let [one, other] = [one, other].map(|all| {
            all.get(name)
                .unwrap_or_else(|| panic!("{what}: no `{name}`"))
        });
        for ((found, one), other) in found.iter().zip(one).zip(other) {
            let expected = one + (other - one) * share;
            let difference = (found - expected).abs();
            assert!(
                difference <= 1e-6 * expected.abs().max(1.0),
                "{what}: {name} is {found}, not {expected}"
            );
            apart = apart.max((other - one).abs());
        }
    }
    assert!(apart > 1e-3, "{what}: nothing moved");
}

#[test]
fn a_moving_average_keeps_its_share_of_the_weights_before() {
    for model in small_models() {
        let subject = Subject::new(&model);
        let after = |settings: &str| {
            let settings = format!("{PLAIN}max_steps = 1\n{settings}");
            numbers(&subject.tune(&settings, "tuned").0)
        };
        let moved = after("");
        let settings = PLAIN.replace("0.01", "1e-7") + "max_steps = 1\n";
        let untrained = numbers(&subject.tune(&settings, "tuned").0);
        let settings = format!("{PLAIN}max_steps = 1\nema_decay = 0.25\n");
        let tuned = subject
            .bench
            .run(&*subject.tuning(&settings), "tuned", &|| false);
        let mean = numbers(&tuned.expect("it trains").0);
        let notices = subject.bench.notices();
        assert!(
            notices.contains("25 % of those before training after step 1"),
            "{notices}"
        );
        // What is not a weight: the statistics of batch normalisations move though the rate is none.
        let weights = |all: &BTreeMap<String, Vec<f32>>| -> BTreeMap<String, Vec<f32>> {
            let all = all.iter().filter(|(name, _)| !name.contains("running"));
            all.map(|(name, numbers)| (name.clone(), numbers.clone()))
                .collect()
        };
        let [untrained, moved, mean] = [&untrained, &moved, &mean].map(weights);
        lies_between(&mean, &untrained, &moved, 0.75, &subject.name);
    }
}

#[test]
fn the_mean_of_the_last_epochs_is_that_of_their_weights() {
    for model in small_models() {
        let subject = Subject::new(&model);
        let after = |settings: &str| {
            let settings = format!("{PLAIN}{settings}");
            numbers(&subject.tune(&settings, "tuned").0)
        };
        let second = after("epochs = 2\nload_best_model_at_end = false\n");
        let third = after("epochs = 3\nload_best_model_at_end = false\n");
        let mean = after("epochs = 3\naverage_last_epochs = 2\n");
        lies_between(&mean, &second, &third, 0.5, &subject.name);
    }
}

#[test]
fn what_counts_steps_or_averages_goes_on_in_the_same_bits() {
    use super::registry::End::{Asked, Killed};
    let models = small_models();
    // A transformer, and a network with running statistics.
    let mobilenet = models.iter().find(|model| model.name.contains("mobilenet"));
    let some = [models.first(), mobilenet].map(|model| model.expect("it is there"));
    for subject in some.map(Subject::new) {
        for settings in [
            "epochs = 3\nema_decay = 0.5\n",
            "epochs = 3\naverage_last_epochs = 2\n",
            "max_steps = 5\neval_steps = 2\nsave_steps = 1\nearly_stopping_patience = 2\n",
            "max_steps = 5\neval_steps = 3\nema_decay = 0.9\nload_best_model_at_end = false\n",
            "epochs = 3\nlr_scheduler_type = \"reduce_lr_on_plateau\"\nlr_scheduler_kwargs = { patience = 0 }\n",
        ] {
            let settings = format!("learning_rate = 0.003\n{settings}");
            let ways: [&[_]; 2] = [
                &[(Asked, 1, 1), (Killed, 2, 1)],
                &[(Asked, 2, 3), (Asked, 3, 1)],
            ];
            interrupted(&subject, &settings, &ways);
        }
    }
}

#[test]
fn steps_are_counted_and_measured() {
    let bench = Bench::frozen();
    bench.table("validation", 20, 0);
    // 96 samples in batches of 8 make an epoch of 12 steps.
    let rows = crate::data::Table::read(&bench.path("train"))
        .expect("a table")
        .rows();
    let epoch = rows.div_ceil(8);
    let settings = format!(
        "epochs = 1\nmax_steps = {}\neval_steps = 5\nbatch_size = 8\nlearning_rate = 0.05\n",
        epoch + 3
    );
    let (tuned, figures) = bench.tune(&settings).expect("it trains");
    let card: Value =
        serde_json::from_slice(&std::fs::read(tuned.join("refire.json")).expect("a card"))
            .expect("JSON");
    assert!(card["training"]["settings"].get("epochs").is_none());
    let history = card["training"]["history"].as_array().expect("a history");
    let steps: Vec<u64> = history
        .iter()
        .filter_map(|at| at["step"].as_u64())
        .collect();
    let last = epoch as u64 + 3;
    let mut expected: Vec<u64> = (5..last).step_by(5).collect();
    expected.push(last);
    assert_eq!(steps, expected);
    let best = card["training"]["best_step"].as_u64().expect("a step");
    assert!(steps.contains(&best));
    assert_eq!(
        Some(figures["best_step"]),
        card["training"]["best_step"].as_f64()
    );
    let whole = all_of(&tuned);
    let lines = String::from_utf8_lossy(&whole);
    let last_line = lines.lines().last().expect("a line");
    assert!(
        last_line.contains(&format!("\"step\":{last},")),
        "{last_line}"
    );
    assert!(last_line.contains("\"epoch\":2"), "{last_line}");
}

#[test]
fn the_rate_goes_down_where_the_figure_stays() {
    let bench = Bench::frozen();
    bench.table("validation", 20, 0);
    let settings = "epochs = 4\nlearning_rate = 1e-9\nlr_scheduler_type = \"reduce_lr_on_plateau\"\n\
                    lr_scheduler_kwargs = { patience = 0, factor = 0.5, min_lr = 0 }\n";
    let rates = |settings: &str| -> Vec<f64> {
        let (tuned, _) = bench.tune(settings).expect("it trains");
        let history = tuned.with_file_name("tuned-history").join("history.jsonl");
        let history = std::fs::read_to_string(history).expect("a history");
        let lines = history
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let mut last: BTreeMap<u64, f64> = BTreeMap::new();
        for line in lines {
            if let Some(rate) = line["learning_rate"].as_f64() {
                last.insert(line["epoch"].as_u64().expect("an epoch"), rate);
            }
        }
        last.into_values().collect()
    };
    // PyTorch leaves alone what would change by less than 1e-8.
    assert_eq!(rates(settings), [1e-9; 4]);
    let rates = rates(&settings.replace("1e-9", "1e-7"));
    assert_eq!(rates, [1e-7, 1e-7, 5e-8, 2.5e-8]);
}

#[test]
fn what_looks_at_figures_needs_samples_to_measure_on() {
    let ports = "model = \"encoder\"\ntrain = \"train\"\ntask = \"text-classification\"\n";
    for settings in [
        "eval_steps = 10",
        "lr_scheduler_type = \"reduce_lr_on_plateau\"",
    ] {
        let error = refusal(parse("finetune", &format!("{ports}{settings}")));
        assert!(error.message().contains("needs `validation`"), "{error}");
        assert_eq!(error.labels()[0].span.line(), 4, "{error}");
    }
}
