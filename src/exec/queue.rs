//! Stages that have to run and wait for room: of those that fit, the one on the longest way to the end comes first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Instant;

use crate::config::Resources;
use crate::store::Digest;

/// A stage that has to run.
pub(super) struct Queued {
    pub(super) index: usize,
    pub(super) at: Instant,
    pub(super) key: Digest,
    pub(super) reason: String,
}

/// Its place: how long it and what depends on it will take, in microseconds. The first of equals comes first, so that the
/// order of the file decides among stages that never ran.
type Rank = (u64, Reverse<usize>);

/// Sorted by what the stages need, because one look then tells for all of a group whether they fit.
#[derive(Default)]
pub(super) struct Queue {
    groups: BTreeMap<Resources, BinaryHeap<Rank>>,
    waiting: BTreeMap<usize, (Queued, Resources)>,
    /// By stage index, once there is a choice.
    priorities: Vec<f64>,
}

impl Queue {
    /// Puts a stage in that needs `needs`. `priorities` is asked once, when there is a choice.
    pub(super) fn push(
        &mut self,
        queued: Queued,
        needs: Resources,
        priorities: impl FnOnce() -> Vec<f64>,
    ) {
        if self.priorities.is_empty() && !self.waiting.is_empty() {
            self.priorities = priorities();
            self.rank_again();
        }
        let rank = self.rank(queued.index);
        self.groups.entry(needs).or_default().push(rank);
        self.waiting.insert(queued.index, (queued, needs));
    }

    /// Takes out the stage that should start now.
    pub(super) fn pop(&mut self, fits: impl Fn(&Resources) -> bool) -> Option<Queued> {
        let groups = self.groups.iter().filter(|(needs, _)| fits(needs));
        let first =
            |(needs, ranks): (&Resources, &BinaryHeap<Rank>)| Some((*ranks.peek()?, *needs));
        let (_, needs) = groups.filter_map(first).max()?;
        let (_, Reverse(index)) = self.groups.get_mut(&needs)?.pop()?;
        self.waiting.remove(&index).map(|(queued, _)| queued)
    }

    /// Takes all out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Queued> {
        self.groups.clear();
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().map(|(queued, _)| queued)
    }

    fn rank(&self, index: usize) -> Rank {
        let seconds = self.priorities.get(index).copied().unwrap_or(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, and no time is negative"
        )]
        let microseconds = (seconds * 1e6) as u64;
        (microseconds, Reverse(index))
    }

    fn rank_again(&mut self) {
        self.groups.clear();
        for (index, (_, needs)) in &self.waiting {
            let rank = self.rank(*index);
            self.groups.entry(*needs).or_default().push(rank);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(index: usize) -> Queued {
        Queued {
            index,
            at: Instant::now(),
            key: Digest::from([0; 32]),
            reason: String::new(),
        }
    }

    #[test]
    fn the_longest_way_comes_first_then_the_order_of_the_file() {
        let mut queue = Queue::default();
        let large = Resources {
            cpus: Some(8),
            ..Resources::default()
        };
        let priorities = || vec![1.0, 5.0, 5.0, 9.0];
        queue.push(queued(2), Resources::default(), priorities);
        queue.push(queued(0), Resources::default(), priorities);
        queue.push(queued(3), large, priorities);
        queue.push(queued(1), Resources::default(), priorities);
        let mut next = |fits: fn(&Resources) -> bool| queue.pop(fits).map(|queued| queued.index);
        assert_eq!(next(|needs| needs.cpus.is_none()), Some(1));
        assert_eq!(next(|_| true), Some(3));
        assert_eq!(next(|needs| needs.cpus.is_some()), None);
        assert_eq!(next(|_| true), Some(2));
        assert_eq!(next(|_| true), Some(0));
        assert_eq!(next(|_| true), None);
    }
}
