//! `finetune`: trains a pretrained model on texts or images.
//!
//! It reads as a story: load, check, compute features, train, write.

mod checks;
mod data;
mod history;
mod plan;
mod rate_finder;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use data::Data;
use plan::Plan;
use serde_json::json;
use settings::{Pace, Settings};

use super::{ArtifactType, Input, LocalFile, Output, Stage, StageContext, StageKind, samples};
use crate::config::Table;
use crate::error::Result;
use crate::fingerprint::{Manifest, describe};
use crate::models::{self, Card, Head, Loaded, Network};
use crate::tasks::{Outputs, Task};
use crate::train::{
    Loader, Loss, Metric, Outcome, Prefix, Targets, Training, check_step, outputs, resumes_at,
};

pub(super) use rate_finder::LrFindKind;

/// The kind `finetune`.
pub(super) struct FinetuneKind;

impl StageKind for FinetuneKind {
    fn name(&self) -> &'static str {
        "finetune"
    }

    fn about(&self) -> &'static str {
        "trains a pretrained model on texts or images"
    }

    /// 2: booleans and numbers are the labels of the same value, the folder
    /// says how photos were prepared, and `do_normalize` and the like are honoured; images
    /// keep every token of their features, a training that goes on its running statistics; batches of texts do not depend on
    /// `feature_cache_max`, and what follows the layers learns as the last of them. 3: the port `history`. 4: on the processor layers train by code of our own, which adds
    /// in another order.
    fn version(&self) -> u32 {
        4
    }

    fn parse(&self, table: &Table) -> Result<Box<dyn Stage>> {
        let settings = Settings::parse(table).map_err(|error| error.or_at(&table.span, ""))?;
        Ok(Box::new(Finetune { settings }))
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Settings::schema(generator)
    }
}

/// The port of `history.jsonl`.
const HISTORY: &str = "history";

struct Finetune {
    settings: Settings,
}

impl Stage for Finetune {
    fn inputs(&self) -> Vec<Input> {
        let input = |port: &str, accepts, from: &super::Port| Input {
            port: port.into(),
            accepts,
            from: from.clone(),
        };
        let ports = &self.settings.ports;
        let samples = samples::artifacts(self.settings.task().modality);
        let mut inputs = vec![
            input("model", &[ArtifactType::Model], &ports.model),
            input("train", samples, &ports.train),
        ];
        if let Some(validation) = &ports.validation {
            inputs.push(input("validation", samples, validation));
        }
        inputs
    }

    fn outputs(&self) -> Vec<Output> {
        vec![
            Output::new("model", ArtifactType::Model),
            Output::beside(HISTORY, ArtifactType::Files),
        ]
    }

    fn task(&self, _: &dyn Fn(&str) -> Option<&'static Task>) -> Option<&'static Task> {
        Some(self.settings.task())
    }

    fn files(&self) -> Vec<LocalFile> {
        let file = self.settings.reading.file().into_iter();
        file.map(|(role, path, span)| LocalFile {
            role: role.into(),
            path,
            span,
        })
        .collect()
    }

    fn describe(&self, key: &mut dyn Manifest) {
        let mut skipped = vec![("save_steps", "it changes no result")];
        if self.settings.reading.file().is_some() {
            skipped.push(("labels_file", "the file enters by its content"));
        }
        describe(key, &self.settings.all(), &skipped);
        key.seed();
        key.device();
    }

    fn notes(&self) -> Vec<String> {
        self.settings.notes()
    }

    fn check(&self) -> Result<()> {
        self.settings.reading.check()
    }

    fn resumes(&self, checkpoint: &Path) -> Option<String> {
        let epoch = resumes_at(checkpoint)?;
        Some(format!("goes on at epoch {epoch}"))
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let ready = self.prepare(cx)?;
        let outcome = self.train(&ready, cx, |training| {
            check_step(training, &ready.loaded.network)?;
            training.run(&ready.loaded.network)
        })?;
        let Ready {
            outputs,
            loaded,
            plan,
            data,
            ..
        } = ready;
        let outputs = self.settle(outputs, &outcome.network, &data, cx)?;
        let mut old = loaded.card;
        if !plan.leaves_some(&loaded.network) {
            old.random_weights = None;
        }
        let card = self.card(old, &*outputs, &data, plan.pace, &outcome, cx.seed());
        let (base, folder) = (cx.input("model"), cx.output("model"));
        outcome.network.save_beside(base, folder, &card)?;
        data.write(cx)?;
        history::write(&outcome, cx.output(HISTORY))?;
        cx.set_metrics(figures(&outcome, self.headline()?));
        Ok(())
    }
}

/// Everything that a training begins with.
struct Ready {
    outputs: Box<dyn Outputs>,
    loaded: Loaded,
    plan: Plan,
    data: Data,
    loss: Arc<dyn Loss>,
}

impl Finetune {
    /// Loads the model and the samples, decides what is to be decided, and tells it.
    fn prepare(&self, cx: &StageContext<'_>) -> Result<Ready> {
        let settings = &self.settings;
        let ports = data::open(settings, cx)?;
        let outputs = data::decide(settings, &ports, cx)?;
        let loaded = self.load(&*outputs, cx)?;
        let plan = Plan::new(settings, &loaded.network, &loaded.card, ports[0].len(), cx)?;
        let mut data = Data::new(settings, &ports, &*outputs, &loaded, cx)?;
        let loss = settings
            .reading
            .loss(outputs.names(), &data.train.targets)?;
        let told = loss.look(&data.train.targets, settings.steps.batch_size.get())?;
        for told in told {
            cx.notice(told);
        }
        data.hold_down(settings, plan.pace, &*loss, cx);
        Ok(Ready {
            outputs,
            loaded,
            plan,
            data,
            loss,
        })
    }

