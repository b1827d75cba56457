//! What has changed against the lock: of a stage that has run, what its figures were.

use crate::event::{Event, Outcome, Sink};
use crate::lock::Lock;

/// Passes events on, and before that of a stage that has run with other figures than the lock has, those of the lock.
pub(super) struct AgainstLock<'a> {
    pub(super) lock: &'a Lock,
    pub(super) next: &'a dyn Sink,
}

impl Sink for AgainstLock<'_> {
    fn send(&self, event: &Event) {
        if let Event::StageFinished {
            stage,
            outcome: Outcome::Ran | Outcome::Failed,
            metrics,
            ..
        } = event
        {
            let entry = self.lock.stages.get(stage);
            let was = entry.map(|entry| entry.metrics.iter().cloned().collect());
            if let Some(was) = was.filter(|was| was != metrics && !metrics.is_empty()) {
                let stage = stage.clone();
                self.next.send(&Event::Was {
                    stage,
                    metrics: was,
                });
            }
        }
        self.next.send(event);
    }

    fn spawned(&self, group: u32) {
        self.next.spawned(group);
    }
}
