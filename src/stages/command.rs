//! `command`: runs a program in a folder that holds what was declared and nothing else.

mod files;
mod made;
mod output;
mod secrets;
mod supervise;

use std::collections::BTreeMap;
use std::io::PipeReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use globset::GlobBuilder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::files::{
    collect, create, fixed, is_glob, lay_out, project_files, refuse_detour, relative,
};
use self::made::Made;
use self::output::Lines;
use self::secrets::Secrets;
use self::supervise::supervise;
use super::{
    ArtifactType, Input, LocalFile, Output, Port, Stage, StageContext, StageKind, VISIBLE_GPUS,
    Variables,
};
use crate::config::{Named, Spanned, Table, from_table, resolve};
use crate::error::{Context, Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::{names, processes, threads};

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
    /// the folder holds. `{ path = "best", type = "model" }` says what it is, so that a stage that takes a model takes it:
    /// a `model` holds a `config.json`, a `table` a `table.parquet`, `images` an `images.arrow`, `metrics` a
    /// `metrics.json`, a `report` a `report.html`.
    outputs: Named<Spanned<Made>>,
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
        for (name, Port(from)) in &settings.inputs {
            names::check(name, "an input").map_err(|error| from.blame(error, ""))?;
        }
        for (name, made) in &settings.outputs {
            names::check(name, "an output")
                .and_then(|()| relative(&made.value.path))
                .map_err(|error| made.blame(error, ""))?;
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
            .iter()
            .map(|(name, made)| Output::new(name, made.value.artifact))
            .collect()
    }

    fn owns_inputs(&self) -> bool {
        true
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
        self.lay_out(cx)?;
        let (child, output) = self.spawn(cx)?;
        let status = supervise(child, Lines::new(output, self.secrets()?)?, cx)?;
        if !status.success() {
            return Err(self.failed(status));
        }
        self.collect(cx)
    }

    /// A file that the command has made may be called after a secret, or hold one where it is quoted.
    fn without_secrets(&self, error: Error) -> Error {
        match self.secrets() {
            Ok(secrets) => error.map_text(|text| secrets.hide(text)),
            Err(error) => error,
        }
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

    fn failed(&self, status: ExitStatus) -> Error {
        let error = Error::stage(format!("`{}` failed: {status}", self.line()));
        #[cfg(unix)]
        if std::os::unix::process::ExitStatusExt::signal(&status) == Some(9) {
            return error
                .note("something killed it; the system does so when memory runs out")
                .help("let fewer stages run at once: say what it needs by `resources = { memory = \"8GiB\" }`");
        }
        error.help("its output stands above and in the stage's log")
    }

    fn secrets(&self) -> Result<Secrets> {
        let visible = self.visible.iter();
        Secrets::new(visible.filter_map(|(_, value, secret)| secret.then_some(&**value)))
    }

    /// Puts what else the command sees beside its inputs.
    fn lay_out(&self, cx: &StageContext<'_>) -> Result<()> {
        for (path, file) in &self.files {
            lay_out(cx, &file.path, &cx.scratch().join(path))?;
        }
        for made in self.settings.outputs.values() {
            if let Some((folder, _)) = made.value.path.rsplit_once('/') {
                create(&cx.scratch().join(folder))?;
            }
        }
        Ok(())
    }

    /// Starts the command; what it writes, wherever it writes it, comes out of one pipe in its order.
    fn spawn(&self, cx: &StageContext<'_>) -> Result<(Child, PipeReader)> {
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
            .current_dir(cx.scratch())
            .env_clear();
        command.envs(
            ALWAYS
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command.envs(self.visible.iter().map(|(name, value, _)| (name, value)));
        if !cx.gpus().is_empty() {
            command.env(VISIBLE_GPUS, cx.gpus().join(","));
        }
        command.stdin(Stdio::null()).stdout(pipe).stderr(errors);
        processes::lead_group(&mut command);
        let child = command.spawn().map_err(|error| {
            let help = if threads::is_refusal(&error) {
                threads::MORE
            } else {
                "check that it is installed; a program of the project must be among `files`"
            };
            let error = Error::stage(format!("cannot start `{}`", program.value)).because(&error);
            program.blame(error, "").help(help)
        })?;
        Ok((child, output))
    }

    /// Moves what the command made to the outputs.
    fn collect(&self, cx: &StageContext<'_>) -> Result<()> {
        for (port, declared) in &self.settings.outputs {
            let path = &declared.value.path;
            let made = cx.scratch().join(path);
            let output = cx.output(port);
            if let Err(error) = std::fs::symlink_metadata(&made) {
                let error = Error::stage(format!("the command made no `{path}`")).because(&error);
                return Err(declared.blame(error, "declared here"));
            }
            refuse_detour(cx.scratch(), &made)
                .and_then(|()| collect(cx, cx.scratch(), &made, output))
                .map_err(|error| declared.blame(error, ""))?;
            let checked = declared.value.check(output);
            checked.map_err(|error| declared.blame(error, "declared here"))?;
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

/// The variables of the environment that the settings let through, sorted: name, value, whether it is secret.
fn visible(settings: &Settings) -> Result<Vec<(String, String, bool)>> {
    let mut found: BTreeMap<String, (String, bool)> = BTreeMap::new();
    if settings.env.is_empty() && settings.secret_env.is_empty() {
        return Ok(Vec::new());
    }
    let variables = Variables::of_user();
    let open = settings.env.iter().map(|pattern| (pattern, false));
    for (pattern, secret) in open.chain(settings.secret_env.iter().map(|pattern| (pattern, true))) {
        let text = &pattern.value;
        let glob = names::glob(text, &GlobBuilder::new(text)).map_err(|cause| {
            let error = Error::usage(format!("`{text}` is not a valid glob"));
            pattern.blame(error.cause(cause), "")
        })?;
        for (name, value) in variables.iter() {
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
