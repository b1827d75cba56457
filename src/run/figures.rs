//! The figures of a pipeline as it is now, and which of them are of what it was before.

use std::collections::BTreeMap;

use super::Project;
use crate::error::{Error, Result};
use crate::exec::{Forecast, Preview, in_words};
use crate::plan::Goal;
use crate::report::{MetricsRow, Standing};
use crate::store::{Digest, Record};

/// What is known of a pipeline's figures.
pub struct Figures {
    /// By stage, in order.
    pub rows: Vec<MetricsRow>,
    /// With settings of the command line: the stages that have figures without them, but none with them.
    pub missing: Vec<String>,
    /// Why it cannot be told whether they are of what the files say now.
    pub doubt: Option<Error>,
}

/// What stages come to as the files are now: the recipe and the forecast of each.
type Now = (Vec<Option<Digest>>, Vec<Preview>);

impl Project {
    /// The figures of each stage that has some: of its result in the cache, else those that the lock holds. Those of the lock
    /// are stale if its recipe is another one; with settings of the command line, which the lock knows nothing of, such a
    /// stage has none.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut figures = Figures {
            rows: Vec::new(),
            missing: Vec::new(),
            doubt: None,
        };
        let now = match self.now() {
            Ok(now) => Some(now),
            Err(error) => {
                figures.doubt = Some(error);
                None
            }
        };
        for (index, node) in self.plan.nodes.iter().enumerate() {
            let Some((metrics, state, reason)) = self.figures_of(index, now.as_ref()) else {
                continue;
            };
            let record = now
                .as_ref()
                .and_then(|(_, previews)| recorded(&previews[index]));
            if metrics.is_empty() {
                continue;
            }
            if state == Standing::Stale && !self.writes_lock {
                figures.missing.push(node.name.clone());
                continue;
            }
            figures.rows.push(MetricsRow {
                stage: node.name.clone(),
                metrics,
                before: BTreeMap::new(),
                used: record.map(|record| (record.seconds, None)),
                state,
                reason,
            });
        }
        figures
    }

    fn now(&self) -> Result<Now> {
        let previews = self.preview(&Goal::default(), false)?;
        let recipes = self.decider().recipes(&vec![true; self.plan.nodes.len()])?;
        Ok((recipes, previews))
    }

    fn figures_of(
        &self,
        index: usize,
        now: Option<&Now>,
    ) -> Option<(BTreeMap<String, f64>, Standing, String)> {
        let node = &self.plan.nodes[index];
        let forecast = now.map(|(_, previews)| &previews[index].forecast);
        match forecast {
            Some(Forecast::Cached(record)) => {
                return Some((record.metrics.clone(), Standing::Fresh, String::new()));
            }
            Some(Forecast::Fails(record, error)) => {
                let why = error.message().to_string();
                return Some((record.metrics.clone(), Standing::Failed, why));
            }
            _ => {}
        }
        let entry = self.lock.stages.get(&node.name)?;
        let metrics: BTreeMap<String, f64> = entry.metrics.iter().cloned().collect();
        let Some((recipes, _)) = now else {
            return Some((metrics, Standing::Unknown, String::new()));
        };
        if recipes[index] != Some(entry.recipe) {
            let why = forecast.map(changed).unwrap_or_default();
            return Some((metrics, Standing::Stale, why));
        }
        match node.broken_gate(&metrics) {
            None => Some((metrics, Standing::Fresh, String::new())),
            Some(error) => Some((metrics, Standing::Failed, error.message().to_string())),
        }
    }
}

/// The record of a stage's result, if that is in the cache.
fn recorded(preview: &Preview) -> Option<&Record> {
    match &preview.forecast {
        Forecast::Cached(record) | Forecast::Fails(record, _) => Some(record),
        _ => None,
    }
}

fn changed(forecast: &Forecast) -> String {
    match forecast {
        Forecast::Run(reasons) | Forecast::Depends(reasons) => in_words(reasons),
        Forecast::Skipped { needs } => format!("`{needs}` fails"),
        Forecast::Cached(_) | Forecast::Fails(..) => String::new(),
    }
}
