//! Downloads from the stand-in Hub.

use std::cell::Cell;
use std::io::Write;
use std::time::Instant;

use super::hub::{Fault, Hub};
use super::{Bench, bytes, says};
use crate::error::Kind;
use crate::sources::Sha256;
use crate::sources::partial::{Partial, Version};

const ID: &str = "org/model";

#[test]
fn files_come_from_the_web_and_from_the_hub_large_ones_by_a_redirect() {
    let hub = Hub::start();
    hub.put(ID, "config.json", "{}")
        .put(ID, "sub/model.bin", bytes(5000));
    hub.put("datasets/org/data", "a b.csv", "x,y\n")
        .put_file("plain", "plain");
    let bench = Bench::at(&hub);
    assert_eq!(
        bench.fetch("hf:org/model#config.json").expect("a file"),
        b"{}"
    );
    assert_eq!(
        bench
            .fetch("hf:org/model@v1.0#sub/model.bin")
            .expect("a file"),
        bytes(5000)
    );
    assert_eq!(
        bench.fetch("hf:datasets/org/data#a b.csv").expect("a file"),
        b"x,y
"
    );
    assert_eq!(
        bench.fetch(&hub.file_url("plain")).expect("a file"),
        b"plain"
    );
    let (activity, done, total) = bench.progress.borrow().last().cloned().expect("progress");
    assert_eq!((activity.as_str(), done, total), ("download plain", 5, 5));
    assert_eq!(bench.leftovers(), 0);
}

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

#[test]
fn wrong_bytes_are_refused_and_leave_nothing() {
    let hub = Hub::start();
    hub.put_file("a", bytes(3000))
        .put(ID, "model.bin", bytes(2000));
    let bench = Bench::at(&hub);
    let pin = Sha256::of(b"something else");
    let error = bench
        .fetch_pinned(&hub.file_url("a"), Some(&pin))
        .expect_err("other bytes");
    let got = Sha256::of(&bytes(3000));
    says(
        &error,
        &[
            "is not the file that the pipeline pins",
            &format!("expected {pin}"),
            &format!("got      {got}"),
        ],
    );
    assert_eq!(error.kind(), Kind::Stage);

    // The Hub announces the digest of large files, so nothing need be downloaded.
    let error = bench
        .fetch_pinned("hf:org/model#model.bin", Some(&pin))
        .expect_err("other bytes");
    says(
        &error,
        &["is not the file that the pipeline pins", "offered  sha256:"],
    );
    hub.fail(Fault::Corrupt);
    says(
        &bench.refused("hf:org/model#model.bin"),
        &["arrived with other bytes than announced"],
    );
    assert_eq!(bench.leftovers(), 0);
}

#[test]
fn what_is_not_the_file_is_never_stored() {
    let hub = Hub::start();
    hub.put_file("data.csv", "x\n");
    let url = hub.file_url("data.csv");
    for (fault, words) in [
        (
            Fault::WebPage(403),
            &[
                "the server refuses",
                "403 Forbidden",
                "a proxy may block it",
            ][..],
        ),
        (Fault::WebPage(200), &["a web page instead of the file"]),
        (
            Fault::WebPage(404),
            &["does not exist", "404 Not Found", "check the address"],
        ),
        (Fault::Status(407), &["407", "HTTPS_PROXY"]),
    ] {
        let bench = Bench::at(&hub);
        hub.fail(fault);
        says(&bench.refused(&url), words);
        assert_eq!(bench.leftovers(), 0);
    }
    let missing = hub.file_url("missing");
    says(
        &Bench::at(&hub).refused(&missing),
        &[&missing, "does not exist"],
    );
}

#[test]
fn passing_failures_are_tried_again_and_lasting_ones_given_up() {
    let hub = Hub::start();
    hub.put_file("a", "fine")
        .fail(Fault::Status(503))
        .fail(Fault::Status(429))
        .fail(Fault::Unmarked);
    let bench = Bench::at(&hub);
    assert_eq!(bench.fetch(&hub.file_url("a")).expect("a file"), b"fine");
    (0..5).for_each(|_| _ = hub.fail(Fault::Status(500)));
    says(
        &bench.refused(&hub.file_url("a")),
        &["cannot give", "500", "tried 5 times"],
    );
    assert_eq!(hub.requests().len(), 8);
}