    /// The figures by which epochs are compared.
    fn headline(&self) -> Result<[&'static Metric; 2]> {
        let task = self.settings.task();
        Ok([self.settings.best.metric(task)?, task.targets.tie_breaker()])
    }

    /// The model with a head for our outputs on it, every tensor accounted for.
    fn load(&self, outputs: &dyn Outputs, cx: &StageContext<'_>) -> Result<Loaded> {
        let input = &self.settings.input;
        let task = self.settings.task();
        let head = Head {
            modality: task.modality,
            problem: task.targets.problem(),
            labels: outputs.names().to_vec(),
            embedding_size: outputs.embedding_size(),
            pooling: input.pooling.as_ref().map(|pooling| pooling.value),
            dropout: input
                .classifier_dropout
                .as_ref()
                .map(|dropout| dropout.value),
            seed: cx.seed(),
        };
        let loaded = Network::load(cx.input("model"), &head, &models::device(cx.device())?)?;
        checks::report_loaded(&loaded, cx);
        Ok(loaded)
    }

    /// Trains as `train` says.
    fn train<T>(
        &self,
        ready: &Ready,
        cx: &StageContext<'_>,
        train: impl FnOnce(&Training<'_>) -> Result<T>,
    ) -> Result<T> {
        let (plan, data, outputs) = (&ready.plan, &ready.data, &*ready.outputs);
        let network = &ready.loaded.network;
        let loss = Arc::clone(&ready.loss);
        let recipe = self.settings.recipe(plan.pace, data.l2, loss, cx.seed())?;
        let score = |found: &[f32], targets: &Targets| Ok(outputs.score(found, targets)?.figures);
        train(&Training {
            recipe: &recipe,
            score: &score,
            phases: &plan.phases,
            rate_scales: &plan.rate_scales,
            train: &data.train,
            validation: data.validation.as_ref(),
            prefix: &Prefix::new(network.clone(), 0, cx.device())?,
            host: cx,
        })
    }

    /// What the outputs mean after training: what is chosen by what the best network gives for the samples to measure on.
    fn settle(
        &self,
        found: Box<dyn Outputs>,
        network: &Network,
        data: &Data,
        cx: &StageContext<'_>,
    ) -> Result<Box<dyn Outputs>> {
        let reading = &self.settings.reading;
        let (Some(_), Some(validation)) = (reading.needs_validation(), &data.validation) else {
            return Ok(found);
        };
        let loader =
            Loader::without_features(validation, Prefix::new(network.clone(), 0, cx.device())?);
        let batch_size = self.settings.steps.batch_size.get();
        let numbers = outputs(network, &loader, batch_size, "thresholds", cx)?;
        let decided = reading.settle(found, Some((&numbers, &validation.targets)))?;
        decided.told.into_iter().for_each(|told| cx.notice(told));
        Ok(decided.outputs)
    }

    /// What the tuned model's folder says about it.
    fn card(
        &self,
        old: Card,
        outputs: &dyn Outputs,
        data: &Data,
        pace: Pace,
        outcome: &Outcome,
        seed: u64,
    ) -> Card {
        let mut settings = self.settings.all();
        settings.remove("save_steps");
        let epochs = match self.settings.steps.max_steps {
            Some(_) => json!(null),
            None => json!(pace.epochs),
        };
        settings.insert("epochs".into(), epochs);
        settings.insert("learning_rate".into(), json!(pace.learning_rate));
        if data.l2 > 0.0 {
            settings.insert("l2".into(), json!(data.l2));
        }
        settings.retain(|_, value| !value.is_null());
        settings.insert("seed".into(), json!(seed));
        let history = outcome.history.iter().map(|epoch| json!(epoch));
        let training = models::Training {
            best_epoch: outcome.figures().epoch,
            best_step: outcome.figures().step,
            freeze: old.freeze.clone(),
            history: history.collect(),
            settings: settings.into(),
        };
        let mut card = Card {
            task: Some(self.settings.task().name.into()),
            max_length: data.max_length(),
            training: Some(training),
            embedding_size: None,
            scheme: None,
            masking: None,
            ..old
        };
        outputs.write(&mut card);
        card
    }
}

/// The headline of the result, for the record and the lock.
fn figures(outcome: &Outcome, metrics: [&Metric; 2]) -> BTreeMap<String, f64> {
    let best = outcome.figures();
    let mut figures = best.headline(metrics);
    #[expect(clippy::cast_precision_loss, reason = "numbers of steps are small")]
    let mut count = |name: &str, number: usize| figures.insert(name.into(), number as f64);
    count("best_epoch", best.epoch);
    if let Some(step) = best.step {
        count("best_step", step);
    }
    figures
}
