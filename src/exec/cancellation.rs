//! What the user wants of a run that is under way.

/// Asked many times a second while a run goes on.
pub trait Cancellation: Sync {
    /// Whether everything is to stop.
    fn stop(&self) -> bool;

    /// Whether what runs may end but nothing more is to start: another run will.
    fn drain(&self) -> bool {
        false
    }

    /// Whether the result of `stage`, which runs, will not be used.
    fn is_outdated(&self, _stage: &str) -> bool {
        false
    }
}

impl<F: Fn() -> bool + Sync> Cancellation for F {
    fn stop(&self) -> bool {
        self()
    }
}
