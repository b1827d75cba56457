//! Tests of planning, on `command` stages.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Goal, Plan};
use crate::config::{Overrides, parse};
use crate::error::{Error, Source};

fn plan(text: &str) -> Result<Plan, Error> {
    let source = Arc::new(Source::new("p.toml", text));
    Plan::new(&parse(&source, &Overrides::default())?)
}

fn stage(name: &str, needs: &[&str]) -> String {
    let inputs: Vec<String> = needs
        .iter()
        .enumerate()
        .map(|(at, need)| format!("i{at} = \"{need}\""))
        .collect();
    format!(
        "[stage.{name}]\nkind = \"command\"\nargv = [\"true\"]\ninputs = {{ {} }}\noutputs = {{ out = \"out\" }}\n",
        inputs.join(", ")
    )
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.nodes.iter().map(|node| node.name.as_str()).collect()
}

#[test]
fn order_follows_needs_first_and_the_file_second() {
    let text = [
        stage("d", &["c"]),
        stage("c", &["a"]),
        stage("b", &[]),
        stage("a", &[]),
    ]
    .concat();
    assert_eq!(names(&plan(&text).expect("valid")), ["b", "a", "c", "d"]);
}

#[test]
fn a_cycle_is_shown_whole() {
    let text = [
        stage("a", &["c"]),
        stage("b", &["a"]),
        stage("c", &["b"]),
        stage("d", &["a"]),
    ]
    .concat();
    let error = plan(&text).err().expect("a cycle");
    assert_eq!(
        error.message(),
        "stages need each other in a cycle: `a` → `c` → `b` → `a`"
    );
    let lines: Vec<usize> = error
        .labels()
        .iter()
        .map(|label| label.span.line())
        .collect();
    assert_eq!(lines, [4, 14, 9]);
    let error = plan(&stage("a", &["a"])).err().expect("a cycle");
    assert_eq!(
        error.message(),
        "stages need each other in a cycle: `a` → `a`"
    );
}

#[test]
fn bad_references_are_refused() {
    let two = "[stage.two]\nkind = \"command\"\nargv = [\"true\"]\noutputs = { left = \"x\", right = \"y\" }\n";
    let cases = [
        (
            stage("a", &["b"]),
            "stage `a` refers to stage `b`, which does not exist",
            None,
        ),
        (
            stage("train", &["trian"]),
            "stage `train` refers to stage `trian`, which does not exist",
            Some("did you mean `train`?"),
        ),
        (
            stage("a", &["two"]) + two,
            "stage `two` has several outputs",
            Some("name one of them: two.left, two.right"),
        ),
        (
            stage("a", &["two.letf"]) + two,
            "stage `two` has no output `letf`",
            Some("did you mean `left`?"),
        ),
        (
            "[stage.a]\nkind = \"comand\"\n".into(),
            "unknown stage kind `comand`",
            Some("did you mean `command`?"),
        ),
    ];
    for (text, message, help) in cases {
        let error = plan(&text).err().expect("refused");
        assert_eq!(
            (error.message(), error.help_text()),
            (message, help),
            "{text}"
        );
        assert_eq!(error.labels().len(), 1, "{text}");
    }
}

