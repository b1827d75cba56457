//! A temporary project, and the binary run in it.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;

/// Variables that would make a run depend on who runs the tests.
const FOREIGN: [&str; 11] = [
    "REFIRE_CACHE_DIR",
    "HF_ENDPOINT",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "FORCE_COLOR",
    "TERM",
];

/// No command of a scenario takes longer than this, unless the scenario says so.
const LONGEST: Duration = Duration::from_mins(5);

/// A project in a temporary folder, with a `.refire` of its own.
pub(crate) struct Project {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    longest: Duration,
}

impl Project {
    /// An empty project.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(".refire")).expect("a folder can be made");
        Self {
            folder,
            variables: Vec::new(),
            longest: LONGEST,
        }
    }

    /// A project whose `refire.toml` is `pipeline`.
    pub(crate) fn with(pipeline: &str) -> Self {
        let project = Self::new();
        project.write("refire.toml", pipeline);
        project
    }

    /// Sets a variable for every command run here.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.into(), value.into()));
    }

    /// Lets every command run here take so long.
    pub(crate) fn patience(&mut self, longest: Duration) {
        self.longest = longest;
    }

    /// The place of `path`, which is relative to the project.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file, making its folder.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own file needs no atomicity"
    )]
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("it is in a folder"))
            .expect("a folder can be made");
        std::fs::write(path, bytes).expect("a file can be written");
    }

    /// Writes `refire.toml` again with `old` replaced by `new`.
    pub(crate) fn edit(&self, old: &str, new: &str) {
        let text = self.read("refire.toml");
        assert!(text.contains(old), "`{old}` is not in the pipeline");
        self.write("refire.toml", text.replace(old, new));
    }

    /// The text of a file.
    pub(crate) fn read(&self, path: &str) -> String {
        let read = std::fs::read_to_string(self.path(path));
        read.unwrap_or_else(|error| panic!("cannot read `{path}`: {error}"))
    }

    /// Runs refire here.
    pub(crate) fn refire(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_refire"));
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .timeout(self.longest);
        for name in FOREIGN {
            command.env_remove(name);
        }
        // Nobody's own downloads and tokens.
        command.env("HF_HOME", self.path("huggingface"));
        command.envs(self.variables.iter().cloned());
        let output = command.output().expect("the binary starts");
        Ran {
            what: arguments.join(" "),
            project: self.folder.path().display().to_string(),
            output,
        }
    }

    /// Runs the pipeline, and what became of each stage: `["upper cached", "sorted ran"]`.
    pub(crate) fn outcomes(&self, arguments: &[&str]) -> Vec<String> {
        let arguments = [&["run", "--format", "json"], arguments].concat();
        self.refire(&arguments).succeeds().outcomes()
    }
}

/// A command that has ended.
pub(crate) struct Ran {
    what: String,
    project: String,
    output: Output,
}

impl Ran {
    /// Its exit code; none if a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// Its exit code must be 0.
    pub(crate) fn succeeds(self) -> Self {
        self.fails_with(0)
    }

    /// Its exit code must be this one.
    pub(crate) fn fails_with(self, code: i32) -> Self {
        let ended = self.code();
        assert_eq!(
            ended,
            Some(code),
            "refire {}\n{}{}",
            self.what,
            self.stdout(),
            self.stderr()
        );
        self
    }

    /// Standard error must have this in it.
    pub(crate) fn shows(self, text: &str) -> Self {
        let shown = self.stderr();
        assert!(
            shown.contains(text),
            "refire {} does not show `{text}`:\n{shown}",
            self.what
        );
        self
    }

    /// Standard output must have this in it.
    pub(crate) fn prints(self, text: &str) -> Self {
        let printed = self.stdout();
        assert!(
            printed.contains(text),
            "refire {} does not print `{text}`:\n{printed}",
            self.what
        );
        self
    }

    /// What it wrote to standard error, with the project's folder as `PROJECT`.
    pub(crate) fn stderr(&self) -> String {
        self.text(&self.output.stderr)
    }

    /// What it wrote to standard output, with the project's folder as `PROJECT`.
    pub(crate) fn stdout(&self) -> String {
        self.text(&self.output.stdout)
    }

    fn text(&self, bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).replace(&self.project, "PROJECT")
    }

    /// The error that it ended with: standard error from `error:` on, without the lists of all that refire knows,
    /// which grow.
    pub(crate) fn error(&self) -> String {
        let shown = self.stderr();
        let start = match shown.find("\nerror: ") {
            Some(before) => before + 1,
            None if shown.starts_with("error: ") => 0,
            None => panic!("refire {} shows no error:\n{shown}", self.what),
        };
        shown[start..]
            .lines()
            .map(without_list)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The events on standard output, which must hold nothing else.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.stdout();
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|_| panic!("`{line}` is not JSON"))
        };
        text.lines().map(parse).collect()
    }

    /// What became of each stage, in the order in which they ended: `upper cached`.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let word = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_string();
        self.events()
            .iter()
            .filter(|event| event["event"] == "stage_finished")
            .map(|event| format!("{} {}", word(event, "stage"), word(event, "outcome")))
            .collect()
    }
}

fn without_list(line: &str) -> String {
    let lists = [
        "known model types",
        "known architectures",
        "known metrics",
        "stage kinds",
    ];
    let cut = lists
        .iter()
        .find_map(|list| Some(line.find(&format!("= note: {list}"))? + list.len()));
    let end = cut.and_then(|from| Some(from + line[from..].find(':')?));
    end.map_or_else(|| line.to_string(), |end| format!("{}: …", &line[..end]))
}
