//! Fetching pretrained models from a stand-in server, and what pipeline files may say.

mod shards;

use std::cell::RefCell;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::error::{Kind, Source as File};
use crate::event::Event;
use crate::sources::tests::hub::{Fault, Hub, sha256};
use crate::stages::Job;
use crate::store::Store;

/// Reads a stage from TOML that stands in `folder`.
fn parse(folder: &Path, toml: &str) -> Result<Box<dyn Stage>> {
    let file = File::new(folder.join("p.toml").to_string_lossy(), toml);
    PretrainedKind.parse(&Table::parse(&Arc::new(file))?)
}

fn refused(toml: &str) -> Error {
    let error = parse(Path::new(""), toml).err().expect(toml);
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    error
}

/// Runs a stage: what it said, and the error if it failed. Its output is in `folder/model`.
fn run(folder: &Path, stage: &dyn Stage) -> (Vec<String>, Option<Error>) {
    let output = folder.join("model");
    if output.exists() {
        std::fs::remove_dir_all(&output).expect("an old output");
    }
    std::fs::create_dir_all(&output).expect("room");
    let job = Job {
        stage: "encoder".into(),
        outputs: [(MODEL.to_string(), output)].into(),
        scratch: folder.into(),
        downloads: folder.join("downloads"),
        ..Job::default()
    };
    let store = Store::open(&folder.join("cache")).expect("a cache");
    let notices = Mutex::new(Vec::new());
    let sink = |event: &Event| {
        let mut notices = notices.lock().expect("no panic");
        match event {
            Event::Notice { text, .. } => notices.push(text.clone()),
            Event::Paste { text, lines, .. } => {
                notices.push(text.clone());
                notices.extend(lines.iter().cloned());
            }
            _ => {}
        }
    };
    let mut cx = StageContext::new(&job, &store, &sink, &|| false);
    let error = stage.run(&mut cx).err();
    (notices.into_inner().expect("no panic"), error)
}

#[derive(Default)]
struct Walk(RefCell<Vec<String>>);

impl Manifest for Walk {
    fn setting(&mut self, name: &str, value: &Value) {
        self.0.borrow_mut().push(format!("{name} = {value}"));
    }

    fn skip(&mut self, name: &str, reason: &'static str) {
        self.0
            .borrow_mut()
            .push(format!("without {name}: {reason}"));
    }

    fn seed(&mut self) {
        panic!("nothing is random here");
    }

    fn device(&mut self) {
        panic!("nothing is computed here");
    }
}

fn walk(stage: &dyn Stage) -> Vec<String> {
    let mut walk = Walk::default();
    stage.describe(&mut walk);
    walk.0.into_inner()
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join("model").join(name)).expect(name)
}

#[test]
fn every_file_comes_from_the_first_source_that_has_the_right_bytes() {
    let hub = Hub::start();
    let weights = vec![7; 3000];
    hub.put_file("old/config.json", "old")
        .put_file("new/config.json", "{}");
    hub.put_file("old/1_Pooling/a", "a")
        .put_file("new/model.safetensors", weights.clone());
    let folder = TempDir::new().expect("a folder");
    let toml = format!(
        "source = [\"http://127.0.0.1:9/m\", \"{}\", \"{}\"]\n[files]\n\"config.json\" = \"sha256:{}\"\n\
         \"model.safetensors\" = \"sha256:{}\"\n\"1_Pooling/a\" = \"{}\"\n",
        hub.file_url("old"),
        hub.file_url("new"),
        sha256(b"{}"),
        sha256(&weights),
        sha256(b"a"),
    );
    let stage = parse(folder.path(), &toml).expect("a stage");
    let (notices, error) = run(folder.path(), stage.as_ref());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(read(folder.path(), "config.json"), b"{}");
    assert_eq!(read(folder.path(), "model.safetensors"), weights);
    assert_eq!(read(folder.path(), "1_Pooling/a"), b"a");
    let [unreachable, wrong, missing] = notices.as_slice() else {
        panic!("{notices:?}");
    };
    assert!(
        unreachable.starts_with("cannot reach `127.0.0.1:9`"),
        "{unreachable}"
    );
    assert!(
        wrong.contains("old/config.json` is not the file that the pipeline pins; using "),
        "{wrong}"
    );
    assert!(
        missing.contains("old/model.safetensors` does not exist"),
        "{missing}"
    );

    let key = walk(stage.as_ref());
    assert_eq!(key[0], "without source: the bytes are pinned by sha256");
    assert_eq!(key.len(), 2, "{key:?}");
    assert!(stage.files().is_empty());
}

