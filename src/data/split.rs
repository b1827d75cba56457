//! Which row goes to which part: at random, within classes, so many of each class, by whole groups, or by a hash of a value.
//!
//! The same rows, shares and seed always give the same parts, on every machine and in every version.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::random::Random;

/// How rows are dealt out.
#[derive(Clone, Copy, Debug)]
pub enum Method<'a> {
    /// Row by row.
    Rows,
    /// Row by row, so that each class is spread over the parts like the whole. Holds the class of each row, as
    /// an index that does not depend on the order of rows.
    Stratified(&'a [usize]),
    /// Whole groups. Holds the group of each row, as an index that does not depend on the order of rows.
    Grouped(&'a [usize]),
    /// By the value of each row alone: other rows have no influence.
    Hashed(&'a [String]),
}

/// Deals `rows` rows out to as many parts as there are `shares`, which sum to 1: the part of each row.
///
/// Counts are exact to rounding for rows and classes, as close as whole groups allow for groups, and true on
/// average for hashes. Without a shuffle, the first rows of each class go to the first part, and so on.
#[must_use]
pub fn assign(
    rows: usize,
    shares: &[f64],
    method: Method<'_>,
    seed: u64,
    shuffle: bool,
) -> Vec<usize> {
    match method {
        Method::Rows => stratified(&vec![0; rows], shares, seed, shuffle),
        Method::Stratified(classes) => stratified(classes, shares, seed, shuffle),
        Method::Grouped(groups) => grouped(groups, shares, seed),
        Method::Hashed(values) => values
            .iter()
            .map(|value| part_at(position(value, seed), shares))
            .collect(),
    }
}

/// What a part gets of the rows of each class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Portion {
    /// A share of them, from 0 to 1.
    Share(f64),
    /// So many, in every class.
    Count(usize),
}

/// A class that has too few rows for a part that gets so many of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooFew {
    /// The part.
    pub part: usize,
    /// The class.
    pub class: usize,
    /// How many rows the class has.
    pub rows: usize,
    /// How many of them are left for the part.
    pub left: usize,
}

/// Deals rows out to parts of which some get so many rows of each class: the part of each row, none for what is left over.
/// `classes` holds the class of each row, as an index that does not depend on the order of rows.
///
/// The rows of a class have one order, drawn from the seed, whatever the parts are. Counts are dealt from its beginning, one part after
/// the other, so that 8 rows a class are among 32 rows a class. Shares are of all rows and are dealt from its end, so that no
/// count moves them: they get the rows that they would get behind a first part with all the rest.
///
/// # Errors
/// A class with fewer rows than its parts get.
pub fn portions(
    classes: &[usize],
    portions: &[Portion],
    seed: u64,
    shuffle: bool,
) -> Result<Vec<Option<usize>>, TooFew> {
    let shared = |(part, portion): (usize, &Portion)| match portion {
        Portion::Share(share) => Some((part, *share)),
        Portion::Count(_) => None,
    };
    let shared: Vec<(usize, f64)> = portions.iter().enumerate().filter_map(shared).collect();
    let mut of_rows = vec![1.0 - shared.iter().map(|(_, share)| share).sum::<f64>()];
    of_rows.extend(shared.iter().map(|(_, share)| share));
    let members = members(classes, seed, shuffle);
    let sizes: Vec<usize> = members.iter().map(|(_, rows)| rows.len()).collect();
    let mut parts = vec![None; classes.len()];
    for ((class, rows), counts) in members.into_iter().zip(quotas(&sizes, &of_rows)) {
        let (mut left, mut shared_rows) = rows.split_at(counts[0]);
        for ((part, _), count) in shared.iter().zip(&counts[1..]) {
            let (own, rest) = shared_rows.split_at(*count);
            shared_rows = rest;
            for row in own {
                parts[*row] = Some(*part);
            }
        }
        for (part, portion) in portions.iter().enumerate() {
            let Portion::Count(count) = *portion else {
                continue;
            };
            let Some((own, rest)) = left.split_at_checked(count) else {
                return Err(TooFew {
                    part,
                    class,
                    rows: rows.len(),
                    left: left.len(),
                });
            };
            left = rest;
            for row in own {
                parts[*row] = Some(part);
            }
        }
    }
    Ok(parts)
}

