//! What a run would do, without doing it.

use super::decide::{Decider, Decision};
use crate::error::Result;
use crate::fingerprint::{Fingerprint, Reason};
use crate::plan::{Edge, Selection};
use crate::store::{Digest, Record};

/// What would become of a stage.
pub enum Forecast {
    /// Its result is in the cache.
    Cached(Box<Record>),
    /// It would run.
    Run(Vec<Reason>),
    /// Something that it needs runs first; whether it runs depends on what comes out.
    Depends(Vec<Reason>),
}

/// A stage's forecast.
pub struct Preview {
    /// Index of the stage.
    pub index: usize,
    /// What would become of it.
    pub forecast: Forecast,
    /// Its fingerprint, if its inputs are known.
    pub fingerprint: Option<Fingerprint>,
    /// How long it took when it last ran, if that is known.
    pub expected_seconds: Option<f64>,
}

impl Decider<'_> {
    /// What a run of `selection` would do, in order.
    ///
    /// # Errors
    /// A file of a stage or a cache that cannot be read.
    pub fn preview(&self, selection: &Selection, force: bool) -> Result<Vec<Preview>> {
        let wanted = self.plan.with_needs(&selection.included);
        let mut records: Vec<Option<Record>> = vec![None; self.plan.nodes.len()];
        let mut previews = Vec::new();
        for index in (0..self.plan.nodes.len()).filter(|index| wanted[*index]) {
            let preview = self.look_ahead(index, &records, force && selection.named[index])?;
            if let Forecast::Cached(record) = &preview.forecast {
                records[index] = Some((**record).clone());
            }
            if selection.included[index] {
                previews.push(preview);
            }
        }
        Ok(previews)
    }

    fn look_ahead(
        &self,
        index: usize,
        records: &[Option<Record>],
        forced: bool,
    ) -> Result<Preview> {
        let node = &self.plan.nodes[index];
        let expected_seconds = self.last_seconds(&node.name)?;
        let mut running: Vec<usize> = node
            .inputs
            .iter()
            .map(|edge| edge.from)
            .filter(|from| records[*from].is_none())
            .collect();
        if !running.is_empty() {
            running.sort_unstable();
            running.dedup();
            let mut reasons = self.own_differences(index)?;
            if forced {
                reasons.insert(0, Reason::Forced);
            }
            let certain = !reasons.is_empty();
            reasons.extend(running.iter().map(|&from| Reason::Upstream {
                stage: self.plan.nodes[from].name.clone(),
            }));
            let forecast = if certain {
                Forecast::Run(reasons)
            } else {
                Forecast::Depends(reasons)
            };
            return Ok(Preview {
                index,
                forecast,
                fingerprint: None,
                expected_seconds,
            });
        }
        let input = |edge: &Edge| {
            let record = records[edge.from].as_ref();
            record
                .and_then(|record| record.outputs.get(&edge.output))
                .copied()
                .unwrap_or(Digest::from([0; 32]))
        };
        let fingerprint = self.fingerprint(index, input)?;
        let forecast = match self.decide(index, &fingerprint, forced)? {
            Decision::Cached(record) => Forecast::Cached(record),
            Decision::Run(reasons) => Forecast::Run(reasons),
        };
        Ok(Preview {
            index,
            forecast,
            fingerprint: Some(fingerprint),
            expected_seconds,
        })
    }

    /// How long `stage` took when the pipeline last resolved, if that is known.
    ///
    /// # Errors
    /// A cache that cannot be read.
    pub fn last_seconds(&self, stage: &str) -> Result<Option<f64>> {
        let Some(key) = self.last.get(stage) else {
            return Ok(None);
        };
        Ok(self.store.record(key)?.map(|record| record.seconds))
    }
}
