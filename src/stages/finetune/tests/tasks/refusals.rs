//! Targets and settings that no task can take.

use super::*;

/// A table of one text, with this column for its target.
fn one(bench: &Bench, part: &str, target: Column) {
    let rows = target.len();
    let texts: Vec<String> = (0..rows).map(|row| format!("good food in {row}")).collect();
    let columns = vec![Column::new("text".into(), texts), target];
    let frame = DataFrame::new_infer_height(columns).expect("a frame");
    std::fs::create_dir_all(bench.path(part)).expect("a folder");
    write(frame, &bench.path(part));
}

#[test]
fn targets_that_are_none_are_refused_with_their_row() {
    let ports = "model = \"encoder\"\ntrain = \"train\"\nepochs = 1\n";
    let numbers = |numbers: [&str; 2]| Column::new("label".into(), numbers.to_vec());
    let cases = [
        (
            "text-regression",
            "",
            numbers(["1.5", "x"]),
            "row 2 has `x` in column `label`, which is no finite number",
        ),
        (
            "text-regression",
            "",
            numbers(["1.5", "inf"]),
            "row 2 has `inf`",
        ),
        (
            "text-regression",
            "target_column = \"stars\"",
            numbers(["1", "2"]),
            "no column `stars`",
        ),
        (
            "text-multi-label",
            "target_columns = [\"label\"]",
            numbers(["0", "2"]),
            "row 2 has `2` in column `label`, which is neither 0 nor 1",
        ),
        (
            "text-multi-label",
            "target_column = \"label\"",
            numbers(["a", "b"]),
            "nothing says what stands between two labels",
        ),
        (
            "text-multi-label",
            "target_column = \"label\"\nlabel_separator = \",\"\nlabels = [\"a\", \"b\"]",
            numbers(["a", "b, c"]),
            "row 2 has the label `c`",
        ),
        (
            "text-classification",
            "text_pair_column = \"second\"",
            numbers(["a", "b"]),
            "no column `second`",
        ),
    ];
    for (task, settings, target, word) in cases {
        let bench = Bench::new("{}");
        one(&bench, "train", target);
        let text = format!("{ports}task = \"{task}\"\n{settings}");
        let stage = parse("finetune", &text).expect("it parses");
        let error = failure(bench.run(&*stage, "tuned", &|| false));
        assert!(
            error.message().contains(word),
            "{task}, {settings}: {error}"
        );
    }
}

#[test]
fn settings_of_a_task_are_refused_where_they_are_wrong() {
    let ports = "model = \"encoder\"\ntrain = \"train\"\n";
    let cases = [
        (
            "text-multi-label",
            "label_separator = \",\"\nlabels = [\"a,b\", \"c\"]",
            "holds the separator",
        ),
        ("text-multi-label", "label_separator = \"\"", "is empty"),
        ("text-multi-label", "threshold = 1.5", "between 0 and 1"),
        (
            "text-multi-label",
            "threshold = \"f1\"",
            "`validation`, which is missing",
        ),
        (
            "text-multi-label",
            "target_columns = [\"a\", \"b\"]\nlabels = [\"a\"]",
            "name them again",
        ),
        (
            "text-multi-label",
            "labels = [\"a\", \"b\"]\npos_weight = { a = 2.0 }",
            "no weight for the label `b`",
        ),
        (
            "text-multi-label",
            "class_weights = \"balanced\"",
            "`class_weights` is no setting of text-multi-label",
        ),
        (
            "text-regression",
            "labels = [\"a\", \"b\"]",
            "`labels` is no setting of text-regression",
        ),
        ("text-regression", "huber_delta = 2.0", "is for loss"),
        (
            "text-regression",
            "target_columns = [\"a\", \"a\"]",
            "comes twice",
        ),
        (
            "text-regression",
            "metric_for_best_model = \"accuracy\"",
            "has no metric `accuracy`",
        ),
        (
            "text-classification",
            "truncation = \"only_first\"",
            "no `text_pair_column`",
        ),
        ("image-multi-label", "target_column = \"x\"", "is for texts"),
        (
            "image-regression",
            "text_pair_column = \"x\"",
            "is for texts",
        ),
        ("text-clasification", "", "did you mean"),
    ];
    for (task, settings, word) in cases {
        let text = format!("{ports}task = \"{task}\"\n{settings}");
        let error = refusal(parse("finetune", &text));
        let said = format!(
            "{} {}",
            error.message(),
            error.help_text().unwrap_or_default()
        );
        assert!(said.contains(word), "{task}, {settings}: {said}");
        assert_eq!(error.kind(), Kind::Usage, "{task}, {settings}");
        assert!(!error.labels().is_empty(), "{task}, {settings}: no place");
    }
}
