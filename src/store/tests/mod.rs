//! The store on a real disk: publish, restore, records, memos, damage.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write files as a user's programs do"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::*;

mod claim;
mod collect;
mod full;
mod inputs;
mod planted;
mod publish;
mod record;

pub(super) struct Place {
    _folder: tempfile::TempDir,
    pub(super) path: PathBuf,
    pub(super) store: Store,
}

pub(super) fn place() -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().canonicalize().expect("its real path");
    let store = Store::open(&path.join("cache")).expect("opened");
    Place {
        _folder: folder,
        path,
        store,
    }
}

pub(super) fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, content).expect("written");
}

fn publish(store: &Store, files: &[(&str, &str)]) -> Published {
    let scratch = store.scratch("test").expect("a scratch folder");
    for (name, content) in files {
        write(&scratch.path().join(name), content);
    }
    store.publish(scratch.path()).expect("published")
}

/// A record without anything in it.
fn record(name: &str) -> Record {
    Record {
        key: Digest::of(name.as_bytes()),
        kind: "test".into(),
        explanation: Explanation::default(),
        outputs: BTreeMap::new(),
        metrics: BTreeMap::new(),
        seconds: 0.0,
        finished_at: jiff::Timestamp::UNIX_EPOCH,
        bytes: 0,
    }
}

/// Every file under `folder`, with its content.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    made(folder, folder)
        .expect("walked")
        .into_iter()
        .map(|file| {
            let content = fs::read(folder.join(&file.relative)).expect("read");
            (file.relative, content)
        })
        .collect()
}

fn count(folder: &Path) -> usize {
    if folder.is_dir() {
        tree(folder).len()
    } else {
        0
    }
}

/// Changes one byte as a careless program would.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("read");
    bytes[0] ^= 1;
    let old = fs::metadata(path).expect("there").permissions();
    make_writable(path);
    fs::write(path, bytes).expect("written");
    fs::set_permissions(path, old).expect("set");
}

#[cfg(unix)]
fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("set");
}

#[cfg(not(unix))]
fn make_writable(path: &Path) {
    let mut permissions = fs::metadata(path).expect("there").permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "not Unix")]
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions).expect("set");
}

#[test]
fn what_is_published_comes_back_read_only() {
    let place = place();
    let files = [("a.txt", "alpha"), ("deep/er/b.txt", "beta"), ("empty", "")];
    let published = publish(&place.store, &files);
    assert_eq!((published.files, published.bytes), (3, 9));
    assert!(place.store.is_whole(&published.digest));

    let out = place.path.join("out");
    place
        .store
        .materialise(&published.digest, &out)
        .expect("restored");
    let expected = files.map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec()));
    assert_eq!(tree(&out), BTreeMap::from(expected));
    assert!(
        fs::metadata(out.join("a.txt"))
            .expect("there")
            .permissions()
            .readonly()
    );
    assert!(place.store.take_notices().is_empty());
    assert_eq!(
        count(&place.path.join("cache/tmp")),
        0,
        "nothing is left behind"
    );
}

#[test]
fn the_same_files_are_the_same_artifact_however_they_came_to_be() {
    let place = place();
    let one = publish(&place.store, &[("a", "1"), ("b/c", "2")]);
    let two = publish(&place.store, &[("b/c", "2"), ("a", "1")]);
    let three = publish(&place.store, &[("a", "1"), ("b/c", "3")]);
    assert_eq!(one, two);
    assert_ne!(one.digest, three.digest);
    assert_eq!(count(&place.path.join("cache/objects")), 3);
}

#[test]
fn an_artifact_may_be_empty_and_folders_that_are_do_not_count() {
    let place = place();
    let scratch = place.store.scratch("test").expect("a scratch folder");
    fs::create_dir(scratch.path().join("nothing")).expect("made");
    let published = place.store.publish(scratch.path()).expect("published");
    assert_eq!((published.files, published.bytes), (0, 0));
    assert_eq!(published.digest, publish(&place.store, &[]).digest);
    assert!(place.store.is_whole(&published.digest));
}

