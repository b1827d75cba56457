//! The keys that every stage may have besides its kind's own: what it may use and how long it may take. None of them can
//! change a result, so none enters a key.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::de::{Spanned, from_table};
use super::quantity::{bytes, duration};
use super::value::Table;
use crate::error::Result;

/// The keys themselves, for the JSON Schema and for taking them out of a stage's table.
pub const LIMIT_KEYS: [&str; 3] = ["resources", "retries", "timeout"];

/// What a stage may use and how long it may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How often a failed stage is tried again, with growing pauses.
    pub retries: u32,
    /// What it needs of the machine.
    pub resources: Resources,
}

/// What a stage needs of the machine while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resources {
    /// Processors, and so its number of threads; none means an equal share.
    pub cpus: Option<usize>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Accelerators.
    pub gpus: usize,
}

/// The keys as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    /// How long one attempt may take: `"90s"`, `"15m"`, `"2h"`. Default: without end.
    timeout: Option<Spanned<String>>,
    /// How often a failed stage is tried again, after 1 s, 2 s, 4 s, … Default: 0.
    #[serde(default)]
    retries: u32,
    /// What it needs of the machine; stages run side by side only as far as that is there.
    resources: Option<RawResources>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawResources {
    /// Processors, and so its number of threads. Default: an equal share.
    cpus: Option<std::num::NonZeroUsize>,
    /// Memory: `"512MiB"`, `"8GiB"`.
    memory: Option<Spanned<String>>,
    /// Accelerators. Default: 0.
    #[serde(default)]
    gpus: usize,
}

impl Limits {
    /// Takes the keys out of a stage's table.
    ///
    /// # Errors
    /// Values that cannot be meant, with their place.
    pub(super) fn take(settings: &mut Table) -> Result<Self> {
        let mut own = Table::empty(settings.span.clone());
        for key in LIMIT_KEYS {
            if let Some(entry) = settings.entries.remove(key) {
                own.entries.insert(key.into(), entry);
            }
        }
        let raw: RawLimits = from_table(&own)?;
        let resources = raw.resources.unwrap_or_default();
        Ok(Self {
            timeout: raw.timeout.as_ref().map(duration).transpose()?,
            retries: raw.retries,
            resources: Resources {
                cpus: resources.cpus.map(Into::into),
                memory: resources.memory.as_ref().map(bytes).transpose()?,
                gpus: resources.gpus,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Source;

    fn take(text: &str) -> Result<(Limits, Table)> {
        let mut table = Table::parse(&Arc::new(Source::new("p.toml", text)))?;
        Ok((Limits::take(&mut table)?, table))
    }

    #[test]
    fn limits_are_taken_out() {
        let text = "epochs = 1\ntimeout = \"1.5h\"\nretries = 2\nresources = { cpus = 2, memory = \"512MiB\" }";
        let (limits, rest) = take(text).expect("valid");
        assert_eq!(limits.timeout, Some(Duration::from_mins(90)));
        assert_eq!(limits.retries, 2);
        assert_eq!(
            limits.resources,
            Resources {
                cpus: Some(2),
                memory: Some(512 << 20),
                gpus: 0
            }
        );
        assert_eq!(rest.entries.keys().collect::<Vec<_>>(), ["epochs"]);
        assert_eq!(take("epochs = 1").expect("valid").0, Limits::default());
    }

    #[test]
    fn bad_limits_are_refused() {
        for text in [
            "timeout = \"5\"",
            "timeout = \"-1s\"",
            "resources = { memory = \"8 gigs\" }",
            "resources = { cpus = 0 }",
            "resources = { cpu = 1 }",
        ] {
            assert!(take(text).is_err(), "{text}");
        }
    }
}
