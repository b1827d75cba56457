//! Which paths are watched: names like ours, links, folders that come, go and are renamed.

use std::time::Duration;

use super::{project, watch, watch_in};
use crate::support::Project;

/// A pipeline that copies these files.
fn copying(files: &str) -> String {
    format!(
        r#"
[stage.copy]
kind = "command"
argv = ["sh", "-c", "find . -type f ! -name out.txt | sort | xargs cat > out.txt"]
files = [{files}]
outputs = {{ text = "out.txt" }}
"#
    )
}

/// Longer than any save is waited for.
fn pause() {
    std::thread::sleep(Duration::from_millis(500));
}

#[test]
fn names_like_those_of_our_own_files_are_inputs_like_others() {
    let project = Project::new();
    // A checkout in folders of such names.
    let home = ".gitlab-runner/x.lock/.refire-tests";
    let write = |path: &str, text: &str| project.write(&format!("{home}/{path}"), text);
    write("refire.toml", &copying(r#""uv.lock", ".github/x", "data""#));
    for file in ["uv.lock", ".github/x", "data/a.txt"] {
        write(file, "one\n");
    }
    let watching = watch_in(&project.path(home), &[]);
    assert_eq!(watching.run(), (1, 0));
    watching.idle();
    watching.stays_quiet();
    for file in ["uv.lock", ".github/x", "data/a.txt", "data/b.lock"] {
        write(file, "two\n");
        assert_eq!(watching.run(), (1, 0), "{file}");
        watching.idle();
    }
    write("data/.git/index", "no content of the folder\n");
    watching.stays_quiet();
}

#[test]
fn files_in_folders_that_come_later_are_found() {
    let project = Project::with(&copying(r#""data/**/*.txt""#));
    project.write("data/old/a.txt", "a\n");
    let watching = watch(&project, &[]);
    assert_eq!(watching.run(), (1, 0));
    watching.idle();
    for folder in ["data/old/new", "data/other/deep"] {
        std::fs::create_dir_all(project.path(folder)).expect("made");
        pause();
        project.write(&format!("{folder}/b.txt"), "b\n");
        assert_eq!(watching.run(), (1, 0), "{folder}");
        watching.idle();
    }
}

#[test]
fn what_is_refused_is_looked_at_until_it_is_not() {
    let project = Project::with(&copying(r#""later/deep/*.txt""#));
    let watching = watch(&project, &[]);
    watching.until("no file matches");
    watching.idle();
    std::fs::create_dir_all(project.path("later/deep")).expect("made");
    // It looks meanwhile, and does not say the same again.
    std::thread::sleep(Duration::from_millis(1500));
    watching.stays_quiet();
    project.write("later/deep/a.txt", "a\n");
    assert_eq!(watching.run(), (1, 0));
    watching.idle();
}

#[test]
fn a_folder_replaced_in_a_moment_is_still_watched() {
    let project = project();
    let watching = watch(&project, &[]);
    assert_eq!(watching.run(), (2, 0));
    watching.idle();
    for word in ["b\n", "c\n"] {
        std::fs::remove_dir_all(project.path("words")).expect("removed");
        project.write("words/a.txt", word);
        // Refused for a moment, perhaps.
        assert_eq!(watching.run(), (1, 1));
        watching.idle();
        project.write("words/a.txt", format!("again {word}"));
        assert_eq!(watching.run(), (1, 1));
        watching.idle();
    }
}

#[cfg(unix)]
#[test]
fn links_may_be_pointed_elsewhere_and_folders_above_be_renamed() {
    use std::os::unix::fs::symlink;
    let project = Project::with(&copying(
        r#""set/current/data.csv", "x/above/below/data.csv""#,
    ));
    for version in ["v1", "v2"] {
        project.write(&format!("set/{version}/data.csv"), format!("{version}\n"));
        project.write(
            &format!("x/{version}/below/data.csv"),
            format!("{version}\n"),
        );
    }
    let point = |version: &str| {
        symlink(version, project.path("set/next")).expect("linked");
        std::fs::rename(project.path("set/next"), project.path("set/current")).expect("renamed");
    };
    let rename = |from: &str, to: &str| {
        std::fs::rename(project.path(from), project.path(to)).expect("renamed");
    };
    point("v1");
    rename("x/v1", "x/above");
    let watching = watch(&project, &[]);
    assert_eq!(watching.run(), (1, 0));
    watching.idle();
    // As `ln -sfn` does it.
    point("v2");
    assert_eq!(watching.run(), (1, 0));
    watching.idle();
    project.write("set/v2/data.csv", "v2 again\n");
    assert_eq!(watching.run(), (1, 0));
    watching.idle();
    rename("x/above", "x/v1");
    rename("x/v2", "x/above");
    assert_eq!(watching.run(), (1, 0));
    watching.idle();
    project.write("x/above/below/data.csv", "v2 again\n");
    assert_eq!(watching.run(), (1, 0));
    watching.idle();
}
