//! Where the system tells nothing or not enough: disks that others write to, and no more watches to be had.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Watching, project, start};
use crate::needs;

/// A folder that shows another one through a program, which does not tell of what is written to that one.
struct Mount(PathBuf);

impl Mount {
    /// Shows `folder` at `at`.
    fn of(folder: &Path, at: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).expect("made");
        let found = ran(Command::new("bindfs").arg(folder).arg(&at));
        needs::met("bindfs", found.map(|()| Self(at)))
    }
}

/// Runs `command`, or says why that is not to be had here.
fn ran(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let ways: [&[&str]; 3] = [
            &["fusermount3", "-u", "-z"],
            &["fusermount", "-u", "-z"],
            &["umount", "-l"],
        ];
        for way in ways {
            let mut command = Command::new(way[0]);
            command.args(&way[1..]).arg(&self.0).stderr(Stdio::null());
            if command.status().is_ok_and(|status| status.success()) {
                return;
            }
        }
    }
}

#[test]
#[ignore = "needs bindfs"]
fn a_disk_that_others_write_to_is_looked_at_from_time_to_time() {
    let project = project();
    let place = tempfile::tempdir().expect("a temporary folder");
    let Some(mount) = Mount::of(&project.path(""), place.path().join("mounted")) else {
        return;
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_refire"));
    command
        .args(["watch", "--format", "json"])
        .current_dir(&mount.0)
        .env_remove("REFIRE_CACHE_DIR");
    let watching = start(&mut command);
    assert_eq!(watching.run(), (2, 0));
    watching.until("looking from time to time");
    for word in ["behind its back\n", "and once more\n"] {
        project.write("words/a.txt", word);
        assert_eq!(watching.run(), (1, 1));
        watching.idle();
    }
    // It leaves the folder before that is taken away.
    drop(watching);
}

/// Watches in a user namespace with room for so many watches; none where there are no such namespaces.
fn with_watches(most: usize, folder: &Path) -> Option<Watching> {
    let limit = format!("echo {most} > /proc/sys/user/max_inotify_watches");
    let allowed = ran(Command::new("unshare").args(["-Ur", "sh", "-c", &limit]));
    needs::met("user namespaces", allowed)?;
    let mut command = Command::new("unshare");
    command
        .args(["-Ur", "sh", "-c"])
        .arg(format!("{limit}; exec \"$0\" watch --format json"))
        .arg(env!("CARGO_BIN_EXE_refire"))
        .current_dir(folder)
        .env_remove("REFIRE_CACHE_DIR");
    Some(start(&mut command))
}

#[test]
#[ignore = "needs user namespaces"]
fn where_no_more_watches_are_to_be_had_it_is_looked_from_time_to_time() {
    let project = project();
    let Some(watching) = with_watches(1, &project.path("")) else {
        return;
    };
    assert_eq!(watching.run(), (2, 0));
    watching.until("looking from time to time");
    project.write("words/a.txt", "b\n");
    assert_eq!(watching.run(), (1, 1));
}

#[test]
#[ignore = "needs user namespaces"]
fn watches_may_run_out_while_it_waits() {
    let project = project();
    project.edit("words/*.txt\"]\n", "words/**/*.txt\"]\n");
    let Some(watching) = with_watches(40, &project.path("")) else {
        return;
    };
    assert_eq!(watching.run(), (2, 0));
    let (_, waits) = watching.until("watching ");
    assert!(!waits.contains("from time to time"), "{waits}");
    for number in 0..60 {
        std::fs::create_dir(project.path(format!("words/{number}"))).expect("made");
    }
    watching.until("looking from time to time");
    project.write("words/59/b.txt", "b\n");
    assert_eq!(watching.run(), (1, 1));
}
