//! A stage with a matrix: its instances, and what gathers them.

use serde_json::Value;

use crate::support::Project;
use crate::tiny;

/// Four instances less one, and a fifth; a stage that takes one of them, and one that takes all.
const SWEEP: &str = r#"
[params]
rates = [0.001, 3e-4]

[stage.tune]
kind = "command"
argv = ["sh", "-c", "echo rate ${matrix.lr} depth ${matrix.depth}; echo ${matrix.lr} > rate.txt; echo ${matrix.depth} > depth.txt"]
outputs = { rate = "rate.txt", depth = "depth.txt" }

[stage.tune.matrix]
lr = "${params.rates}"
depth = [0, 2]
exclude = [{ lr = 3e-4, depth = 0 }]
include = [{ lr = 1.0, depth = 9 }]

[stage.one]
kind = "command"
argv = ["cp", "best/rate.txt", "out.txt"]
inputs = { best = "tune@lr=0.001,depth=2.rate" }
outputs = { out = "out.txt" }

[stage.all]
kind = "command"
argv = ["sh", "-c", "find runs -type f | sort > list.txt; cat runs/*/rate.txt > rates.txt"]
inputs = { runs = "tune.rate" }
outputs = { list = "list.txt", rates = "rates.txt" }
"#;

const INSTANCES: [&str; 4] = [
    "tune@lr=0.001,depth=0",
    "tune@lr=0.001,depth=2",
    "tune@lr=3e-4,depth=2",
    "tune@lr=1.0,depth=9",
];

/// The stages that a plan of `what` names.
fn planned(project: &Project, what: &str) -> Vec<String> {
    let plan = project.refire(&["plan", what, "--json"]).succeeds();
    let rows: Vec<Value> = serde_json::from_str(&plan.stdout()).expect("JSON");
    let name = |row: &Value| row["stage"].as_str().unwrap_or_default().to_string();
    rows.iter().map(name).collect()
}

#[test]
fn a_matrix_is_run_by_its_name_or_by_a_pattern() {
    let project = Project::with(SWEEP);
    for what in ["tune", "tune@*"] {
        assert_eq!(planned(&project, what), INSTANCES, "{what}");
    }
    assert_eq!(planned(&project, "tune@lr=0.001,*"), INSTANCES[..2]);
    assert_eq!(planned(&project, "one"), [INSTANCES[1], "one"]);

    let ran = |instance: &str| format!("{instance} ran");
    let outcomes = project.outcomes(&["tune@lr=0.001,depth=0"]);
    assert_eq!(outcomes, [ran(INSTANCES[0])]);
    let mut outcomes = project.outcomes(&["tune"]);
    outcomes.sort();
    let mut expected: Vec<String> = INSTANCES[1..].iter().map(|name| ran(name)).collect();
    expected.push(format!("{} cached", INSTANCES[0]));
    expected.sort();
    assert_eq!(outcomes, expected);
    let outcomes = project.outcomes(&["tune@lr=*", "--force", "--single"]);
    assert_eq!(outcomes.len(), 4);
    assert!(outcomes.iter().all(|outcome| outcome.ends_with(" ran")));

    project
        .refire(&["status", "tune"])
        .succeeds()
        .prints("tune@lr=1.0,depth=9    fresh");
    project
        .refire(&["run", "tnue"])
        .fails_with(2)
        .shows("did you mean `tune`?");
    project
        .refire(&["run", "tune@lr=5*"])
        .fails_with(2)
        .shows("no stage matches `tune@lr=5*`");
}

#[test]
fn one_instance_is_meant_where_one_stage_is() {
    let project = Project::with(SWEEP);
    project.refire(&["run"]).succeeds();
    let several = "name one of them: tune@lr=0.001,depth=0, tune@lr=0.001,depth=2, ";
    for arguments in [
        &["why", "tune"][..],
        &["logs", "tune"],
        &["get", "tune.rate", "out"],
        &["export", "tune", "out"],
    ] {
        let ran = project.refire(arguments).fails_with(2);
        ran.shows("stage `tune` has a matrix, so it is several")
            .shows(several);
    }
    project
        .refire(&["why", INSTANCES[2]])
        .succeeds()
        .prints("is up to date");
    let log = project.refire(&["logs", INSTANCES[2]]).succeeds().stdout();
    assert_eq!(log, "rate 3e-4 depth 2\n");
}

