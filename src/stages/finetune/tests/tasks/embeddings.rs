//! What `predict` says of texts that are compared, measured.

use std::collections::BTreeMap;

use super::{Subject, numbers_of, parse};
use crate::data::Table;
use crate::models::{Card, Modality};
use crate::train::{Compared, Targets};

impl Subject {
    /// The figures of the embeddings that `predict` gives for one column after the other.
    pub(super) fn measure_embeddings(&self) -> BTreeMap<String, f64> {
        let asked = Table::read(&self.bench.path("test")).expect("a table");
        let columns = ["text", "second"].map(|column| {
            let text = format!(
                "model = \"tuned\"\ntable = \"test\"\ntext_column = \"{column}\"\nprefix = \"said_\""
            );
            let stage = parse("predict", &text).expect("it parses");
            let said = self.bench.run(&*stage, "said", &|| false);
            let numbers = numbers_of(&said.expect("it predicts").0, "said_embedding");
            let texts = asked.values(column).expect("texts");
            assert_eq!(numbers.len(), 8 * texts.len());
            let vectors = numbers.chunks_exact(8).map(<[f32]>::to_vec);
            vectors.zip(texts).collect::<Vec<_>>()
        });
        let mut known = BTreeMap::new();
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        for (first, second) in columns[0].iter().zip(&columns[1]) {
            for (vector, text) in [first, second] {
                numbers.extend_from_slice(vector);
                let next = u32::try_from(known.len()).expect("few texts");
                texts.push(*known.entry(text.clone()).or_insert(next));
            }
        }
        let card = Card::read(&self.bench.path("tuned")).expect("a card");
        let outputs = self.task.targets.open(&card, Modality::Texts, None);
        let targets = Targets::Compared(Compared {
            members: 2,
            texts,
            scores: Vec::new(),
        });
        let report = outputs.expect("a card").score(&numbers, &targets);
        report.expect("finite").figures
    }
}
