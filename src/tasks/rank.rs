//! Figures of an order: areas under curves, average precision, correlations.

/// Area under the ROC curve by the rank-sum statistic, equal scores sharing their middle rank (Fawcett 2006, "An introduction to
/// ROC analysis"); none unless there are samples of both kinds.
pub(super) fn area_under_roc(mut scored: Vec<(f64, bool)>) -> Option<f64> {
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = scored.iter().filter(|(_, positive)| *positive).count();
    let negatives = scored.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut below = 0;
    // The sum over positives of 2 × (negatives below + half of the negatives beside): whole numbers, so exact.
    let mut twice_won = 0;
    for tied in scored.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let tied_positives = tied.iter().filter(|(_, positive)| *positive).count();
        let tied_negatives = tied.len() - tied_positives;
        twice_won += tied_positives * (2 * below + tied_negatives);
        below += tied_negatives;
    }
    Some(float(twice_won) / (2.0 * float(positives) * float(negatives)))
}

/// Average precision: the precision at each score from which on samples count as positive, weighted by how much recall it adds
/// (scikit-learn's `average_precision_score`); 0 if no sample is positive.
pub(super) fn average_precision(mut scored: Vec<(f64, bool)>) -> f64 {
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = scored.iter().filter(|(_, positive)| *positive).count();
    let (mut hits, mut said, mut sum) = (0, 0, 0.0);
    for tied in scored.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let new = tied.iter().filter(|(_, positive)| *positive).count();
        hits += new;
        said += tied.len();
        sum += float(new) * float(hits) / float(said);
    }
    if positives == 0 {
        return 0.0;
    }
    sum / float(positives)
}

/// Pearson's correlation of two rows of numbers of one length; 0 where one of them is constant, so that nothing can be said.
pub(super) fn pearson(one: &[f64], other: &[f64]) -> f64 {
    let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / float(numbers.len());
    let (of_one, of_other) = (mean(one), mean(other));
    let (mut both, mut squares, mut others) = (0.0, 0.0, 0.0);
    for (one, other) in one.iter().zip(other) {
        let (one, other) = (one - of_one, other - of_other);
        both += one * other;
        squares += one * one;
        others += other * other;
    }
    let same = |pair: &[f64]| pair[0].total_cmp(&pair[1]).is_eq();
    let constant = |numbers: &[f64]| numbers.windows(2).all(same);
    if constant(one) || constant(other) || squares == 0.0 || others == 0.0 {
        return 0.0;
    }
    (both / (squares * others).sqrt()).clamp(-1.0, 1.0)
}

/// Spearman's correlation: Pearson's of the ranks, where equals share their middle rank.
pub(super) fn spearman(one: &[f64], other: &[f64]) -> f64 {
    pearson(&ranks(one), &ranks(other))
}

/// The rank of each number, from 1 on; equals share their middle rank.
fn ranks(numbers: &[f64]) -> Vec<f64> {
    // Adding zero makes one number of the two zeros.
    let numbers: Vec<f64> = numbers.iter().map(|number| number + 0.0).collect();
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut below = 0;
    for tied in order.chunk_by(|a, b| numbers[*a].total_cmp(&numbers[*b]).is_eq()) {
        let middle = float(below) + float(tied.len() + 1) / 2.0;
        for place in tied {
            ranks[*place] = middle;
        }
        below += tied.len();
    }
    ranks
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of samples stay far below 2^53"
)]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_share_their_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
    }

    #[test]
    fn what_does_not_move_has_no_correlation() {
        let is = |found: f64, expected: f64| (found - expected).abs() < 1e-15;
        assert!(is(pearson(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]), 0.0));
        assert!(is(spearman(&[1.0, 2.0], &[5.0, 5.0]), 0.0));
        assert!(is(pearson(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), 1.0));
    }
}
