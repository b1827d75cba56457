//! The rules of the house: who may import whom, how long a file may be, what stands at its top.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::Project;

/// Module → the modules that it may import. Everyone may import `error`, `event`, `names`, `processes`, `random` and `threads`; who is
/// not here imports no other.
/// ARCHITECTURE.md says why.
pub(crate) const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    (
        "cli",
        &[
            "init",
            "findings",
            "run",
            "measure",
            "show",
            "predict",
            "page",
            "report",
            "journal",
            "exec",
            "plan",
            "stages",
            "fingerprint",
            "config",
        ],
    ),
    ("init", &["tasks", "models", "data"]),
    (
        "findings",
        &[
            "run",
            "page",
            "report",
            "journal",
            "exec",
            "plan",
            "stages",
            "lock",
            "fingerprint",
            "store",
            "data",
            "config",
        ],
    ),
    (
        "run",
        &[
            "watch",
            "report",
            "journal",
            "tracking",
            "exec",
            "plan",
            "stages",
            "lock",
            "fingerprint",
            "store",
            "models",
            "config",
        ],
    ),
    ("measure", &["predict", "stages", "store", "config"]),
    ("page", &["report"]),
    ("report", &["show", "journal"]),
    ("show", &["models", "store", "data"]),
    ("lock", &["store", "fingerprint", "config"]),
    ("tracking", &["store", "config"]),
    (
        "exec",
        &["plan", "stages", "fingerprint", "store", "config"],
    ),
    ("plan", &["stages", "fingerprint", "config"]),
    (
        "stages",
        &[
            "predict",
            "tasks",
            "inputs",
            "train",
            "models",
            "data",
            "sources",
            "store",
            "fingerprint",
            "config",
        ],
    ),
    ("predict", &["tasks", "inputs", "train", "models", "data"]),
    ("tasks", &["train", "models", "data", "config"]),
    ("inputs", &["train", "models", "data"]),
    ("train", &["models"]),
    ("models", &["data"]),
];

/// A file of more lines than this does too much.
const LONGEST_FILE: usize = 600;

/// The library's own files, each with its text.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("readable");
                files.insert(
                    path.strip_prefix(env!("CARGO_MANIFEST_DIR"))
                        .expect("inside")
                        .into(),
                    text,
                );
            }
        }
    }
    files
}

/// The module directly under `src` that a file belongs to.
fn module(path: &Path) -> String {
    let first = path.iter().nth(1).expect("it is in src");
    first.to_string_lossy().trim_end_matches(".rs").to_string()
}

/// The modules that a text names after `crate::` or `refire::`, one by one or in braces.
fn imports(text: &str) -> BTreeSet<&str> {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let lines = text.split_inclusive('\n').filter(is_code);
    let starts = lines.flat_map(|line| {
        let start = line.as_ptr().addr() - text.as_ptr().addr();
        let after = |root: &'static str| {
            let found = line.match_indices(root);
            found.map(move |(place, _)| start + place + root.len())
        };
        after("crate::")
            .chain(after("refire::"))
            .collect::<Vec<_>>()
    });
    let names = starts.flat_map(|start| match text[start..].strip_prefix('{') {
        Some(group) => members(group),
        None => vec![&text[start..]],
    });
    names
        .map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default()
        })
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

/// What stands in braces, up to the one that closes them: `a::b, c::{d, e}` are `a::b` and `c::{d, e}`.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (place, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(group[start..place].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(group[start..place].trim());
                start = place + 1;
            }
            _ => {}
        }
    }
    members
}

#[test]
fn imports_in_braces_are_seen() {
    let text = "use crate::data::Table;\nuse crate::{\n    models::{self, Card},\n    train,\n};\n// crate::cli\nrefire::run::go();";
    let found: Vec<&str> = imports(text).into_iter().collect();
    assert_eq!(found, ["data", "models", "run", "train"]);
}

/// A test may use anything.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text)
}

/// The files that are only built for tests: those declared by `#[cfg(test)] mod NAME;`, and what lies below them.
fn test_modules(files: &BTreeMap<PathBuf, String>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (path, text) in files {
        let folder = match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("mod" | "lib" | "main") | None => path.with_file_name(""),
            Some(_) => path.with_extension(""),
        };
        for declared in text.split("#[cfg(test)]\nmod ").skip(1) {
            if let Some((name, _)) = declared
                .split_once([';', ' '])
                .filter(|(name, _)| !name.contains('{'))
            {
                found.push(folder.join(name));
            }
        }
    }
    found
}

