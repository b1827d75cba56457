//! Downloads that go on where they broke off, from servers that say what they like.

use super::hub::{Fault, Hub};
use super::{Bench, bytes, says};
use crate::sources::Sha256;
use crate::sources::partial::{Partial, Version};

const ID: &str = "org/model";

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let hub = Hub::start();
    hub.put(ID, "model.bin", bytes(5000))
        .fail(Fault::Cut(1200))
        .fail(Fault::Cut(300));
    let bench = Bench::at(&hub);
    assert_eq!(
        bench.fetch("hf:org/model#model.bin").expect("a file"),
        bytes(5000)
    );
    let asked: Vec<_> = hub
        .requests()
        .into_iter()
        .filter(|request| request.to_content_host)
        .collect();
    let ranges: Vec<_> = asked
        .iter()
        .map(|request| request.header("range"))
        .collect();
    assert_eq!(ranges, [None, Some("bytes=1200-"), Some("bytes=1500-")]);
    assert!(asked[1].header("if-range").is_some());
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_gave_up() {
    let hub = Hub::start();
    hub.put_file("big", bytes(9000));
    for _ in 0..5 {
        hub.fail(Fault::Cut(1000));
    }
    let bench = Bench::at(&hub);
    let url = hub.file_url("big");
    says(
        &bench.refused(&url),
        &[
            "broke off: got 5000 of 9000 bytes",
            "tried 5 times",
            "run again",
        ],
    );
    assert_eq!(bench.leftovers(), 2);
    assert_eq!(bench.fetch(&url).expect("a file"), bytes(9000));
    assert_eq!(
        hub.requests().last().expect("a request").header("range"),
        Some("bytes=5000-")
    );
    assert_eq!(bench.leftovers(), 0);
}

#[test]
fn a_file_of_unknown_length_must_have_its_end() {
    let hub = Hub::start();
    hub.put_file("a", bytes(3000))
        .fail(Fault::UnmarkedCut)
        .fail(Fault::Unmarked);
    let bench = Bench::at(&hub);
    assert_eq!(
        bench.fetch(&hub.file_url("a")).expect("a file"),
        bytes(3000)
    );
    assert_eq!(hub.requests().len(), 2);
    assert_eq!(
        hub.requests()[1].header("range"),
        None,
        "nothing tells whether the rest would fit"
    );
}

#[test]
fn a_server_that_ignores_the_range_or_has_a_new_file_starts_anew() {
    let hub = Hub::start();
    hub.put_file("a", bytes(3000))
        .fail(Fault::Cut(1000))
        .fail(Fault::IgnoreRange);
    let bench = Bench::at(&hub);
    assert_eq!(
        bench.fetch(&hub.file_url("a")).expect("a file"),
        bytes(3000)
    );

    hub.put_file("b", bytes(3000));
    (0..5).for_each(|_| _ = hub.fail(Fault::Cut(100)));
    bench.refused(&hub.file_url("b"));
    let new: Vec<u8> = bytes(4000).into_iter().rev().collect();
    hub.put_file("b", new.clone());
    assert_eq!(bench.fetch(&hub.file_url("b")).expect("a file"), new);
}

#[test]
fn the_rest_of_another_file_is_not_believed() {
    let new: Vec<u8> = bytes(3000).into_iter().rev().collect();
    let pin = Sha256::of(&new);
    for headers in [
        &[][..],
        &[("ETag", "")],
        &[("ETag", "W/\"weak\"")],
        &[("Content-Range", "bytes 999-2999/3000")],
        &[("Content-Range", "bytes 1000-2999/4000")],
        &[("Content-Range", "")],
    ] {
        for pinned in [None, Some(&pin)] {
            let hub = Hub::start();
            hub.put_file("a", bytes(3000));
            (0..5).for_each(|_| _ = hub.fail(Fault::Cut(200)));
            let bench = Bench::at(&hub);
            let url = hub.file_url("a");
            bench.refused(&url);
            let before = hub.requests().len();
            // The server sends the rest of another file, whatever version it is asked for.
            hub.put_file("a", new.clone()).fail(Fault::AnyPart(headers));
            match pinned {
                None => assert_eq!(bench.fetch(&url).expect("a file"), new, "{headers:?}"),
                Some(_) => _ = bench.fetch_pinned(&url, pinned).expect("the new file"),
            }
            let requests = hub.requests().split_off(before);
            let asked: Vec<_> = requests.iter().map(|it| it.header("range")).collect();
            assert_eq!(asked, [Some("bytes=1000-"), None], "{headers:?}");
        }
    }
}