#[test]
fn a_value_with_a_decimal_point_is_no_port() {
    let project = Project::with(SWEEP);
    project.refire(&["run"]).succeeds();
    project
        .refire(&["get", "tune@lr=1.0,depth=9.rate", "named"])
        .succeeds()
        .shows("copied `tune@lr=1.0,depth=9.rate` to `named`");
    assert_eq!(project.read("named/rate.txt"), "1.0\n");
    project
        .refire(&["get", "tune@lr=0.001,depth=2", "out"])
        .fails_with(2)
        .shows("stage `tune@lr=0.001,depth=2` has several outputs")
        .shows("tune@lr=0.001,depth=2.rate");
    project
        .refire(&["get", "tune@lr=0.001,depth=2.raet", "out"])
        .fails_with(2)
        .shows("did you mean `rate`?");
    project
        .refire(&["get", "tune@lr=0.002,depth=2.rate", "out"])
        .fails_with(2)
        .shows("the pipeline has no stage `tune@lr=0.002,depth=2.rate`");
    project
        .refire(&["export", "tune@lr=0.001,depth=2.rate", "out"])
        .fails_with(2)
        .shows("`tune@lr=0.001,depth=2.rate` is")
        .shows("not a model");
    // The last value of a name may have a point as well, and a stage a single output.
    project.write(
        "refire.toml",
        "[stage.a]\nkind = \"command\"\nargv = [\"sh\", \"-c\", \"echo ${matrix.x} > o\"]\noutputs = { o = \"o\" }\nmatrix = { x = [0.5, 1.5] }\n",
    );
    project.refire(&["run", "a"]).succeeds();
    project.refire(&["get", "a@x=0.5", "single"]).succeeds();
    assert_eq!(project.read("single/o"), "0.5\n");
    project.refire(&["get", "a@x=1.5.o", "ported"]).succeeds();
    assert_eq!(project.read("ported/o"), "1.5\n");
}

