//! What is a cache and what is not, and what is left alone in one.

use super::*;

/// A folder of the user's with what a cache has as well.
fn scratch_of_a_user() -> (Place, PathBuf) {
    let place = place();
    let root = place.path.join("scratch");
    for file in ["tmp/thesis", "checkpoints/2019/best.bin", "downloads/x.iso"] {
        write(&root.join(file), "mine");
    }
    (place, root)
}

#[test]
fn a_folder_with_something_else_is_no_cache() {
    let (place, root) = scratch_of_a_user();
    let before = tree(&root);
    let refused = || {
        let error = Store::open(&root).expect_err("refused");
        assert_eq!(error.kind(), crate::error::Kind::Usage);
        let message = error.message();
        assert!(message.contains("not empty and no cache"), "{error}");
        assert!(message.contains("scratch`"), "{error}");
    };
    refused();
    assert_eq!(tree(&root), before, "nothing was written or removed");
    let tag = b"Signature: 8a477f597d28d172789f06886806bc55\n# made by another program\n";
    write(&root.join("CACHEDIR.TAG"), tag);
    refused();
    drop(place);
}

#[test]
fn an_empty_folder_becomes_a_cache_and_stays_one() {
    let place = place();
    for there in [&[][..], &["lost+found"]] {
        let root = place.path.join(there.len().to_string());
        fs::create_dir(&root).expect("made");
        for name in there {
            fs::create_dir(root.join(name)).expect("made");
        }
        let published = publish(&Store::open(&root).expect("opened"), &[("a", "content")]);
        let again = Store::open(&root).expect("opened");
        assert!(again.is_whole(&published.digest));
        assert_eq!(again.take_notices(), [] as [String; 0]);
    }
}

#[test]
fn a_cache_of_before_is_taken_over_and_nothing_that_only_looks_like_one() {
    let place = place();
    let published = publish(&place.store, &[("a", "content")]);
    place.store.put_record(&record("key")).expect("written");
    let root = place.store.root();
    let tag = root.join("CACHEDIR.TAG");
    let mine = root.join("objects/mine");
    for wrong in [mine.clone(), root.join("mine"), root.join("records/zz")] {
        fs::remove_file(&tag).expect("removed");
        write(&wrong, "mine");
        Store::open(root).expect_err("refused");
        fs::remove_file(&wrong).expect("removed");
        let other = Store::open(root).expect("opened");
        assert!(other.is_whole(&published.digest));
        assert!(other.take_notices()[0].contains("of an earlier refire"));
        assert!(tag.is_file());
        let third = Store::open(root).expect("opened");
        assert_eq!(third.take_notices(), [] as [String; 0]);
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_one_of_its_folders_is_refused_and_one_to_the_cache_is_not() {
    use std::os::unix::fs::symlink;
    let (place, mine) = scratch_of_a_user();
    let published = publish(&place.store, &[("a", "content")]);
    let root = place.store.root();
    for name in ["tmp", "checkpoints", "downloads", "pins", "objects"] {
        let (folder, moved) = (root.join(name), place.path.join("moved"));
        let there = fs::rename(&folder, &moved).is_ok();
        symlink(&mine, &folder).expect("linked");
        let error = Store::open(root).expect_err("refused");
        let expected = format!("{name}` is a link");
        assert!(error.message().contains(&expected), "{error}");
        fs::remove_file(&folder).expect("removed");
        if there {
            fs::rename(&moved, &folder).expect("moved back");
        }
    }
    let link = place.path.join("link");
    symlink(root, &link).expect("linked");
    let other = Store::open(&link).expect("opened");
    assert!(other.is_whole(&published.digest));
}

#[cfg(unix)]
#[test]
fn only_what_is_called_as_ours_is_collected() {
    use std::os::unix::fs::symlink;
    let place = place();
    let store = &place.store;
    let (root, mine) = (store.root(), place.path.join("mine"));
    publish(store, &[("a", "content")]);
    store.put_record(&record("key")).expect("written");
    let (key, other) = (Digest::of(b"a").to_string(), Digest::of(b"b").to_string());
    write(&mine.join(&key[2..]), "mine");
    write(&mine.join("thesis"), "mine");
    let not_ours = [
        "checkpoints/2019/best.bin".to_string(),
        "checkpoints/epoch-3".into(),
        format!("checkpoints/{key}-copy"),
        "downloads/x.iso".into(),
        "downloads/x.part".into(),
        "objects/README".into(),
        "objects/00/README".into(),
        format!("objects/00/{key}"),
        format!("records/{}/{}.json.bak", &key[..2], &key[2..]),
        "pins/notes".into(),
    ];
    for file in &not_ours {
        write(&root.join(file), "mine");
    }
    let ours = [
        format!("checkpoints/{key}"),
        format!("checkpoints/{other}x9Ab3z/whole"),
        "downloads/0123456789abcdef-data.csv.part".into(),
        "downloads/0123456789abcdef-data.csv.part.json".into(),
    ];
    for file in &ours {
        write(&root.join(file), "ours");
    }
    symlink(&mine, root.join(format!("checkpoints/{other}"))).expect("linked");
    symlink(&mine, root.join(format!("objects/{}", &key[..2]))).expect("linked");

    let keep = Keep::default();
    let collected = store.collect(&keep).expect("collected");
    assert_eq!((collected.records, collected.objects), (1, 1));
    store.collect_interrupted(&keep, 0).expect("collected");
    for file in &not_ours {
        assert!(root.join(file).exists(), "{file}");
    }
    for file in &ours {
        assert!(!root.join(file).exists(), "{file}");
    }
    assert!(!root.join(format!("checkpoints/{other}")).is_symlink());
    assert_eq!(tree(&mine).len(), 2, "links are not followed");
}

#[test]
fn a_checkpoint_is_forgotten_with_what_was_left_of_writing_it() {
    let place = place();
    let (key, other) = (Digest::of(b"a"), Digest::of(b"b"));
    let file = place.store.checkpoint(&key);
    let left = file.with_file_name(format!("{key}x9Ab3z"));
    write(&file, "ours");
    write(&left.join("whole"), "ours");
    write(&place.store.checkpoint(&other), "another's");
    place.store.forget_checkpoint(&key);
    assert!(!file.exists() && !left.exists());
    assert!(place.store.checkpoint(&other).exists());
}
