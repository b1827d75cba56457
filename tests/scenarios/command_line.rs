//! The command line: which pipeline is meant, what goes where, exit codes.

use crate::support::Project;

const HELLO: &str = r#"
[params]
name = "world"

[params.deep]
number = 3

[stage.hello]
kind = "command"
argv = ["sh", "-c", "echo hello ${params.name} > out.txt"]
outputs = { text = "out.txt" }
"#;

const FAILS: &str = r#"
[stage.fails]
kind = "command"
argv = ["sh", "-c", "echo first words; echo last words >&2; exit 7"]
outputs = { text = "out.txt" }

[stage.after]
kind = "command"
argv = ["sh", "-c", "cp fails/out.txt out.txt"]
inputs = { fails = "fails" }
outputs = { text = "out.txt" }
"#;

#[test]
fn what_happens_goes_to_stderr_and_stdout_stays_free() {
    let project = Project::with(HELLO);
    let ran = project
        .refire(&["run"])
        .succeeds()
        .shows("hello: ran in")
        .shows("1 ran, 0 cached in");
    assert_eq!(ran.stdout(), "");
    project
        .refire(&["run"])
        .succeeds()
        .shows("hello: cached")
        .shows("0 ran, 1 cached in");
}

#[test]
fn json_is_one_event_a_line_and_ends_with_the_run() {
    let project = Project::with(HELLO);
    let ran = project.refire(&["run", "--format", "json"]).succeeds();
    assert_eq!(ran.stderr(), "");
    let events = ran.events();
    assert_eq!(events[0]["event"], "run_started");
    let [.., stage, run] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(
        (&stage["event"], &stage["outcome"]),
        (&"stage_finished".into(), &"ran".into())
    );
    assert_eq!(stage["key"].as_str().map(str::len), Some(64));
    assert_eq!(
        (&run["event"], &run["ran"], &run["cached"]),
        (&"run_finished".into(), &1.into(), &0.into())
    );
}

#[test]
fn a_failed_stage_shows_its_last_words_and_is_exit_code_1() {
    let project = Project::with(FAILS);
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("fails | first words")
        .shows("fails | last words")
        .shows("fails: failed after")
        .shows("after: skipped")
        .shows("0 ran, 0 cached, 1 failed, 1 skipped")
        .shows("error: stage `fails`: ");
    project.refire(&["status"]).succeeds().prints("failed");
}

#[test]
fn the_pipeline_is_named_first_or_found() {
    let project = Project::new();
    project
        .refire(&["run"])
        .fails_with(2)
        .shows("no pipeline here");
    project.write("pipelines/a.toml", HELLO);
    project
        .refire(&["check"])
        .succeeds()
        .shows("`pipelines/a.toml` is fine: 1 stage\n");
    project.write("pipelines/b.toml", HELLO);
    let several = project.refire(&["check"]).fails_with(2);
    insta::assert_snapshot!("several_pipelines", several.stderr());
    project.refire(&["check", "pipelines/b.toml"]).succeeds();
    project
        .refire(&["check", "pipelines/c.toml"])
        .fails_with(2)
        .shows("there is no file `pipelines/c.toml`");
    project
        .refire(&["run", "pipelines/b"])
        .fails_with(2)
        .shows("did you mean `pipelines/b.toml`?");
    project.write("refire.toml", HELLO);
    project
        .refire(&["check"])
        .succeeds()
        .shows("`refire.toml` is fine");
}

#[test]
fn a_stage_that_is_not_there_is_exit_code_2() {
    let project = Project::with(HELLO);
    project
        .refire(&["run", "helo"])
        .fails_with(2)
        .shows("did you mean `hello`?");
    project
        .refire(&["why", "helo"])
        .fails_with(2)
        .shows("did you mean `hello`?");
    project
        .refire(&["get", "helo", "out"])
        .fails_with(2)
        .shows("did you mean `hello`?");
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let project = Project::with(HELLO);
    project.refire(&[]).fails_with(2).shows("Usage: refire");
    project.refire(&["rum"]).fails_with(2).shows("run");
    project
        .refire(&["run", "--lcoked"])
        .fails_with(2)
        .shows("--locked");
    project
        .refire(&["run", "--format", "xml"])
        .fails_with(2)
        .shows("possible values: pretty, plain, json");
    project
        .refire(&["why"])
        .fails_with(2)
        .shows("Usage: refire why");
    project
        .refire(&["why", "a", "b"])
        .fails_with(2)
        .shows("one argument too many");
    project.refire(&["run", "-j", "0"]).fails_with(2);
    project
        .refire(&["check", "hello"])
        .fails_with(2)
        .shows("not a pipeline file");
}

