//! What trains in which epochs and at which rates: what the `freeze` stage and the settings come to for one network.

use std::collections::BTreeMap;

use super::settings::{Pace, Settings, Trains};
use crate::config::Spanned;
use crate::error::{Error, Result};
use crate::models::{Anatomy, Card, Network, Parameter, Part, Pattern, Resolved};
use crate::stages::StageContext;
use crate::train::{Phase, Unfreezing, layer_decay};

/// What trains in which epochs and at which rates.
pub(super) struct Plan {
    /// What trains in which epochs.
    pub(super) phases: Vec<Phase>,
    /// For each parameter what the learning rate is multiplied by.
    pub(super) rate_scales: Vec<f64>,
    /// How long and how fast it goes.
    pub(super) pace: Pace,
}

impl Plan {
    /// The plan for `network`, whose card says what is frozen, and so many samples; reports it.
    ///
    /// # Errors
    /// More layers than the network has; patterns that match nothing, nothing that trains, or what another one does; epochs in which
    /// nothing trains.
    pub(super) fn new(
        settings: &Settings,
        network: &Network,
        card: &Card,
        samples: usize,
        cx: &StageContext<'_>,
    ) -> Result<Self> {
        let anatomy = network.anatomy();
        let frozen = card.freeze.clone().unwrap_or_default();
        let tuned = card
            .training
            .as_ref()
            .and_then(|tuned| tuned.freeze.as_ref());
        if !frozen.is_empty() && tuned == Some(&frozen) {
            cx.notice(format!(
                "what was frozen when the model was tuned stays so: {frozen}; a `freeze` stage before this one changes that"
            ));
        }
        let has_layer = anatomy.parameters.iter().any(|known| known.head);
        let frozen = frozen.resolve(&anatomy).map_err(|error| {
            if has_layer {
                return error;
            }
            error.help("let layers of the encoder train, or put one on top of it: `embedding_size`")
        })?;
        let trained = anatomy.parameters.iter().zip(&frozen.frozen);
        let mut trained = trained.filter(|(_, frozen)| !**frozen);
        let trains = if anatomy.has_adapters() {
            Trains::Adapters
        } else if trained.all(|(parameter, _)| parameter.head) {
            Trains::Head
        } else {
            Trains::Layers
        };
        let (pace, told) = Pace::new(&settings.steps, &settings.rates, trains, samples);
        if let Some(told) = told {
            cx.notice(told);
        }
        let phases = settings
            .unfreezing
            .unfreezing()
            .phases(&frozen, &anatomy, pace.epochs)
            .map_err(|error| settings.unfreezing.blame(error))?;
        let plan = Self {
            phases,
            rate_scales: rate_scales(settings, pace, &frozen, &anatomy)?,
            pace,
        };
        plan.report(settings, &frozen, &anatomy, cx);
        plan.report_rates(&anatomy, card.random_weights.is_some(), cx);
        if card.random_weights.is_some() {
            plan.report_random(&anatomy, cx);
        }
        Ok(plan)
    }

    /// Reports how much trains and when, and whether a learning rate is unusual for it.
    fn report(
        &self,
        settings: &Settings,
        frozen: &Resolved,
        anatomy: &Anatomy,
        cx: &StageContext<'_>,
    ) {
        let total: usize = anatomy.parameters.iter().map(Parameter::size).sum();
        let blocks = anatomy.blocks.len();
        for phase in &self.phases {
            let trained = anatomy.parameters.iter().zip(&phase.plan.frozen);
            let trained: usize = trained
                .filter(|(_, frozen)| !**frozen)
                .map(|(known, _)| known.size())
                .sum();
            let when = match self.phases.len() {
                1 => String::new(),
                _ => format!("from epoch {} on ", phase.from),
            };
            let told = format!(
                "{when}{trained} of {total} weights train; the first {} of {blocks} blocks are frozen",
                phase.plan.prefix
            );
            if anatomy.has_adapters() {
                cx.notice(told);
            } else {
                cx.log(told);
            }
        }
        let unreached = |last: &&Phase| {
            settings.unfreezing.unfreezing() == Unfreezing::LayerByLayer && last.plan != *frozen
        };
        if let Some(last) = self.phases.last().filter(unreached) {
            cx.notice(format!(
                "{} epochs are too few to unfreeze all that may train: the first {} of {blocks} blocks stay as they are",
                self.pace.epochs, last.plan.prefix
            ));
        }
    }

