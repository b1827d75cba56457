//! Dropping what nobody needs.

use super::super::folder::Seen;
use super::super::scratch::Ages;
use super::*;

fn stage(store: &Store, name: &str, files: &[(&str, &str)]) -> Record {
    let published = publish(store, files);
    let record = Record {
        outputs: BTreeMap::from([("out".into(), published.digest)]),
        bytes: published.bytes,
        ..record(name)
    };
    store.put_record(&record).expect("written");
    record
}

fn is_there(store: &Store, record: &Record) -> bool {
    store.record(&record.key).expect("read").is_some() && store.is_whole(&record.outputs["out"])
}

#[test]
fn what_is_not_needed_goes_and_what_is_shared_stays() {
    let place = place();
    let store = &place.store;
    let needed = stage(store, "needed", &[("a", "shared"), ("b", "own")]);
    let other = stage(store, "other", &[("x", "shared"), ("y", "others")]);
    let unnamed = publish(store, &[("z", "kept by name")]);
    let keep = Keep {
        keys: [needed.key].into(),
        artifacts: [unnamed.digest].into(),
        ..Keep::default()
    };
    let expected = Collected {
        records: 1,
        artifacts: 1,
        objects: 1,
        bytes: 6,
        kept_bytes: 6 + 3 + 12,
        needed_bytes: 6 + 3 + 12,
        ..Collected::default()
    };
    let dry = Keep {
        dry_run: true,
        ..keep.clone()
    };
    assert_eq!(store.collect(&dry).expect("looked"), expected);
    assert!(is_there(store, &other), "a dry run drops nothing");

    assert_eq!(store.collect(&keep).expect("collected"), expected);
    assert!(is_there(store, &needed) && store.is_whole(&unnamed.digest));
    assert!(!is_there(store, &other));
    let again = store.collect(&keep).expect("collected");
    assert_eq!((again.records, again.artifacts, again.objects), (0, 0, 0));
}

#[test]
fn what_is_young_is_left_alone() {
    let place = place();
    let record = stage(&place.store, "one", &[("a", "content")]);
    let needed = stage(&place.store, "two", &[("a", "needed")]);
    publish(&place.store, &[("b", "of a publication in progress")]);
    let mut keep = Keep {
        keys: [needed.key].into(),
        grace: Duration::from_hours(1),
        ..Keep::default()
    };
    let expected = Collected {
        kept_bytes: 6 + 7 + 28,
        needed_bytes: 6,
        young_records: 1,
        young_bytes: 7 + 28,
        ..Collected::default()
    };
    let collected = place.store.collect(&keep).expect("collected");
    assert_eq!(collected, expected);
    assert!(is_there(&place.store, &record));
    // What is asked for is not spared. It fits, or else it is.
    keep.recent = Duration::from_hours(1);
    let asked_for = place.store.collect(&keep).expect("collected");
    assert_eq!((asked_for.young_records, asked_for.young_bytes), (0, 28));
    keep.max_bytes = Some(12);
    assert_eq!(place.store.collect(&keep).expect("collected"), expected);
}

/// Whatever clocks say: here a nanosecond counts as long enough ago.
#[cfg(unix)]
#[test]
fn what_was_written_since_a_run_under_way_began_is_left_alone() {
    let place = place();
    let before = stage(&place.store, "before", &[("a", "before")]);
    std::thread::sleep(Duration::from_millis(30));
    let other = Store::open(place.store.root()).expect("opened");
    other.run_is_under_way();
    other.run_is_under_way();
    std::thread::sleep(Duration::from_millis(30));
    let made = stage(&other, "made", &[("a", "made")]);
    let unfinished = publish(&other, &[("b", "of a publication in progress")]);
    write(&place.store.checkpoint(&made.key), "so far");
    std::thread::sleep(Duration::from_millis(30));
    let keep = Keep {
        grace: Duration::from_nanos(1),
        ..Keep::default()
    };
    let interrupted = || {
        place
            .store
            .collect_interrupted(&keep, 0)
            .expect("collected")
    };
    let collected = place.store.collect(&keep).expect("collected");
    assert_eq!((collected.records, collected.young_records), (1, 1));
    assert!(!is_there(&place.store, &before) && is_there(&place.store, &made));
    assert!(place.store.is_whole(&unfinished.digest));
    assert_eq!((interrupted().bytes, interrupted().young_bytes), (0, 6));

    // It has ended, or was killed.
    drop(other);
    let collected = place.store.collect(&keep).expect("collected");
    assert_eq!((collected.records, collected.artifacts), (1, 2));
    assert!(!is_there(&place.store, &made));
    assert_eq!(interrupted().bytes, 6);
}

