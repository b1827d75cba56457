//! The settings of `finetune` as they are written.

mod changes;
mod checks;
mod class_weights;
mod unfreezing;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

pub(super) use checks::check_labels;
use class_weights::ClassWeights;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unfreezing::GradualUnfreezing;

use crate::config::Spanned;
use crate::error::Result;
use crate::models::{Pooling, Task};
use crate::stages::{Port, feature_cache};
use crate::train::metrics::{self, Metric};
use crate::train::{AdamWSettings, Looks, Objective, Recipe, Shape, Warmup};

/// Trains a pretrained model on labelled texts or images.
///
/// Names and defaults are those of Hugging Face's `TrainingArguments` where it has them.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The model to start from: what a `pretrained`, `freeze` or `finetune` stage made. Without a `freeze` stage before it, every
    /// weight trains; what was frozen when a model was tuned stays so until a `freeze` stage says otherwise.
    pub(super) model: Port,
    /// What to train on: a table of texts, or images.
    pub(super) train: Port,
    /// What to measure every epoch on. It decides which epoch is the best.
    #[serde(default)]
    pub(super) validation: Option<Port>,
    /// What the model is to do.
    pub(super) task: Task,
    /// The column with the texts. Default: `text`.
    pub(super) text_column: Option<Spanned<String>>,
    /// The column with the labels of texts. Default: `label`.
    pub(super) target_column: Option<Spanned<String>>,
    /// The labels, in the order of the model's outputs; of two labels the second is the positive one. Default: those of the samples
    /// to train on and of `validation`, in the order of the model's own if it has the same, else in alphabetical order. A head that
    /// the model has for the same labels in the same order learns on; for other labels a new one takes its place.
    pub(super) labels: Option<Vec<Spanned<String>>>,
    /// Instead of `labels`: a text file with one label a line, relative to this one.
    pub(super) labels_file: Option<Spanned<String>>,
    /// How the states of a text's tokens become one vector. Default: what the model's folder says, else the checkpoint's pooler; a
    /// sentence encoder whose folder lacks what says it (`1_Pooling/config.json`) is refused.
    #[serde(default)]
    pub(super) pooling: Option<Spanned<Pooling>>,
    /// Dropout before the classifier. Default: what the model's `config.json` says.
    #[serde(default)]
    pub(super) classifier_dropout: Option<Spanned<f64>>,
    /// The most tokens of a text that count, special ones included; longer texts are cut. Default: what the model was tuned with before,
    /// else 256, or fewer if the model takes fewer.
    #[serde(default)]
    pub(super) max_length: Option<Spanned<NonZeroUsize>>,
    /// The probability of swapping left and right in an image.
    #[schemars(range(min = 0, max = 1))]
    pub(super) hflip: Option<Spanned<f64>>,
    /// The probability of turning an image upside down.
    #[schemars(range(min = 0, max = 1))]
    pub(super) vflip: Option<Spanned<f64>>,
    /// Cut a random rectangle with an area between these shares of the image out of it, and resize it to the image's size:
    /// `[0.08, 1.0]` is usual.
    pub(super) scale: Option<Spanned<[f64; 2]>>,
    /// With `scale`: the least and the greatest ratio of the rectangle's width to its height. Default: `[0.75, 1.3333]`.
    pub(super) ratio: Option<Spanned<[f64; 2]>>,
    /// How far the brightness, the contrast and the saturation of an image may go up and down: 0.4 draws factors from 0.6 to 1.4.
    #[schemars(range(min = 0, max = 1))]
    pub(super) color_jitter: Option<Spanned<f64>>,
    /// The probability of erasing a random rectangle of an image (to the mean colour).
    #[schemars(range(min = 0, max = 1))]
    pub(super) reprob: Option<Spanned<f64>>,
    /// Blend pairs of images, and their labels, by a share from Beta(mixup, mixup).
    #[schemars(range(min = 0))]
    pub(super) mixup: Option<Spanned<f64>>,
    /// Exchange a rectangle within pairs of images; the share that stays is from Beta(cutmix, cutmix). With `mixup` as well, each
    /// batch is mixed by one of the two.
    #[schemars(range(min = 0))]
    pub(super) cutmix: Option<Spanned<f64>>,
    /// Train on so many fixed random looks of each image, which take turns from epoch to epoch, so that what the frozen layers make of
    /// them is computed once. Default: every epoch has looks of its own.
    pub(super) cached_views: Option<Spanned<NonZeroUsize>>,
    /// How often every sample is trained on.
    #[serde(default = "epochs")]
    pub(super) epochs: NonZeroUsize,
    /// Samples in a batch.
    #[serde(default = "batch_size")]
    pub(super) batch_size: NonZeroUsize,
    /// Batches in a step of the optimizer.
    #[serde(default = "one")]
    pub(super) gradient_accumulation_steps: NonZeroUsize,
    /// The highest learning rate: near 3e-5 when the whole model trains, near 1e-3 when only the head does.
    #[serde(default = "learning_rate")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(super) learning_rate: Spanned<f64>,
    /// What the learning rate is multiplied by from each layer to the one below it, as in timm: 0.65 to 0.95 is usual. The head learns
    /// at `learning_rate` itself, what else comes after the layers as the last of them. Default: 1.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub(super) layer_decay: Option<Spanned<f64>>,
    /// Learning rates of parameters by name, instead of `learning_rate` and `layer_decay`, such as `{ "classifier.*" = 1e-3 }`. The
    /// names are patterns as those of a `freeze` stage; they must not overlap. Warm-up and decay are the same for all.
    #[serde(default)]
    pub(super) learning_rates: Option<BTreeMap<String, Spanned<f64>>>,
    /// When layers begin to train. `true`: the head alone in the first epoch, and one layer more in each that follows, from the last
    /// layer to the first (arXiv:1801.06146). A table says from which epochs on how many of the last layers train, such as
    /// `{ 1 = 0, 3 = 2, 5 = "all" }`. What a `freeze` stage freezes stays frozen.
    #[serde(default)]
    pub(super) gradual_unfreezing: Option<Spanned<GradualUnfreezing>>,
    /// The first so many of `epochs` train the head alone, the others the rest too. Not together with `gradual_unfreezing`.
    #[serde(default)]
    pub(super) freeze_epochs: Option<Spanned<usize>>,
    /// The most room that what the frozen layers give may take, such as "500MiB"; beyond it they run again in every epoch. Default:
    /// "2GiB".
    #[serde(default)]
    pub(super) feature_cache_max: Option<Spanned<String>>,
    /// How the learning rate moves after the warm-up.
    #[serde(default)]
    pub(super) lr_scheduler_type: Spanned<Shape>,
    /// Share of all steps over which the learning rate rises from 0; give this or `warmup_steps`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub(super) warmup_ratio: Option<Spanned<f64>>,
    /// Steps over which the learning rate rises from 0.
    #[serde(default)]
    pub(super) warmup_steps: Option<Spanned<u64>>,
    /// How fast weights shrink, apart from biases and norms.
    #[serde(default = "weight_decay")]
    #[schemars(range(min = 0))]
    pub(super) weight_decay: Spanned<f64>,
    /// Decay of AdamW's mean of gradients.
    #[serde(default = "beta1")]
    #[schemars(range(min = 0, max = 1))]
    pub(super) adam_beta1: Spanned<f64>,
    /// Decay of AdamW's mean of squared gradients.
    #[serde(default = "beta2")]
    #[schemars(range(min = 0, max = 1))]
    pub(super) adam_beta2: Spanned<f64>,
    /// What AdamW adds to the root of the mean of squared gradients.
    #[serde(default = "epsilon")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(super) adam_epsilon: Spanned<f64>,
    /// The longest that the gradient of a step may be, all weights together; 0 for no limit.
    #[serde(default = "max_grad_norm")]
    #[schemars(range(min = 0))]
    pub(super) max_grad_norm: Spanned<f64>,
    /// Share of each target that is spread evenly over all labels.
    #[serde(default = "zero")]
    #[schemars(range(min = 0, max = 1))]
    pub(super) label_smoothing_factor: Spanned<f64>,
    /// How much the samples of each label count: "balanced" gives every label the same share, a table a weight to each. Default: 1.
    #[serde(default)]
    pub(super) class_weights: Option<Spanned<ClassWeights>>,
    /// The figure on the validation table by which the best epoch is chosen; of equals the one with the lower log loss.
    #[serde(default = "accuracy")]
    pub(super) metric_for_best_model: Spanned<String>,
    /// Whether the best epoch's weights are the result, and not the last one's.
    #[serde(default = "yes")]
    pub(super) load_best_model_at_end: bool,
    /// Stop after so many epochs without a better figure; layers that begin to train begin the count anew.
    #[serde(default)]
    pub(super) early_stopping_patience: Option<Spanned<NonZeroUsize>>,
}

