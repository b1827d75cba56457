//! What a run would do, without doing it.

use super::decide::{Decider, Decision};
use crate::error::{Error, Result};
use crate::fingerprint::{Fingerprint, Reason};
use crate::plan::{Edge, Selection};
use crate::store::{Digest, Record};

/// What would become of a stage.
pub enum Forecast {
    /// Its result is in the cache.
    Cached(Box<Record>),
    /// Its result is in the cache, but does not pass one of its gates: the run would fail here, with this error.
    Fails(Box<Record>, Error),
    /// It would not run, because this stage, which it needs, fails or would not run either.
    Skipped {
        /// Name of that stage.
        needs: String,
    },
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
    /// Where it goes on if it was interrupted: `goes on at epoch 3`.
    pub resumes: Option<String>,
}

impl Preview {
    /// Its key, if its inputs are known.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        let fingerprint = self.fingerprint.as_ref()?;
        Some(Digest::from(fingerprint.digest()).to_string())
    }
}

impl Decider<'_> {
    /// What a run of `selection` would do, in order.
    ///
    /// # Errors
    /// A file of a stage or a cache that cannot be read.
    pub fn preview(&self, selection: &Selection, force: bool) -> Result<Vec<Preview>> {
        let wanted = self.plan.with_needs(&selection.included);
        let mut records: Vec<Option<Record>> = vec![None; self.plan.nodes.len()];
        let mut blocked = vec![false; self.plan.nodes.len()];
        let mut previews = Vec::new();
        for index in (0..self.plan.nodes.len()).filter(|index| wanted[*index]) {
            let forced = force && selection.named[index];
            let preview = match self.needs_blocked(index, &blocked) {
                Some(needs) => self.skipped(index, needs)?,
                None => self.look_ahead(index, &records, forced)?,
            };
            match &preview.forecast {
                Forecast::Cached(record) => records[index] = Some((**record).clone()),
                Forecast::Fails(..) | Forecast::Skipped { .. } => blocked[index] = true,
                Forecast::Run(_) | Forecast::Depends(_) => {}
            }
            if selection.included[index] {
                previews.push(preview);
            }
        }
        Ok(previews)
    }

    /// The first stage that `index` needs and that is `blocked`.
    fn needs_blocked(&self, index: usize, blocked: &[bool]) -> Option<String> {
        let nodes = &self.plan.nodes;
        let edge = nodes[index].inputs.iter().find(|edge| blocked[edge.from])?;
        Some(nodes[edge.from].name.clone())
    }

    fn skipped(&self, index: usize, needs: String) -> Result<Preview> {
        Ok(Preview {
            index,
            forecast: Forecast::Skipped { needs },
            fingerprint: None,
            expected_seconds: self.last_seconds(&self.plan.nodes[index].name)?,
            resumes: None,
        })
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
                resumes: None,
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
            Decision::Cached(record) => match node.broken_gate(&record.metrics) {
                None => Forecast::Cached(record),
                Some(error) => Forecast::Fails(record, error),
            },
            Decision::Run(reasons) => Forecast::Run(reasons),
        };
        let resumes = match forecast {
            Forecast::Run(_) => {
                let key = fingerprint.digest().into();
                node.stage.resumes(&self.store.checkpoint(&key))
            }
            _ => None,
        };
        Ok(Preview {
            index,
            forecast,
            fingerprint: Some(fingerprint),
            expected_seconds,
            resumes,
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
