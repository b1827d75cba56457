//! Which tensors of a checkpoint are taken for the weights, and which choices are left to the user.

use super::*;

fn chosen(names: &[&str], key: Option<&str>) -> Result<(Set, Option<String>)> {
    let names: BTreeSet<&str> = names.iter().copied().collect();
    Set::choose(Path::new("a/last.ckpt"), &names, key)
}

/// What the network's tensors are called, and what is told.
fn weights(names: &[&str], key: Option<&str>) -> (Vec<String>, String) {
    let (set, told) = chosen(names, key).expect("there is one set");
    let held = names.iter().filter(|name| set.holds(name));
    let names = held.map(|name| set.name(name)).collect();
    (names, told.unwrap_or_default())
}

#[test]
fn the_one_set_of_weights_is_found() {
    let plain = ["a.weight", "b.bias"];
    for (names, beside) in [
        (vec!["a.weight", "b.bias"], ""),
        (vec!["state_dict.a.weight", "state_dict.b.bias"], ""),
        (vec!["module.a.weight", "module.b.bias"], ""),
        (
            vec!["module._orig_mod.a.weight", "module._orig_mod.b.bias"],
            "",
        ),
        (vec!["a._orig_mod.weight", "_orig_mod.b.bias"], ""),
        (vec!["net.module.a.weight", "net.module.b.bias"], ""),
        (
            vec![
                "model.a.weight",
                "model.b.bias",
                "optimizer.state.0.exp_avg",
                "lr_scheduler.x",
                "rng_state",
            ],
            "`lr_scheduler`, `optimizer`, `rng_state` are left there",
        ),
        // Lightning.
        (
            vec![
                "state_dict.model.a.weight",
                "state_dict.model.b.bias",
                "state_dict.loss_fn.weight",
                "optimizer_states.0.state.0.exp_avg",
                "callbacks.Best.best_model_score",
            ],
            "`callbacks`, `optimizer_states`, `state_dict.loss_fn` are left there",
        ),
        // What is not known to be of a training script is left beside what surely is a set.
        (
            vec![
                "model_state_dict.a.weight",
                "model_state_dict.b.bias",
                "queue",
            ],
            "`queue` is left there",
        ),
        (
            vec!["a.weight", "b.bias", "opt.state.0.momentum_buffer"],
            "`opt` is left there",
        ),
        // The averages of PyTorch's own class, and those that are a list without names.
        (vec!["n_averaged", "module.a.weight", "module.b.bias"], ""),
        (
            vec![
                "model.a.weight",
                "model.b.bias",
                "ema.shadow_params.0",
                "loss.0",
            ],
            "`ema`, `loss` are left there",
        ),
    ] {
        let (found, told) = weights(&names, None);
        assert_eq!(found, plain, "{names:?}");
        assert!(told.ends_with(beside), "{told}");
        assert_eq!(told.is_empty(), beside.is_empty(), "{told}");
    }
    let (_, told) = weights(&["model.a.weight", "model.b", "optimizer.0.exp_avg"], None);
    assert_eq!(
        told,
        "the weights under `model` are taken from `last.ckpt`, the checkpoint of a training script, and `optimizer` is left there"
    );
}

#[test]
fn the_names_of_a_network_stay_as_they_are() {
    for names in [
        vec!["model.a.weight", "lm_head.weight"],
        vec!["encoder.weight", "net.weight"],
        vec!["embeddings.weight", "scheduler.weight", "loss.weight"],
        vec!["student.weight", "head.weight"],
    ] {
        let (found, told) = weights(&names, None);
        assert_eq!(found, names);
        assert!(told.is_empty(), "{told}");
    }
}

#[test]
fn of_several_sets_one_has_to_be_named() {
    for (names, sets) in [
        (
            vec![
                "model.a.weight",
                "model.b",
                "model_ema.module.a.weight",
                "model_ema.module.b",
                "model_ema.n_averaged",
            ],
            ["model", "model_ema"],
        ),
        (
            vec![
                "state_dict.a.weight",
                "state_dict.b.bias",
                "state_dict_ema.a.weight",
            ],
            ["state_dict", "state_dict_ema"],
        ),
        // Whatever the other is called.
        (
            vec![
                "state_dict.a.weight",
                "state_dict.b",
                "shadow.a.weight",
                "shadow.b",
            ],
            ["shadow", "state_dict"],
        ),
        (
            vec![
                "student.module.a.weight",
                "student.module.b",
                "teacher.a.weight",
                "teacher.b",
                "center.x",
            ],
            ["student", "teacher"],
        ),
        (
            vec!["state_dict.student.a.weight", "state_dict.teacher.a.weight"],
            ["state_dict.student", "state_dict.teacher"],
        ),
    ] {
        let error = chosen(&names, None).expect_err("two sets");
        assert!(
            error.message().contains("holds 2 sets of weights"),
            "{error}"
        );
        for set in sets {
            assert!(
                error.message().contains(&format!("`{set}` with")),
                "{error}"
            );
            let (found, _) = weights(&names, Some(set));
            assert!(found.contains(&"a.weight".to_string()), "{set}: {found:?}");
        }
        let help = error.help_text().unwrap_or_default();
        assert!(
            help.contains(&format!("checkpoint_key = \"{}\"", sets[0])),
            "{help}"
        );
    }
}

#[test]
fn a_key_names_something_that_is_there() {
    let names = ["model.a.weight", "model.b.bias", "lm_head.weight"];
    assert_eq!(weights(&names, Some("model")).0, ["a.weight", "b.bias"]);
    assert_eq!(weights(&names, Some("")).0, names);
    let error = chosen(&names, Some("modle")).expect_err("no such set");
    assert!(
        error.message().contains("no weights under `modle`"),
        "{error}"
    );
    assert!(
        error
            .help_text()
            .is_some_and(|help| help.contains("`model`"))
    );
}
