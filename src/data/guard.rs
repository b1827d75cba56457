//! Keeps polars' panics from ending a stage: on damaged files and odd queries it has some.

use std::sync::{Arc, OnceLock};

use polars::prelude::{PolarsError, PolarsResult};

use crate::error::contained;
use crate::threads;

/// Calls `polars`; a panic becomes an error.
pub(super) fn guarded<T>(polars: impl FnOnce() -> PolarsResult<T>) -> PolarsResult<T> {
    has_threads()?;
    contained(polars).unwrap_or_else(|text| {
        Err(PolarsError::ComputeError(
            format!("polars stopped: {text}").into(),
        ))
    })
}

/// Checks that polars can start its threads, once, before it does: three for each of ours, and a few. Where it cannot,
/// it panics, or waits for those that it has begun with.
pub(super) fn has_threads() -> PolarsResult<()> {
    static CHECKED: OnceLock<Result<(), Arc<std::io::Error>>> = OnceLock::new();
    let check = || {
        threads::start_all().map_err(|error| std::io::Error::other(error.to_string()))?;
        threads::require(3 * rayon::current_num_threads() + 4)
    };
    let checked = CHECKED.get_or_init(|| check().map_err(Arc::new)).clone();
    checked.map_err(|error| PolarsError::IO {
        error,
        msg: Some(format!("the system allows no more threads: {}", threads::MORE).into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let error = guarded::<()>(|| panic!("no {}", "way")).expect_err("panicked");
        assert_eq!(error.to_string(), "polars stopped: no way");
    }
}