#[test]
fn a_silent_server_is_given_up() {
    let hub = Hub::start();
    hub.put_file("a", "fine").fail(Fault::Silence);
    let mut bench = Bench::at(&hub);
    bench.environment.patience = std::time::Duration::from_millis(200);
    let start = Instant::now();
    assert_eq!(
        bench.fetch(&hub.file_url("a")).expect("the second try"),
        b"fine"
    );
    assert!(start.elapsed().as_secs() < 3);
}

#[test]
fn a_host_that_nobody_answers_at_is_tried_twice_and_then_left() {
    let mut bench = Bench::new();
    bench.environment.pause = std::time::Duration::from_secs(1);
    let transfer = bench.transfer();
    let source = super::source_of("hf:org/model#config.json");
    let mut took = Vec::new();
    for _ in 0..2 {
        let start = Instant::now();
        let error = source
            .fetch(&transfer, &bench.path("out"), None)
            .expect_err("nobody");
        took.push(start.elapsed().as_millis());
        says(
            &error,
            &[
                "cannot reach `127.0.0.1:9`",
                "refused",
                "tried 2 times",
                "check the network",
            ],
        );
    }
    assert!(took[0] >= 1000 && took[1] < 1000, "{took:?}");
}

#[test]
fn the_hub_says_what_is_wrong() {
    let hub = Hub::start();
    hub.put(ID, "config.json", "{}")
        .gate("org/gated")
        .hide("org/private");
    hub.put("org/private", "a", "secret")
        .put("org/gated", "a", "gated");
    let mut bench = Bench::at(&hub);
    says(
        &bench.refused("hf:org/nothing#a"),
        &["there is no `org/nothing`", "HF_TOKEN"],
    );
    says(
        &bench.refused("hf:org/private#a"),
        &["there is no `org/private`"],
    );
    says(
        &bench.refused("hf:org/gated#a"),
        &[
            "`org/gated` is gated",
            "accept its terms at",
            "the Hub says: Access",
        ],
    );
    says(
        &bench.refused("hf:org/model@v2#config.json"),
        &["has no revision `v2`"],
    );
    says(
        &bench.refused("hf:org/model#config.jsn"),
        &["has no file `config.jsn`", "did you mean `config.json`?"],
    );
    bench.environment.token = Some("hf_secret".into());
    assert_eq!(bench.fetch("hf:org/private#a").expect("a file"), b"secret");
    assert_eq!(bench.fetch("hf:org/gated#a").expect("a file"), b"gated");
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    let hub = Hub::start();
    hub.put(ID, "model.bin", bytes(2000))
        .put_file("plain", "plain");
    let mut bench = Bench::at(&hub);
    bench.environment.token = Some("hf_secret".into());
    bench.fetch("hf:org/model#model.bin").expect("a file");
    bench.fetch(&hub.file_url("plain")).expect("a file");
    let with_token =
        |request: &super::hub::Request| request.header("authorization") == Some("Bearer hf_secret");
    let requests = hub.requests();
    assert_eq!(requests.len(), 3);
    assert!(with_token(&requests[0]) && requests[0].path.contains("/resolve/"));
    assert!(!with_token(&requests[1]) && requests[1].to_content_host);
    assert!(!with_token(&requests[2]) && requests[2].path == "/files/plain");
}

