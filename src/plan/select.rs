//! Which stages a command is about.

use globset::GlobBuilder;

use super::Plan;
use super::edges::{Names, Target, meant};
use crate::error::{Error, Result};
use crate::names;

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Goal {
    /// Names of stages, or globs over them; none means all. The name of a matrix stage means all its instances.
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

    /// The index of the stage called `name`.
    ///
    /// # Errors
    /// If there is none, or if it is a matrix stage: one of its instances has to be named.
    pub fn find(&self, name: &str) -> Result<usize> {
        self.position(name).ok_or_else(|| self.no_single(name))
    }

    /// The index of the stage that `text` names, and the port: `STAGE` or `STAGE.PORT`, where STAGE may hold dots if it is
    /// an instance of a matrix.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn resolve<'t>(&self, text: &'t str) -> Result<(usize, Option<&'t str>)> {
        match Names::of(&self.nodes).find(text) {
            Some((Target::One(index), port)) => Ok((index, port)),
            Some((Target::All(base, _), _)) => Err(self.no_single(&base)),
            None => Err(self.no_single(meant(text))),
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// The instances of the matrix stage `name`.
    fn instances(&self, name: &str) -> Vec<usize> {
        let is_instance = |index: &usize| {
            let base = self.nodes[*index].name.split_once('@');
            base.is_some_and(|(base, _)| base == name)
        };
        (0..self.nodes.len()).filter(is_instance).collect()
    }

    /// The error for `name`, which is no stage, or several.
    fn no_single(&self, name: &str) -> Error {
        let called = |index: &usize| self.nodes[*index].name.as_str();
        let instances: Vec<&str> = self.instances(name).iter().map(called).collect();
        if !instances.is_empty() {
            return Error::usage(format!("stage `{name}` has a matrix, so it is several"))
                .help(format!("name one of them: {}", instances.join(", ")));
        }
        let stages: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        Error::usage(format!("the pipeline has no stage `{name}`"))
            .did_you_mean(name, Names::of(&self.nodes).all())
            .note(format!("its stages: {}", stages.join(", ")))
    }

    fn matching(&self, pattern: &str) -> Result<Vec<usize>> {
        if !pattern.contains(['*', '?', '[', '{']) {
            if let Some(index) = self.position(pattern) {
                return Ok(vec![index]);
            }
            let instances = self.instances(pattern);
            return if instances.is_empty() {
                Err(self.no_single(pattern))
            } else {
                Ok(instances)
            };
        }
        let glob = names::glob(pattern, &GlobBuilder::new(pattern)).map_err(|cause| {
            Error::usage(format!("`{pattern}` is not a valid pattern")).cause(cause)
        })?;
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
