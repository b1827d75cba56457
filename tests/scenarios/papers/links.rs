//! The links of the papers lead somewhere, and every page of the book can be reached.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Page, page, pages};

/// The papers at the root of the repository that link to others.
const PAPERS: [&str; 5] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/src/SUMMARY.md",
];

/// Where the links of a text lead, but for those of code.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        // What stands between backticks is code as well.
        let plain: String = line.split('`').step_by(2).collect();
        if !is_code {
            let targets = plain.split("](").skip(1);
            let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
            found.extend(targets);
        }
    }
    found
}

/// What a heading is called in a link: as GitHub and mdBook do it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let letters = heading.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        letter if letter.is_alphanumeric() || "-_".contains(letter) => Some(letter),
        _ => None,
    });
    letters.collect()
}

fn anchors(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        if !is_code && line.starts_with('#') {
            found.push(anchor(line));
        }
    }
    found
}

/// Why a link of a page leads nowhere, if it does.
fn wrong(from: &Page, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    let mut path = PathBuf::from(&from.path);
    if !file.is_empty() {
        path.pop();
        for part in file.split('/') {
            match part {
                ".." => _ = path.pop(),
                part => path.push(part),
            }
        }
    }
    let is_in_book = |path: &Path| path.starts_with("docs/src");
    if is_in_book(Path::new(&from.path)) && !is_in_book(&path) {
        return Some("it leads out of the book".into());
    }
    if !root.join(&path).exists() {
        return Some(format!("there is no `{}`", path.display()));
    }
    let target = (!place.is_empty()).then(|| page(&path.to_string_lossy()))?;
    let known = anchors(&target.text);
    (!known.iter().any(|anchor| anchor == place)).then(|| format!("there is only {known:?}"))
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for page in pages().into_iter().chain(PAPERS.map(page)) {
        for link in links(&page.text) {
            seen += 1;
            let why = wrong(&page, &link);
            assert_eq!(why, None, "`{link}` in {}", page.path);
        }
    }
    assert!(seen >= 100, "{seen} links");
    let start = page("docs/src/introduction.md");
    assert!(wrong(&start, "nowhere.md").is_some());
    assert!(wrong(&start, "reference/pipeline.md#nowhere").is_some());
    assert!(wrong(&start, "../../README.md").is_some());
}

#[test]
fn every_page_is_in_the_summary() {
    let listed: BTreeSet<String> = pages().into_iter().map(|page| page.path).collect();
    let mut folders = vec!["docs/src".to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder);
        for entry in std::fs::read_dir(entries).expect("readable").flatten() {
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(path);
            } else if entry
                .path()
                .extension()
                .is_some_and(|ending| ending == "md")
                && path != "docs/src/SUMMARY.md"
            {
                assert!(listed.contains(&path), "{path} is not in SUMMARY.md");
            }
        }
    }
}