#[test]
fn a_part_that_names_the_same_version_is_taken() {
    const LATER: &str = "Tue, 03 Nov 2026 10:00:00 GMT";
    for (headers, ranges) in [
        (&[][..], &[None, Some("bytes=1000-")][..]),
        (
            &[("Content-Range", "bytes 1000-2999/*")],
            &[None, Some("bytes=1000-")],
        ),
        (&[("Last-Modified", "")], &[None, Some("bytes=1000-")]),
        (
            &[("Last-Modified", LATER)],
            &[None, Some("bytes=1000-"), None],
        ),
    ] {
        let hub = Hub::start();
        hub.put_file("a", bytes(3000))
            .fail(Fault::Cut(1000))
            .fail(Fault::AnyPart(headers));
        let bench = Bench::at(&hub);
        let got = bench.fetch(&hub.file_url("a")).expect("a file");
        assert_eq!(got, bytes(3000));
        let requests = hub.requests();
        let asked: Vec<_> = requests.iter().map(|it| it.header("range")).collect();
        assert_eq!(asked, ranges, "{headers:?}");
    }
}

#[test]
fn a_complete_copy_that_the_server_mistakes_for_the_file_is_fetched_again() {
    let hub = Hub::start();
    hub.put_file("a", bytes(3000)).fail(Fault::NeverModified);
    let bench = Bench::at(&hub);
    let url = hub.file_url("a");
    let mut partial = Partial::open(&bench.path("downloads"), &url).expect("a download");
    let version = Version {
        url: url.clone(),
        etag: Some("\"old\"".into()),
        modified: None,
        total: Some(3000),
    };
    partial.start(version).expect("a start");
    partial.add(&[0; 3000]).expect("room");
    drop(partial);
    assert_eq!(bench.fetch(&url).expect("a file"), bytes(3000));
}

#[test]
fn complete_bytes_of_a_killed_run_are_checked_and_not_fetched_again() {
    let hub = Hub::start();
    hub.put_file("a", bytes(3000));
    let bench = Bench::at(&hub);
    let url = hub.file_url("a");
    // The kill: all bytes are written, and nothing has been moved.
    let mut partial = Partial::open(&bench.path("downloads"), &url).expect("a download");
    let etag = format!("\"{}\"", &super::hub::sha256(&bytes(3000))[..40]);
    let version = Version {
        url: url.clone(),
        etag: Some(etag),
        modified: None,
        total: Some(3000),
    };
    partial.start(version).expect("a start");
    partial.add(&bytes(3000)).expect("room");
    drop(partial);
    assert_eq!(bench.fetch(&url).expect("a file"), bytes(3000));
    assert!(hub.requests()[0].header("if-none-match").is_some());
    assert_eq!(bench.leftovers(), 0);
}

#[test]
fn pieces_that_do_not_fit_together_are_fetched_again_when_the_bytes_are_pinned() {
    let hub = Hub::start();
    hub.put_file("a", bytes(3000));
    let bench = Bench::at(&hub);
    let url = hub.file_url("a");
    let mut partial = Partial::open(&bench.path("downloads"), &url).expect("a download");
    let version = Version {
        url: url.clone(),
        etag: None,
        modified: None,
        total: Some(3000),
    };
    partial.start(version).expect("a start");
    partial.add(&[0; 1000]).expect("room");
    drop(partial);
    let pin = Sha256::of(&bytes(3000));
    bench
        .fetch_pinned(&url, Some(&pin))
        .expect("the right bytes in the end");
    let ranges: Vec<_> = hub
        .requests()
        .iter()
        .map(|request| request.headers.contains_key("range"))
        .collect();
    assert_eq!(ranges, [true, false]);
}

/// A download that broke off after 1000 of 3000 bytes: where its bytes are, and its address.
fn broken_off(hub: &Hub, bench: &Bench) -> (std::path::PathBuf, String) {
    hub.put_file("a", bytes(3000));
    (0..5).for_each(|_| _ = hub.fail(Fault::Cut(200)));
    let url = hub.file_url("a");
    bench.refused(&url);
    let left = std::fs::read_dir(bench.path("downloads")).expect("a folder");
    let mut left = left.map(|entry| entry.expect("an entry").path());
    let bytes = left.find(|path| path.extension().is_some_and(|ending| ending == "part"));
    (bytes.expect("it is kept"), url)
}

