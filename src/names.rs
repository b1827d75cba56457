//! Names and paths that somebody else has written, and how they become paths of this machine: only after they were checked,
//! and never out of the folder that they belong in.
//!
//! A *name* (of a stage, a port, an output, a part, a profile, a key of a matrix) is made of ASCII letters, digits, `_` and
//! `-`. A *path* (of a file in an artifact, an archive, a command's folder) has `/` between its parts, and none of them
//! leads anywhere else than down.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Error, Result, contained};

/// Whether `text` is a name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.bytes().all(letter)
}

/// Refuses what cannot be the name of `what`, such as `a stage`.
///
/// # Errors
/// A usage error that says what a name is made of.
pub fn check(text: &str, what: &str) -> Result<()> {
    if is_name(text) {
        return Ok(());
    }
    Err(
        Error::usage(format!("`{text}` cannot be the name of {what}"))
            .help("use ASCII letters, digits, `_` and `-`"),
    )
}

/// What the name of a file or folder begins and ends with that refire is writing, wherever it will lie; between stand six letters
/// and digits.
pub const TEMPORARY: (&str, &str) = (".refire-", ".tmp");

/// Whether `name` is that of something that refire is writing, or was when it was killed.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    let rest = name.strip_prefix(TEMPORARY.0);
    let drawn = rest.and_then(|rest| rest.strip_suffix(TEMPORARY.1));
    drawn.is_some_and(|drawn| {
        drawn.len() == 6 && drawn.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// How a page of `refire report` begins: what tells it from other files.
pub const PAGE_MARK: &str = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"generator\" content=\"refire";

/// Whether what is called `name` is never part of what a folder of the user's holds: version control, and refire's own state.
#[must_use]
pub fn is_passed_over(name: &str) -> bool {
    matches!(name, ".git" | ".refire") || is_temporary(name)
}

/// What keeps `path` from being the path of a file below some folder, on any system; none if nothing does.
#[must_use]
pub fn flaw(path: &str) -> Option<&'static str> {
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some("is not a plain relative path");
    }
    if path.contains(['\\', '\0']) {
        return Some("holds a backslash, which Windows takes for a separator");
    }
    // On Windows `C:x` is in another folder.
    let mut parts = Path::new(path).components();
    (!parts.all(|part| matches!(part, Component::Normal(_))))
        .then_some("is not a plain relative path")
}

/// The file or folder `path` below `folder`. Whatever comes from outside and becomes a path goes through here.
///
/// # Errors
/// A path with a [`flaw`].
pub fn join(folder: &Path, path: &str) -> Result<PathBuf> {
    match flaw(path) {
        Some(flaw) => Err(Error::stage(format!("the path `{path}` {flaw}"))),
        None => Ok(folder.join(path)),
    }
}

/// `text` as a string or a key of a TOML file, in double quotes: whatever could end it, hide in it or be obeyed is escaped.
#[must_use]
pub fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        let is_hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || matches!(c, '\u{feff}' | '\u{61c}');
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_hidden => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The most bytes of a glob, as of a path.
const LONGEST_GLOB: usize = 4096;

/// The most braces within each other in a glob.
const DEEPEST_GLOB: usize = 20;

/// What matches as the glob in `builder`, whose text is `pattern`, says.
///
/// # Errors
/// What is wrong with it, as the cause of an error: broken syntax, or more than can be matched.
pub fn glob(pattern: &str, builder: &GlobBuilder<'_>) -> Result<GlobMatcher, String> {
    if pattern.len() > LONGEST_GLOB {
        return Err(format!("it has more than {LONGEST_GLOB} bytes"));
    }
    let mut depth = 0_usize;
    for letter in pattern.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST_GLOB {
            return Err(format!(
                "more than {DEEPEST_GLOB} braces are within each other"
            ));
        }
    }
    let glob = builder.build().map_err(|error| error.to_string())?;
    // It panics where the glob is more than a regular expression may be.
    contained(|| glob.compile_matcher()).map_err(|_| "it stands for too much".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_plain_and_paths_go_down() {
        for name in ["a", "train_2", "x-y", "0"] {
            check(name, "a stage").expect(name);
        }
        for name in [
            "", ".", "..", "a.b", "a/b", "/etc", "a b", "ä", "a\0", "a\n",
        ] {
            let error = check(name, "an output").expect_err(name);
            let expected = format!("`{name}` cannot be the name of an output");
            assert_eq!(error.message(), expected);
        }
        for path in ["a", "a.b/c", "lr=1e-3,x=a%2Fb", "...", "a:b", "ä/ö"] {
            assert_eq!(flaw(path), None, "{path}");
        }
        for path in [
            "", "/", "/a", ".", "..", "../a", "a/..", "a/../b", "a//b", "a/", "./a", "a\\b", "a\0b",
        ] {
            assert!(flaw(path).is_some(), "{path}");
            assert!(join(Path::new("/home"), path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_glob_is_read_or_refused() {
        let read = |pattern: &str| glob(pattern, &GlobBuilder::new(pattern));
        assert!(read("a/{b,c}/*.txt").is_ok_and(|glob| glob.is_match("a/c/d.txt")));
        for pattern in [
            "[".into(),
            "{a,".repeat(100) + &"}".repeat(100),
            "{".repeat(4000),
            "{".repeat(1_000_000),
            "{a,b}".repeat(1_000_000),
            "**/".repeat(1_000_000),
        ] {
            assert!(
                read(&pattern).is_err(),
                "{}",
                &pattern[..20.min(pattern.len())]
            );
        }
    }

    #[test]
    fn what_is_refires_own_is_passed_over() {
        for name in [".git", ".refire", ".refire-a1B2c3.tmp"] {
            assert!(is_passed_over(name), "{name}");
        }
        for name in [
            ".gitignore",
            ".refired",
            ".refire-notes.md",
            ".refire-a1",
            "refire",
        ] {
            assert!(!is_passed_over(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_comes_back(text in ".{0,20}|[\"\\\\'\u{0}-\u{1f}\u{7f}-\u{9f}$\u{2028}{}=#]{0,12}") {
            let line = format!("{} = {}\n", quoted(&text), quoted(&text));
            let table: toml::Table = line.parse().expect("TOML");
            prop_assert_eq!(table[&text].as_str(), Some(text.as_str()));
        }

        #[test]
        fn nothing_that_is_joined_leaves_its_folder(path in "[a.:/\\\\\0~ ]{0,12}") {
            let folder = Path::new("/some/where");
            if let Ok(joined) = join(folder, &path) {
                let below = joined.strip_prefix(folder).expect("below");
                prop_assert!(below.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert!(below.components().next().is_some());
            }
        }
    }
}