/// The classes, and the rows of each in the order in which they are dealt out.
fn members(classes: &[usize], seed: u64, shuffle: bool) -> Vec<(usize, Vec<usize>)> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, class) in classes.iter().enumerate() {
        members.entry(*class).or_default().push(row);
    }
    if shuffle {
        for (class, rows) in &mut members {
            // A stream of its own, so that a new row in one class does not move those of another.
            Random::stream(seed, *class as u64).shuffle(rows);
        }
    }
    members.into_iter().collect()
}

fn stratified(classes: &[usize], shares: &[f64], seed: u64, shuffle: bool) -> Vec<usize> {
    let members = members(classes, seed, shuffle);
    let sizes: Vec<usize> = members.iter().map(|(_, rows)| rows.len()).collect();
    let mut parts = vec![0; classes.len()];
    for ((_, rows), counts) in members.into_iter().zip(quotas(&sizes, shares)) {
        let part_of = (0..shares.len()).flat_map(|part| std::iter::repeat_n(part, counts[part]));
        for (row, part) in rows.into_iter().zip(part_of) {
            parts[row] = part;
        }
    }
    parts
}

/// How many rows of each class go to each part: the exact share rounded down or up, by largest remainder.
///
/// Remainders are carried from class to class, so that the parts as a whole keep their shares even when there are
/// many small classes, all of which would otherwise be rounded the same way.
fn quotas(sizes: &[usize], shares: &[f64]) -> Vec<Vec<usize>> {
    let mut carried = vec![0.0; shares.len()];
    sizes
        .iter()
        .map(|size| {
            let exact: Vec<f64> = shares
                .iter()
                .map(|share| whole(share * count(*size)))
                .collect();
            let mut counts: Vec<usize> = exact.iter().map(|exact| floor(*exact)).collect();
            let mut up: Vec<usize> = (0..shares.len())
                .filter(|part| exact[*part] > exact[*part].floor())
                .collect();
            let claim = |part: &usize| exact[*part].fract() + carried[*part];
            up.sort_by(|a, b| claim(b).total_cmp(&claim(a)).then(a.cmp(b)));
            let missing = size - counts.iter().sum::<usize>();
            for part in up.into_iter().take(missing) {
                counts[part] += 1;
            }
            for (part, carried) in carried.iter_mut().enumerate() {
                *carried += exact[part] - count(counts[part]);
            }
            counts
        })
        .collect()
}

/// Deals out groups, each to the part that lacks most rows.
///
/// Groups come in random order, except that those which could upset the smallest part come first, largest first.
fn grouped(groups: &[usize], shares: &[f64], seed: u64) -> Vec<usize> {
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for group in groups {
        *sizes.entry(*group).or_default() += 1;
    }
    let mut lacking: Vec<f64> = shares
        .iter()
        .map(|share| share * count(groups.len()))
        .collect();
    let large = lacking.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
    let mut order: Vec<usize> = sizes.keys().copied().collect();
    Random::new(seed).shuffle(&mut order);
    order.sort_by_key(|group| {
        let size = sizes[group];
        Reverse(if count(size) > large { size } else { 0 })
    });
    let mut parts = BTreeMap::new();
    for group in order {
        let neediest = (0..shares.len())
            .rev()
            .max_by(|a, b| lacking[*a].total_cmp(&lacking[*b]))
            .unwrap_or(0);
        lacking[neediest] -= count(sizes[&group]);
        parts.insert(group, neediest);
    }
    groups.iter().map(|group| parts[group]).collect()
}

