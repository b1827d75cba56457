//! What a stage's result depends on: one walk makes the key and its explanation, so that they cannot drift. No I/O.

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