fn is_test(path: &Path, test_modules: &[PathBuf]) -> bool {
    let named_so = path
        .iter()
        .any(|part| part == "tests" || part == "tests.rs");
    let declared_so =
        |module: &PathBuf| path.with_extension("") == *module || path.starts_with(module);
    named_so || test_modules.iter().any(declared_so)
}

/// The library's own files without those that are only built for tests, and without the tests in them.
fn code() -> BTreeMap<PathBuf, String> {
    let files = sources();
    let test_modules = test_modules(&files);
    files
        .into_iter()
        .filter(|(path, _)| !is_test(path, &test_modules))
        .map(|(path, text)| (path, without_tests(&text).to_string()))
        .collect()
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for (path, text) in code() {
        let module = module(&path);
        let row = MAY_IMPORT.iter().find(|(name, _)| *name == module);
        let allowed = row.map_or(&[][..], |(_, allowed)| allowed);
        for import in imports(&text) {
            let common = ["error", "event", "names", "processes", "random", "threads"]
                .contains(&import)
                || import == module;
            if !common && !allowed.contains(&import) {
                wrong.push(format!("{} imports `{import}`", path.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "not in the table of imports:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_table_of_imports_has_no_cycle_and_no_ghost() {
    let modules: BTreeSet<String> = sources().keys().map(|path| module(path)).collect();
    for (index, (name, allowed)) in MAY_IMPORT.iter().enumerate() {
        assert!(modules.contains(*name), "there is no module `{name}`");
        for other in *allowed {
            assert!(modules.contains(*other), "there is no module `{other}`");
            let above = MAY_IMPORT[..=index]
                .iter()
                .any(|(earlier, _)| earlier == other);
            assert!(
                !above,
                "`{name}` may import `{other}`, which stands above it"
            );
        }
    }
}

#[test]
fn every_allowed_import_is_used() {
    let files = code();
    for (name, allowed) in MAY_IMPORT {
        let texts = files.iter().filter(|(path, _)| module(path) == *name);
        let used: BTreeSet<&str> = texts.flat_map(|(_, text)| imports(text)).collect();
        for other in *allowed {
            assert!(
                used.contains(other),
                "`{name}` does not import `{other}`: take it out of the table"
            );
        }
    }
}

#[test]
fn every_file_says_what_it_owns_and_is_short() {
    for (path, text) in sources() {
        assert!(
            text.starts_with("//! "),
            "{} does not begin with `//! `",
            path.display()
        );
        let lines = without_tests(&text).lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{} has {lines} lines; split it",
            path.display()
        );
    }
}

/// The lines of code that hold `word`, outside of comments and strings.
fn lines_with<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let holds = |line: &&str| {
        let code = line.split("//").next().unwrap_or_default();
        let mut outside = code.split('"').step_by(2);
        outside.any(|code| {
            let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.any(|known| known == word)
        })
    };
    text.lines().filter(holds).collect()
}

#[test]
fn a_model_is_one_file_and_two_lines() {
    let files = code();
    let folder = Path::new("src/models/backbones");
    let list = folder.join("mod.rs");
    let rows = files[&list].split("\nbackbones! {\n").nth(1);
    let rows = rows.and_then(|rows| rows.split('}').next());
    let rows = rows.expect("the list of backbones").lines();
    let mut listed = Vec::new();
    for row in rows {
        let row = row.trim().trim_end_matches(';');
        let (network, named) = row.split_once(" in ").expect("TYPE in FILE");
        let mut named = named.split(", ");
        let file = named.next().expect("a file");
        let own = folder.join(file).with_extension("rs");
        // Where another library has the same network, a file holds that row alone.
        let others: Vec<PathBuf> = named
            .map(|other| folder.join(other).with_extension("rs"))
            .collect();
        let is_elsewhere = |path: &PathBuf| *path != own && !others.contains(path);
        for (path, text) in files.iter().filter(|(path, _)| is_elsewhere(path)) {
            let allowed = usize::from(*path == list);
            let found = lines_with(text, network);
            assert!(found.len() == allowed, "{}: {found:?}", path.display());
        }
        let lines = lines_with(&files[&list], file);
        assert_eq!(lines.len(), 2, "a `mod` and a line of the list: {lines:?}");
        listed.push(own);
        listed.extend(others);
    }
    let with_rows = files.iter().filter(|(path, text)| {
        path.starts_with("src/models") && text.contains("const ARCHITECTURE: Architecture")
    });
    let with_rows: BTreeSet<&PathBuf> = with_rows.map(|(path, _)| path).collect();
    assert_eq!(with_rows, listed.iter().collect());
}

#[test]
fn only_report_and_the_worker_s_protocol_write_to_the_terminal() {
    for (path, text) in code() {
        let speaks = ["src/report", "src/exec/serve.rs"]
            .iter()
            .any(|allowed| path.starts_with(allowed));
        for word in ["println!", "eprintln!", "print!(", "stdout()", "stderr()"] {
            let found = text.contains(word);
            assert!(speaks || !found, "{} uses `{word}`", path.display());
        }
    }
}

#[test]
fn no_file_is_a_drawer_for_everything() {
    for path in sources().keys() {
        let name = path.file_stem().expect("it has a name").to_string_lossy();
        let drawer =
            ["util", "utils", "helper", "helpers", "common", "misc"].contains(&name.as_ref());
        assert!(
            !drawer,
            "{} is named after nothing that it does",
            path.display()
        );
    }
}

/// The texts of all tests, each with the file that it is in.
fn tests() -> Vec<(PathBuf, String)> {
    let mut files = sources();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("readable");
                files.insert(path, text);
            }
        }
    }
    let of_file = |(path, text): (PathBuf, String)| {
        let tests = text.split("#[test]\n").skip(1);
        let tests = tests.map(|test| test.split("\n}\n").next().unwrap_or(test).to_owned());
        tests.map(|test| (path.clone(), test)).collect::<Vec<_>>()
    };
    files.into_iter().flat_map(of_file).collect()
}

