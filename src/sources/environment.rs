//! What the process's environment says about fetching, read once per transfer.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// A token for the Hub.
#[derive(Clone)]
pub struct Token {
    /// What is sent.
    pub secret: String,
    /// Where it was found: a variable, or a file.
    pub from: String,
}

/// What the process's environment decides. The variables are those of the official Hub client
/// (`huggingface_hub`: `constants.py`).
#[derive(Clone)]
pub struct Environment {
    /// The Hub's address without a slash at its end (`HF_ENDPOINT`).
    pub hub: String,
    /// The token for the Hub (`HF_TOKEN`, or what `hf auth login` stored). It is sent to the Hub's own host only.
    pub token: Option<Token>,
    /// Never ask the Hub (`HF_HUB_OFFLINE`).
    pub hub_offline: bool,
    /// Where the official client keeps what it downloaded (`HF_HUB_CACHE`, `HF_HOME`).
    pub hub_cache: Option<PathBuf>,
    /// The Python that has the user's pip.
    pub python: String,
    /// The user's npm.
    pub npm: String,
    /// The pause before the second attempt; it doubles from attempt to attempt.
    pub pause: Duration,
    /// How long a server may be silent.
    pub patience: Duration,
}

impl Environment {
    /// What this process's environment says.
    #[must_use]
    pub fn of_process() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// What an environment says that has the variables of `get`.
    fn of(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| {
            let value = get(name)?.trim().to_string();
            (!value.is_empty()).then_some(value)
        };
        let is_true = |name: &str| {
            let truths = ["1", "true", "yes", "on"];
            set(name).is_some_and(|value| truths.contains(&value.to_lowercase().as_str()))
        };
        let own = set(if cfg!(windows) { "USERPROFILE" } else { "HOME" }).map(PathBuf::from);
        let folder = |name: &str| Some(expand(&set(name)?, own.as_deref()));
        let home = folder("HF_HOME").or_else(|| {
            let cache = folder("XDG_CACHE_HOME").or_else(|| Some(own.as_deref()?.join(".cache")));
            Some(cache?.join("huggingface"))
        });
        let given = |name: &str| {
            let (secret, from) = (set(name)?, name.into());
            Some(Token { secret, from })
        };
        let stored = || {
            let path = folder("HF_TOKEN_PATH").or_else(|| Some(home.as_deref()?.join("token")))?;
            stored_token(&path).filter(|_| !is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        };
        let hub = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        Self {
            hub: hub.trim_end_matches('/').into(),
            token: given("HF_TOKEN")
                .or_else(|| given("HUGGING_FACE_HUB_TOKEN"))
                .or_else(stored),
            hub_offline: is_true("HF_HUB_OFFLINE"),
            hub_cache: folder("HF_HUB_CACHE").or_else(|| Some(home.as_deref()?.join("hub"))),
            python: (if cfg!(windows) { "python" } else { "python3" }).into(),
            npm: (if cfg!(windows) { "npm.cmd" } else { "npm" }).into(),
            pause: Duration::from_millis(500),
            patience: Duration::from_mins(1),
        }
    }
}

/// `path`, with `~` for the home folder, which no shell has put there.
fn expand(path: &str, home: Option<&Path>) -> PathBuf {
    let inside = path.strip_prefix('~').map(Path::new);
    match (home, inside) {
        (Some(home), Some(inside)) if inside.as_os_str().is_empty() => home.into(),
        (Some(home), Some(inside)) if inside.has_root() => {
            home.join(inside.components().skip(1).collect::<PathBuf>())
        }
        _ => path.into(),
    }
}

fn stored_token(path: &Path) -> Option<Token> {
    let text = std::fs::read_to_string(path).ok()?;
    let secret = text.trim_start_matches('\u{feff}').trim().to_string();
    let from = path.display().to_string();
    (!secret.is_empty()).then_some(Token { secret, from })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Environment {
        Environment::of(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_string())
        })
    }

    /// Where the token comes from, and what it is.
    fn token(environment: Environment) -> Option<(String, String)> {
        environment.token.map(|token| (token.from, token.secret))
    }

    fn pair(from: &str, secret: &str) -> (String, String) {
        (from.into(), secret.into())
    }

    #[test]
    fn an_empty_environment_means_the_public_hub() {
        let environment = of(&[("HF_TOKEN", " ")]);
        assert_eq!(environment.hub, "https://huggingface.co");
        assert!(environment.token.is_none());
        assert_eq!(environment.hub_cache, None);
        assert!(!environment.hub_offline);
    }

    #[test]
    fn variables_mean_what_they_mean_to_the_official_client() {
        let environment = of(&[
            ("HF_ENDPOINT", "http://127.0.0.1:8000/"),
            ("HF_TOKEN", "hf_x\n"),
            ("HF_HUB_OFFLINE", "YES"),
            ("HF_HOME", "/h"),
        ]);
        assert_eq!(environment.hub, "http://127.0.0.1:8000");
        assert!(environment.hub_offline);
        assert_eq!(environment.hub_cache, Some("/h/hub".into()));
        assert_eq!(token(environment), Some(pair("HF_TOKEN", "hf_x")));
        let moved = of(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h")]);
        assert_eq!(moved.hub_cache, Some("/c".into()));
        let at_home = of(&[("HF_HOME", "~/hf"), ("HOME", "/me"), ("USERPROFILE", "/me")]);
        assert_eq!(at_home.hub_cache, Some("/me/hf/hub".into()));
        let old_name = of(&[("HUGGING_FACE_HUB_TOKEN", "hf_y")]);
        assert_eq!(
            token(old_name),
            Some(pair("HUGGING_FACE_HUB_TOKEN", "hf_y"))
        );
    }

    #[test]
    fn a_stored_token_counts_unless_it_is_not_wanted() {
        let home = tempfile::TempDir::new().expect("a folder");
        std::fs::File::create(home.path().join("token"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"hf_stored\n"))
            .expect("room");
        let file = home.path().join("token").display().to_string();
        let home = home.path().to_string_lossy();
        let stored = of(&[("HF_HOME", &home)]);
        assert_eq!(token(stored), Some(pair(&file, "hf_stored")));
        let moved = of(&[("HF_TOKEN_PATH", &file)]);
        assert_eq!(token(moved), Some(pair(&file, "hf_stored")));
        let own = of(&[("HF_HOME", &home), ("HF_TOKEN", "hf_own")]);
        assert_eq!(token(own), Some(pair("HF_TOKEN", "hf_own")));
        let none = of(&[("HF_HOME", &home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]);
        assert!(none.token.is_none());
    }
}
