//! Downloads from the stand-in Hub.

use std::cell::Cell;
use std::io::Write;
use std::time::Instant;

use super::hub::{Fault, Hub};
use super::{Bench, bytes, says, words};
use crate::error::Kind;
use crate::sources::partial::Partial;
use crate::sources::{Sha256, Token};

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
    bench.environment.token = Some(secret("HF_TOKEN"));
    assert_eq!(bench.fetch("hf:org/private#a").expect("a file"), b"secret");
    assert_eq!(bench.fetch("hf:org/gated#a").expect("a file"), b"gated");
}

fn secret(from: &str) -> Token {
    Token {
        secret: "hf_secret".into(),
        from: from.into(),
    }
}

#[test]
fn a_refused_token_is_named_by_where_it_comes_from() {
    let hub = Hub::start();
    hub.put(ID, "config.json", "{}");
    let mut bench = Bench::at(&hub);
    let source = "hf:org/model#config.json";
    for from in ["HF_TOKEN", "/home/me/.cache/huggingface/token"] {
        bench.environment.token = Some(secret(from));
        let refuses = format!("refuses the token of `{from}`");
        hub.refuse_tokens(401, "Invalid credentials in Authorization header");
        says(
            &bench.refused(source),
            &[
                &refuses,
                "it answered 401 Unauthorized",
                "the Hub says: Invalid credentials",
                "/settings/tokens",
            ],
        );
        hub.refuse_tokens(403, "Access denied to this resource");
        says(
            &bench.refused(source),
            &[&refuses, "403", "what it may read"],
        );
        let error = bench.refused("hf:org/model#model.bin");
        assert!(!words(&error).contains("proxy"), "{}", words(&error));
        assert!(!words(&error).contains("hf_secret"));
    }
    // A page that a proxy puts in the way is not the Hub's word.
    bench.environment.token = Some(secret("HF_TOKEN"));
    let hub = Hub::start();
    hub.put(ID, "config.json", "{}").fail(Fault::WebPage(403));
    bench.environment.hub = hub.url().into();
    says(&bench.refused(source), &["a proxy may block it"]);
    // Nor is that of the host with the large files, which gets no token.
    hub.put(ID, "model.bin", bytes(5000))
        .fail(Fault::Status(403));
    says(
        &bench.refused("hf:org/model#model.bin"),
        &["the server refuses", "403"],
    );
    bench.environment.token = None;
    hub.fail(Fault::Status(401));
    says(
        &bench.refused(source),
        &["wants to know who asks", "set HF_TOKEN"],
    );
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    let hub = Hub::start();
    hub.put(ID, "model.bin", bytes(2000))
        .put_file("plain", "plain");
    let mut bench = Bench::at(&hub);
    bench.environment.token = Some(secret("HF_TOKEN"));
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
        "npm:a@1.0.0#b",
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
    let missing = |source, path: &str| {
        let place = bench.path("hub/models--org--model").join(path);
        let there = format!("there is no `{}`", place.display());
        let cache = format!(
            "`{}` has no result of this stage",
            bench.folder.path().display()
        );
        says(
            &bench.refused(source),
            &[
                "offline, and `",
                source,
                "is not in the cache",
                &there,
                &cache,
            ],
        );
    };
    missing("hf:org/model#other.json", "snapshots/abc/other.json");
    missing("hf:org/model@v2#config.json", "refs/v2");
    let error = bench
        .fetch_pinned(source, Some(&Sha256::of(b"new")))
        .expect_err("other bytes");
    says(&error, &["config.json` has another digest than is pinned"]);
    says(
        &bench.refused("hf:org/else#config.json"),
        &["there is no `", "models--org--else`"],
    );
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