#[test]
fn redirects_are_followed_but_neither_in_cycles_nor_into_the_open() {
    let hub = Hub::start();
    hub.put_file("a", "here")
        .redirect("relative", "a")
        .redirect("cycle", "/files/cycle");
    hub.redirect("open", "http://example.org/a")
        .redirect("scheme", "file:///etc/hostname");
    let bench = Bench::at(&hub);
    assert_eq!(
        bench.fetch(&hub.file_url("relative")).expect("a file"),
        b"here"
    );
    says(
        &bench.refused(&hub.file_url("cycle")),
        &["redirects in a cycle"],
    );
    says(
        &bench.refused(&hub.file_url("open")),
        &["would be fetched without encryption"],
    );
    says(
        &bench.refused(&hub.file_url("scheme")),
        &["is not a web address"],
    );
}

#[test]
fn offline_nothing_is_asked_for() {
    let hub = Hub::start();
    hub.put(ID, "config.json", "{}").put_file("a", "a");
    let mut bench = Bench::at(&hub);
    bench.environment.hub_offline = true;
    says(
        &bench.refused("hf:org/model#config.json"),
        &[
            "offline, and `hf:org/model#config.json` is not in the cache",
            "HF_HUB_OFFLINE",
        ],
    );
    assert_eq!(bench.fetch(&hub.file_url("a")).expect("a file"), b"a");
    bench.offline = true;
    for source in [
        "hf:org/model#config.json",
        &hub.file_url("a"),
        "pip:a==1#b",
        "npm:a@1#b",
    ] {
        says(
            &bench.refused(source),
            &["offline, and `", source, "is not in the cache"],
        );
    }
    assert_eq!(hub.requests().len(), 1);
}

#[test]
fn what_the_official_client_has_downloaded_is_used() {
    let hub = Hub::start();
    hub.put(ID, "config.json", "new");
    let mut bench = Bench::at(&hub);
    let cache = bench.path("hub");
    let snapshot = cache.join("models--org--model/snapshots/abc");
    for (path, text) in [
        (cache.join("models--org--model/refs/main"), "abc"),
        (snapshot.join("config.json"), "old"),
    ] {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("room");
        let file = std::fs::File::create(path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("room");
    }
    bench.environment.hub_cache = Some(cache);
    let source = "hf:org/model#config.json";
    assert_eq!(
        bench.fetch(source).expect("a file"),
        b"new",
        "the branch may have moved"
    );
    assert_eq!(hub.requests().len(), 1);
    bench
        .fetch_pinned(source, Some(&Sha256::of(b"old")))
        .expect("what is pinned");
    bench
        .fetch_pinned(source, Some(&Sha256::of(b"new")))
        .expect("what is pinned");
    assert_eq!(hub.requests().len(), 2);
    bench.offline = true;
    assert_eq!(
        bench.fetch(source).expect("a file"),
        b"old",
        "there is no other way"
    );
    assert_eq!(
        bench.fetch("hf:org/model@abc#config.json").expect("a file"),
        b"old"
    );
    bench.refused("hf:org/model#other.json");
}

#[test]
fn a_cancelled_download_stops_at_once_and_can_be_resumed() {
    let hub = Hub::start();
    hub.put_file("a", bytes(3000))
        .fail(Fault::Cut(1000))
        .fail(Fault::Silence);
    let bench = Bench {
        patience: Cell::new(20),
        ..Bench::at(&hub)
    };
    let start = Instant::now();
    let error = bench.refused(&hub.file_url("a"));
    assert_eq!(error.kind(), Kind::Interrupted);
    assert!(start.elapsed().as_secs() < 4);
    assert_eq!(bench.leftovers(), 2);
    bench.patience.set(u64::MAX);
    assert_eq!(
        bench.fetch(&hub.file_url("a")).expect("a file"),
        bytes(3000)
    );
}

#[test]
fn two_processes_that_fetch_the_same_do_not_meet() {
    let hub = Hub::start();
    hub.put_file("a", bytes(3000));
    let bench = Bench::at(&hub);
    let url = hub.file_url("a");
    // File locks belong to open files, so this one is as good as another process's.
    let other = Partial::open(&bench.path("downloads"), &url).expect("a download");
    assert_eq!(bench.fetch(&url).expect("a file"), bytes(3000));
    drop(other);
    assert_eq!(bench.leftovers(), 2, "those of the other");
}