#[test]
fn goals_take_what_they_need() {
    let text = [
        stage("a", &[]),
        stage("b", &["a"]),
        stage("c", &["b"]),
        stage("d", &["a"]),
    ]
    .concat();
    let plan = plan(&text).expect("valid");
    let goal = |stages: &[&str], downstream, single| Goal {
        stages: stages.iter().map(ToString::to_string).collect(),
        downstream,
        single,
    };
    let included = |goal: &Goal| -> Vec<&str> {
        let included = plan.select(goal).expect("known stages").included;
        names(&plan)
            .into_iter()
            .zip(included)
            .filter(|(_, included)| *included)
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(included(&goal(&[], false, false)), ["a", "b", "c", "d"]);
    assert_eq!(included(&goal(&["b"], false, false)), ["a", "b"]);
    assert_eq!(included(&goal(&["b"], true, false)), ["a", "b", "c"]);
    assert_eq!(included(&goal(&["b"], true, true)), ["b", "c"]);
    assert_eq!(included(&goal(&["[cd]"], false, true)), ["c", "d"]);
    assert!(plan.select(&goal(&["x*"], false, false)).is_err());
}

#[test]
fn instances_are_named_or_gathered() {
    let sweep = stage("sweep", &[]) + "matrix = { lr = [0.1, 0.2] }\n";
    let one =
        sweep.clone() + &stage("one", &["sweep@lr=0.2"]) + &stage("port", &["sweep@lr=0.2.out"]);
    let plan = plan(&(one + &stage("all", &["sweep"]))).expect("valid");
    assert_eq!(
        names(&plan),
        ["sweep@lr=0.1", "sweep@lr=0.2", "one", "port", "all"]
    );
    let ports = |index: usize| -> Vec<(&str, usize)> {
        plan.nodes[index]
            .inputs
            .iter()
            .map(|edge| (edge.port.as_str(), edge.from))
            .collect()
    };
    assert_eq!(ports(2), [("i0", 1)]);
    assert_eq!(ports(3), [("i0", 1)]);
    assert_eq!(ports(4), [("i0/lr=0.1", 0), ("i0/lr=0.2", 1)]);
    assert_eq!(plan.nodes[0].seed, plan.nodes[1].seed);
    for all in ["sweep@lr=*", "sweep"] {
        let goal = Goal {
            stages: vec![all.into()],
            ..Goal::default()
        };
        let included = plan.select(&goal).expect("known").included;
        assert_eq!(included, [true, true, false, false, false], "{all}");
    }
}

#[test]
fn what_names_an_artifact_may_hold_dots() {
    let sweep = stage("sweep", &[]) + "matrix = { lr = [0.1, 0.2] }\n";
    let plan = plan(&(sweep + &stage("one", &["sweep@lr=0.2"]))).expect("valid");
    let found = [
        ("one", (2, None)),
        ("one.out", (2, Some("out"))),
        ("one.typo", (2, Some("typo"))),
        ("sweep@lr=0.1", (0, None)),
        ("sweep@lr=0.2.out", (1, Some("out"))),
    ];
    for (text, place) in found {
        assert_eq!(plan.resolve(text).expect("known"), place, "{text}");
    }
    let refused = [
        ("sweep", "stage `sweep` has a matrix, so it is several"),
        ("sweep.out", "stage `sweep` has a matrix, so it is several"),
        ("seep", "the pipeline has no stage `seep`"),
        ("data/one.csv", "the pipeline has no stage `data/one`"),
        ("sweep@lr=0.3", "the pipeline has no stage `sweep@lr=0.3`"),
    ];
    for (text, message) in refused {
        let error = plan.resolve(text).expect_err("no stage");
        assert_eq!(error.message(), message, "{text}");
    }
    let help = |name: &str| {
        let error = plan.find(name).expect_err("no stage");
        error.help_text().unwrap_or_default().to_string()
    };
    assert_eq!(
        help("sweep"),
        "name one of them: sweep@lr=0.1, sweep@lr=0.2"
    );
    assert_eq!(help("seep"), "did you mean `sweep`?");
}

proptest! {
    #[test]
    fn random_graphs_are_ordered(needs in proptest::collection::vec(proptest::collection::vec(0usize..30, 0..4), 1..30)) {
        // A stage may only need ones with a smaller number; they are written down in reverse.
        let text: String = needs.iter().enumerate().rev().map(|(index, needs)| {
            let needs: Vec<String> = needs.iter().filter(|need| **need < index).map(|need| format!("s{need}")).collect();
            stage(&format!("s{index}"), &needs.iter().map(String::as_str).collect::<Vec<_>>())
        }).collect();
        let plan = plan(&text).expect("no cycle");
        prop_assert_eq!(plan.nodes.len(), needs.len());
        for (index, node) in plan.nodes.iter().enumerate() {
            prop_assert!(node.inputs.iter().all(|edge| edge.from < index));
        }
    }
}
