//! What a tuned network says of masked tokens, measured without anything that is kept of it.

use std::collections::BTreeMap;

use burn::tensor::Device;

use super::Subject;
use crate::data::Table;
use crate::inputs::masks::MaskedTexts;
use crate::inputs::texts::Encoder;
use crate::models::Network;
use crate::stages::samples::MEASURED;
use crate::tasks::Outputs;
use crate::train::{self, Loader, Prefix};

impl Subject {
    /// The figures of the masks of the test texts, all of whose blocks run as they do for `predict`: in other batches, and no features.
    pub(super) fn measure_masks(&self, outputs: &dyn Outputs) -> BTreeMap<String, f64> {
        let folder = self.bench.path("tuned");
        let loaded = Network::open(&folder, &Device::flex()).expect("it loads");
        let encoder = Encoder::of_tuned(&folder, &loaded).expect("a tokenizer");
        let table = Table::read(&self.bench.path("test")).expect("a table");
        let texts = table.values("text").expect("texts");
        let masking = outputs.masking().expect("the card says it");
        let length = encoder.max_length();
        let masked = MaskedTexts::new(encoder.tokenizer(), &texts, length, masking, MEASURED);
        let samples = masked.expect("there are enough").fixed();
        let prefix = Prefix::new(loaded.network.clone(), 0, "cpu").expect("a device");
        let batches = Loader::without_features(&samples, prefix);
        let found = train::run(&loaded.network, &batches, 5, &mut |_| Ok(()));
        let report = outputs.score(&found.expect("it runs"), &samples.targets);
        report.expect("finite").figures
    }
}
