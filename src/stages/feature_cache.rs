//! How much room the features of frozen layers may take.

use crate::config::{self, Spanned};
use crate::error::Result;
use crate::models::Card;

/// The setting that says so.
const SETTING: &str = "feature_cache_max";

/// Unless it is set.
const MOST_BYTES: u64 = 2 << 30;

/// The bytes that features may take, by the setting.
///
/// # Errors
/// A setting that is not a number of bytes.
pub(super) fn most_bytes(setting: Option<&Spanned<String>>) -> Result<u64> {
    setting.map_or(Ok(MOST_BYTES), config::bytes)
}

/// The same where the default is what the model was tuned with.
///
/// # Errors
/// As [`most_bytes`].
pub(super) fn most_bytes_or_tuned(setting: Option<&Spanned<String>>, card: &Card) -> Result<u64> {
    let tuned = card.tuned_by();
    let tuned = || Some(tuned.word(SETTING)?.to_string().into());
    most_bytes(setting.cloned().or_else(tuned).as_ref())
}