/// Where in [0, 1) the hash of `value` lies.
fn position(value: &str, seed: u64) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(value.as_bytes());
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    // 52 random bits as the fraction of a float between 1 and 2.
    f64::from_bits(0x3ff0_0000_0000_0000 | (u64::from_le_bytes(first) >> 12)) - 1.0
}

/// The part whose stretch of [0, 1) holds `position`.
fn part_at(position: f64, shares: &[f64]) -> usize {
    let mut end = 0.0;
    for (part, share) in shares.iter().enumerate() {
        end += share;
        if position < end {
            return part;
        }
    }
    shares.len() - 1
}

#[expect(clippy::cast_precision_loss, reason = "no table has 2^52 rows")]
fn count(rows: usize) -> f64 {
    rows as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of rows, rounded down"
)]
fn floor(rows: f64) -> usize {
    rows as usize
}

/// A value that is whole but for the rounding of floats becomes whole: 0.29 × 100 is 29.
fn whole(value: f64) -> f64 {
    let near = value.round();
    if (value - near).abs() < 1e-6 {
        near
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHARES: [f64; 3] = [0.8, 0.1, 0.1];

    fn counts(parts: &[usize], of: usize) -> Vec<usize> {
        (0..of)
            .map(|part| parts.iter().filter(|p| **p == part).count())
            .collect()
    }

    fn shares() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(1u32..100, 1..5).prop_map(|weights| {
            let sum: u32 = weights.iter().sum();
            weights
                .iter()
                .map(|weight| f64::from(*weight) / f64::from(sum))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn rows_are_dealt_exactly(rows in 0usize..500, shares in shares(), seed: u64, shuffle: bool) {
            let parts = assign(rows, &shares, Method::Rows, seed, shuffle);
            prop_assert_eq!(parts.len(), rows);
            for (share, dealt) in shares.iter().zip(counts(&parts, shares.len())) {
                prop_assert!((share * count(rows) - count(dealt)).abs() < 1.0);
            }
            prop_assert_eq!(&parts, &assign(rows, &shares, Method::Rows, seed, shuffle));
        }

        #[test]
        fn every_class_is_dealt_to_rounding(
            classes in prop::collection::vec(0usize..6, 0..300), shares in shares(), seed: u64,
        ) {
            let parts = assign(classes.len(), &shares, Method::Stratified(&classes), seed, true);
            for class in 0..6 {
                let of_class: Vec<usize> =
                    (0..parts.len()).filter(|row| classes[*row] == class).map(|row| parts[row]).collect();
                for (share, dealt) in shares.iter().zip(counts(&of_class, shares.len())) {
                    prop_assert!((share * count(of_class.len()) - count(dealt)).abs() < 1.0);
                }
            }
        }

        #[test]
        fn parts_keep_their_shares_over_many_small_classes(
            sizes in prop::collection::vec(1usize..4, 1..200), shares in shares(), seed: u64,
        ) {
            let classes: Vec<usize> =
                sizes.iter().enumerate().flat_map(|(class, size)| vec![class; *size]).collect();
            let parts = assign(classes.len(), &shares, Method::Stratified(&classes), seed, true);
            for (share, dealt) in shares.iter().zip(counts(&parts, shares.len())) {
                prop_assert!((share * count(classes.len()) - count(dealt)).abs() < 2.0);
            }
        }

        #[test]
        fn counts_are_the_beginning_of_one_order_and_move_no_share(
            classes in prop::collection::vec(0usize..4, 40..300), few in 1usize..4, more in 1usize..4, seed: u64, shuffle: bool,
        ) {
            let deal = |count| portions(&classes, &[Portion::Count(count), Portion::Share(0.2)], seed, shuffle);
            let Ok(all) = deal(few + more) else { return Ok(()); };
            let one = deal(few).expect("fewer fit where more do");
            let shares = assign(classes.len(), &[0.8, 0.2], Method::Stratified(&classes), seed, shuffle);
            for row in 0..classes.len() {
                prop_assert!(one[row] != Some(0) || all[row] == Some(0));
                prop_assert_eq!(one[row] == Some(1), shares[row] == 1);
                prop_assert_eq!(all[row] == Some(1), shares[row] == 1);
            }
            for class in 0..4 {
                let of_class = |row: &usize| classes[*row] == class && one[*row] == Some(0);
                let dealt = (0..classes.len()).filter(of_class).count();
                prop_assert_eq!(dealt, if classes.contains(&class) { few } else { 0 });
            }
        }

        #[test]
        fn groups_stay_whole(groups in prop::collection::vec(0usize..40, 0..300), shares in shares(), seed: u64) {
            let parts = assign(groups.len(), &shares, Method::Grouped(&groups), seed, true);
            for group in 0..40 {
                let mut of_group = (0..parts.len()).filter(|row| groups[*row] == group).map(|row| parts[row]);
                if let Some(first) = of_group.next() {
                    prop_assert!(of_group.all(|part| part == first));
                }
            }
        }

        #[test]
        fn appended_rows_move_no_row(
            values in prop::collection::vec(".*", 1..50), more in prop::collection::vec(".*", 0..50),
            shares in shares(), seed: u64,
        ) {
            let before = assign(values.len(), &shares, Method::Hashed(&values), seed, true);
            let all: Vec<String> = values.iter().chain(&more).cloned().collect();
            let after = assign(all.len(), &shares, Method::Hashed(&all), seed, true);
            prop_assert_eq!(&after[..before.len()], &before[..]);
        }
    }

    #[test]
    fn a_seed_means_the_same_parts_for_ever() {
        let parts = assign(10, &SHARES, Method::Rows, 42, true);
        assert_eq!(parts, [0, 0, 0, 0, 0, 0, 2, 0, 1, 0]);
        let values: Vec<String> = (0..10).map(|row| row.to_string()).collect();
        assert_eq!(
            assign(10, &[0.5, 0.5], Method::Hashed(&values), 42, true),
            [0, 0, 1, 0, 1, 0, 0, 1, 0, 1]
        );
        let classes: Vec<usize> = (0..12).map(|row| row % 2).collect();
        let few = [Portion::Count(2), Portion::Share(0.5), Portion::Count(1)];
        let parts = portions(&classes, &few, 42, true).expect("dealt");
        let parts: Vec<_> = parts
            .iter()
            .map(|part| part.map_or(9, |part| part))
            .collect();
        assert_eq!(parts, [0, 1, 1, 1, 0, 2, 2, 0, 1, 1, 1, 0]);
    }

    #[test]
    fn a_class_with_too_few_rows_is_named() {
        let few = [Portion::Share(0.5), Portion::Count(1), Portion::Count(2)];
        let short = portions(&[5, 5, 5, 5, 5, 5, 7, 7, 7, 7], &few, 1, true);
        let expected = TooFew {
            part: 2,
            class: 7,
            rows: 4,
            left: 1,
        };
        assert_eq!(short, Err(expected));
    }

    #[test]
    fn without_a_shuffle_the_order_stays() {
        let parts = assign(10, &SHARES, Method::Rows, 42, false);
        assert_eq!(parts, [0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn a_large_group_does_not_empty_a_part() {
        let groups: Vec<usize> = (0..100).map(|row| row.max(30)).collect();
        for seed in 0..50 {
            let parts = assign(100, &SHARES, Method::Grouped(&groups), seed, true);
            assert!(
                counts(&parts, 3).iter().all(|count| *count > 5),
                "seed {seed}"
            );
        }
    }

    #[test]
    fn hashes_keep_the_shares_on_average() {
        let values: Vec<String> = (0..20_000).map(|row| format!("row {row}")).collect();
        let parts = assign(values.len(), &SHARES, Method::Hashed(&values), 7, true);
        for (share, dealt) in SHARES.iter().zip(counts(&parts, 3)) {
            assert!((share - count(dealt) / 20_000.0).abs() < 0.01);
        }
    }
}
