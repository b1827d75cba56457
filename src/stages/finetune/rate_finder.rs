//! `lr-find`: finds a learning rate for a training, by trying rates from low to high.

mod picture;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::{Finetune, Input, LocalFile, Output, Stage, StageContext, StageKind};
use crate::config::{Parts, Spanned, Table};
use crate::error::{Context as _, Error, Result};
use crate::fingerprint::{Manifest, describe};
use crate::stages::ArtifactType;
use crate::stages::schema::merged;
use crate::store::write_atomic;
use crate::tasks::Task;
use crate::train::{RateRange, RateTried, below_least, steepest};

/// The kind `lr-find`.
pub(in crate::stages) struct LrFindKind;

/// The port of what was tried.
const CURVE: &str = "curve";

const ABOUT: &str = "Finds a learning rate for a training: trains for some steps at rates from low to high, and says at which the loss fell fastest (arXiv:1506.01186).\n\nIts other settings are those of `finetune`. `refire lr-find STAGE` does it for a stage of that kind.";

/// Which rates are tried.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
struct Range {
    /// The first learning rate.
    #[serde(default = "lowest")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    min_lr: Spanned<f64>,
    /// The learning rate at which it ends, if the loss has not grown to four times its least before.
    #[serde(default = "highest")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    max_lr: Spanned<f64>,
    /// How many rates are tried, each for a step.
    #[serde(default = "steps")]
    #[schemars(range(min = 20, max = 100_000))]
    num_training: Spanned<usize>,
}

fn lowest() -> Spanned<f64> {
    1e-7.into()
}

fn highest() -> Spanned<f64> {
    10.0.into()
}

fn steps() -> Spanned<usize> {
    100.into()
}

impl Range {
    fn check(&self) -> Result<()> {
        for (name, rate) in [("min_lr", &self.min_lr), ("max_lr", &self.max_lr)] {
            if !(rate.value.is_finite() && rate.value > 0.0) {
                let error = Error::usage(format!("`{name}` is {}; it must be above 0", rate.value));
                return Err(rate.blame(error, ""));
            }
        }
        if self.max_lr.value <= self.min_lr.value {
            let error = Error::usage(format!(
                "`max_lr` is {}; it must be above `min_lr`, {}",
                self.max_lr.value, self.min_lr.value
            ));
            return Err(self.max_lr.blame(error, ""));
        }
        if !(20..=100_000).contains(&self.num_training.value) {
            let error = Error::usage(format!(
                "`num_training` is {}; it must be from 20 to 100000",
                self.num_training.value
            ));
            return Err(self.num_training.blame(error, ""));
        }
        Ok(())
    }
}

impl StageKind for LrFindKind {
    fn name(&self) -> &'static str {
        "lr-find"
    }

    fn about(&self) -> &'static str {
        "finds a learning rate for a training"
    }

    fn version(&self) -> u32 {
        2
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let read = || {
            let mut parts = Parts::new(table);
            let range: Range = parts.read()?;
            range.check()?;
            let settings = Settings::read(parts)?;
            Ok(LrFind {
                range,
                of: Finetune { settings },
            })
        };
        let stage = read().map_err(|error: Error| error.or_at(&table.span, ""))?;
        Ok(Box::new(stage))
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut parts = vec![generator.subschema_for::<Range>()];
        parts.extend(Settings::schemas(generator));
        merged(ABOUT, parts, generator)
    }
}

struct LrFind {
    range: Range,
    /// The training.
    of: Finetune,
}

impl Stage for LrFind {
    fn inputs(&self) -> Vec<Input> {
        self.of.inputs()
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new(CURVE, ArtifactType::Files)]
    }

    fn task(&self, upstream: &dyn Fn(&str) -> Option<&'static Task>) -> Option<&'static Task> {
        self.of.task(upstream)
    }

    fn files(&self) -> Vec<LocalFile> {
        self.of.files()
    }

    fn describe(&self, key: &mut dyn Manifest) {
        describe(key, &self.range, &[]);
        self.of.describe(key);
    }

    fn check(&self) -> Result<()> {
        self.of.check()
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let ready = self.of.prepare(cx)?;
        let range = RateRange {
            lowest: self.range.min_lr.value,
            highest: self.range.max_lr.value,
            steps: self.range.num_training.value,
        };
        let tried = self.of.train(&ready, cx, |training| {
            training.try_rates(&ready.loaded.network, &range)
        })?;
        let found = steepest(&tried);
        if found.is_none() {
            cx.notice("the loss falls at no rate that was tried: a higher `max_lr`, more steps or larger batches may show more");
        }
        let folder = cx.output(CURVE);
        let text = serde_json::to_vec(&Found {
            learning_rate: found,
            below_least: below_least(&tried),
            tried: &tried,
        });
        let text = text.or_stage(|| "cannot write what was tried")?;
        write_atomic(&folder.join("lr-find.json"), &text)?;
        let picture = picture::svg(&tried, found);
        write_atomic(&folder.join("lr-find.svg"), picture.as_bytes())?;
        let figures = [
            ("learning_rate", found),
            ("below_least", below_least(&tried)),
        ];
        let figures = figures
            .into_iter()
            .filter_map(|(name, rate)| Some((name.to_string(), rate?)));
        cx.set_metrics(figures.collect());
        Ok(())
    }
}

/// What is in `lr-find.json`.
#[derive(Serialize)]
struct Found<'t> {
    learning_rate: Option<f64>,
    below_least: Option<f64>,
    tried: &'t [RateTried],
}
