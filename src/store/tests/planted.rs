//! Caches that somebody else has filled: paths that lead out, links, two files of one name.

use super::*;

const EVIL: &str = "#!/bin/sh\necho evil\n";

fn entry(path: &str) -> Entry {
    Entry {
        path: path.into(),
        digest: Digest::of(EVIL.as_bytes()),
        size: EVIL.len() as u64,
        executable: true,
    }
}

/// A store of a process that has read a record which names the artifact and describes it.
fn told(place: &Place, artifact: Digest, files: &[Entry]) -> (Store, Option<Box<Record>>) {
    let record = Record {
        outputs: BTreeMap::from([("out".into(), artifact)]),
        ..record(&artifact.to_string())
    };
    let json = crate::store::record::to_json(&record, vec![files]).expect("written");
    write(&place.store.record_path(&record.key), json);
    let other = Store::open(place.store.root()).expect("opened");
    let record = other.record(&record.key).expect("read");
    (other, record)
}

#[test]
fn a_planted_path_leads_nowhere() {
    let place = place();
    publish(&place.store, &[("script", EVIL)]);
    let outside = place.path.join("outside");
    let absolute = outside.display().to_string();
    for path in [
        &*absolute,
        "../outside",
        "a/../../outside",
        "a//b",
        "a\\b",
        "",
        ".",
    ] {
        let manifest = Manifest::sorted(vec![entry(path)]);
        let artifact = manifest.digest();
        write(&place.store.manifest_path(&artifact), manifest.to_json());
        let (other, record) = told(&place, artifact, manifest.files());
        assert_eq!(record, None, "{path}");
        assert!(other.take_notices()[0].contains("was damaged"), "{path}");
        let into = place.path.join("out/in");
        let result = other.materialise(&artifact, &into);
        assert!(matches!(result, Err(Unrestored::Damaged(_))), "{path}");
        assert!(!other.manifest_path(&artifact).exists(), "{path}");
        assert!(!outside.exists() && !place.path.join("out/outside").exists());
    }
}

#[test]
fn two_files_of_one_name_overwrite_no_object() {
    let place = place();
    publish(&place.store, &[("script", EVIL), ("other", "good")]);
    for paths in [["a", "a"], ["a", "A"], ["a", "a/b"]] {
        let mut files = paths.map(entry);
        files[1].digest = Digest::of(b"good");
        files[1].size = 4;
        let manifest = Manifest::sorted(files.to_vec());
        let artifact = manifest.digest();
        let (other, _) = told(&place, artifact, manifest.files());
        let into = place.path.join("out");
        other.copy_out(&artifact, &into).expect_err("refused");
        other.materialise(&artifact, &into).expect_err("refused");
        assert_eq!(count(&into), 0);
    }
    for content in [EVIL, "good"] {
        let object = place.store.object_path(&Digest::of(content.as_bytes()));
        assert_eq!(fs::read_to_string(object).expect("there"), content);
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_a_file_is_damage_and_what_it_leads_to_is_left_alone() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = place();
    let store = &place.store;
    let published = publish(store, &[("a", "content")]);
    let record = Record {
        outputs: BTreeMap::from([("out".into(), published.digest)]),
        ..record("key")
    };
    store.put_record(&record).expect("written");
    let mine = place.path.join("mine");
    let links = [
        store.object_path(&Digest::of(b"content")),
        store.manifest_path(&published.digest),
        store.record_path(&record.key),
    ];
    for link in &links {
        fs::copy(link, &mine).expect("copied");
        fs::set_permissions(&mine, fs::Permissions::from_mode(0o640)).expect("set");
        let before = fs::metadata(&mine).expect("there");
        fs::remove_file(link).expect("removed");
        symlink(&mine, link).expect("linked");

        let other = Store::open(store.root()).expect("opened");
        let known = other.record(&record.key).expect("read").is_some();
        let out = tempfile::tempdir().expect("a folder");
        // Not described by a record, the manifest itself is read.
        let alone = Store::open(store.root()).expect("opened");
        let restored = alone.materialise(&published.digest, out.path()).is_ok();
        assert!(!(known && restored), "{}", link.display());
        assert!(!link.is_symlink(), "{}", link.display());

        assert_eq!(publish(&other, &[("a", "content")]), published);
        other.put_record(&record).expect("written");
        let after = fs::metadata(&mine).expect("there");
        assert_eq!(after.permissions(), before.permissions());
        assert_eq!(after.modified().ok(), before.modified().ok());
        fs::remove_file(&mine).expect("removed");
    }
}