/// The ranges that were asked for.
fn ranges(hub: &Hub) -> Vec<Option<String>> {
    let range = |it: &super::hub::Request| it.header("range").map(str::to_string);
    hub.requests().iter().map(range).collect()
}

#[test]
fn a_byte_that_changed_while_a_download_waited_is_found() {
    let damages: [fn(&mut Vec<u8>); 2] = [|left| left[500] ^= 1, |left| left.truncate(700)];
    for damage in damages {
        let hub = Hub::start();
        let bench = Bench::at(&hub);
        let (part, url) = broken_off(&hub, &bench);
        let mut left = std::fs::read(&part).expect("its bytes");
        assert_eq!(left, bytes(1000));
        damage(&mut left);
        overwrite(&part, &left);
        let before = hub.requests().len();
        assert_eq!(bench.fetch(&url).expect("a file"), bytes(3000));
        assert_eq!(ranges(&hub).split_off(before), [None]);
        let told = bench.notices.borrow().join("\n");
        assert!(told.contains("is damaged: it begins anew"), "{told}");
    }
}

#[test]
fn what_came_after_the_last_note_is_received_again() {
    let hub = Hub::start();
    let bench = Bench::at(&hub);
    let (part, url) = broken_off(&hub, &bench);
    // A power cut: the file is longer than what was noted, and what is there is not what came.
    let mut left = std::fs::read(&part).expect("its bytes");
    left.extend([0; 300]);
    overwrite(&part, &left);
    let before = hub.requests().len();
    assert_eq!(bench.fetch(&url).expect("a file"), bytes(3000));
    assert_eq!(ranges(&hub).split_off(before), [Some("bytes=1000-".into())]);
    assert!(bench.notices.borrow().is_empty());
}

#[test]
fn a_download_that_nothing_vouches_for_begins_anew() {
    let hub = Hub::start();
    let bench = Bench::at(&hub);
    let (part, url) = broken_off(&hub, &bench);
    let note = part.with_extension("part.json");
    let json = std::fs::read(&note).expect("a note");
    let mut before: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    // As an earlier version wrote it.
    before.as_object_mut().expect("a map").remove("received");
    overwrite(&note, before.to_string().as_bytes());
    let asked = hub.requests().len();
    assert_eq!(bench.fetch(&url).expect("a file"), bytes(3000));
    assert_eq!(ranges(&hub).split_off(asked), [None]);
}

#[test]
fn a_long_download_is_noted_on_the_way() {
    let bench = Bench::new();
    let folder = bench.path("downloads");
    let url = "http://localhost/a";
    let mut partial = Partial::open(&folder, url).expect("a download");
    let piece = vec![7; 1 << 20];
    (0..9).for_each(|_| partial.add(&piece).expect("room"));
    // The kill: nothing is written down any more.
    std::mem::forget(partial);
    let again = Partial::open(&folder, url).expect("a download");
    // The lock of the one that was forgotten is still held, so this one has its own bytes; what counts is the note.
    assert_eq!(again.len(), 0);
    let notes = std::fs::read_dir(&folder).expect("a folder");
    let notes: Vec<String> = notes
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(".part.json"))
        .map(|path| std::fs::read_to_string(path).expect("a note"))
        .collect();
    let expected = format!("\"bytes\":{}", 8 << 20);
    assert!(
        notes.iter().any(|note| note.contains(&expected)),
        "{notes:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_planted_link_is_not_written_through() {
    let hub = Hub::start();
    let bench = Bench::at(&hub);
    let (part, url) = broken_off(&hub, &bench);
    let mine = bench.path("mine");
    overwrite(&mine, b"years of work");
    for link in [part.clone(), part.with_extension("part.json")] {
        std::fs::remove_file(&link).expect("removed");
        std::os::unix::fs::symlink(&mine, &link).expect("linked");
    }
    assert_eq!(bench.fetch(&url).expect("a file"), bytes(3000));
    assert_eq!(std::fs::read(&mine).expect("there"), b"years of work");
}

#[expect(clippy::disallowed_methods, reason = "damage is not done atomically")]
fn overwrite(path: &std::path::Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("written");
}
