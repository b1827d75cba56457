//! Scenarios.
#[test]
fn x() {}
