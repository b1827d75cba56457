//! The environment as the user set it, also in a worker, where the runner has set some variables anew.

use std::collections::BTreeMap;
use std::process::Command;

/// Says which of NVIDIA's accelerators a program sees; it numbers those from 0. See the CUDA C++ Programming Guide, "CUDA
/// Environment Variables".
pub const VISIBLE_GPUS: &str = "CUDA_VISIBLE_DEVICES";

/// Tells a worker which variables were set anew, and what they were: a JSON object.
const REPLACED: &str = "REFIRE_REPLACED_VARIABLES";

/// Variables of the environment that are text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those that the user has set.
    #[must_use]
    pub fn of_user() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect()).restored()
    }

    fn restored(mut self) -> Self {
        let replaced = self.0.remove(REPLACED).unwrap_or_default();
        let replaced: BTreeMap<String, Option<String>> =
            serde_json::from_str(&replaced).unwrap_or_default();
        for (name, value) in replaced {
            match value {
                Some(value) => self.0.insert(name, value),
                None => self.0.remove(&name),
            };
        }
        self
    }

    /// Name and value of each, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.0.iter();
        variables.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Starts `command` with `values`; what it runs for the user sees the old ones.
    pub fn replace(command: &mut Command, values: &[(&str, &str)]) {
        let user = Self::of_user();
        let old: BTreeMap<&str, Option<&String>> = values
            .iter()
            .map(|(name, _)| (*name, user.0.get(*name)))
            .collect();
        command.envs(values.iter().copied());
        command.env(REPLACED, serde_json::to_string(&old).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_is_as_it_was() {
        let set = |name: &str, value: &str| (name.to_string(), value.to_string());
        let replaced = r#"{"OMP_NUM_THREADS": "8", "RAYON_NUM_THREADS": null}"#;
        let seen = Variables(BTreeMap::from([
            set("OMP_NUM_THREADS", "1"),
            set("RAYON_NUM_THREADS", "1"),
            set("HOME", "/home/me"),
            set(REPLACED, replaced),
        ]));
        let restored = seen.restored();
        let seen: Vec<_> = restored.iter().collect();
        assert_eq!(seen, [("HOME", "/home/me"), ("OMP_NUM_THREADS", "8")]);
    }
}
