//! Images → samples for training.

use super::checks;
use super::{Data, Extra};
use crate::error::Result;
use crate::models::Network;
use crate::stages::{StageContext, photos};

/// Opens the images and checks them; they are read when their turn comes.
pub(super) fn data(labels: &[String], network: &Network, cx: &StageContext<'_>) -> Result<Data> {
    let input = photos::input(cx.input("model"))?;
    let samples = |port| photos::samples(port, labels, network, input, cx);
    let train = samples("train")?;
    let validation = cx.optional_input("validation");
    let validation = validation.map(|_| samples("validation")).transpose()?;
    if let Some(validation) = &validation {
        checks::report_shared_images(&train, validation, cx);
    }
    Ok(Data {
        extra: Extra::Images {
            input: photos::seen(&train, input),
        },
        train,
        validation,
    })
}
