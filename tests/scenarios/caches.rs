//! Folders that `REFIRE_CACHE_DIR` names and that are no caches.

use crate::support::Project;

const PIPELINE: &str =
    "[stage.it]\nkind = \"command\"\nargv = [\"touch\", \"o\"]\noutputs = { o = \"o\" }\n";

#[test]
fn a_folder_with_anything_else_in_it_is_refused_untouched() {
    let mut project = Project::with(PIPELINE);
    let files = ["tmp/thesis", "checkpoints/best.bin", "downloads/x.iso"];
    for file in files {
        project.write(&format!("scratch/{file}"), "mine");
    }
    project.set(
        "REFIRE_CACHE_DIR",
        &project.path("scratch").display().to_string(),
    );
    for verb in ["run", "gc", "status"] {
        project
            .refire(&[verb])
            .fails_with(2)
            .shows("`PROJECT/scratch` is not empty and no cache of refire");
    }
    for file in files {
        assert_eq!(project.read(&format!("scratch/{file}")), "mine");
    }
    assert!(!project.path("scratch/objects").exists());
}

#[test]
fn a_folder_that_is_new_or_empty_becomes_a_cache() {
    for is_there in [false, true] {
        let mut project = Project::with(PIPELINE);
        let cache = project.path("scratch/cache");
        if is_there {
            std::fs::create_dir_all(&cache).expect("made");
        }
        project.set("REFIRE_CACHE_DIR", &cache.display().to_string());
        assert_eq!(project.outcomes(&[]), ["it ran"]);
        assert_eq!(project.outcomes(&[]), ["it cached"]);
        assert!(cache.join("CACHEDIR.TAG").is_file());
    }
}
