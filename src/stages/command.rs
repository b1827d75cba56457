//! `command`: runs a program in a folder that holds what was declared and nothing else.

mod files;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, PipeReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use globset::Glob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::files::{copy_tree, create, fixed, is_glob, move_tree, project_files, relative};
use super::{ArtifactType, Input, LocalFile, Output, Port, Stage, StageContext, StageKind};
use crate::config::{Named, Spanned, Table, from_table, resolve};
use crate::error::{Context, Error, Result};
use crate::fingerprint::{Manifest, describe};

/// The kind `command`.
pub(super) struct CommandKind;

/// Variables that every command sees, because without them hardly any program starts.
const ALWAYS: [&str; 6] = ["HOME", "LANG", "PATH", "SYSTEMROOT", "TEMP", "TMPDIR"];

/// Runs a program, without a shell, in an empty folder.
///
/// Inputs appear there as `./NAME`, project files at their own relative path. What is not declared is not there, so no
/// dependency can be forgotten.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The program and its arguments. A program without a slash is looked up in `PATH`.
    argv: Vec<Spanned<String>>,
    /// Artifacts of other stages: the name that they appear under → the stage, or `stage.port`.
    #[serde(default)]
    inputs: Named<Port>,
    /// Project files, relative to the pipeline file: paths, folders or globs.
    #[serde(default)]
    files: Vec<Spanned<String>>,
    /// What it makes: output port → the file or folder there. The artifact holds that file under its own name, or what
    /// the folder holds.
    outputs: Named<Spanned<String>>,
    /// Environment variables that it may see besides HOME, LANG, PATH, SYSTEMROOT, TEMP and TMPDIR: names or globs
    /// such as `CUDA_*`. They count as settings: a change of a value reruns the stage.
    #[serde(default)]
    env: Vec<Spanned<String>>,
    /// The same for variables whose values must never reach a key, a log or a record. A change of them reruns nothing.
    #[serde(default)]
    secret_env: Vec<Spanned<String>>,
}

impl StageKind for CommandKind {
    fn name(&self) -> &'static str {
        "command"
    }

    fn about(&self) -> &'static str {
        "runs a program in a folder that holds what was declared and nothing else"
    }

    fn version(&self) -> u32 {
        1
    }

    fn is_light(&self) -> bool {
        true
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        if settings.argv.is_empty() {
            return Err(Error::usage("`argv` is empty")
                .help("name the program: argv = [\"python3\", \"train.py\"]"));
        }
        if settings.outputs.is_empty() {
            return Err(Error::usage("`outputs` is empty")
                .help("name what the command makes: outputs = { data = \"data.csv\" }"));
        }
        for name in settings.inputs.keys() {
            relative(name).map_err(|error| error.or_at(&table.span, ""))?;
        }
        for path in settings.outputs.values() {
            relative(&path.value).map_err(|error| path.blame(error, ""))?;
        }
        let files = settings
            .files
            .iter()
            .map(project_files)
            .collect::<Result<Vec<_>>>()?
            .concat();
        let visible = visible(&settings)?;
        Ok(Box::new(CommandStage {
            settings,
            files,
            visible,
        }))
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<Settings>()
    }
}

struct CommandStage {
    settings: Settings,
    /// Path in the command's folder → the file.
    files: Vec<(String, LocalFile)>,
    /// Name, value and whether it is secret.
    visible: Vec<(String, String, bool)>,
}

impl Stage for CommandStage {
    fn inputs(&self) -> Vec<Input> {
        const ANY: &[ArtifactType] = &[
            ArtifactType::Files,
            ArtifactType::Table,
            ArtifactType::Images,
            ArtifactType::Model,
            ArtifactType::Metrics,
            ArtifactType::Report,
        ];
        let input = |(name, from): &(String, Port)| Input {
            port: name.clone(),
            accepts: ANY,
            from: from.clone(),
        };
        self.settings.inputs.iter().map(input).collect()
    }

    fn gathers(&self, _port: &str) -> bool {
        true
    }

    fn outputs(&self) -> Vec<Output> {
        self.settings
            .outputs
            .keys()
            .map(|name| Output::new(name, ArtifactType::Files))
            .collect()
    }

    fn files(&self) -> Vec<LocalFile> {
        self.files.iter().map(|(_, file)| file.clone()).collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        let globs = self
            .settings
            .files
            .iter()
            .filter(|file| is_glob(&file.value));
        let folder =
            |glob: &Spanned<String>| Some(resolve(glob.span.as_ref()?, &fixed(&glob.value)));
        globs.filter_map(folder).collect()
    }

    fn describe(&self, key: &mut dyn Manifest) {
        describe(
            key,
            &self.settings,
            &[
                ("files", "each file enters by its content"),
                (
                    "env",
                    "each variable that is not secret enters by its value",
                ),
            ],
        );
        for (name, value, secret) in &self.visible {
            if *secret {
                key.skip(&format!("env {name}"), "secret");
            } else {
                key.setting(
                    &format!("env {name}"),
                    &serde_json::Value::String(value.clone()),
                );
            }
        }
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let folder = cx.scratch().join("command");
        self.lay_out(cx, &folder)?;
        let (child, output) = self.spawn(&folder)?;
        let status = supervise(child, output, cx, &self.secrets())?;
        if !status.success() {
            let error = Error::stage(format!("`{}` failed: {status}", self.line()));
            return Err(error.help("its output stands above and in the stage's log"));
        }
        self.collect(cx, &folder)
    }
}

