//! What a declared folder holds is one list, for the key and for what a command finds; and what a command may leave behind.

use crate::support::Project;

/// Says what it finds in a project that it declares whole.
const EVERYTHING: &str = r#"
[stage.it]
kind = "command"
argv = ["sh", "-c", "find . ! -type d ! -name o | sort > o"]
files = ["."]
outputs = { o = "o" }
"#;

/// The files that the command has found.
fn found(project: &Project) -> Vec<String> {
    let out = tempfile::tempdir().expect("a temporary folder");
    let out = out.path().join("out");
    let text = out.display().to_string();
    project.refire(&["get", "it", &text]).succeeds();
    let list = std::fs::read_to_string(out.join("o")).expect("copied");
    list.lines().map(String::from).collect()
}

#[test]
fn a_project_that_is_declared_whole_holds_nothing_of_refires_own_and_settles() {
    for cache in [None, Some("data/cache")] {
        let mut project = Project::with(EVERYTHING);
        if let Some(cache) = cache {
            project.set(
                "REFIRE_CACHE_DIR",
                &project.path(cache).display().to_string(),
            );
        }
        project.write("data/x", "x");
        project.write("data/.git/HEAD", "ref: refs/heads/main\n");
        project.write(".refire-a1B2c3.tmp", "half of a lock");
        project.write("uv.lock", "version = 1\n");
        assert_eq!(project.outcomes(&[]), ["it ran"]);
        // The lock of the run before is beside the pipeline now.
        assert!(project.path("refire.lock").exists());
        assert_eq!(project.outcomes(&[]), ["it cached"]);
        assert_eq!(found(&project), ["./data/x", "./refire.toml", "./uv.lock"]);
        project.write("data/.git/HEAD", "ref: refs/heads/other\n");
        assert_eq!(project.outcomes(&[]), ["it cached"]);
        project.write("data/y", "y");
        assert_eq!(project.outcomes(&[]), ["it ran"]);
        let all = ["./data/x", "./data/y", "./refire.toml", "./uv.lock"];
        assert_eq!(found(&project), all);
    }
}

#[test]
fn a_glob_finds_what_a_folder_holds() {
    let project = Project::with(&EVERYTHING.replace("\".\"", "\"**\""));
    project.write("data/x", "x");
    project.write(".refire/cache2/x", "x");
    assert_eq!(project.outcomes(&[]), ["it ran"]);
    assert_eq!(project.outcomes(&[]), ["it cached"]);
    assert_eq!(found(&project), ["./data/x", "./refire.toml"]);
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::{EVERYTHING, found};
    use crate::support::Project;

    #[test]
    fn links_in_a_declared_folder_are_followed_but_for_those_to_refires_own() {
        let project = Project::with(EVERYTHING);
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(elsewhere.path().join("x"), "x").expect("written");
        std::fs::create_dir(project.path("data")).expect("made");
        let link = |to: &std::path::Path, from: &str| symlink(to, project.path(from));
        link(elsewhere.path(), "data/linked").expect("linked");
        link(&elsewhere.path().join("x"), "data/file").expect("linked");
        link(&project.path(".refire"), "data/state").expect("linked");
        link(&project.path("refire.lock"), "data/lock").expect("linked");
        project
            .refire(&["run"])
            .fails_with(1)
            .shows("does not exist");
        std::fs::remove_file(project.path("data/lock")).expect("ours");
        assert_eq!(project.outcomes(&[]), ["it ran"]);
        let all = ["./data/file", "./data/linked/x", "./refire.toml"];
        assert_eq!(found(&project), all);
        link(&project.path("refire.lock"), "data/lock").expect("linked");
        assert_eq!(project.outcomes(&[]), ["it cached"]);

        link(&project.path(""), "data/up").expect("linked");
        project.refire(&["run"]).fails_with(1).shows("a cycle");
    }

    /// The error of a command that leaves this behind as its output `out`.
    fn leaving(script: &str) -> String {
        let mut project = Project::with(&format!(
            "[stage.it]\nkind = \"command\"\nargv = [\"sh\", \"-c\", {script:?}]\noutputs = {{ o = \"out\" }}\n"
        ));
        project.patience(Duration::from_mins(1));
        project.refire(&["run"]).fails_with(1).error()
    }

    #[test]
    fn a_link_out_of_an_output_is_refused_and_nothing_there_is_read() {
        for script in [
            "ln -s /etc/hostname out",
            "mkdir out; ln -s /etc/hostname out/x",
            "mkdir -p out/deep; ln -s /etc out/deep/x",
            // A command may make links to links.
            "mkdir out; ln -s /etc one; ln -s ../one out/x",
            "mkdir out real; ln -s /etc real/x; ln -s ../real out/x",
            // To read it would take for ever.
            "mkdir out; ln -s /dev/zero out/x",
            "ln -s /dev/zero out",
        ] {
            let error = leaving(script);
            assert!(error.contains("is a link to `/"), "{script}: {error}");
            assert!(error.contains("outside"), "{script}: {error}");
            assert!(error.contains("refire.toml:4"), "{script}: {error}");
        }
    }

    #[test]
    fn what_is_neither_a_file_nor_a_folder_is_refused_and_waited_for_by_nobody() {
        for script in [
            "mkfifo out",
            "mkdir out; mkfifo out/x",
            "mkfifo p; ln -s p out",
        ] {
            let error = leaving(script);
            assert!(error.contains("a pipe or a device"), "{script}: {error}");
        }
        for script in [
            "mkdir out; ln -s . out/x",
            "mkdir -p out/a; ln -s .. out/a/b",
        ] {
            let error = leaving(script);
            assert!(error.contains("a cycle"), "{script}: {error}");
        }
        let error = leaving("ln -s out out");
        assert!(error.contains("cannot follow the link"), "{error}");
    }

    #[test]
    fn a_link_within_the_commands_folder_is_copied() {
        let project = Project::with(
            r#"
[stage.it]
kind = "command"
argv = ["sh", "-c", "mkdir -p real out; echo x > real/x; ln -s ../real out/linked; ln -s linked/x out/y"]
outputs = { real = "real", out = "out" }
"#,
        );
        project.refire(&["run"]).succeeds();
        project.refire(&["get", "it.out", "got"]).succeeds();
        assert_eq!(project.read("got/linked/x"), "x\n");
        assert_eq!(project.read("got/y"), "x\n");
        assert!(!project.path("got/linked").is_symlink());
    }

    #[test]
    fn a_file_that_has_another_name_outside_is_copied_and_stays_what_it_was() {
        use std::os::unix::fs::PermissionsExt as _;
        let project = Project::new();
        project.write("mine", "mine");
        let mine = project.path("mine");
        project.write(
            "refire.toml",
            format!(
                "[stage.it]\nkind = \"command\"\nargv = [\"ln\", {:?}, \"out\"]\noutputs = {{ o = \"out\" }}\n",
                mine.display().to_string()
            ),
        );
        let look = || {
            let metadata = std::fs::metadata(&mine).expect("there");
            (
                metadata.permissions().mode(),
                metadata.modified().expect("a time"),
            )
        };
        let before = look();
        project.refire(&["run"]).succeeds();
        assert_eq!(look(), before);
        project.write("mine", "changed");
        project.refire(&["get", "it", "got"]).succeeds();
        assert_eq!(project.read("got/out"), "mine");
    }
}
