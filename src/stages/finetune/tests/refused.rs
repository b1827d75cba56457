//! Settings that cannot be meant, each with what is said of it and where.

use super::*;

/// Settings, a part of what is said of them, and the line it is said at.
const CASES: &[(&str, &str, usize)] = &[
    ("learning_rate = 0.0", "learning_rate", 6),
    ("learning_rate = -1e-3", "learning_rate", 6),
    ("epochs = 0", "epochs", 6),
    ("batch_size = 0", "batch_size", 6),
    ("adam_beta2 = 1.0", "adam_beta2", 6),
    ("warmup_ratio = 1.5", "warmup_ratio", 6),
    ("warmup_ratio = 0.1\nwarmup_steps = 10", "twice", 7),
    (
        "lr_scheduler_type = \"constant\"\nwarmup_steps = 10",
        "no warm-up",
        6,
    ),
    ("lr_scheduler_type = \"cosin\"", "cosin", 6),
    (
        "lr_scheduler_type = \"cosine\"\nlr_scheduler_kwargs = { num_cycles = 2 }",
        "cosine_with_restarts",
        7,
    ),
    (
        "lr_scheduler_type = \"polynomial\"\nlr_scheduler_kwargs = { powr = 2 }",
        "powr",
        7,
    ),
    (
        "learning_rate = 5e-5\nlr_scheduler_type = \"polynomial\"\nlr_scheduler_kwargs = { lr_end = 1 }",
        "below the learning rate",
        8,
    ),
    (
        "learning_rate = 1e-8\nlr_scheduler_type = \"polynomial\"",
        "below the learning rate",
        7,
    ),
    (
        "lr_scheduler_type = \"reduce_lr_on_plateau\"\nwarmup_steps = 10",
        "no warm-up",
        6,
    ),
    (
        "lr_scheduler_type = \"reduce_lr_on_plateau\"\nlr_scheduler_kwargs = { factor = 1.5 }",
        "below 1",
        7,
    ),
    ("max_steps = 0", "max_steps", 6),
    ("ema_decay = 1", "below 1", 6),
    (
        "ema_decay = 0.9\naverage_last_epochs = 2",
        "both are a mean",
        7,
    ),
    ("eval_steps = 9\naverage_last_epochs = 2", "whole epochs", 7),
    (
        "early_stopping_patience = 1\naverage_last_epochs = 2",
        "not known before",
        7,
    ),
    ("epochs = 2\naverage_last_epochs = 3", "`epochs` is 2", 7),
    ("optim = \"lion\"", "usual are AdamW's", 6),
    ("optim = \"muon\"", "usual are AdamW's", 6),
    (
        "learning_rate = 1e-3\noptim = \"adafactor\"\nadam_beta1 = 0.5",
        "adam_beta1",
        8,
    ),
    (
        "learning_rate = 1e-3\noptim = \"adafactor\"\noptim_args = { decay_rate = 0.8 }",
        "below 0",
        8,
    ),
    (
        "learning_rate = 1e-3\noptim = \"muon\"\noptim_args = { ns_steps = 0 }",
        "from 1 to 100",
        8,
    ),
    (
        "learning_rate = 1e-3\noptim = \"lamb\"\noptim_args = { momentum = 0.5 }",
        "\"muon\"",
        8,
    ),
    ("optim = \"sgdd\"", "sgdd", 6),
    (
        "learning_rate = 1e-3\noptim = \"sgd\"\nadam_beta1 = 0.5",
        "adam_beta1",
        8,
    ),
    (
        "learning_rate = 1e-3\noptim = \"sgd\"\noptim_args = { beta1 = 0.5 }",
        "lion",
        8,
    ),
    (
        "learning_rate = 1e-3\noptim = \"sgd\"\noptim_args = { nesterov = true }",
        "momentum",
        8,
    ),
    (
        "learning_rate = 1e-3\noptim = \"sgd\"\noptim_args = { momentum = 1 }",
        "below 1",
        8,
    ),
    ("metric_for_best_model = \"acuracy\"", "acuracy", 6),
    ("class_weights = \"equal\"", "balanced", 6),
    ("class_weights = { good = 2.0 }", "`bad`", 6),
    (
        "class_weights = { good = 2.0, bda = 1.0, bad = 1.0 }",
        "`bda`",
        6,
    ),
    ("class_weights = { good = 0.0, bad = 1.0 }", "above 0", 6),
    ("learning_rte = 1e-3", "learning_rte", 6),
];

#[test]
fn settings_that_cannot_be_meant_are_refused_with_their_place() {
    for (settings, word, line) in CASES {
        let error = refusal(tuning(settings));
        assert!(error.message().contains(word), "{settings}: {error}");
        assert_eq!(error.kind(), Kind::Usage, "{settings}");
        assert_eq!(error.labels()[0].span.line(), *line, "{settings}: {error}");
    }
    let error = refusal(parse(
        "finetune",
        "model = \"m\"\ntrain = \"t\"\ntask = \"text-classification\"\nlabels = [\"a\", \"b\", \"a\"]",
    ));
    assert!(error.message().contains("`a` comes twice"), "{error}");
    let error = refusal(parse(
        "evaluate",
        "model = \"m\"\ntable = \"t\"\ngate = { acuracy = \">= 0.7\" }",
    ));
    assert_eq!(error.help_text(), Some("did you mean `accuracy`?"));
    let error = refusal(parse(
        "evaluate",
        "model = \"m\"\ntable = \"t\"\nmetrics = [\"f1\"]\ngate = { mcc = \">= 0.7\" }",
    ));
    assert!(error.message().contains("`mcc`"), "{error}");
}