impl CommandStage {
    /// The command as one would type it.
    fn line(&self) -> String {
        let word = |word: &Spanned<String>| {
            if word.value.contains(' ') {
                format!("{:?}", word.value)
            } else {
                word.value.clone()
            }
        };
        self.settings
            .argv
            .iter()
            .map(word)
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn secrets(&self) -> Vec<String> {
        let secret = |(_, value, secret): &(String, String, bool)| {
            (*secret && !value.is_empty()).then(|| value.clone())
        };
        self.visible.iter().filter_map(secret).collect()
    }

    /// Makes the folder that the command sees.
    fn lay_out(&self, cx: &StageContext<'_>, folder: &Path) -> Result<()> {
        create(folder)?;
        for name in self.settings.inputs.keys() {
            copy_tree(cx.input(name), &folder.join(name))?;
        }
        for (path, file) in &self.files {
            copy_tree(&file.path, &folder.join(path))?;
        }
        for path in self.settings.outputs.values() {
            if let Some(parent) = folder.join(&path.value).parent() {
                create(parent)?;
            }
        }
        Ok(())
    }

    /// Starts the command; what it writes, wherever it writes it, comes out of one pipe in its order.
    fn spawn(&self, folder: &Path) -> Result<(Child, PipeReader)> {
        let program = &self.settings.argv[0];
        let (output, pipe) = std::io::pipe().or_stage(|| "cannot make a pipe")?;
        let errors = pipe.try_clone().or_stage(|| "cannot make a pipe")?;
        let mut command = Command::new(in_path(&program.value));
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut command, &program.value);
        command
            .args(
                self.settings.argv[1..]
                    .iter()
                    .map(|argument| &argument.value),
            )
            .current_dir(folder)
            .env_clear();
        command.envs(
            ALWAYS
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command.envs(self.visible.iter().map(|(name, value, _)| (name, value)));
        command.stdin(Stdio::null()).stdout(pipe).stderr(errors);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(|error| {
            let error = Error::stage(format!("cannot start `{}`", program.value)).because(&error);
            program
                .blame(error, "")
                .help("check that it is installed; a program of the project must be among `files`")
        })?;
        Ok((child, output))
    }

    /// Moves what the command made to the outputs.
    fn collect(&self, cx: &StageContext<'_>, folder: &Path) -> Result<()> {
        for (port, path) in &self.settings.outputs {
            let made = folder.join(&path.value);
            let output = cx.output(port);
            let missing = |error: &dyn std::error::Error| {
                let error =
                    Error::stage(format!("the command made no `{}`", path.value)).because(error);
                path.blame(error, "declared here")
            };
            let metadata = std::fs::symlink_metadata(&made).map_err(|error| missing(&error))?;
            if metadata.is_dir() {
                move_tree(&made, output)?;
            } else {
                let name = made.file_name().unwrap_or_default();
                move_tree(&made, &output.join(name))?;
            }
        }
        Ok(())
    }
}

/// The file that `program` stands for. A system that is given a path starts it in half the time that it takes to fork
/// and look for it; what is not found is left to it, and to its error.
fn in_path(program: &str) -> PathBuf {
    let found = || {
        let paths = std::env::var_os("PATH")?;
        let files = std::env::split_paths(&paths).map(|folder| folder.join(program));
        files
            .filter(|file| file.is_absolute())
            .find(|file| is_program(file))
    };
    let named = Path::new(program).components().count() == 1 && !program.contains('/');
    named
        .then(found)
        .flatten()
        .unwrap_or_else(|| program.into())
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use rustix::fs::{Access, access};
    file.is_file() && access(file, Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_program(_: &Path) -> bool {
    false
}

/// Passes the command's output on line by line until it ends; stops it with all that it started when asked to.
fn supervise(
    mut child: Child,
    output: PipeReader,
    cx: &StageContext<'_>,
    secrets: &[String],
) -> Result<std::process::ExitStatus> {
    let (sender, lines) = std::sync::mpsc::channel::<String>();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches(['\n', '\r'])
                .to_string();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    let mut open = true;
    let status = loop {
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => {
                cx.log(
                    secrets
                        .iter()
                        .fold(line, |line, secret| line.replace(secret, "***")),
                );
                continue;
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => open = false,
        }
        if let Err(interrupted) = cx.check_cancelled() {
            stop(&mut child);
            return Err(interrupted);
        }
        let ended = if open {
            child.try_wait()
        } else {
            child.wait().map(Some)
        };
        if let Some(status) = ended.or_stage(|| "cannot wait for the command")? {
            break status;
        }
    };
    // A process that the command left behind may hold the pipes open: do not wait for it.
    while let Ok(line) = lines.recv_timeout(Duration::from_millis(if open { 20 } else { 0 })) {
        cx.log(
            secrets
                .iter()
                .fold(line, |line, secret| line.replace(secret, "***")),
        );
    }
    Ok(status)
}

/// Asks the command's whole process group to end, and ends it after two seconds.
fn stop(child: &mut Child) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process_group};
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::TERM);
            for _ in 0..40 {
                if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The variables of the environment that the settings let through, sorted: name, value, whether it is secret.
fn visible(settings: &Settings) -> Result<Vec<(String, String, bool)>> {
    let mut found: BTreeMap<String, (String, bool)> = BTreeMap::new();
    let open = settings.env.iter().map(|pattern| (pattern, false));
    for (pattern, secret) in open.chain(settings.secret_env.iter().map(|pattern| (pattern, true))) {
        let glob = Glob::new(&pattern.value)
            .map_err(|error| {
                let message = format!("`{}` is not a valid glob", pattern.value);
                pattern.blame(Error::usage(message).because(&error), "")
            })?
            .compile_matcher();
        for (name, value) in std::env::vars_os() {
            let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
                continue;
            };
            if glob.is_match(name) {
                found.insert(name.into(), (value.into(), secret));
            }
        }
    }
    Ok(found
        .into_iter()
        .map(|(name, (value, secret))| (name, value, secret))
        .collect())
}
