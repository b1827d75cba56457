//! Which stages a run is about.

use globset::Glob;

use super::Plan;
use crate::error::{Error, Result};

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Goal {
    /// Names of stages, or globs over them; none means all.
    pub stages: Vec<String>,
    /// Also everything that needs them.
    pub downstream: bool,
    /// Only them: what they need must be in the cache.
    pub single: bool,
}

/// Which stages take part in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// By index: the stages that the user named, or all; `--force` is about these.
    pub named: Vec<bool>,
    /// By index: the stages that may run.
    pub included: Vec<bool>,
}

impl Plan {
    /// The stages that `goal` is about and what they need.
    ///
    /// # Errors
    /// A name or glob that matches no stage.
    pub fn select(&self, goal: &Goal) -> Result<Selection> {
        let mut named = vec![goal.stages.is_empty(); self.nodes.len()];
        for pattern in &goal.stages {
            for index in self.matching(pattern)? {
                named[index] = true;
            }
        }
        if goal.downstream {
            for index in 0..self.nodes.len() {
                named[index] |= self.nodes[index].inputs.iter().any(|edge| named[edge.from]);
            }
        }
        let included = if goal.single {
            named.clone()
        } else {
            self.with_needs(&named)
        };
        Ok(Selection { named, included })
    }

    /// The stages in `included` and all that they need.
    #[must_use]
    pub fn with_needs(&self, included: &[bool]) -> Vec<bool> {
        let mut wanted = included.to_vec();
        for index in (0..self.nodes.len()).rev() {
            if wanted[index] {
                for edge in &self.nodes[index].inputs {
                    wanted[edge.from] = true;
                }
            }
        }
        wanted
    }

    fn matching(&self, pattern: &str) -> Result<Vec<usize>> {
        if !pattern.contains(['*', '?', '[', '{']) {
            return self.find(pattern).map(|index| vec![index]);
        }
        let glob = Glob::new(pattern)
            .map_err(|error| {
                Error::usage(format!("`{pattern}` is not a valid pattern")).because(&error)
            })?
            .compile_matcher();
        let found: Vec<usize> = (0..self.nodes.len())
            .filter(|&index| glob.is_match(&self.nodes[index].name))
            .collect();
        if found.is_empty() {
            let names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            return Err(Error::usage(format!("no stage matches `{pattern}`"))
                .note(format!("stages: {}", names.join(", "))));
        }
        Ok(found)
    }
}
