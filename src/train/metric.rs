//! A figure of merit by which epochs are compared.

/// A figure that can be asked for by name. What computes it is the task's.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in settings, gates and reports.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
}
