//! What pipeline files say.

use std::path::Path;
use std::sync::Arc;

use super::says;
use crate::error::{Error, Kind, Source as File, Span};
use crate::sources::{check_file_name, forms, parse};

fn refused(text: &str) -> Error {
    let error = parse(text, None).expect_err(text);
    assert_eq!(error.kind(), Kind::Usage);
    error
}

#[test]
fn every_scheme_reads_what_its_help_shows() {
    for form in forms() {
        let form = form.replace("version", "1.0.0");
        let source = parse(&form, None).expect(&form);
        assert_eq!(source.local_path(), None, "{form}");
        assert_eq!(source.to_string(), form);
    }
    assert!(forms().count() >= 6);
}

#[test]
fn paths_are_relative_to_the_file_they_are_written_in() {
    let file = Arc::new(File::new("pipelines/a.toml", "source = \"../data/a.csv\""));
    let span = Span::new(&file, 9..24);
    let source = parse("../data/a.csv", Some(&span)).expect("a path");
    assert_eq!(
        source.local_path(),
        Some(Path::new("pipelines/../data/a.csv"))
    );
    let inside = parse("models/mini", Some(&span))
        .expect("a path")
        .join("1_Pooling/config.json");
    assert_eq!(
        inside.local_path(),
        Some(Path::new("pipelines/models/mini/1_Pooling/config.json"))
    );
    let archived = parse("data.zip#a/b.csv", Some(&span)).expect("a path");
    assert_eq!(archived.local_path(), Some(Path::new("pipelines/data.zip")));
    assert!(source.is_path() && !archived.is_path());
    let hash = parse("a#b.csv", None).expect("a path");
    assert_eq!(hash.local_path(), Some(Path::new("a#b.csv")));
    let error = parse("pip:x", Some(&span)).expect_err("no version");
    assert_eq!(error.labels()[0].span, span);
}

#[test]
fn unknown_schemes_get_a_proposal() {
    says(
        &refused("ht:org/name"),
        &["unknown source scheme `ht:`", "did you mean `hf`?"],
    );
    says(
        &refused("ftp://a/b"),
        &[
            "unknown source scheme `ftp:`",
            "pip:name==version#",
            "`./ftp://a/b`",
        ],
    );
    says(&refused(" "), &["the source is empty"]);
    assert!(parse("C:/data/a.csv", None).is_ok(), "a drive");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (text, words) in [
        (
            "hf:",
            &[
                "is not the name of a repository",
                "hf:org/name@revision#file",
            ][..],
        ),
        ("hf:a/b/c", &["is not the name of a repository"]),
        ("hf:org/na me", &["is not the name of a repository"]),
        ("hf:org/name@", &["is not a revision"]),
        ("hf:org/name@../../x", &["is not a revision"]),
        ("hf:org/name#../a", &["leads out"]),
        ("https:example.org", &["is not a web address"]),
        ("http://example.org/a", &["without encryption", "https:"]),
        (
            "https://me:secret@example.org/a",
            &["does not belong in an address"],
        ),
        (
            "https://example.org/a.csv#b",
            &["names a file inside an archive", ".zip"],
        ),
        ("https://example.org/a.zip#/b", &["is an absolute path"]),
        (
            "pip:name",
            &["has no version", "pip:name==version#path/in/the/wheel"],
        ),
        ("pip:--index-url==1", &["is not the name of a package"]),
        ("pip:name==1.*", &["is not an exact version"]),
        ("pip:name==1#../a", &["leads out"]),
        ("npm:@scope/name", &["not"]),
        ("npm:name", &["has no version"]),
        ("npm:name@latest version", &["is not an exact version"]),
        ("npm:name@latest", &["`latest` is not an exact version"]),
        ("npm:name@1", &["`1` is not an exact version"]),
        ("npm:name@1.x", &["is not an exact version"]),
        ("npm:name@1.2", &["is not an exact version"]),
        ("npm:name@^1.2.3", &["is not an exact version"]),
        ("npm:name@1.2.3-", &["is not an exact version"]),
        ("pip:name==latest", &["`latest` is not an exact version"]),
        ("a.zip#../b", &["leads out"]),
    ] {
        says(&refused(text), words);
    }
    let secret = refused("https://me:secret@example.org/a");
    assert!(!super::words(&secret).contains("secret"));
}

#[test]
fn repositories_and_packages_are_not_files() {
    for whole in [
        "hf:org/name",
        "hf:datasets/org/name@v1",
        "pip:a==1",
        "npm:@a/b@1.0.0",
        "npm:a@1.2.3-rc.1+build.5",
        "pip:a==1!2.0.post1",
        "https://example.org/",
    ] {
        let source = parse(whole, None).expect(whole);
        assert_eq!(source.check_file().expect_err(whole).kind(), Kind::Usage);
        source.join("a.csv").check_file().expect(whole);
    }
    parse("https://example.org/a.csv", None)
        .and_then(|source| source.check_file())
        .expect("a file");
}

#[test]
fn names_of_files_stay_in_their_folder() {
    for fine in ["config.json", "1_Pooling/config.json", "..a", "ü.txt"] {
        check_file_name(fine).expect(fine);
    }
    for wrong in [
        "", "/a", "..", "../a", "a/../b", "a//b", "./a", "a/", "a\\b", "C:a", "a\nb",
    ] {
        let error = check_file_name(wrong).expect_err(wrong);
        assert_eq!(error.kind(), Kind::Usage, "{wrong}");
    }
    says(
        &check_file_name("./a/b").expect_err("not plain"),
        &["write `a/b`"],
    );
}