#[test]
fn ages_hold_whatever_becomes_of_the_clock() {
    let second = Duration::from_secs;
    let seen = |changed| Seen {
        is_folder: false,
        is_file: true,
        bytes: 0,
        changed: second(changed),
        age: Duration::ZERO,
    };
    let ages = |now, since: Option<u64>| Ages {
        now: second(now),
        since: since.map(second),
    };
    assert_eq!(ages(100, None).of(&seen(40)), second(60));
    assert_eq!(ages(100, None).of(&seen(140)), Duration::ZERO);
    assert_eq!(ages(100, Some(50)).of(&seen(40)), second(60));
    assert_eq!(ages(100, Some(50)).of(&seen(50)), Duration::ZERO);
    assert_eq!(
        ages(7300, Some(50)).of(&seen(60)),
        Duration::ZERO,
        "put forward"
    );
    assert_eq!(ages(40, Some(50)).of(&seen(10)), Duration::ZERO, "put back");
}

#[test]
fn an_object_that_is_published_again_is_young_again() {
    // A machine that is busy may look only when the object is not young any more.
    let is_told = (0..50).any(|_| {
        let place = place();
        publish(&place.store, &[("a", "content")]);
        std::thread::sleep(Duration::from_millis(300));
        publish(&place.store, &[("b", "content")]);
        let keep = Keep {
            grace: Duration::from_millis(200),
            ..Keep::default()
        };
        let object = place.store.object_path(&Digest::of(b"content"));
        let age = stamp::age(&fs::metadata(&object).expect("there"));
        let collected = place.store.collect(&keep).expect("collected");
        let is_young = age < Duration::from_millis(250);
        if is_young {
            assert_eq!((collected.artifacts, collected.objects), (1, 0));
        }
        is_young
    });
    assert!(is_told);
}

#[test]
fn records_are_kept_by_age_and_by_size() {
    let place = place();
    let store = &place.store;
    let first = stage(store, "first", &[("a", "1111111111")]);
    std::thread::sleep(Duration::from_millis(30));
    let second = stage(store, "second", &[("a", "2222222222")]);
    let ages: Vec<Digest> = store
        .records()
        .expect("listed")
        .into_iter()
        .map(|filed| filed.record.key)
        .collect();
    assert_eq!(ages, [second.key, first.key], "the youngest first");

    let mut keep = Keep {
        recent: Duration::from_hours(1),
        ..Keep::default()
    };
    assert_eq!(store.collect(&keep).expect("collected").records, 0);
    keep.max_bytes = Some(15);
    assert_eq!(store.collect(&keep).expect("collected").bytes, 10);
    assert!(is_there(store, &second) && !is_there(store, &first));
    // What a run used lately is younger than what was made after it; still there must be room for it.
    let first = stage(store, "first", &[("a", "1111111111")]);
    // The clock of a disk goes in steps; within one, both would be of the same age.
    std::thread::sleep(Duration::from_millis(30));
    keep.used = [(second.key, Duration::ZERO)].into();
    assert_eq!(store.collect(&keep).expect("collected").bytes, 10);
    assert!(is_there(store, &second) && !is_there(store, &first));
    keep.max_bytes = Some(5);
    assert_eq!(store.collect(&keep).expect("collected").kept_bytes, 0);
    stage(store, "first", &[("a", "1111111111")]);
    keep.recent = Duration::ZERO;
    assert_eq!(store.collect(&keep).expect("collected").kept_bytes, 0);
}

#[test]
fn interrupted_work_is_kept_by_age_and_by_size() {
    let place = place();
    let store = &place.store;
    let key = Digest::of(b"key").to_string();
    let interrupt = |folder: &str, bytes: usize| {
        let name = match folder {
            "downloads" => "0123456789abcdef-x.part",
            _ => &key,
        };
        let path = store.root().join(folder).join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        write(&path, "x".repeat(bytes));
    };
    let collect = |keep: &Keep| store.collect_interrupted(keep, 100).expect("collected");
    interrupt("downloads", 10);
    std::thread::sleep(Duration::from_millis(30));
    interrupt("checkpoints", 20);
    let mut keep = Keep {
        recent: Duration::from_hours(1),
        ..Keep::default()
    };
    assert_eq!((collect(&keep).bytes, collect(&keep).kept_bytes), (0, 30));
    keep.max_bytes = Some(125);
    assert_eq!((collect(&keep).bytes, collect(&keep).kept_bytes), (10, 20));
    keep.max_bytes = Some(110);
    keep.grace = Duration::from_hours(1);
    let spared = Interrupted {
        bytes: 0,
        kept_bytes: 20,
        young_bytes: 20,
    };
    assert_eq!(collect(&keep), spared);
    keep.grace = Duration::ZERO;
    assert_eq!(collect(&keep).bytes, 20);
}

#[test]
fn collecting_while_publishing_never_leaves_a_lie() {
    let place = place();
    let store = &place.store;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..50 {
                store.collect(&Keep::default()).expect("collected");
            }
        });
        scope.spawn(|| {
            for round in 0..50_u32 {
                let content = (round % 3).to_string();
                let scratch = store.scratch("test").expect("a scratch folder");
                write(&scratch.path().join("a"), &content);
                // What the collector takes away at the wrong moment is an error or found missing, never wrong content.
                let Ok(published) = store.publish(scratch.path()) else {
                    continue;
                };
                let out = place.path.join(format!("out{round}"));
                if store.materialise(&published.digest, &out).is_ok() {
                    assert_eq!(fs::read(out.join("a")).expect("read"), content.as_bytes());
                }
            }
        });
    });
}
