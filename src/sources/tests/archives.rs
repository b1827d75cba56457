//! Archives, good and evil.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::SimpleFileOptions;

use super::hub::Hub;
use super::{Bench, bytes, read, says};
use crate::error::Error;
use crate::sources::Sha256;

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in entries {
        if name.ends_with('/') {
            zip.add_directory(*name, SimpleFileOptions::default())
                .expect("a folder");
        } else {
            zip.start_file(*name, SimpleFileOptions::default())
                .expect("a file");
            zip.write_all(content).expect("room");
        }
    }
    zip.finish().expect("a zip").into_inner()
}

/// A tar with names exactly as they are given, which tar's own builder would refuse.
fn tar_of(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/hostname").expect("a short name");
        }
        header.set_cksum();
        tar.append(&header, *content).expect("room");
    }
    tar.into_inner().expect("a tar")
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(content).expect("room");
    gzip.finish().expect("a gzip")
}

const FILE: tar::EntryType = tar::EntryType::Regular;

/// Puts an archive on a bench.
fn bench(name: &str, archive: &[u8]) -> Bench {
    let bench = Bench::new();
    std::fs::File::create(bench.path(name))
        .and_then(|mut file| file.write_all(archive))
        .expect("room");
    bench
}

fn fetch(bench: &Bench, source: &str) -> Result<Vec<u8>, Error> {
    bench.fetch(&bench.path(source).to_string_lossy())
}

fn unpack(bench: &Bench, source: &str) -> Result<(), Error> {
    let folder = bench.path("unpacked");
    std::fs::create_dir(&folder).expect("a folder");
    let source = super::source_of(&bench.path(source).to_string_lossy());
    source
        .fetch_folder(&bench.transfer(), &folder, None)
        .map(drop)
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut found: Vec<_> = ignore::Walk::new(folder)
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            entry
                .path()
                .strip_prefix(folder)
                .expect("below")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    found.sort();
    found
}

#[test]
fn one_file_or_all_come_out_of_every_format() {
    let zip = zip_of(&[
        ("a/", b""),
        ("a/x.csv", b"x"),
        ("a/b/y.csv", &bytes(70_000)),
    ]);
    let tar = tar_of(&[
        ("./", tar::EntryType::Directory, b""),
        ("./a/x.csv", FILE, b"x"),
        ("a/b/y.csv", FILE, &bytes(70_000)),
    ]);
    for (name, archive) in [
        ("d.zip", &zip),
        ("d.WHL", &zip),
        ("d.tar", &tar),
        ("d.tgz", &gzip(&tar)),
        ("d.tar.gz", &gzip(&tar)),
    ] {
        let bench = bench(name, archive);
        assert_eq!(
            fetch(&bench, &format!("{name}#a/b/y.csv")).expect(name),
            bytes(70_000)
        );
        unpack(&bench, &format!("{name}#a")).expect(name);
        assert_eq!(
            files_below(&bench.path("unpacked")),
            ["b/y.csv", "x.csv"],
            "{name}"
        );
        assert_eq!(read(&bench.path("unpacked/b/y.csv")), bytes(70_000));
    }
}

#[test]
fn an_archive_from_the_web_is_downloaded_once() {
    let hub = Hub::start();
    hub.put_file("d.zip", zip_of(&[("m/a", b"a"), ("m/b", b"b")]));
    let bench = Bench::at(&hub);
    let source = super::source_of(&format!("{}#m", hub.file_url("d.zip")));
    let transfer = bench.transfer();
    for name in ["a", "b"] {
        source
            .join(name)
            .fetch(&transfer, &bench.path(name), None)
            .expect(name);
        assert_eq!(read(&bench.path(name)), name.as_bytes());
    }
    assert_eq!(hub.requests().len(), 1);
}

#[test]
fn an_archive_as_a_whole_is_pinned_by_its_own_digest() {
    let archive = zip_of(&[("m/a", b"a")]);
    let bench = bench("d.zip", &archive);
    let source = super::source_of(&bench.path("d.zip").to_string_lossy());
    let folder = bench.path("unpacked");
    std::fs::create_dir(&folder).expect("a folder");
    let wrong = Sha256::of(b"a");
    let error = source.fetch_folder(&bench.transfer(), &folder, Some(&wrong));
    says(
        &error.expect_err("another archive"),
        &["is not the file that the pipeline pins"],
    );
    assert!(files_below(&folder).is_empty());
    let right = Sha256::of(&archive);
    let fetched = source
        .fetch_folder(&bench.transfer(), &folder, Some(&right))
        .expect("all files");
    assert_eq!(fetched.sha256, right);
    assert_eq!(files_below(&folder), ["m/a"]);
    let whole = super::source_of("hf:org/name").fetch_folder(&bench.transfer(), &folder, None);
    says(
        &whole.expect_err("no archive"),
        &["cannot be fetched as a whole"],
    );
}

