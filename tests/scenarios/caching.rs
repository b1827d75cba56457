//! What runs again and what does not.

use crate::support::Project;

/// Three stages in a row: capitals of a file, its lines sorted, their number.
const CHAIN: &str = r#"
[params]
order = "-f"

[stage.upper]
kind = "command"
argv = ["sh", "-c", "tr a-z A-Z < words.txt > out.txt"]
files = ["words.txt"]
outputs = { text = "out.txt" }

[stage.sorted]
kind = "command"
argv = ["sh", "-c", "sort ${params.order} upper/out.txt > out.txt"]
inputs = { upper = "upper" }
outputs = { text = "out.txt" }

[stage.count]
kind = "command"
argv = ["sh", "-c", "wc -l < sorted/out.txt > out.txt"]
inputs = { sorted = "sorted" }
outputs = { text = "out.txt" }
"#;

fn chain() -> Project {
    let project = Project::with(CHAIN);
    project.write("words.txt", "pear\napple\n");
    project
}

#[test]
fn the_second_run_runs_nothing() {
    let project = chain();
    assert_eq!(
        project.outcomes(&[]),
        ["upper ran", "sorted ran", "count ran"]
    );
    assert_eq!(
        project.outcomes(&[]),
        ["upper cached", "sorted cached", "count cached"]
    );
}

#[test]
fn a_setting_reruns_what_is_downstream_and_reverting_it_nothing() {
    let project = chain();
    project.refire(&["run"]).succeeds();
    project.edit("order = \"-f\"", "order = \"-r\"");
    project
        .refire(&["why", "sorted"])
        .succeeds()
        .prints("sort -f upper/out.txt");
    assert_eq!(
        project.outcomes(&[]),
        ["upper cached", "sorted ran", "count ran"]
    );
    project.edit("order = \"-r\"", "order = \"-f\"");
    assert_eq!(
        project.outcomes(&[]),
        ["upper cached", "sorted cached", "count cached"]
    );
}

#[test]
fn the_same_result_stops_what_is_downstream() {
    let project = chain();
    project.refire(&["run"]).succeeds();
    project.write("words.txt", "PEAR\napple\n");
    assert_eq!(
        project.outcomes(&[]),
        ["upper ran", "sorted cached", "count cached"]
    );
}

#[test]
fn some_stages_can_be_named() {
    let project = chain();
    assert_eq!(project.outcomes(&["sorted"]), ["upper ran", "sorted ran"]);
    assert_eq!(
        project.outcomes(&["--downstream", "sorted"]),
        ["upper cached", "sorted cached", "count ran"]
    );
    assert_eq!(project.outcomes(&["--single", "sorted"]), ["sorted cached"]);
    assert_eq!(
        project.outcomes(&["--single", "--force", "sorted"]),
        ["sorted ran"]
    );
    assert_eq!(
        project.outcomes(&["--force"]),
        ["upper ran", "sorted ran", "count ran"]
    );
}

#[test]
fn single_needs_its_inputs_in_the_cache() {
    let project = chain();
    project
        .refire(&["run", "--single", "sorted"])
        .fails_with(2)
        .shows("`upper` is needed, but its result is not in the cache");
}

#[test]
fn a_lock_that_does_not_describe_the_pipeline_is_exit_code_4() {
    let project = chain();
    project.refire(&["run", "--locked"]).fails_with(4);
    project.refire(&["run"]).succeeds();
    let lock = project.read("refire.lock");
    project.refire(&["run", "--locked"]).succeeds();
    project.edit("order = \"-f\"", "order = \"-r\"");
    project
        .refire(&["run", "--locked"])
        .fails_with(4)
        .shows("sorted");
    assert_eq!(
        project.read("refire.lock"),
        lock,
        "`--locked` never writes the lock"
    );
}

#[test]
fn a_flipped_byte_in_the_cache_is_found_and_made_good() {
    let project = chain();
    project.refire(&["run"]).succeeds();
    let flipped = flip_objects(&project, b"APPLE\nPEAR\n");
    assert!(flipped > 0, "the artifact is in the cache");
    let out = project.refire(&["get", "sorted", "out"]);
    if out.stderr().contains("copied") {
        assert_eq!(project.read("out/out.txt"), "APPLE\nPEAR\n");
    }
    let ran = project.refire(&["run", "--force", "count"]).succeeds();
    ran.shows("2 ran");
    project.refire(&["get", "sorted", "again"]).succeeds();
    assert_eq!(project.read("again/out.txt"), "APPLE\nPEAR\n");
}

#[test]
fn a_manifest_that_is_lost_or_damaged_is_made_good() {
    for damage in [None, Some("{"), Some("")] {
        let project = chain();
        project.refire(&["run"]).succeeds();
        let manifests = files_below(&project.path(".refire/cache/artifacts"));
        assert_eq!(manifests.len(), 3);
        for manifest in &manifests {
            std::fs::remove_file(manifest).expect("the folder is writable");
            if let Some(text) = damage {
                let name = manifest.strip_prefix(project.path("")).expect("inside");
                project.write(&name.display().to_string(), text);
            }
        }
        project.edit("wc -l", "wc  -l");
        assert_eq!(
            project.outcomes(&[]),
            ["upper cached", "sorted cached", "count ran"]
        );
    }
}

/// All files below a folder.
fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

/// Flips a byte in every file of the cache that holds exactly `bytes`; says in how many.
fn flip_objects(project: &Project, bytes: &[u8]) -> usize {
    let mut folders = vec![project.path(".refire/cache")];
    let mut flipped = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).is_ok_and(|found| found == bytes) {
                let mut other = bytes.to_vec();
                other[0] ^= 1;
                std::fs::remove_file(&path).expect("the folder is writable");
                let name = path.strip_prefix(project.path("")).expect("inside");
                project.write(&name.display().to_string(), other);
                flipped += 1;
            }
        }
    }
    flipped
}
