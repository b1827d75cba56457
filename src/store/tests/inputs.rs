//! Digests of local files, the stat cache and its racy rule.

use super::*;

/// A store with a file that is old enough for its stamp to prove something.
fn place_with_file(content: &str) -> (Place, PathBuf) {
    let place = place();
    let file = place.path.join("data/file");
    write(&file, content);
    wait_for_the_clock();
    (place, file)
}

/// Longer than the steps in which file systems count time.
fn wait_for_the_clock() {
    std::thread::sleep(Duration::from_millis(40));
}

fn reopened(store: &Store) -> Store {
    store.save().expect("saved");
    Store::open(store.root()).expect("opened")
}

#[test]
fn a_file_is_its_bytes_and_a_folder_its_files() {
    let (place, file) = place_with_file("content");
    let folder = place.path.join("data");
    let hash = |path: &Path| place.store.hash_path(path).expect("hashed");
    assert_eq!(hash(&file), Digest::of(b"content"));

    let before = hash(&folder);
    write(&folder.join(".git/HEAD"), "ref");
    write(&folder.join("sub/.refire/cache/x"), "ours");
    assert_eq!(hash(&folder), before, "what is not data does not count");
    write(&folder.join("sub/new"), "");
    assert_ne!(hash(&folder), before);
    fs::remove_file(folder.join("sub/new")).expect("removed");
    assert_eq!(hash(&folder), before);
    fs::rename(&file, folder.join("other")).expect("renamed");
    assert_ne!(hash(&folder), before, "names count");
}

#[cfg(unix)]
#[test]
fn a_folder_may_link_to_data_elsewhere_but_not_to_nothing() {
    let (place, file) = place_with_file("content");
    let folder = place.path.join("links");
    fs::create_dir(&folder).expect("made");
    std::os::unix::fs::symlink(&file, folder.join("file")).expect("linked");
    let linked = place.store.hash_path(&folder).expect("hashed");
    assert_eq!(
        linked,
        place
            .store
            .hash_path(&place.path.join("data"))
            .expect("hashed")
    );
    fs::remove_file(&file).expect("removed");
    let error = place.store.hash_path(&folder).expect_err("broken");
    assert!(
        error.message().contains("links/file` is a link to"),
        "{error}"
    );
}

#[test]
fn what_is_not_there_is_the_users_mistake() {
    let place = place();
    let error = place
        .store
        .hash_path(&place.path.join("none"))
        .expect_err("missing");
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    assert!(error.message().contains("none` does not exist"));
}

#[test]
fn a_file_that_did_not_change_is_not_read_again_by_another_process() {
    let (place, file) = place_with_file("content");
    // A digest that reading the file could not give shows where the answer comes from.
    let planted = Digest::of(b"planted");
    let stamp = Stamp::of(&fs::metadata(&file).expect("there"));
    place.store.stat.put(&file, stamp, planted);
    let other = reopened(&place.store);
    assert_eq!(other.hash_path(&file).expect("known"), planted);
    assert!(other.is_unchanged(&file, &planted));

    write(&file, "CONTENT");
    assert_eq!(
        other.hash_path(&file).expect("read"),
        Digest::of(b"CONTENT")
    );
    assert!(!other.is_unchanged(&file, &planted));
    fs::remove_file(&file).expect("removed");
    assert!(!other.is_unchanged(&file, &planted));
}

#[test]
fn two_writes_within_one_step_of_the_clock_are_told_apart() {
    let place = place();
    let file = place.path.join("file");
    for round in 0..300_u32 {
        let content = (round % 10).to_string();
        write(&file, &content);
        let digest = place.store.hash_path(&file).expect("hashed");
        assert_eq!(digest, Digest::of(content.as_bytes()), "round {round}");
    }
}

#[test]
fn a_file_hashed_too_young_is_hashed_once_more_when_saving_and_then_known() {
    let place = place();
    let file = place.path.join("file");
    // A machine that is busy may look only when the file is not young any more.
    let is_young = (0..100).any(|_| {
        write(&file, "content");
        place.store.hash_path(&file).expect("hashed");
        !lock(&place.store.racy).is_empty()
    });
    assert!(is_young);
    let stamp = Stamp::of(&fs::metadata(&file).expect("there"));
    assert_eq!(place.store.stat.get(&file, &stamp), None);
    wait_for_the_clock();
    let other = reopened(&place.store);
    assert_eq!(other.stat.get(&file, &stamp), Some(Digest::of(b"content")));
}