#[test]
fn many_files_survive_the_trip() {
    let place = place();
    let scratch = place.store.scratch("test").expect("a scratch folder");
    for index in 0..500 {
        let name = format!("{}/{index}", index % 7);
        write(&scratch.path().join(name), index.to_string());
    }
    let before = tree(scratch.path());
    let published = place.store.publish(scratch.path()).expect("published");
    let out = place.path.join("out");
    place
        .store
        .materialise(&published.digest, &out)
        .expect("restored");
    assert_eq!(tree(&out), before);
}

#[cfg(unix)]
#[test]
fn the_executable_bit_is_part_of_an_artifact_and_not_of_an_object() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    let scratch = place.store.scratch("test").expect("a scratch folder");
    for name in ["plain", "script"] {
        write(&scratch.path().join(name), "#!/bin/sh\n");
    }
    let script = scratch.path().join("script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("set");
    let published = place.store.publish(scratch.path()).expect("published");

    let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let (linked, copied) = (place.path.join("linked"), place.path.join("copied"));
    place
        .store
        .materialise(&published.digest, &linked)
        .expect("restored");
    place
        .store
        .copy_out(&published.digest, &copied)
        .expect("copied");
    let modes = |folder: &Path| (mode(folder.join("plain")), mode(folder.join("script")));
    assert_eq!(modes(&linked), (0o444, 0o555));
    assert_eq!(modes(&copied), (0o644, 0o755));
    assert!(place.store.is_whole(&published.digest));
}

#[test]
fn what_is_copied_out_can_be_changed_without_harm() {
    let place = place();
    let published = publish(&place.store, &[("a", "mine")]);
    let out = place.path.join("out");
    place
        .store
        .copy_out(&published.digest, &out)
        .expect("copied");
    fs::write(out.join("a"), "changed").expect("writable");
    place
        .store
        .materialise(&published.digest, &place.path.join("again"))
        .expect("whole");
}

#[test]
fn a_flipped_byte_is_found_by_looking_and_by_restoring() {
    for look_first in [true, false] {
        let place = place();
        let published = publish(&place.store, &[("a/b", "content"), ("c", "more")]);
        let object = place.store.object_path(&Digest::of(b"content"));
        flip(&object);
        if look_first {
            assert!(!place.store.is_whole(&published.digest));
            let notices = place.store.take_notices();
            assert!(notices[0].contains("`a/b`") && notices[0].contains("changed on disk"));
        } else {
            let out = place.path.join("out");
            let Err(Unrestored::Damaged(damage)) = place.store.materialise(&published.digest, &out)
            else {
                panic!("not found");
            };
            assert_eq!(damage.file.as_deref(), Some("a/b"));
            assert_eq!((damage.defect, &damage.path), (Defect::Changed, &object));
            assert_eq!(count(&out), 0, "nothing half restored");
        }
        assert!(!object.exists(), "the bad object is removed");
        // Made again, it is whole again.
        assert_eq!(
            publish(&place.store, &[("a/b", "content"), ("c", "more")]),
            published
        );
        assert!(place.store.is_whole(&published.digest));
    }
}

#[test]
fn a_flipped_byte_with_its_time_set_back_is_found_by_a_new_process() {
    let place = place();
    let published = publish(&place.store, &[("a", "content")]);
    let object = place.store.object_path(&Digest::of(b"content"));
    flip(&object);
    disk::seal(&object, false).expect("a forged seal");
    let other = Store::open(place.store.root()).expect("opened");
    let result = other.materialise(&published.digest, &place.path.join("out"));
    assert!(matches!(result, Err(Unrestored::Damaged(_))));
}

#[test]
fn a_corrupt_object_is_replaced_when_its_content_is_published_again() {
    let place = place();
    let published = publish(&place.store, &[("a", "content")]);
    flip(&place.store.object_path(&Digest::of(b"content")));
    assert_eq!(publish(&place.store, &[("a", "content")]), published);
    assert!(place.store.is_whole(&published.digest));
}

