//! What the configs of networks in stages have in common: a width and a number of layers for each.

use super::transformer::{check_sizes, check_widths, wrong};
use crate::error::Result;

/// Checks the two lists that say how wide and how deep the stages of a network are.
///
/// # Errors
/// Lists that differ in length, or are empty; a stage of nothing; a width that no network has.
pub(super) fn check_stages(
    widths_name: &str,
    widths: &[usize],
    depths_name: &str,
    depths: &[usize],
) -> Result<()> {
    if widths.len() != depths.len() {
        return wrong(&format!(
            "`{widths_name}` has {} numbers, but `{depths_name}` has {}",
            widths.len(),
            depths.len()
        ));
    }
    if widths.is_empty() {
        return wrong(&format!("`{widths_name}` names no stage"));
    }
    if depths.contains(&0) {
        return wrong(&format!("`{depths_name}` has a stage without layers"));
    }
    let sizes: Vec<(&str, usize)> = widths.iter().map(|width| (widths_name, *width)).collect();
    check_sizes(&sizes)?;
    check_widths(&sizes)
}

/// The sum of numbers, or the largest number if it is beyond that.
pub(super) fn sum(numbers: &[usize]) -> usize {
    numbers
        .iter()
        .fold(0, |sum, number| sum.saturating_add(*number))
}

/// Refuses networks whose batch normalisations would fill the memory before a weight is read.
///
/// # Errors
/// More layers times channels than any network has.
pub(super) fn check_total(name: &str, layers: usize, widths: &[usize]) -> Result<()> {
    const MOST: usize = 1 << 22;
    let widest = widths.iter().max().copied().unwrap_or_default();
    if layers.saturating_mul(widest) <= MOST {
        return Ok(());
    }
    wrong(&format!(
        "`{name}` asks for {layers} layers of up to {widest} channels, more than any network has"
    ))
}
