//! What a stage's result depends on: one walk makes the key and its explanation, so that they cannot drift. No I/O.

mod key;
mod reason;

pub use key::{Field, Fingerprint, Role, Walk};
use std::sync::LazyLock;

pub use reason::Reason;
use serde::Serialize;
use serde_json::Value;

/// Takes the walk of a stage over everything that can change its result.
pub trait Manifest {
    /// A setting, with its default filled in.
    fn setting(&mut self, name: &str, value: &Value);

    /// A setting that cannot change the result, and why.
    fn skip(&mut self, name: &str, reason: &'static str);

    /// The stage draws random numbers: its seed counts.
    fn seed(&mut self);

    /// The stage computes floats: the device class counts.
    fn device(&mut self);
}

/// Walks all fields of a settings struct except `skipped` (name, reason).
///
/// Fields that serialise to nothing do not enter: ports, which enter by content, and options that are not set, so
/// that a kind can gain an option without changing the keys of those who do not use it.
///
/// # Panics
/// If `settings` is not a struct with string keys, or `skipped` names a field that it does not have.
pub fn describe(
    key: &mut dyn Manifest,
    settings: &impl Serialize,
    skipped: &[(&str, &'static str)],
) {
    let Ok(Value::Object(fields)) = serde_json::to_value(settings) else {
        panic!("settings must be a struct with string keys");
    };
    for (name, reason) in skipped {
        assert!(
            fields.contains_key(*name),
            "skipped setting `{name}` does not exist"
        );
        key.skip(name, reason);
    }
    for (name, value) in &fields {
        if !value.is_null() && !skipped.iter().any(|(skip, _)| skip == name) {
            key.setting(name, value);
        }
    }
}

/// The seed of a stage that sets none: from the pipeline's seed and the stage's name, so that adding or reordering
/// stages changes no other stage's seed.
#[must_use]
pub fn stage_seed(pipeline: u64, stage: &str) -> u64 {
    static BEGINNING: LazyLock<blake3::Hasher> =
        LazyLock::new(|| blake3::Hasher::new_derive_key("refire stage seed"));
    let mut hasher = BEGINNING.clone();
    hasher.update(&pipeline.to_le_bytes());
    hasher.update(stage.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    // TOML integers are signed: keep every seed writable in a file.
    u64::from_le_bytes(first) >> 1
}