#[test]
fn a_corrupt_object_that_looks_whole_is_replaced_as_well() {
    let place = place();
    let published = publish(&place.store, &[("a", "content")]);
    let object = place.store.object_path(&Digest::of(b"content"));
    flip(&object);
    disk::seal(&object, false).expect("a forged seal");
    let other = Store::open(place.store.root()).expect("opened");
    assert!(other.is_whole(&published.digest), "it looks whole");
    assert_eq!(publish(&other, &[("b", "content")]).files, 1);
    assert_eq!(fs::read(&object).expect("there"), b"content");
    assert!(other.take_notices()[0].contains("was changed on disk and is replaced"));
    let third = Store::open(place.store.root()).expect("opened");
    third
        .materialise(&published.digest, &place.path.join("out"))
        .expect("mended");
}

#[test]
fn a_manifest_that_is_lost_is_written_again_from_a_record() {
    let place = place();
    let published = publish(&place.store, &[("a", "content")]);
    let record = Record {
        outputs: BTreeMap::from([("out".into(), published.digest)]),
        ..record("key")
    };
    place.store.put_record(&record).expect("written");
    let manifest = place.store.manifest_path(&published.digest);
    let json = fs::read(&manifest).expect("there");
    for damage in [None, Some(&b"{"[..])] {
        fs::remove_file(&manifest).expect("removed");
        if let Some(bytes) = damage {
            write(&manifest, bytes);
        }
        let alone = Store::open(place.store.root()).expect("opened");
        assert!(!alone.mend(&published.digest).expect("readable"));
        let other = Store::open(place.store.root()).expect("opened");
        other.record(&record.key).expect("read").expect("known");
        assert!(other.mend(&published.digest).expect("writable"));
        assert_eq!(fs::read(&manifest).expect("there"), json);
    }
    fs::remove_file(place.store.object_path(&Digest::of(b"content"))).expect("removed");
    let other = Store::open(place.store.root()).expect("opened");
    other.record(&record.key).expect("read").expect("known");
    assert!(!other.mend(&published.digest).expect("readable"));
}

#[test]
fn a_damaged_or_missing_manifest_is_damage() {
    let place = place();
    let published = publish(&place.store, &[("a", "content")]);
    let manifest = place.store.manifest_path(&published.digest);
    let json = fs::read_to_string(&manifest).expect("read");
    fs::write(&manifest, json.replace("\"a\"", "\"b\"")).expect("written");
    let defect = || match place.store.manifest(&published.digest) {
        Err(Unrestored::Damaged(damage)) => damage.defect,
        other => panic!("{other:?}"),
    };
    assert_eq!(defect(), Defect::Changed);
    assert_eq!(defect(), Defect::Missing, "it was removed");
    assert!(!place.store.is_whole(&published.digest));
}

#[test]
fn a_cache_that_was_copied_without_its_times_is_hashed_and_sealed_again() {
    let place = place();
    let published = publish(&place.store, &[("a", "content")]);
    let object = place.store.object_path(&Digest::of(b"content"));
    let now = crate::event::now();
    let file = fs::File::open(&object).expect("opened");
    file.set_times(fs::FileTimes::new().set_modified(now))
        .expect("set");
    let other = Store::open(place.store.root()).expect("opened");
    assert!(other.is_whole(&published.digest));
    assert!(disk::is_sealed(&fs::metadata(&object).expect("there"), 7));
}

#[test]
fn restoring_into_a_folder_with_files_is_refused() {
    let place = place();
    let published = publish(&place.store, &[("a", "content")]);
    write(&place.path.join("out/mine"), "mine");
    let result = place
        .store
        .materialise(&published.digest, &place.path.join("out"));
    assert!(matches!(result, Err(Unrestored::Failed(_))));
    assert_eq!(count(&place.path.join("out")), 1);
}

#[test]
fn racing_publishers_and_readers_agree() {
    let place = place();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = &place.store;
            let out = place.path.join(format!("out{thread}"));
            scope.spawn(move || {
                for round in 0..10 {
                    let content = format!("round {round}");
                    let published = publish(store, &[("same", &content), ("b/also", "x")]);
                    let out = out.join(round.to_string());
                    store.materialise(&published.digest, &out).expect("whole");
                    assert_eq!(
                        fs::read(out.join("same")).expect("read"),
                        content.as_bytes()
                    );
                }
            });
        }
    });
}
