//! Files as they were at a revision, from the user's own git.

use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output};

use crate::error::{Context, Error, Result};
use crate::threads;

/// So many links are followed from one file to the next.
const LINKS: usize = 8;

/// The text of the file at `path` at `revision`, through links as they are now and as they were then.
///
/// # Errors
/// No git, no repository, a revision that git does not know, a file that was not there.
pub(super) fn text_at(path: &Path, revision: &str) -> Result<String> {
    let real = real(path).or_usage(|| format!("cannot find `{}`", path.display()))?;
    let (Some(folder), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(Error::usage(format!("`{}` has no name", path.display())));
    };
    let repository = Repository { folder };
    let prefix = repository.prefix(path)?;
    let commit = repository.commit(revision)?;
    let mut file = Path::new(&prefix).join(name);
    for _ in 0..LINKS {
        let Some((is_link, object)) = repository.entry(&commit, &file)? else {
            break;
        };
        let bytes = repository.content(&object)?;
        let text = String::from_utf8(bytes)
            .or_usage(|| format!("`{}` at {revision} is not UTF-8", path.display()))?;
        if !is_link {
            return Ok(text);
        }
        let Some(target) = target(&file, &text) else {
            break;
        };
        file = target;
    }
    Err(
        Error::usage(format!("`{}` was not there at {revision}", path.display())).help(format!(
            "name a revision at which it was committed; `git log -- {}` lists them",
            path.display()
        )),
    )
}

/// The commit that is checked out in the repository that `folder` is in; none if there is none. It is read from git's own
/// files, since starting git takes longer than a run that has nothing to do.
pub(super) fn checked_out(folder: &Path) -> Option<String> {
    let read = |path: &Path| Some(std::fs::read_to_string(path).ok()?.trim().to_owned());
    let folder = folder
        .ancestors()
        .find(|above| above.join(".git").exists())?;
    let mut state = folder.join(".git");
    // In a linked worktree it is a file that says where the rest is.
    if state.is_file() {
        state = folder.join(read(&state)?.strip_prefix("gitdir: ")?);
    }
    let head = read(&state.join("HEAD"))?;
    let commit = match head.strip_prefix("ref: ") {
        None => head,
        Some(name) => {
            let shared = read(&state.join("commondir"));
            let shared = shared.map_or_else(|| state.clone(), |path| state.join(path));
            let packed = || {
                let list = read(&shared.join("packed-refs"))?;
                let mut lines = list.lines().filter_map(|line| line.split_once(' '));
                lines.find_map(|(commit, known)| (known == name).then(|| commit.to_owned()))
            };
            read(&shared.join(name)).or_else(packed)?
        }
    };
    let is_digest = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some(commit)
}

/// The path of a file without links in it. The file may be gone, but not its folder.
fn real(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    std::fs::canonicalize(&path).or_else(|error| match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(std::fs::canonicalize(folder)?.join(name)),
        _ => Err(error),
    })
}

/// What a link called `link` with this text leads to, if that is within the repository; both from its top.
fn target(link: &Path, text: &str) -> Option<PathBuf> {
    let mut target = link.parent()?.to_path_buf();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(name) => target.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !target.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(target)
}

/// The repository that a folder is in.
struct Repository<'a> {
    folder: &'a Path,
}

impl Repository<'_> {
    /// The folder of the file at `path`, from the top of the repository.
    fn prefix(&self, path: &Path) -> Result<String> {
        let found = self.git(&["rev-parse", "--show-prefix"])?;
        if found.status.success() {
            let prefix = String::from_utf8_lossy(&found.stdout);
            return Ok(prefix.trim_end_matches('\n').into());
        }
        let reason = reason(&found);
        if reason.contains("not a git repository") {
            let error = Error::usage(format!("`{}` is in no git repository", path.display()));
            return Err(error.help(
                "what a file was earlier is known to git alone: `git init`, and commit the pipeline and its lock",
            ));
        }
        let error = Error::usage(format!("git cannot tell what `{}` was", path.display()));
        Err(error.cause(reason))
    }

    /// The commit that `revision` names.
    fn commit(&self, revision: &str) -> Result<String> {
        // What begins with a dash would be an option of git.
        let named = format!("{revision}^{{commit}}");
        let known = self.git(&[
            "rev-parse",
            "--quiet",
            "--verify",
            "--end-of-options",
            &named,
        ])?;
        if known.status.success() {
            return Ok(String::from_utf8_lossy(&known.stdout).trim().into());
        }
        let error = Error::usage(format!("git knows no revision `{revision}`"));
        let reason = reason(&known);
        let error = if reason.is_empty() {
            error
        } else {
            error.cause(reason)
        };
        Err(if revision == "HEAD" {
            error.help("nothing is committed yet: commit the pipeline and its lock first")
        } else {
            error.help("name a commit, a branch or a tag, such as HEAD~1 or main")
        })
    }

    /// The file at `path`, which is from the top of the repository, in `commit`: whether it is a link, and git's name for
    /// its content. None if there is no such file.
    fn entry(&self, commit: &str, path: &Path) -> Result<Option<(bool, String)>> {
        let path = path.to_string_lossy().replace('\\', "/");
        let listed = self.succeed(&["ls-tree", "--full-tree", "-z", commit, "--", &path])?;
        let listed = String::from_utf8_lossy(&listed);
        let mut words = listed.split(['\t', '\0']).next().unwrap_or("").split(' ');
        Ok(match (words.next(), words.next(), words.next()) {
            (Some(mode), Some("blob"), Some(object)) => Some((mode == "120000", object.into())),
            _ => None,
        })
    }

    fn content(&self, object: &str) -> Result<Vec<u8>> {
        self.succeed(&["cat-file", "blob", object])
    }

    /// What git prints, which must not fail.
    fn succeed(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let output = self.git(arguments)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let error = Error::usage("git cannot read its repository").cause(reason(&output));
        Err(error.help("`git fsck` says what is missing"))
    }

    fn git(&self, arguments: &[&str]) -> Result<Output> {
        let output = Command::new("git")
            .arg("--literal-pathspecs")
            .arg("-C")
            .arg(self.folder)
            .args(arguments)
            // What went wrong is read, so it must not be translated.
            .env("LC_ALL", "C")
            .output();
        output.map_err(|error| {
            let help = if threads::is_refusal(&error) {
                threads::MORE
            } else {
                "install git"
            };
            Error::usage("cannot run git, which knows what the files were")
                .because(&error)
                .help(help)
        })
    }
}

/// What git says about a failure.
fn reason(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.trim().trim_start_matches("fatal: ").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_their_own_folder_and_not_out() {
        let target = |link: &str, text: &str| target(Path::new(link), text);
        assert_eq!(
            target("a/link.toml", "../b/./p.toml"),
            Some("b/p.toml".into())
        );
        assert_eq!(target("link.toml", "p.toml"), Some("p.toml".into()));
        assert_eq!(target("link.toml", "../p.toml"), None);
        assert_eq!(target("link.toml", "/p.toml"), None);
    }
}