#[test]
fn a_command_gathers_all_instances_in_a_folder() {
    let project = Project::with(SWEEP);
    project.refire(&["run", "all", "one"]).succeeds();
    project.refire(&["get", "all.list", "list"]).succeeds();
    insta::assert_snapshot!(project.read("list/list.txt"), @"
    runs/lr=0.001,depth=0/rate.txt
    runs/lr=0.001,depth=2/rate.txt
    runs/lr=1.0,depth=9/rate.txt
    runs/lr=3e-4,depth=2/rate.txt
    ");
    project.refire(&["get", "one", "one"]).succeeds();
    assert_eq!(project.read("one/out.txt"), "0.001\n");
    // A further instance runs alone, and with it what gathers them.
    project.edit("rates = [0.001, 3e-4]", "rates = [0.001, 3e-4, 0.01]");
    let ran = project.outcomes(&["all"]).into_iter();
    let ran: Vec<String> = ran.filter(|outcome| outcome.ends_with(" ran")).collect();
    let expected = [
        "tune@lr=0.01,depth=0 ran",
        "tune@lr=0.01,depth=2 ran",
        "all ran",
    ];
    assert_eq!(ran, expected);
}

#[test]
fn a_matrix_that_cannot_be_meant_is_shown_at_its_place() {
    let wrong = |old: &str, new: &str| {
        let project = Project::with(&SWEEP.replacen(old, new, 1));
        project.refire(&["check"]).fails_with(2).error()
    };
    let exclude = wrong(
        "exclude = [{ lr = 3e-4, depth = 0 }]",
        "exclude = [{ lr = 3e-4, depth = 1 }]",
    );
    insta::assert_snapshot!(exclude, @"
    error: this `exclude` matches no instance
      --> refire.toml:13:12
       |
    13 | exclude = [{ lr = 3e-4, depth = 1 }]
       |            ^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: exclude combinations of the listed values, in the same type: 1 is not 1.0
    ");
    let case = wrong("rates = [0.001, 3e-4]", "rates = [3E-4, 3e-4]");
    insta::assert_snapshot!(case, @"
    error: this matrix makes `@lr=3E-4,depth=2` and `@lr=3e-4,depth=2`, which differ in nothing but their case
      --> refire.toml:10:1
       |
    10 | [stage.tune.matrix]
       | ^^^^^^^^^^^^^^^^^^^
       |
       = note: files are called after stages, and on some disks these would be one file
       = help: list the combinations in `include` alone, with a further key that tells them apart
    ");
    let param = wrong("${params.rates}", "${params.rate}");
    insta::assert_snapshot!(param, @r#"
    error: unknown param `rate`
      --> refire.toml:11:9
       |
    11 | lr = "${params.rate}"
       |         ^^^^^^^^^^^
       |
       = help: did you mean `rates`?
    "#);
    let instance = wrong("tune@lr=0.001,depth=2.rate", "tune@lr=0.001,depth=3.rate");
    insta::assert_snapshot!(instance, @r#"
    error: stage `one` refers to stage `tune@lr=0.001,depth=3.rate`, which does not exist
      --> refire.toml:19:19
       |
    19 | inputs = { best = "tune@lr=0.001,depth=3.rate" }
       |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ no such stage
       |
       = note: stages: tune@lr=0.001,depth=0, tune@lr=0.001,depth=2, tune@lr=3e-4,depth=2, tune@lr=1.0,depth=9, one, all
    "#);
}

/// The example of the book, as a file: its tables in place of the tiny pipeline's last ones.
fn book_example() -> Project {
    let page = include_str!("../../docs/src/how-to/matrix.md");
    let (_, rest) = page.split_once("```toml\n").expect("an example");
    let example = rest.split("```").next().expect("the example ends");
    let example = example
        .replace("[\"negative\", \"positive\"]", "[\"bad\", \"good\"]")
        .replace("epochs = 30", "epochs = 3");
    let (before, _) = tiny::PIPELINE
        .split_once("[stage.tune]")
        .expect("it is tuned");
    let project = tiny::project();
    project.write("refire.toml", format!("{before}{example}"));
    project
}

#[test]
fn the_example_in_the_book_does_what_it_says() {
    let project = book_example();
    let named = [
        "learning_rate=1e-3,epochs=2",
        "learning_rate=1e-3,epochs=10",
        "learning_rate=3e-4,epochs=10",
        "learning_rate=1e-4,epochs=3",
    ];
    let planned = planned(&project, "test");
    for instance in named {
        for stage in ["tune", "check"] {
            let name = format!("{stage}@{instance}");
            assert!(planned.contains(&name), "{name} is not in {planned:?}");
        }
    }
    assert_eq!(planned.len(), 4 + 2 * named.len() + 3, "{planned:?}");
    project.refire(&["run"]).succeeds();

    // The winner is what the validation part says, and it is what is measured on the test part.
    let text = project.refire(&["metrics", "--json"]).succeeds().stdout();
    let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let accuracy = |stage: &str| {
        let row = rows.iter().find(|row| row["stage"] == stage);
        row.expect("it has figures")["metrics"]["accuracy"]
            .as_f64()
            .expect("a number")
    };
    // Beside instances stands how long each took.
    assert!(rows.iter().all(|row| row["seconds"].as_f64() > Some(0.0)));
    let text = project.refire(&["metrics"]).succeeds().stdout();
    let heads: Vec<&str> = text
        .lines()
        .filter(|line| line.ends_with("  time"))
        .collect();
    assert!(
        heads.len() >= 2 && heads.iter().all(|head| head.contains('@')),
        "{text}"
    );

    let mut ranking: Vec<(f64, &str)> = named
        .iter()
        .map(|instance| (accuracy(&format!("check@{instance}")), *instance))
        .collect();
    ranking.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let lines = ranking.iter();
    let lines = lines.map(|(accuracy, instance)| format!("{accuracy:.4}  {instance}"));
    let log = project.refire(&["logs", "best"]).succeeds().stdout();
    let shown = log.lines().filter(|line| line.starts_with("0."));
    assert_eq!(shown.collect::<Vec<_>>(), lines.collect::<Vec<_>>());
    assert!(accuracy("test") > 0.0);
    let winner = format!("tune@{}", ranking[0].1);
    for (stage, folder) in [("best", "best-model"), (winner.as_str(), "winner")] {
        project.refire(&["get", stage, folder]).succeeds();
    }
    let files = |folder: &str| -> Vec<(std::ffi::OsString, Vec<u8>)> {
        let entries = std::fs::read_dir(project.path(folder)).expect("a model");
        let read = |entry: std::fs::DirEntry| {
            let bytes = std::fs::read(entry.path()).expect("readable");
            (entry.file_name(), bytes)
        };
        let mut files: Vec<_> = entries.flatten().map(read).collect();
        files.sort();
        files
    };
    assert!(files("winner").len() > 2);
    assert_eq!(files("best-model"), files("winner"));
}

/// The example of the book is the end of a pipeline that is ready to run, but for the depth of its texts.
#[test]
fn the_example_in_the_book_is_a_pipeline_of_the_repository() {
    let whole = include_str!("../../pipelines/sweep.toml");
    let page = include_str!("../../docs/src/how-to/matrix.md");
    let (_, rest) = page.split_once("```toml\n").expect("an example");
    let example = rest.split("```").next().expect("the example ends");
    let settings = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(|line| line.split(" #").next().unwrap_or(line));
        let lines = lines.map(|line| line.trim().to_string());
        lines.filter(|line| !line.is_empty()).collect()
    };
    let whole = settings(whole);
    for line in settings(example) {
        assert!(
            whole.contains(&line),
            "`{line}` is not in pipelines/sweep.toml"
        );
    }
}

#[test]
fn combinations_are_drawn_by_seed() {
    let drawn = |matrix: &str| {
        let project = Project::with(&format!(
            "[stage.a]\nkind = \"command\"\nargv = [\"sh\", \"-c\", \"echo ${{matrix.lr}} ${{matrix.depth}} > o\"]\n\
             outputs = {{ o = \"o\" }}\nmatrix = {{ {matrix} }}\n"
        ));
        let plan = project.refire(&["plan", "--json"]).succeeds().stdout();
        let rows: Vec<serde_json::Value> = serde_json::from_str(&plan).expect("rows");
        let name = |row: &serde_json::Value| row["stage"].as_str().expect("a name").to_owned();
        (project, rows.iter().map(name).collect::<Vec<_>>())
    };
    let ranges = "lr = { log_uniform = [1e-5, 1e-2] }, depth = { uniform = [1, 6] }";
    let (project, six) = drawn(&format!("sample = 6, {ranges}"));
    assert_eq!(six.len(), 6);
    for name in &six {
        let (lr, depth) = name
            .strip_prefix("a@lr=")
            .and_then(|values| values.split_once(",depth="))
            .expect("both keys");
        let (lr, depth): (f64, u8) = (lr.parse().expect("lr"), depth.parse().expect("depth"));
        assert!(
            (1e-5..=1e-2).contains(&lr) && (1..=6).contains(&depth),
            "{name}"
        );
    }
    project.refire(&["run"]).succeeds();
    project.refire(&["get", &six[0], "made"]).succeeds();
    let made = project.read("made/o");
    assert_eq!(
        format!("a@lr={}", made.trim().replace(' ', ",depth=")),
        six[0]
    );
    // More draws keep those before, further keys their values; another seed draws others.
    assert_eq!(drawn(&format!("sample = 9, {ranges}")).1[..6], six);
    let with = format!("sample = 6, {ranges}, more = [true, false]");
    for (name, longer) in six.iter().zip(drawn(&with).1) {
        assert!(longer.starts_with(&format!("{name},more=")), "{longer}");
    }
    assert_ne!(
        drawn(&format!("sample = 6, sample_seed = 1, {ranges}")).1,
        six
    );
}

#[test]
fn what_nothing_can_be_drawn_from_is_shown_at_its_place() {
    for (matrix, word) in [
        ("sample = 0, x = [1, 2]", "must be between 1 and"),
        (
            "sample = 3, x = [1, 2]",
            "of 3 combinations only 2 are different",
        ),
        ("sample = 3", "there is nothing to draw from"),
        ("sample = 3, x = 5", "says not what to draw from"),
        (
            "sample = 3, x = { normal = [0, 1] }",
            "says not what to draw from",
        ),
        (
            "sample = 3, x = { uniform = [2, 1] }",
            "the first must be the smaller",
        ),
        (
            "sample = 3, x = { uniform = [0.0, inf] }",
            "the first must be the smaller",
        ),
        (
            "sample = 3, x = { log_uniform = [0, 1] }",
            "which has no logarithm",
        ),
        (
            "sample = 3, sample_seed = -1, x = [1]",
            "must not be negative",
        ),
        ("x = { uniform = [1, 2] }", "must be an array"),
    ] {
        let project = Project::with(&format!(
            "[stage.a]\nkind = \"command\"\nargv = [\"true\"]\noutputs = {{ o = \"o\" }}\nmatrix = {{ {matrix} }}\n"
        ));
        project
            .refire(&["check"])
            .fails_with(2)
            .shows(word)
            .shows("refire.toml:5:");
    }
}