#[test]
fn files_that_are_not_pinned_are_fetched_with_a_notice_to_paste() {
    let hub = Hub::start();
    hub.put_file("m/config.json", "{}")
        .put_file("m/vocab.txt", "a");
    let folder = TempDir::new().expect("a folder");
    let source = hub.file_url("m");
    let toml = format!("source = \"{source}\"\nfiles = [\"vocab.txt\", \"config.json\"]\n");
    let stage = parse(folder.path(), &toml).expect("a stage");
    let (notices, error) = run(folder.path(), stage.as_ref());
    assert!(error.is_none(), "{error:?}");
    assert!(notices[0].contains("in place of `files`"), "{notices:?}");
    assert_eq!(notices[1], "[stage.encoder.files]");
    assert_eq!(
        notices[2],
        format!("\"config.json\" = \"sha256:{}\"", sha256(b"{}"))
    );
    assert_eq!(
        notices[3],
        format!("\"vocab.txt\" = \"sha256:{}\"", sha256(b"a"))
    );
    let key = walk(stage.as_ref());
    assert!(key.contains(&format!("source = [\"{source}\"]")), "{key:?}");
}

#[test]
fn local_files_count_by_their_content() {
    let folder = TempDir::new().expect("a folder");
    std::fs::create_dir(folder.path().join("mini")).expect("room");
    std::fs::File::create(folder.path().join("mini/config.json")).expect("room");
    let stage = parse(
        folder.path(),
        "source = \"mini\"\nfiles = [\"config.json\"]",
    )
    .expect("a stage");
    let files = stage.files();
    assert_eq!(files[0].role, "source 1 config.json");
    assert_eq!(files[0].path, folder.path().join("mini/config.json"));
    assert!(walk(stage.as_ref())[0].starts_with("without source"));
    stage.check().expect("it is there");
    assert!(run(folder.path(), stage.as_ref()).1.is_none());

    let absent = parse(folder.path(), "source = \"mini\"\nfiles = [\"absent\"]").expect("a stage");
    let error = absent.check().expect_err("not there");
    assert!(
        error.message().ends_with("absent` does not exist"),
        "{error}"
    );
    assert_eq!(error.labels().len(), 1);
    let mixed = "source = [\"hf:org/name\", \"mini\"]\nfiles = [\"absent\", \"config.json\"]";
    let mixed = parse(folder.path(), mixed).expect("a stage");
    assert_eq!(mixed.files().len(), 1, "what is absent is left to the Hub");
    mixed.check().expect("the Hub may have it");
    assert!(
        walk(mixed.as_ref())
            .iter()
            .any(|line| line.starts_with("source = "))
    );
}

#[test]
fn when_no_source_has_a_file_all_reasons_are_listed() {
    let hub = Hub::start();
    hub.put_file("m/config.json", "{}")
        .fail(Fault::WebPage(403));
    let folder = TempDir::new().expect("a folder");
    let toml = format!(
        "source = [\"{}\", \"gone\"]\nfiles = [\"config.json\"]",
        hub.file_url("m")
    );
    let stage = parse(folder.path(), &toml).expect("a stage");
    let error = run(folder.path(), stage.as_ref()).1.expect("no source");
    assert_eq!(error.message(), "none of the 2 sources gives `config.json`");
    assert_eq!(error.kind(), Kind::Stage);
    assert_eq!(error.labels().len(), 2);
    let [web, path] = error.causes() else {
        panic!("{error}");
    };
    assert!(web.contains("403 Forbidden"), "{web}");
    assert!(path.ends_with("config.json` does not exist"), "{path}");
}

