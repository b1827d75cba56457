//! Weights in several files, and several sets of weights in one file.

use super::*;

const INDEX: &str = "model.safetensors.index.json";

/// An index of one tensor in each of these files.
fn index(files: &[&str]) -> String {
    let map = files.iter().enumerate();
    let map: serde_json::Map<String, Value> = map
        .map(|(number, file)| (format!("tensor.{number}"), (*file).into()))
        .collect();
    serde_json::json!({ "weight_map": map }).to_string()
}

#[test]
fn the_shards_follow_from_their_index() {
    let hub = Hub::start();
    let shards = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    let json = index(&shards);
    hub.put_file("m/config.json", "{}")
        .put_file(&format!("m/{INDEX}"), json.clone());
    for shard in shards {
        hub.put_file(&format!("m/{shard}"), shard);
    }
    let folder = TempDir::new().expect("a folder");
    let source = hub.file_url("m");
    let named = format!("files = [\"config.json\", \"{INDEX}\"]");
    let pinned = format!(
        "[files]\n\"config.json\" = \"{}\"\n\"{INDEX}\" = \"{}\"",
        sha256(b"{}"),
        sha256(json.as_bytes()),
    );
    for files in [named, pinned] {
        let stage = parse(folder.path(), &format!("source = \"{source}\"\n{files}"));
        let stage = stage.expect("a stage");
        let (notices, error) = run(folder.path(), stage.as_ref());
        assert!(error.is_none(), "{error:?}");
        for shard in shards {
            assert_eq!(read(folder.path(), shard), shard.as_bytes());
            let line = format!("\"{shard}\" = \"sha256:{}\"", sha256(shard.as_bytes()));
            assert!(notices.contains(&line), "{notices:?}");
        }
        // Its bytes are not decided by digests alone.
        let key = walk(stage.as_ref());
        assert!(key.contains(&format!("source = [\"{source}\"]")), "{key:?}");
    }
    let asked = hub.requests();
    let place = |name: &str| {
        asked
            .iter()
            .position(|request| request.path.ends_with(name))
    };
    assert!(place(INDEX) < place(shards[0]), "the index comes first");
}

#[test]
fn a_shard_that_is_missing_is_named_before_anything_large_is_fetched() {
    let hub = Hub::start();
    let json = index(&[
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]);
    hub.put_file("m/config.json", "{}")
        .put_file(&format!("m/{INDEX}"), json.clone())
        .put_file("m/model-00001-of-00002.safetensors", "1");
    let folder = TempDir::new().expect("a folder");
    let toml = format!(
        "source = \"{}\"\n[files]\n\"config.json\" = \"{}\"\n\"{INDEX}\" = \"{}\"\n\
         \"model-00001-of-00002.safetensors\" = \"{}\"\n",
        hub.file_url("m"),
        sha256(b"{}"),
        sha256(json.as_bytes()),
        sha256(b"1"),
    );
    let stage = parse(folder.path(), &toml).expect("a stage");
    assert_eq!(
        walk(stage.as_ref())[0],
        "without source: the bytes are pinned by sha256"
    );
    let error = run(folder.path(), stage.as_ref())
        .1
        .expect("one is missing");
    assert!(
        error.message().contains(
            "names the file `model-00002-of-00002.safetensors`, which is not among `files`"
        ),
        "{error}"
    );
    assert_eq!(error.labels()[0].span.line(), 2, "{error}");
    assert!(
        hub.requests()
            .iter()
            .all(|request| !request.path.contains("00001"))
    );
}

#[test]
fn an_index_may_not_name_anything() {
    for name in [
        "../secret.bin",
        "config.json",
        "/etc/passwd",
        "a/b.bin",
        "..",
    ] {
        let folder = TempDir::new().expect("a folder");
        let source = folder.path().join("mini");
        std::fs::create_dir(&source).expect("room");
        for (file, text) in [("config.json", "{}"), (INDEX, &index(&[name]))] {
            crate::store::write_atomic(&source.join(file), text.as_bytes()).expect("written");
        }
        let toml = format!("source = \"mini\"\nfiles = [\"config.json\", \"{INDEX}\"]");
        let stage = parse(folder.path(), &toml).expect("a stage");
        let error = run(folder.path(), stage.as_ref()).1.expect("it is refused");
        assert!(
            error
                .message()
                .contains(&format!("names the file `{name}`")),
            "{error}"
        );
    }
}

#[test]
fn shards_on_this_machine_count_by_their_content() {
    let folder = TempDir::new().expect("a folder");
    let source = folder.path().join("mini");
    std::fs::create_dir(&source).expect("room");
    let put = |file: &str, text: &str| {
        crate::store::write_atomic(&source.join(file), text.as_bytes()).expect("written");
    };
    put("config.json", "{}");
    put(INDEX, &index(&["1.safetensors"]));
    put("1.safetensors", "1");
    let toml = format!("source = \"mini\"\nfiles = [\"config.json\", \"{INDEX}\"]");
    let stage = parse(folder.path(), &toml).expect("a stage");
    let files: Vec<String> = stage.files().into_iter().map(|file| file.role).collect();
    assert!(
        files.contains(&"source 1 1.safetensors".to_string()),
        "{files:?}"
    );
    stage.check().expect("all is there");
    std::fs::remove_file(source.join("1.safetensors")).expect("it was there");
    let error = stage.check().expect_err("a shard is gone");
    assert!(
        error.message().ends_with("1.safetensors` does not exist"),
        "{error}"
    );
}

#[test]
fn one_of_several_sets_of_weights_is_chosen_by_its_name() {
    let folder = TempDir::new().expect("a folder");
    let saved =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/checkpoints");
    let toml = |key: &str| {
        format!(
            "source = '{}'\nfiles = ['config.json', 'averaged.pth']\ncheckpoint_key = '{key}'",
            saved.display()
        )
    };
    let stage = parse(folder.path(), &toml("model_ema")).expect("a stage");
    assert!(walk(stage.as_ref()).contains(&"checkpoint_key = \"model_ema\"".to_string()));
    let (_, error) = run(folder.path(), stage.as_ref());
    assert!(error.is_none(), "{error:?}");
    let card = Card::read(&folder.path().join("model")).expect("a card");
    assert_eq!(card.checkpoint_key.as_deref(), Some("model_ema"));

    let stage = parse(folder.path(), &toml("ema")).expect("a stage");
    let error = run(folder.path(), stage.as_ref()).1.expect("no such set");
    assert!(
        error.message().contains("holds no weights under `ema`"),
        "{error}"
    );
    assert_eq!(error.labels()[0].span.line(), 3, "{error}");
}
