//! What the process's environment says about fetching, read once per transfer.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the process's environment decides. The variables are those of the official Hub client
/// (`huggingface_hub`: `constants.py`).
#[derive(Clone)]
pub struct Environment {
    /// The Hub's address without a slash at its end (`HF_ENDPOINT`).
    pub hub: String,
    /// The token for the Hub (`HF_TOKEN`, or what `hf auth login` stored). It is sent to the Hub's own host only.
    pub token: Option<String>,
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
        let folder = |name: &str| set(name).map(PathBuf::from);
        let home = folder("HF_HOME").or_else(|| {
            let cache = folder("XDG_CACHE_HOME");
            let home = || folder(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
            let cache = cache.or_else(|| Some(home()?.join(".cache")));
            Some(cache?.join("huggingface"))
        });
        let stored = || {
            let path = folder("HF_TOKEN_PATH").or_else(|| Some(home.as_deref()?.join("token")))?;
            stored_token(&path).filter(|_| !is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        };
        let hub = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        Self {
            hub: hub.trim_end_matches('/').into(),
            token: set("HF_TOKEN").or_else(stored),
            hub_offline: is_true("HF_HUB_OFFLINE"),
            hub_cache: folder("HF_HUB_CACHE").or_else(|| Some(home.as_deref()?.join("hub"))),
            python: (if cfg!(windows) { "python" } else { "python3" }).into(),
            npm: (if cfg!(windows) { "npm.cmd" } else { "npm" }).into(),
            pause: Duration::from_millis(500),
            patience: Duration::from_mins(1),
        }
    }
}

fn stored_token(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let token = text.trim_start_matches('\u{feff}').trim().to_string();
    (!token.is_empty()).then_some(token)
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

    #[test]
    fn an_empty_environment_means_the_public_hub() {
        let environment = of(&[("HF_TOKEN", " ")]);
        assert_eq!(environment.hub, "https://huggingface.co");
        assert_eq!(environment.token, None);
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
        assert_eq!(environment.token.as_deref(), Some("hf_x"));
        assert!(environment.hub_offline);
        assert_eq!(environment.hub_cache, Some("/h/hub".into()));
        let moved = of(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h")]);
        assert_eq!(moved.hub_cache, Some("/c".into()));
    }

    #[test]
    fn a_stored_token_counts_unless_it_is_not_wanted() {
        let home = tempfile::TempDir::new().expect("a folder");
        std::fs::File::create(home.path().join("token"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"hf_stored\n"))
            .expect("room");
        let home = home.path().to_string_lossy();
        let stored = of(&[("HF_HOME", &home)]);
        assert_eq!(stored.token.as_deref(), Some("hf_stored"));
        let own = of(&[("HF_HOME", &home), ("HF_TOKEN", "hf_own")]);
        assert_eq!(own.token.as_deref(), Some("hf_own"));
        let none = of(&[("HF_HOME", &home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]);
        assert_eq!(none.token, None);
    }
}