#[test]
fn an_entry_that_is_not_older_than_the_cache_file_is_not_trusted() {
    let (place, file) = place_with_file("content");
    let stamp = Stamp::of(&fs::metadata(&file).expect("there"));
    place.store.stat.put(&file, stamp, Digest::of(b"planted"));
    place.store.save().expect("saved");
    // As if the clock had been set back, or another machine's ran late.
    let same_time = SystemTime::UNIX_EPOCH
        + Duration::from_nanos(u64::try_from(stamp.modified).expect("after 1970"));
    fs::File::options()
        .write(true)
        .open(place.store.root().join("stat"))
        .and_then(|cache| cache.set_times(fs::FileTimes::new().set_modified(same_time)))
        .expect("set");
    let other = Store::open(place.store.root()).expect("opened");
    assert_eq!(
        other.hash_path(&file).expect("read"),
        Digest::of(b"content")
    );
}

#[test]
fn a_file_from_the_future_is_always_read() {
    let (place, file) = place_with_file("content");
    let future = crate::event::now() + Duration::from_hours(1);
    fs::File::options()
        .write(true)
        .open(&file)
        .and_then(|file| file.set_times(fs::FileTimes::new().set_modified(future)))
        .expect("set");
    wait_for_the_clock();
    place.store.hash_path(&file).expect("hashed");
    let stamp = Stamp::of(&fs::metadata(&file).expect("there"));
    assert_eq!(place.store.stat.get(&file, &stamp), None);
}

#[test]
fn nothing_is_written_when_nothing_is_new() {
    let (place, file) = place_with_file("content");
    place.store.hash_path(&file).expect("hashed");
    place.store.save().expect("saved");
    let cache = place.store.root().join("stat");
    let before = Stamp::of(&fs::metadata(&cache).expect("there"));
    for _ in 0..2 {
        place.store.hash_path(&file).expect("known");
        place.store.save().expect("saved");
        let other = Store::open(place.store.root()).expect("opened");
        other.hash_path(&file).expect("known");
        drop(other);
    }
    assert_eq!(Stamp::of(&fs::metadata(&cache).expect("there")), before);
}

#[test]
fn processes_add_to_the_cache_without_losing_each_others_entries() {
    let (place, file) = place_with_file("content");
    let other_file = place.path.join("data/other");
    write(&other_file, "other");
    wait_for_the_clock();
    let other = Store::open(place.store.root()).expect("opened");
    place.store.hash_path(&file).expect("hashed");
    other.hash_path(&other_file).expect("hashed");
    place.store.save().expect("saved");
    let third = reopened(&other);
    for path in [file, other_file] {
        let stamp = Stamp::of(&fs::metadata(&path).expect("there"));
        assert!(
            third.stat.get(&path, &stamp).is_some(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_spoilt_cache_file_is_no_cache() {
    let (place, file) = place_with_file("content");
    let stamp = Stamp::of(&fs::metadata(&file).expect("there"));
    place.store.stat.put(&file, stamp, Digest::of(b"planted"));
    place.store.save().expect("saved");
    let cache = place.store.root().join("stat");
    let whole = fs::read(&cache).expect("read");
    let mut flipped = whole.clone();
    flipped[50] ^= 1;
    for spoilt in [&b""[..], &whole[..40], &whole[..whole.len() - 1], &flipped] {
        fs::write(&cache, spoilt).expect("written");
        let other = Store::open(place.store.root()).expect("opened");
        assert_eq!(
            other.hash_path(&file).expect("read"),
            Digest::of(b"content")
        );
    }
}

#[test]
fn a_file_that_is_written_all_the_time_is_never_hashed_wrong() {
    let place = place();
    let file = place.path.join("file");
    let contents = ["a".repeat(3 << 20), "b".repeat(2 << 20)];
    let allowed = contents
        .clone()
        .map(|content| Digest::of(content.as_bytes()));
    write(&file, &contents[0]);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for content in &contents {
                    write_atomic(&file, content.as_bytes()).expect("written");
                }
            }
        });
        for _ in 0..20 {
            // Giving up is right too; a digest of a mixture is not.
            if let Ok(digest) = place.store.hash_path(&file) {
                assert!(allowed.contains(&digest));
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
