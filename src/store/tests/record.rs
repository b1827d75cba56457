//! Records and memos.

use super::*;

#[test]
fn records_come_back_as_they_were_and_broken_ones_are_dropped() {
    let place = place();
    let key = Digest::of(b"key");
    assert_eq!(place.store.record(&key).expect("read"), None);
    let record = Record {
        key,
        kind: "finetune".into(),
        explanation: [("learning_rate", "0.001")].into_iter().collect(),
        outputs: BTreeMap::from([("model".into(), Digest::of(b"model"))]),
        metrics: BTreeMap::from([
            ("accuracy".into(), 0.1 + 0.2),
            ("loss".into(), f64::NEG_INFINITY),
        ]),
        seconds: 1.5,
        finished_at: "2026-01-02T03:04:05.678Z".parse().expect("a time"),
        bytes: 12,
    };
    place.store.put_record(&record).expect("written");
    assert_eq!(
        place.store.record(&key).expect("read"),
        Some(Box::new(record.clone()))
    );

    let path = place.store.record_path(&key);
    let json = fs::read(&path).expect("read");
    let elsewhere = place.store.record_path(&Digest::of(b"other"));
    write(&elsewhere, &json);
    assert_eq!(
        place.store.record(&Digest::of(b"other")).expect("read"),
        None
    );
    fs::write(&path, &json[..json.len() / 2]).expect("written");
    assert_eq!(place.store.record(&key).expect("read"), None);
    assert!(!path.exists() && !elsewhere.exists());
    assert_eq!(place.store.take_notices().len(), 2);
}

/// A record with something of everything, filed.
fn filed(place: &Place) -> Record {
    let published = publish(&place.store, &[("a", "content")]);
    let record = Record {
        explanation: [("setting learning_rate", "0.001")].into_iter().collect(),
        outputs: BTreeMap::from([
            ("test".into(), Digest::of(b"test")),
            ("train".into(), published.digest),
        ]),
        metrics: BTreeMap::from([("accuracy".into(), 0.875)]),
        ..record("key")
    };
    place.store.put_record(&record).expect("written");
    record
}

#[test]
fn no_flipped_bit_of_a_record_goes_unseen() {
    let place = place();
    let record = filed(&place);
    let path = place.store.record_path(&record.key);
    let json = fs::read(&path).expect("there");
    let mut seen = 0;
    for at in 0..json.len() {
        for bit in 0..8 {
            let mut flipped = json.clone();
            flipped[at] ^= 1 << bit;
            write(&path, &flipped);
            let read = place.store.record(&record.key).expect("readable");
            assert_eq!(read, None, "bit {bit} of byte {at}");
            seen += 1;
        }
    }
    assert!(seen > 2000, "{seen}");
    for length in 0..json.len() {
        write(&path, &json[..length]);
        assert_eq!(place.store.record(&record.key).expect("readable"), None);
    }
    write(&path, &json);
    let read = place.store.record(&record.key).expect("readable");
    assert_eq!(read.as_deref(), Some(&record));
}

#[test]
fn what_is_exchanged_in_a_record_or_between_records_goes_not_unseen() {
    let place = place();
    let record = filed(&place);
    let path = place.store.record_path(&record.key);
    let json = fs::read_to_string(&path).expect("there");
    let exchanged = json
        .replace("\"test\":", "\"?\":")
        .replace("\"train\":", "\"test\":")
        .replace("\"?\":", "\"train\":");
    for changed in [exchanged, json.replace("0.875", "0.975")] {
        assert_ne!(changed, json);
        write(&path, changed);
        assert_eq!(place.store.record(&record.key).expect("readable"), None);
        assert!(!path.exists());
    }
    let other = super::record("other");
    write(&place.store.record_path(&other.key), json);
    assert_eq!(place.store.record(&other.key).expect("readable"), None);
}

