//! Work on many items at once, on few one after the other.

use rayon::prelude::*;

use crate::threads;

/// From how many items on waking threads costs less than it saves. A single large file is spread by its hash.
const MANY: usize = 32;

/// Whether one thread does it: for few items, and where the system allows no more.
fn is_for_one(items: usize) -> bool {
    items < MANY || threads::start_all().is_err()
}

/// What `work` makes of every item, in order, or the error of one of them.
pub(super) fn try_map<T: Send, R: Send, E: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<R, E> + Send + Sync,
) -> Result<Vec<R>, E> {
    if is_for_one(items.len()) {
        items.into_iter().map(work).collect()
    } else {
        items.into_par_iter().map(work).collect()
    }
}

/// The same for work that makes nothing.
pub(super) fn try_each<T: Sync, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<(), E> + Send + Sync,
) -> Result<(), E> {
    if is_for_one(items.len()) {
        items.iter().try_for_each(work)
    } else {
        items.par_iter().try_for_each(work)
    }
}