#[test]
fn a_missing_file_gets_a_proposal() {
    let bench = bench(
        "d.zip",
        &zip_of(&[("model/config.json", b"{}"), ("model/vocab.txt", b"")]),
    );
    says(
        &fetch(&bench, "d.zip#model/confg.json").expect_err("misspelt"),
        &[
            "there is no `model/confg.json` in `d.zip`",
            "did you mean `model/config.json`?",
        ],
    );
    says(
        &fetch(&bench, "d.zip#config.json").expect_err("no folder"),
        &["did you mean `model/config.json`?"],
    );
    says(
        &fetch(&bench, "d.zip#weights").expect_err("nothing like it"),
        &["it holds `model/config.json`, `model/vocab.txt`"],
    );
    says(
        &unpack(&bench, "d.zip#nowhere").expect_err("no folder"),
        &["there is no `nowhere/`"],
    );
}

#[test]
fn evil_archives_are_refused_as_a_whole() {
    let (link, hard) = (tar::EntryType::Symlink, tar::EntryType::Link);
    let mut linked = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    linked
        .add_symlink("l", "/etc/hostname", SimpleFileOptions::default())
        .expect("a link");
    linked
        .start_file("good", SimpleFileOptions::default())
        .expect("a file");
    let linked = linked.finish().expect("a zip").into_inner();
    for (name, archive, words) in [
        (
            "d.zip",
            zip_of(&[("good", b"x"), ("../evil", b"x")]),
            "`../evil` leads out of its folder",
        ),
        (
            "d.zip",
            zip_of(&[("good", b"x"), ("a/../../evil", b"x")]),
            "leads out of its folder",
        ),
        (
            "d.zip",
            zip_of(&[("good", b"x"), ("/evil", b"x")]),
            "`/evil` is an absolute path",
        ),
        (
            "d.zip",
            zip_of(&[("good", b"x"), ("..\\evil", b"x")]),
            "has a backslash",
        ),
        (
            "d.zip",
            zip_of(&[("good", b"x"), ("C:evil", b"x")]),
            "is an absolute path",
        ),
        ("d.zip", linked, "`l` is a link"),
        (
            "d.tar",
            tar_of(&[("good", FILE, b"x"), ("../evil", FILE, b"x")]),
            "`../evil` leads out of its folder",
        ),
        (
            "d.tar",
            tar_of(&[("good", FILE, b"x"), ("/evil", FILE, b"x")]),
            "is an absolute path",
        ),
        (
            "d.tar",
            tar_of(&[("good", FILE, b"x"), ("l", link, b"")]),
            "`l` is a link",
        ),
        (
            "d.tar",
            tar_of(&[("good", FILE, b"x"), ("h", hard, b"")]),
            "`h` is a link",
        ),
        (
            "d.tar",
            tar_of(&[("good", FILE, b"x"), ("p", tar::EntryType::Fifo, b"")]),
            "neither file nor folder",
        ),
        (
            "d.tar",
            tar_of(&[("good", FILE, b"x"), ("./good", FILE, b"y")]),
            "two files called `good`",
        ),
    ] {
        let bench = bench(name, &archive);
        says(
            &fetch(&bench, &format!("{name}#good")).expect_err(words),
            &["not a safe archive", words],
        );
        assert!(unpack(&bench, name).is_err());
        assert!(!bench.path("evil").exists() && files_below(&bench.path("unpacked")).len() < 2);
    }
}

#[test]
fn two_entries_of_one_name_in_a_zip_are_refused() {
    let mut archive = zip_of(&[("data-1", b"good"), ("data-2", b"evil")]);
    let positions: Vec<_> = archive
        .windows(6)
        .enumerate()
        .filter(|(_, part)| *part == b"data-2")
        .map(|(at, _)| at)
        .collect();
    for at in positions {
        archive[at + 5] = b'1';
    }
    let bench = bench("d.zip", &archive);
    says(
        &fetch(&bench, "d.zip#data-1").expect_err("ambiguous"),
        &["two files of one name"],
    );
}

#[test]
fn an_archive_that_grows_without_end_is_refused() {
    let nothing = vec![0; 1 << 20];
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("bomb", SimpleFileOptions::default())
        .expect("a file");
    (0..80).for_each(|_| zip.write_all(&nothing).expect("room"));
    let zip = zip.finish().expect("a zip").into_inner();
    says(
        &fetch(&bench("d.zip", &zip), "d.zip#bomb").expect_err("a bomb"),
        &["far more than its own size", "unpack it yourself"],
    );

    let big = vec![0; 80 << 20];
    let tar = gzip(&tar_of(&[("bomb", FILE, &big), ("good", FILE, b"x")]));
    let bench = bench("d.tgz", &tar);
    assert!(fetch(&bench, "d.tgz#bomb").is_err());
    says(
        &fetch(&bench, "d.tgz#good").expect_err("a bomb in front of it"),
        &["far more than its own size"],
    );
}

#[test]
fn damaged_archives_are_named() {
    let zip = zip_of(&[("a", &bytes(5000))]);
    let tar = tar_of(&[("a", FILE, &bytes(5000)), ("b", FILE, b"b")]);
    let packed = gzip(&tar);
    let mut flipped = zip.clone();
    flipped[60] ^= 1;
    for (name, archive) in [
        ("d.zip", &zip[..zip.len() - 30]),
        ("d.zip", &flipped),
        ("d.zip", b"not a zip"),
        ("d.tar", &tar[..3000]),
        ("d.tgz", &packed[..packed.len() / 2]),
        ("d.tgz", b"<html>"),
    ] {
        says(
            &fetch(&bench(name, archive), &format!("{name}#a")).expect_err("damaged"),
            &["cannot unpack"],
        );
    }
}