fn epochs() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(2)
}

fn batch_size() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(31)
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn yes() -> bool {
    true
}

fn learning_rate() -> Spanned<f64> {
    5e-5.into()
}

fn weight_decay() -> Spanned<f64> {
    AdamWSettings::default().weight_decay.into()
}

fn beta1() -> Spanned<f64> {
    AdamWSettings::default().beta1.into()
}

fn beta2() -> Spanned<f64> {
    AdamWSettings::default().beta2.into()
}

fn epsilon() -> Spanned<f64> {
    AdamWSettings::default().epsilon.into()
}

fn max_grad_norm() -> Spanned<f64> {
    1.0.into()
}

fn zero() -> Spanned<f64> {
    0.0.into()
}

fn accuracy() -> Spanned<String> {
    "accuracy".to_string().into()
}

impl Settings {
    fn warmup(&self) -> Warmup {
        match (&self.warmup_ratio, &self.warmup_steps) {
            (Some(ratio), _) => Warmup::Ratio(ratio.value),
            (None, steps) => Warmup::Steps(steps.as_ref().map_or(0, |steps| steps.value)),
        }
    }

    /// The labels that are written, in the order of the outputs.
    pub(super) fn label_names(&self) -> Option<Vec<String>> {
        let labels = self.labels.as_ref()?.iter();
        Some(labels.map(|label| label.value.clone()).collect())
    }

