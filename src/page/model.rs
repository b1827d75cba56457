//! What was frozen, and what trained.

use maud::{Markup, html};

use super::written::{count, grouped, percent};

/// What a model's card says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// What it was tuned to do.
    pub task: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Numbers that train, without the head.
    pub trainable: usize,
    /// Numbers in all, without the head; 0 if that is not known.
    pub total: usize,
    /// The parameters that stayed as they were.
    pub frozen: Vec<String>,
    /// The epoch that its weights are of; 0 if it was not trained.
    pub best_epoch: usize,
    /// The settings by which it was trained.
    pub settings: Vec<(String, String)>,
}

/// The card.
pub(super) fn draw(model: &Model) -> Markup {
    let frozen = model.total.saturating_sub(model.trainable);
    let share = 100.0 * count(model.trainable) / count(model.total.max(1));
    html! {
        @if model.total > 0 {
            p.quiet {
                (grouped(model.trainable)) " of " (grouped(model.total)) " numbers trained (" (percent(model.trainable, model.total))
                "), and the head; " (grouped(frozen)) " stayed frozen"
            }
            div.meter role="img" aria-label={ (percent(model.trainable, model.total)) " of the numbers trained" } {
                i style={ "width:" (format!("{share:.2}%")) } {}
            }
        }
        dl.facts {
            @if !model.task.is_empty() { dt { "task" } dd { (model.task) } }
            @if !model.labels.is_empty() { dt { "labels" } dd { (labels(&model.labels)) } }
            @if model.best_epoch > 0 { dt { "weights of" } dd { "epoch " (model.best_epoch) } }
        }
        @if !model.frozen.is_empty() {
            details.plain {
                summary { (grouped(model.frozen.len())) " frozen parameters" }
                ul.names { @for name in &model.frozen { li { code { (name) } } } }
            }
        }
        @if !model.settings.is_empty() {
            details.plain {
                summary { "trained by" }
                table.settings {
                    tbody { @for (name, value) in &model.settings { tr { th scope="row" { (name) } td { code { (value) } } } } }
                }
            }
        }
    }
}

fn labels(labels: &[String]) -> String {
    const MOST: usize = 20;
    let shown: Vec<&str> = labels.iter().take(MOST).map(String::as_str).collect();
    match labels.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
