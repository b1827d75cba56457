//! The state machine of a run. Pure: it knows which stages need which, and nothing of what they do.

use std::collections::BTreeSet;

/// Where a stage is in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not part of this run.
    Out,
    /// Some of its inputs are not there yet.
    Waiting,
    /// It can be decided: all its inputs are there.
    Ready,
    /// It was handed out and has not ended.
    Running,
    /// Its outputs are there.
    Done,
    /// It failed.
    Failed,
    /// It did not start because something that it needs did not end well, or because the run stops.
    Skipped,
}

impl State {
    fn is_over(self) -> bool {
        matches!(self, Self::Out | Self::Done | Self::Failed | Self::Skipped)
    }
}

/// The states of all stages of a run.
#[derive(Clone, Debug)]
pub struct States {
    now: Vec<State>,
    needs: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
    missing: Vec<usize>,
    ready: BTreeSet<usize>,
    stopping: bool,
}

impl States {
    /// The beginning of a run of the stages in `included`. `needs[i]` are the stages that stage `i` needs, each once;
    /// those that are not included count as there.
    #[must_use]
    pub fn new(needs: Vec<Vec<usize>>, included: &[bool]) -> Self {
        let count = needs.len();
        let mut dependents = vec![Vec::new(); count];
        let mut missing = vec![0; count];
        for (index, needed) in needs
            .iter()
            .enumerate()
            .filter(|(index, _)| included[*index])
        {
            for &need in needed.iter().filter(|need| included[**need]) {
                dependents[need].push(index);
                missing[index] += 1;
            }
        }
        let now = included
            .iter()
            .map(|included| {
                if *included {
                    State::Waiting
                } else {
                    State::Out
                }
            })
            .collect();
        let mut run = Self {
            now,
            needs,
            dependents,
            missing,
            ready: BTreeSet::new(),
            stopping: false,
        };
        for index in 0..count {
            if run.now[index] == State::Waiting && run.missing[index] == 0 {
                run.set(index, State::Ready);
            }
        }
        run
    }

    /// The state of stage `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> State {
        self.now[index]
    }

    /// The first stage that can be handed out.
    #[must_use]
    pub fn next_ready(&self) -> Option<usize> {
        self.ready.first().copied()
    }

    /// Whether every stage has come to its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.now.iter().all(|state| state.is_over())
    }

    /// Moves stage `index` on. The only way a state changes.
    ///
    /// Allowed: Waiting → Ready, Skipped; Ready → Running, Skipped; Running → Done, Failed, Skipped. Done makes
    /// dependents ready; Failed and Skipped skip all that depend on the stage.
    ///
    /// # Panics
    /// On any other transition: that is a bug in the caller.
    pub fn set(&mut self, index: usize, next: State) {
        use State::{Done, Failed, Out, Ready, Running, Skipped, Waiting};
        let now = self.now[index];
        let allowed = matches!(
            (now, next),
            (Waiting, Ready | Skipped)
                | (Ready, Running | Skipped)
                | (Running, Done | Failed | Skipped)
        );
        assert!(allowed, "stage {index} cannot go from {now:?} to {next:?}");
        assert!(
            next != Ready || self.missing[index] == 0,
            "stage {index} is not ready"
        );
        self.now[index] = next;
        self.ready.remove(&index);
        match next {
            Ready => {
                self.ready.insert(index);
            }
            Done => self.release(index),
            Failed | Skipped => self.skip_dependents(index),
            Out | Waiting | Running => {}
        }
    }

    /// Skips everything that has not started; no further stage becomes ready.
    pub fn stop(&mut self) {
        self.stopping = true;
        for index in 0..self.now.len() {
            if matches!(self.now[index], State::Waiting | State::Ready) {
                self.set(index, State::Skipped);
            }
        }
    }

    /// The first of the stages that `index` needs that did not end well.
    #[must_use]
    pub fn blamed(&self, index: usize) -> Option<usize> {
        self.needs[index]
            .iter()
            .copied()
            .find(|need| matches!(self.now[*need], State::Failed | State::Skipped))
    }

    fn release(&mut self, index: usize) {
        for dependent in self.dependents[index].clone() {
            self.missing[dependent] -= 1;
            if self.missing[dependent] == 0 && self.now[dependent] == State::Waiting {
                self.set(dependent, State::Ready);
            }
        }
    }

    /// Skips all that depends on stage `index`. A list instead of a recursion, because chains may be long.
    fn skip_dependents(&mut self, index: usize) {
        let mut ended = vec![index];
        while let Some(index) = ended.pop() {
            for &dependent in &self.dependents[index] {
                if self.now[dependent] == State::Waiting {
                    self.now[dependent] = State::Skipped;
                    ended.push(dependent);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever fails and whenever the run is stopped: every stage starts at most once and never before what it
        /// needs, and the run ends.
        #[test]
        fn every_run_ends_in_order(
            needs in proptest::collection::vec(proptest::collection::btree_set(0usize..25, 0..4), 1..25),
            included in proptest::collection::vec(proptest::bool::weighted(0.9), 25),
            fails in proptest::collection::vec(proptest::bool::weighted(0.1), 25),
            slots in 1usize..4,
            stop_after in 0usize..40,
            picks in proptest::collection::vec(0usize..4, 60),
        ) {
            let needs: Vec<Vec<usize>> = needs
                .iter()
                .enumerate()
                .map(|(index, needed)| needed.iter().copied().filter(|need| *need < index).collect())
                .collect();
            let included = &included[..needs.len()];
            let mut run = States::new(needs.clone(), included);
            let mut started = vec![false; needs.len()];
            let mut running: Vec<usize> = Vec::new();
            let mut picks = picks.into_iter().cycle();
            let mut steps = 0;
            while !run.is_over() {
                steps += 1;
                prop_assert!(steps <= 3 * needs.len() + 1);
                if steps == stop_after {
                    run.stop();
                }
                while let (Some(index), true) = (run.next_ready(), running.len() < slots) {
                    prop_assert!(!started[index]);
                    prop_assert!(needs[index].iter().all(|need| matches!(run.get(*need), State::Done | State::Out)));
                    started[index] = true;
                    run.set(index, State::Running);
                    running.push(index);
                }
                if !running.is_empty() {
                    let index = running.swap_remove(picks.next().unwrap_or(0) % running.len());
                    run.set(index, if fails[index] { State::Failed } else { State::Done });
                }
            }
            for index in 0..needs.len() {
                let bad = needs[index].iter().any(|need| matches!(run.get(*need), State::Failed | State::Skipped));
                prop_assert_eq!(run.get(index) == State::Out, !included[index]);
                prop_assert!(!(bad && started[index]));
            }
        }
    }
}