    /// Why what the frozen layers give will not be kept, as far as the settings say.
    pub(super) fn notes(&self) -> Vec<String> {
        let changes = self.changes(0).looks() == Looks::Endless;
        let changes = changes.then_some("images change at random before them");
        let no_room = feature_cache::most_bytes(self.feature_cache_max.as_ref());
        let no_room = matches!(no_room, Ok(0)).then_some("`feature_cache_max` leaves no room");
        let why = changes.or(no_room);
        why.map(|why| format!("frozen layers run again in every epoch, because {why}"))
            .into_iter()
            .collect()
    }

    /// The figure that decides which epoch is the best.
    pub(super) fn metric(&self) -> Result<&'static Metric> {
        metrics::find(&self.metric_for_best_model.value)
    }

    /// The settings of the training loop for so many samples of each of `labels` to train on.
    ///
    /// # Errors
    /// An unknown metric.
    pub(super) fn recipe(
        &self,
        labels: &[String],
        class_counts: &[usize],
        seed: u64,
    ) -> Result<Recipe> {
        Ok(Recipe {
            epochs: self.epochs.get(),
            batch_size: self.batch_size.get(),
            gradient_accumulation_steps: self.gradient_accumulation_steps.get(),
            learning_rate: self.learning_rate.value,
            shape: self.lr_scheduler_type.value,
            warmup: self.warmup(),
            optimizer: AdamWSettings {
                beta1: self.adam_beta1.value,
                beta2: self.adam_beta2.value,
                epsilon: self.adam_epsilon.value,
                weight_decay: self.weight_decay.value,
                max_grad_norm: Some(self.max_grad_norm.value).filter(|norm| *norm > 0.0),
            },
            objective: Objective::new(self.weights(labels, class_counts), self.smoothing()),
            metric: self.metric()?,
            load_best_model_at_end: self.load_best_model_at_end,
            early_stopping_patience: self
                .early_stopping_patience
                .as_ref()
                .map(|patience| patience.value.get()),
            feature_cache_max: feature_cache::most_bytes(self.feature_cache_max.as_ref())?,
            seed,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "losses are 32-bit floats")]
    fn smoothing(&self) -> f32 {
        self.label_smoothing_factor.value as f32
    }

    #[expect(clippy::cast_possible_truncation, reason = "losses are 32-bit floats")]
    fn weights(&self, labels: &[String], class_counts: &[usize]) -> Vec<f32> {
        match self.class_weights.as_ref().map(|weights| &weights.value) {
            None => vec![1.0; class_counts.len()],
            Some(ClassWeights::Balanced) => Objective::balanced(class_counts),
            Some(ClassWeights::Table(table)) => {
                let weight = |label: &String| table.get(label).map_or(1.0, |weight| *weight as f32);
                labels.iter().map(weight).collect()
            }
        }
    }
}