#[test]
fn settings_of_the_command_line_are_toml_or_else_text() {
    let project = Project::with(HELLO);
    let set = [
        "params",
        "-S",
        "params.name=you and me",
        "-S",
        "params.deep.number=1e-3",
    ];
    project
        .refire(&set)
        .succeeds()
        .prints("\"you and me\"")
        .prints("deep.number  0.001");
    let ran = project.refire(&["run", "-S", "params.name=you"]).succeeds();
    ran.shows("1 ran");
    project
        .refire(&["get", "hello", "out", "-S", "params.name=you"])
        .succeeds();
    assert_eq!(project.read("out/out.txt"), "hello you\n");
    project.refire(&["run", "-S", "name"]).fails_with(2);
}

#[test]
fn a_plan_runs_nothing() {
    let project = Project::with(HELLO);
    let plan = project.refire(&["plan"]).succeeds();
    assert_eq!(
        project.refire(&["run", "--dry-run"]).succeeds().stdout(),
        plan.stdout()
    );
    let json: serde_json::Value =
        serde_json::from_str(&project.refire(&["plan", "--json"]).stdout()).expect("JSON");
    assert_eq!(
        (&json[0]["stage"], &json[0]["action"]),
        (&"hello".into(), &"run".into())
    );
    assert_eq!(project.outcomes(&[]), ["hello ran"]);
}

#[test]
fn an_artifact_is_copied_out_but_never_over_something() {
    let project = Project::with(HELLO);
    project
        .refire(&["get", "hello", "out"])
        .fails_with(1)
        .shows("run it first: refire run");
    project.refire(&["run"]).succeeds();
    project
        .refire(&["get", "hello.text", "out"])
        .succeeds()
        .shows("copied `hello.text` to `out`");
    assert_eq!(project.read("out/out.txt"), "hello world\n");
    project
        .refire(&["get", "hello", "out"])
        .fails_with(2)
        .shows("`out` exists already");
    project
        .refire(&["get", "hello.txt", "other"])
        .fails_with(2)
        .shows("did you mean `text`?");
}

#[test]
fn completions_and_man_pages_are_there() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish"] {
        project
            .refire(&["completions", shell])
            .succeeds()
            .prints("downstream");
    }
    project.refire(&["man"]).succeeds().prints(".TH refire 1");
    project
        .refire(&["man", "run"])
        .succeeds()
        .prints("refire run");
    project
        .refire(&["--version"])
        .succeeds()
        .prints(concat!("refire ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn colours_can_be_had_and_had_not() {
    let project = Project::new();
    let plain = project.refire(&["run"]).stderr();
    assert!(!plain.contains('\x1b'), "{plain}");
    let coloured = project.refire(&["run", "--color", "always"]).stderr();
    assert!(coloured.contains('\x1b'), "{coloured}");
}

#[test]
fn help_can_be_asked_for_by_a_verb_of_its_own() {
    let project = Project::new();
    let long = project.refire(&["run", "--help"]).succeeds().stdout();
    let help = project.refire(&["help", "run"]).succeeds().stdout();
    assert_eq!(help, long);
    project
        .refire(&["help"])
        .succeeds()
        .prints("Commands:\n  init");
}

#[test]
fn the_networks_are_listed() {
    let project = Project::new();
    let text = project.refire(&["models"]).succeeds().stdout();
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    for part in [
        "RoBERTa",
        "model_type = roberta, xlm-roberta",
        "architecture = resnet18",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let json = project.refire(&["models", "--json"]).succeeds().stdout();
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let rows = rows.as_array().expect("a list");
    assert_eq!(rows.len(), refire::models::ARCHITECTURES.len());
    let named = |row: &serde_json::Value| {
        let count = |key: &str| row[key].as_array().map_or(0, Vec::len);
        count("model_types") + count("architectures") > 0
    };
    assert!(rows.iter().all(named), "{json}");
}