#[test]
fn a_record_of_another_version_is_no_record_and_is_left_alone() {
    let place = place();
    let record = filed(&place);
    let path = place.store.record_path(&record.key);
    let json = fs::read_to_string(&path).expect("there");
    let behind = json.find("\"record\"").expect("there");
    for version in [0, 1, 3] {
        let other = format!("{{\"version\":{version},{}", &json[behind..]);
        write(&path, &other);
        assert_eq!(place.store.record(&record.key).expect("readable"), None);
        assert_eq!(fs::read_to_string(&path).expect("there"), other);
    }
    assert_eq!(place.store.take_notices(), [] as [String; 0]);
    // In its place comes what is made anew; a collection takes what nobody reads any more.
    let collected = place.store.collect(&Keep::default()).expect("collected");
    assert_eq!(collected.records, 1);
}

#[test]
fn a_metric_that_is_not_a_number_survives() {
    let place = place();
    let record = Record {
        metrics: BTreeMap::from([("mcc".into(), f64::NAN)]),
        ..record("key")
    };
    place.store.put_record(&record).expect("written");
    let read = place
        .store
        .record(&record.key)
        .expect("read")
        .expect("known");
    assert!(read.metrics["mcc"].is_nan());
}

#[test]
fn a_memo_is_made_once_and_made_again_when_it_is_damaged() {
    let place = place();
    let scratch = |name: &str| {
        let path = place.path.join(name);
        fs::create_dir_all(&path).expect("made");
        path
    };
    let made = std::cell::Cell::new(0);
    let run = |name: &str, field: &str| {
        memo(
            &place.store,
            &scratch(name),
            "tokens",
            &[("of", field.into())],
            |out| {
                made.set(made.get() + 1);
                write(&out.join("tokens"), format!("tokens of {field}"));
                Ok(())
            },
        )
        .expect("made or found")
    };
    let first = run("one", "x");
    assert_eq!(
        fs::read(first.join("tokens")).expect("read"),
        b"tokens of x"
    );
    assert_eq!(run("one", "x"), first);
    let second = run("two", "x");
    assert_eq!(made.get(), 1);
    assert_eq!(tree(&first), tree(&second));
    run("two", "y");
    assert_eq!(made.get(), 2);

    fs::remove_file(place.store.object_path(&Digest::of(b"tokens of x"))).expect("removed");
    assert_eq!(tree(&run("three", "x")), tree(&first));
    assert_eq!(made.get(), 3);
    assert!(place.store.take_notices()[0].contains("is missing"));
}

#[test]
fn a_memo_that_fails_leaves_nothing() {
    let place = place();
    let error = memo(&place.store, &place.path, "n", &[], |out| {
        write(&out.join("half"), "half");
        Err(crate::error::Error::stage("no"))
    })
    .expect_err("failed");
    assert_eq!(error.message(), "no");
    assert_eq!(count(&place.path.join("cache/tmp")), 0);
    assert_eq!(count(&place.path.join("cache/records")), 0);
}

#[test]
fn a_record_spares_opening_the_manifest_of_a_small_artifact() {
    let place = place();
    let small = publish(&place.store, &[("a", "content")]);
    let files: Vec<String> = (0..20).map(|index| index.to_string()).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|name| (&name[..], &name[..])).collect();
    let large = publish(&place.store, &files);
    let record = Record {
        outputs: BTreeMap::from([
            ("small".into(), small.digest),
            ("large".into(), large.digest),
        ]),
        ..record("described")
    };
    place.store.put_record(&record).expect("written");
    fs::remove_dir_all(place.store.root().join("artifacts")).expect("removed");

    let other = Store::open(place.store.root()).expect("opened");
    assert!(!other.is_whole(&small.digest), "nothing tells what it is");
    other.record(&record.key).expect("read").expect("known");
    assert!(other.is_whole(&small.digest));
    assert!(!other.is_whole(&large.digest));
    flip(&other.object_path(&Digest::of(b"content")));
    assert!(!other.is_whole(&small.digest), "its objects are looked at");
    // Publishing it again brings back the manifest itself.
    assert_eq!(publish(&other, &[("a", "content")]), small);
    let third = Store::open(place.store.root()).expect("opened");
    assert!(third.is_whole(&small.digest));
}
