//! Images → samples for training.

use super::checks;
use super::settings::Settings;
use super::{Data, Extra};
use crate::error::Result;
use crate::models::Network;
use crate::stages::StageContext;
use crate::stages::photos::{self, Changes};

/// Opens the images and checks them; they are read when their turn comes.
pub(super) fn data(
    settings: &Settings,
    labels: &[String],
    network: &Network,
    cx: &StageContext<'_>,
) -> Result<Data> {
    let asked = photos::asked("model", network, cx)?;
    let seen = photos::seen("train", asked, cx)?;
    if cx.optional_input("validation").is_some() {
        photos::refuse_others("validation", seen, cx)?;
    }
    let samples = |port, changes| photos::samples(port, labels, network, asked, changes, cx);
    let train = samples("train", settings.changes(cx.seed()))?;
    let validation = cx.optional_input("validation");
    let validation = validation.map(|_| samples("validation", Changes::default()));
    let validation = validation.transpose()?;
    if let Some(validation) = &validation {
        checks::report_shared_images(&train, validation, cx);
    }
    Ok(Data {
        extra: Extra::Images { input: seen },
        train,
        validation,
    })
}