    /// Tells what it means that layers are frozen whose weights are random.
    fn report_random(&self, anatomy: &Anatomy, cx: &StageContext<'_>) {
        let Some(first) = self.phases.first() else {
            return;
        };
        let frozen = frozen_below_head(anatomy, &first.plan);
        if frozen > 0 {
            let when = match frozen_below_head(anatomy, &self.last().plan) {
                0 => "are frozen at first",
                _ => "are frozen",
            };
            cx.notice(format!(
                "the model's weights are random, and {frozen} of them {when}: what is frozen learns nothing, so that the layers after it learn from what chance makes of the samples; let all train, or begin with a model that was trained"
            ));
        }
    }

    /// Whether something below the head stays as it is all along.
    pub(super) fn leaves_some(&self, network: &Network) -> bool {
        frozen_below_head(&network.anatomy(), &self.last().plan) > 0
    }

    /// The phase at the end, in which most trains.
    fn last(&self) -> &Phase {
        self.phases.last().expect("a training has a phase")
    }

    /// Tells whether a learning rate is unusual for what trains; `random` says that nothing was trained before.
    fn report_rates(&self, anatomy: &Anatomy, random: bool, cx: &StageContext<'_>) {
        let Some(last) = self.phases.last() else {
            return;
        };
        let rates = anatomy.parameters.iter().zip(&self.rate_scales);
        let highest_of = |wanted: &dyn Fn(&Parameter) -> bool| {
            let trained = rates.clone().zip(&last.plan.frozen);
            trained
                .filter(|((known, _), frozen)| !**frozen && wanted(known))
                .map(|((_, scale), _)| self.pace.learning_rate * scale)
                .reduce(f64::max)
        };
        if let Some(rate) = highest_of(&|known| known.part == Part::Adapter) {
            if rate < 1e-4 {
                cx.notice(format!(
                    "adapters train: `learning_rate` {rate} is low for them, 5e-4 is usual"
                ));
            }
            return;
        }
        let highest = |head: bool| highest_of(&|known| known.head == head);
        match (highest(false), highest(true)) {
            (Some(rate), _) if random && rate < 2e-4 => cx.notice(format!(
                "layers with random weights train: `learning_rate` {rate} is low for them, 1e-3 is usual"
            )),
            (Some(rate), _) if !random && rate > 2e-4 => cx.notice(format!(
                "pretrained layers train: `learning_rate` {rate} is high for them, 3e-5 is usual"
            )),
            (None, Some(rate)) if rate < 2e-4 => cx.notice(format!(
                "only the head trains: `learning_rate` {rate} is low for it, 1e-3 is usual"
            )),
            _ => {}
        }
    }
}

/// How many numbers below the head that are used `plan` freezes.
fn frozen_below_head(anatomy: &Anatomy, plan: &Resolved) -> usize {
    let parameters = anatomy.parameters.iter().zip(&plan.frozen);
    let frozen = parameters.filter(|(known, frozen)| **frozen && !known.head && known.used);
    frozen.map(|(known, _)| known.size()).sum()
}

/// For each parameter what `learning_rate` is multiplied by: what `learning_rates` says, else `layer_decay`, else 1.
fn rate_scales(
    settings: &Settings,
    pace: Pace,
    frozen: &Resolved,
    anatomy: &Anatomy,
) -> Result<Vec<f64>> {
    let rates = &settings.rates;
    let decay = rates.layer_decay.as_ref().map_or(1.0, |decay| decay.value);
    let mut scales = layer_decay(decay, anatomy);
    let mut said: BTreeMap<usize, (&String, &Spanned<f64>)> = BTreeMap::new();
    for (pattern, rate) in rates.learning_rates.iter().flatten() {
        let matching = Pattern::parse(pattern)
            .and_then(|pattern| pattern.matching(&anatomy.parameters))
            .map_err(|error| rate.blame(error, ""))?;
        if matching.iter().all(|index| frozen.frozen[*index]) {
            let error = Error::stage(format!(
                "`learning_rates` has a rate for `{pattern}`, but all that it matches is frozen"
            ));
            return Err(rate
                .blame(error, "")
                .help("let it train in the `freeze` stage, or leave it out"));
        }
        for index in matching {
            if let Some((other, there)) = said.insert(index, (pattern, rate)) {
                let error = Error::stage(format!(
                    "`learning_rates` has two rates for `{}`: by `{other}` and by `{pattern}`",
                    anatomy.parameters[index].name
                ));
                return Err(there
                    .blame_also(rate, error)
                    .help("write patterns that do not overlap"));
            }
            scales[index] = rate.value / pace.learning_rate;
        }
    }
    Ok(scales)
}