/// What gives a test something that a machine may lack.
const GIVES: [&str; 9] = [
    "needs::",
    "wheels::",
    "minilm()",
    "Lessons::new(",
    "public_folder(",
    "shared(\"",
    "Mounted::new(",
    "Mount::of(",
    "with_watches(",
];

#[test]
fn a_test_that_cannot_be_made_everywhere_is_shown_as_ignored() {
    let all = tests();
    assert!(all.len() > 500, "{}", all.len());
    for (path, test) in all {
        if path.ends_with("house.rs") {
            continue;
        }
        let name = test.split("fn ").nth(1).unwrap_or_default();
        let name = name.split('(').next().unwrap_or_default();
        let needs = GIVES.iter().any(|need| test.contains(need));
        assert!(
            !needs || test.contains("ignore = \"needs "),
            "`{name}` in {} needs what a machine may lack: #[ignore = \"needs …\"]",
            path.display()
        );
        assert!(
            !test.contains("ln!(\"skipped"),
            "`{name}` in {} passes where it checks nothing",
            path.display()
        );
    }
}

/// `REFIRE_UPDATE=1 cargo test --release the_schema` writes it anew.
#[test]
fn the_schema_in_the_repository_is_the_one_that_refire_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/pipeline.schema.json");
    let printed = Project::new().refire(&["schema"]).succeeds().stdout();
    if std::env::var_os("REFIRE_UPDATE").is_some() {
        refire::store::write_atomic(&path, printed.as_bytes()).expect("writable");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == printed,
        "schemas/pipeline.schema.json is out of date: run `just schema`"
    );
}

/// `finetune`, `evaluate` and `predict` know no task: nothing outside `tasks` names one.
#[test]
fn no_code_outside_tasks_names_a_task() {
    let names: Vec<String> = refire::tasks::TASKS
        .iter()
        .map(|task| format!("\"{}\"", task.name))
        .collect();
    assert!(names.len() >= 6, "{names:?}");
    for (path, text) in code() {
        if path.starts_with("src/tasks") {
            continue;
        }
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for (number, line) in lines.enumerate() {
            let found = names.iter().find(|name| line.contains(name.as_str()));
            assert!(
                found.is_none(),
                "{}: line {} of its code names the task {}",
                path.display(),
                number + 1,
                found.map_or("", |name| name)
            );
        }
    }
}