#[test]
fn settings_that_cannot_be_meant_are_refused_with_their_place() {
    let pin = format!("sha256:{}", sha256(b""));
    for (toml, message, line) in [
        ("source = \"a\"\nfiles = {}", "`files` is empty", 2),
        ("source = \"a\"\nfiles = []", "`files` is empty", 2),
        ("source = []\nfiles = [\"a\"]", "`source` is empty", 1),
        (
            "source = [\n\"a\",\n\"ftp:b\"]\nfiles = [\"a\"]",
            "unknown source scheme `ftp:`",
            3,
        ),
        (
            "source = \"a\"\nfiles = [\"x\",\n\"../y\"]",
            "`../y` leads out of its folder",
            3,
        ),
        (
            "source = \"a\"\nfiles = [\"x\",\n\"x\"]",
            "`x` is there twice",
            3,
        ),
        (
            "source = \"a\"\n[files]\n\"config.json\" = \"sha256:12\"",
            "it has 2 digits instead of 64",
            3,
        ),
        (
            &format!("source = \"a\"\n[files]\n\"/etc/x\" = \"{pin}\""),
            "is an absolute path",
            3,
        ),
        (
            "source = \"a\"\nfiles = [\"model.safetensors\"]",
            "but no `config.json`",
            2,
        ),
        (
            "source = \"a\"\nfiles = 3",
            "expected a table of files and digests",
            2,
        ),
        (
            "source = 3\nfiles = [\"a\"]",
            "expected a source or an array of sources",
            1,
        ),
        ("source = \"a\"\nfile = [\"a\"]", "unknown key `file`", 2),
        ("files = [\"a\"]", "missing key `source`", 1),
    ] {
        let error = refused(toml);
        assert!(error.message().contains(message), "{toml}: {error}");
        assert_eq!(error.labels()[0].span.line(), line, "{toml}: {error}");
    }
    parse(Path::new(""), "source = \"a\"\nfiles = [\"mobilenet.pth\"]")
        .expect("no config is needed");
}

#[test]
fn bare_weights_get_a_config_that_says_what_they_are() {
    let folder = TempDir::new().expect("room");
    let weights = folder.path().join("weights");
    std::fs::create_dir(&weights).expect("room");
    crate::store::write_atomic(&weights.join("a.pth"), b"weights").expect("room");
    let toml = "source = 'weights'\nfiles = ['a.pth']\narchitecture = 'mobilenet_v2'";
    let stage = parse(folder.path(), toml).expect("parsed");
    let (_, error) = run(folder.path(), &*stage);
    assert!(error.is_none(), "{error:?}");
    let config = std::fs::read(folder.path().join("model/config.json")).expect("written");
    let config: Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(config["architecture"], "mobilenet_v2");
    assert_eq!(config["num_classes"], 1000);
    assert!(walk(&*stage).contains(&"architecture = \"mobilenet_v2\"".to_string()));
}

#[test]
fn an_architecture_is_known_and_alone() {
    let error = refused("source = 'a'\nfiles = ['a.pth']\narchitecture = 'mobilenet'");
    assert!(
        error.to_string().contains("no architecture `mobilenet`"),
        "{error}"
    );
    let error =
        refused("source = 'a'\nfiles = ['a.pth', 'config.json']\narchitecture = 'resnet18'");
    assert!(
        error.to_string().contains("without a `config.json`"),
        "{error}"
    );
    parse(
        Path::new(""),
        "source = 'a'\nfiles = ['model.safetensors']\narchitecture = 'resnet18'",
    )
    .expect("the architecture is its config");
}
