//! The files by which others get refire: their syntax, and that what they name is there.

use std::path::{Path, PathBuf};

use yaml_rust2::{Yaml, YamlLoader};

use crate::support::Project;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(name: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(&text(name)).expect("it is YAML");
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

#[test]
fn the_action_is_one_and_takes_no_input_for_code() {
    let action = yaml("action.yml");
    assert_eq!(action["runs"]["using"].as_str(), Some("composite"));
    let inputs = action["inputs"].as_hash().expect("inputs");
    for (name, input) in inputs {
        assert!(input["description"].as_str().is_some(), "{name:?}");
    }
    let steps = action["runs"]["steps"].as_vec().expect("steps");
    for step in steps {
        let Some(run) = step["run"].as_str() else {
            assert!(step["uses"].as_str().is_some(), "{step:?}");
            continue;
        };
        assert_eq!(step["shell"].as_str(), Some("bash"), "{run}");
        // An input in a script would be code; it comes by a variable.
        assert!(!run.contains("${{"), "{run}");
        for value in step["env"].as_hash().expect("variables").values() {
            let value = value.as_str().expect("a text");
            let name = value.trim_start_matches("${{ inputs.");
            let name = name.trim_end_matches(" }}");
            assert!(inputs.contains_key(&Yaml::String(name.into())), "{value}");
        }
    }
    let run = steps.last().and_then(|step| step["run"].as_str());
    assert!(run.is_some_and(|run| run.starts_with("refire run ")));
}

#[test]
fn the_hook_finds_pipelines_and_says_which_is_wrong() {
    let hooks = yaml(".pre-commit-hooks.yaml");
    let hook = &hooks[0];
    for key in ["id", "name", "entry", "language", "files"] {
        assert!(hook[key].as_str().is_some(), "{key}");
    }
    let files = regex::Regex::new(hook["files"].as_str().expect("a text")).expect("it is one");
    assert!(files.is_match("pipelines/sentiment.toml"));
    assert!(files.is_match("refire.toml") && files.is_match("sub/refire.toml"));
    assert!(!files.is_match("Cargo.toml") && !files.is_match("schemas/reviews.toml"));

    // As pre-commit calls it: the words of the entry, then the files.
    let entry = hook["entry"].as_str().expect("a text");
    let script = entry.split('\'').nth(1).expect("a script");
    let project = Project::new();
    let good =
        "[stage.it]\nkind = \"command\"\nargv = [\"touch\", \"o\"]\noutputs = { o = \"o\" }\n";
    project.write("pipelines/good.toml", good);
    project.write("pipelines/bad.toml", good.replace("argv", "argw"));
    let binary = Path::new(env!("CARGO_BIN_EXE_refire"));
    let folder = binary.parent().expect("a folder").display();
    let path = std::env::var("PATH").unwrap_or_default();
    let ends_well = |files: &[&str]| {
        assert_cmd::Command::new("bash")
            .args(["-c", script, "--"])
            .args(files)
            .env("PATH", format!("{folder}:{path}"))
            .current_dir(project.path("."))
            .output()
            .expect("bash starts")
            .status
            .success()
    };
    assert!(ends_well(&["pipelines/good.toml", "pipelines/good.toml"]));
    assert!(!ends_well(&["pipelines/bad.toml", "pipelines/good.toml"]));
}

#[test]
fn the_image_is_made_of_known_instructions_and_files_that_are_there() {
    let text = text("Dockerfile").replace("\\\n", " ");
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let known = ["FROM", "WORKDIR", "COPY", "RUN", "ENTRYPOINT", "CMD"];
    for line in &lines {
        let instruction = line.split(' ').next().expect("a word");
        assert!(known.contains(&instruction), "{line}");
        if let Some(list) = line
            .strip_prefix("ENTRYPOINT ")
            .or(line.strip_prefix("CMD "))
        {
            let words: Vec<String> = serde_json::from_str(list).expect("a list of words");
            assert!(!words.is_empty());
        }
    }
    assert!(lines[0].starts_with("FROM rust:1.95"), "{}", lines[0]);
    let version = format!("rust-version = \"{}\"", "1.95");
    assert!(
        self::text("Cargo.toml").contains(&version),
        "the compiler of the image"
    );
}

#[test]
fn the_wheel_says_of_refire_what_cargo_says() {
    let project: toml::Table = text("pyproject.toml").parse().expect("it is TOML");
    let cargo: toml::Table = text("Cargo.toml").parse().expect("it is TOML");
    let package = &cargo["package"];
    for key in ["name", "license", "readme"] {
        assert_eq!(project["project"][key], package[key], "{key}");
    }
    assert_eq!(project["tool"]["maturin"]["bindings"].as_str(), Some("bin"));
    for file in project["project"]["license-files"]
        .as_array()
        .expect("files")
    {
        assert!(root(file.as_str().expect("a name")).exists());
    }
    let fetched = &package["metadata"]["binstall"];
    for (key, part) in [
        ("pkg-url", "{ target }"),
        ("bin-dir", "{ bin }{ binary-ext }"),
    ] {
        assert!(
            fetched[key]
                .as_str()
                .is_some_and(|text| text.contains(part))
        );
    }
}
