//! Disks that refuse: full ones, ones that can only be read, missing folders.

#[cfg(target_os = "linux")]
use std::process::Command;

use super::*;
use crate::needs;

#[test]
fn a_file_is_written_whole_with_sane_permissions_and_only_when_it_differs() {
    let place = place();
    let file = place.path.join("file");
    write_atomic(&file, b"one").expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = || fs::metadata(&file).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode() & 0o133, 0, "0644 less the umask");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("set");
        write_atomic(&file, b"two").expect("written");
        assert_eq!(mode(), 0o640, "an existing file keeps its own");

        let link = place.path.join("link");
        std::os::unix::fs::symlink("file", &link).expect("linked");
        write_atomic(&link, b"three").expect("written");
        assert!(link.is_symlink(), "a link is written through");
    }
    write_atomic(&file, b"three").expect("written");
    assert_eq!(fs::read(&file).expect("read"), b"three");
    let before = Stamp::of(&fs::metadata(&file).expect("there"));
    assert!(!write_if_changed(&file, b"three").expect("the same"));
    assert_eq!(Stamp::of(&fs::metadata(&file).expect("there")), before);
    assert!(write_if_changed(&file, b"four").expect("written"));
}

#[test]
fn a_missing_folder_is_named() {
    let place = place();
    let error = write_atomic(&place.path.join("none/file"), b"").expect_err("no folder");
    assert!(
        error
            .message()
            .contains("none/file`: its folder does not exist"),
        "{error}"
    );
}

/// A file system of its own in memory, unmounted when dropped.
#[cfg(target_os = "linux")]
struct Mounted(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Mounted {
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path())
            .output();
        let found = match mounted {
            Ok(output) if output.status.success() => Ok(Self(folder)),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        };
        needs::met("root", found)
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(self.0.path())
            .status();
        assert!(status.expect("mount runs").success());
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs root, to mount a small disk"]
fn a_full_disk_is_named_and_nothing_half_written_can_be_seen() {
    let Some(disk) = Mounted::new("size=1m") else {
        return;
    };
    let root = disk.0.path().join("cache");
    let store = Store::open(&root).expect("opened");
    let small = publish(&store, &[("a", "small")]);

    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let out = elsewhere.path().join("out");
    write(&out.join("large"), vec![7; 2 << 20]);
    let error = store.publish(&out).expect_err("no room");
    assert_eq!(error.kind(), crate::error::Kind::Stage);
    assert!(error.message().contains("the disk is full"), "{error}");
    let shown = root.display().to_string();
    assert!(error.notes()[0].contains(&shown), "{:?}", error.notes());
    assert!(
        error
            .help_text()
            .is_some_and(|help| help.contains("refire gc"))
    );

    assert_eq!(count(&root.join("tmp")), 0, "temporary files are removed");
    assert_eq!(count(&root.join("artifacts")), 1);
    assert_eq!(count(&root.join("objects")), 1);
    assert!(store.is_whole(&small.digest));

    // Filled to the last page, by the stage itself.
    let scratch = store.scratch("stage").expect("a scratch folder");
    write(&scratch.path().join("b"), "other");
    let filler = root.join("filler");
    let mut file = fs::File::create(&filler).expect("made");
    while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    let record = Record {
        explanation: [("text", "x".repeat(10_000))].into_iter().collect(),
        ..record("key")
    };
    for error in [
        store.publish(scratch.path()).expect_err("no room"),
        store.put_record(&record).expect_err("no room"),
    ] {
        assert!(error.message().contains("the disk is full"), "{error}");
    }
    assert_eq!(store.record(&record.key).expect("read"), None);
    assert_eq!(count(&root.join("artifacts")), 1);

    // Not only removed: a process that another test starts may hold it open for a moment.
    file.set_len(0).expect("emptied");
    fs::remove_file(&filler).expect("removed");
    store.put_record(&record).expect("there is room again");
    assert_eq!(
        store.record(&record.key).expect("read"),
        Some(Box::new(record))
    );
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs root, to mount a small disk"]
fn a_cache_that_can_only_be_read_can_be_read() {
    let Some(disk) = Mounted::new("size=1m") else {
        return;
    };
    let root = disk.0.path().join("cache");
    let published = {
        let store = Store::open(&root).expect("opened");
        publish(&store, &[("a", "content")])
    };
    disk.remount("ro");
    let place = place();
    let store = Store::open(&root).expect("opens");
    assert!(store.is_whole(&published.digest));
    let out = place.path.join("out");
    store
        .materialise(&published.digest, &out)
        .expect("restored");
    assert_eq!(fs::read(out.join("a")).expect("read"), b"content");
    write(&place.path.join("input"), "input");
    store.hash_path(&place.path.join("input")).expect("hashed");

    let error = store.publish(&out).expect_err("refused");
    assert!(
        error.message().contains(&root.display().to_string()),
        "{error}"
    );
    assert!(
        error
            .help_text()
            .is_some_and(|help| help.contains("writable"))
    );

    let missing = Store::open(&root.join("new")).expect("opens, with nothing in it");
    assert!(!missing.is_whole(&published.digest));
    let error = missing.publish(&out).expect_err("refused");
    assert!(
        error
            .message()
            .contains(&root.join("new").display().to_string()),
        "{error}"
    );
    disk.remount("rw");
}

#[test]
fn a_file_where_the_cache_should_be_is_named() {
    let place = place();
    write(&place.path.join("file"), "");
    let error = Store::open(&place.path.join("file")).expect_err("not a folder");
    assert!(error.message().contains("file`"), "{error}");
}
