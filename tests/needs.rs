//! What some tests need beyond this repository and what builds it. They are ignored unless `--include-ignored` asks for
//! them; asked for, they fail where what they need is missing, unless `tests/may-lack` says that a machine may lack it.

#![allow(dead_code, reason = "each of its users needs a part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};

/// Data that is not ours to pass on, in the folder that `REFIRE_TEST_DATA` names, else beside the repository.
const SHARED_DATA: &str = "shared data";

/// What `need` gives, if it is there. None if it is missing and a machine may lack it, which is said on the terminal:
/// the test is left out then.
///
/// # Panics
/// If it is missing, and no machine may lack it.
#[track_caller]
pub(crate) fn met<T>(need: &str, found: Result<T, String>) -> Option<T> {
    let why = match found {
        Ok(found) => return Some(found),
        Err(why) => why,
    };
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/may-lack");
    let list = std::fs::read_to_string(list).expect("tests/may-lack is in the repository");
    let mut allowed = list.lines().filter_map(|line| line.split("  ").next());
    assert!(
        allowed.any(|name| name == need),
        "{need} is missing: {why}; a machine may lack only what `tests/may-lack` lists"
    );
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    // Past the test runner, which hides what tests print that do not fail.
    writeln!(
        std::io::stderr(),
        "left out: {test}: {need} is missing: {why}"
    )
    .expect("the terminal is there");
    None
}

/// A file or folder of the shared data.
#[track_caller]
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("REFIRE_TEST_DATA").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = data.unwrap_or_else(beside).join(name);
    let found = if path.exists() {
        Ok(path)
    } else {
        Err(format!("there is no `{}`", path.display()))
    };
    met(SHARED_DATA, found)
}
