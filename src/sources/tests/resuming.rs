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
