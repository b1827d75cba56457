//! Text networks against transformers, by `make_text.py`: hidden states and logits of tokens and weights that both sides make by the
//! same formula.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use refire::models::{
    self, Activations, Head, Loaded, Modality, Network, Problem, Resolved, TokenBatch,
};
use serde::Deserialize;

use crate::vision::{self, Config, report};

/// How far numbers may be from those of transformers.
const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Reference {
    made: Vec<Case>,
    cases: Vec<Case>,
}

/// What a network gives.
#[derive(Deserialize)]
struct Case {
    name: String,
    config: Config,
    tensors: BTreeMap<String, Vec<usize>>,
    /// Whether its head is for masked tokens.
    masked: bool,
    ids: Vec<Vec<i64>>,
    mask: Vec<Vec<f32>>,
    types: Option<Vec<Vec<i64>>>,
    hidden: Vec<f32>,
    logits: Option<Vec<f32>>,
}

fn reference() -> Reference {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/text.json");
    let json = std::fs::read(path).expect("text.json is committed");
    serde_json::from_slice(&json).expect("text.json is what make_text.py writes")
}

impl Case {
    /// Rows and columns of the batch.
    fn shape(&self) -> [usize; 2] {
        [self.ids.len(), self.ids[0].len()]
    }

    fn batch(&self, device: &Device) -> TokenBatch {
        let shape = self.shape();
        let whole = |rows: &[Vec<i64>]| {
            let data = TensorData::new(rows.concat(), shape);
            Tensor::<2, Int>::from_data(data, device)
        };
        TokenBatch {
            ids: whole(&self.ids),
            mask: Tensor::from_data(TensorData::new(self.mask.concat(), shape), device),
            types: self.types.as_deref().map(whole),
        }
    }

    /// The network with its own head, or with one for a label where it has none.
    fn load(&self, folder: &Path, device: &Device) -> Loaded {
        let head = |problem, labels| Head {
            modality: Modality::Texts,
            problem,
            labels,
            embedding_size: None,
            pooling: None,
            dropout: None,
            seed: 0,
        };
        if self.masked {
            let head = head(Problem::MaskedLanguage, Vec::new());
            let loaded = Network::load(folder, &head, device).expect("the model loads");
            assert!(loaded.missing.is_empty(), "missing: {:?}", loaded.missing);
            return loaded;
        }
        if self.logits.is_some() {
            return vision::open(folder);
        }
        let head = head(Problem::default(), vec!["one".into()]);
        let loaded = Network::load(folder, &head, device).expect("the model loads");
        let is_pooler = |name: &String| name.starts_with("pooler.");
        assert!(loaded.unused.iter().all(is_pooler), "{:?}", loaded.unused);
        loaded
    }

    /// The last hidden states, and the logits.
    fn run(&self, network: &Network, batch: &TokenBatch) -> (Vec<f32>, Vec<f32>) {
        let body = 0..network.hidden_blocks().expect("it takes texts");
        let hidden = network.forward(body, Activations::Tokens(batch.clone()));
        let Activations::Hidden { states, .. } = hidden else {
            panic!("the encoder gives hidden states");
        };
        let x = Activations::Tokens(batch.clone());
        let logits = if self.masked {
            let [rows, columns] = self.shape();
            let all: Vec<u32> = (0..).take(columns).collect();
            network.outputs(0, x, Some(&vec![all; rows])).into_data()
        } else {
            match network.forward(0..network.blocks().len(), x) {
                Activations::Logits(logits) => logits.into_data(),
                Activations::Hidden { states, .. } => states.into_data(),
                other => panic!("these are no logits: {other:?}"),
            }
        };
        let numbers = |data: TensorData| data.try_to_vec().expect("they are f32");
        (numbers(states.into_data()), numbers(logits))
    }

    fn compare(&self, network: &Network, batch: &TokenBatch, what: &str) {
        let (hidden, logits) = self.run(network, batch);
        let apart = worst(&hidden, &self.hidden);
        let logits = self.logits.as_ref().map(|theirs| worst(&logits, theirs));
        let name = &self.name;
        report(&format!(
            "{name}{what}: states max |Δ| {apart:e}, logits {logits:?}"
        ));
        let worst = logits.unwrap_or_default().max(apart);
        assert!(worst <= TOLERANCE, "{name}{what}: {worst:e}");
    }
}

/// The largest difference.
fn worst(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn states_and_logits_of_weights_by_formula_are_those_of_transformers() {
    let Reference { made, cases } = reference();
    for case in made.into_iter().chain(cases) {
        let folder = vision::folder(&case.tensors, &case.config);
        let device = models::device("cpu").expect("every build has a CPU");
        let network = case.load(folder.path(), &device).network;
        let batch = case.batch(&device);
        case.compare(&network, &batch, "");

        // Where gradients are kept, the same numbers come from Burn's operations.
        let frozen = vec![true; network.parameters().len()];
        let trained = network.freeze(&Resolved { frozen, prefix: 0 }).train();
        let batch = TokenBatch {
            ids: Tensor::from_inner(batch.ids),
            mask: Tensor::from_inner(batch.mask),
            types: batch.types.map(Tensor::from_inner),
        };
        case.compare(&trained, &batch, " with gradients");
    }
}

#[test]
fn every_text_architecture_is_compared() {
    let Reference { made, cases } = reference();
    let types = made
        .iter()
        .chain(&cases)
        .map(|case| &case.config["model_type"]);
    let types: Vec<&str> = types.filter_map(|name| name.as_str()).collect();
    let texts = models::ARCHITECTURES
        .iter()
        .filter(|known| known.modality == Modality::Texts);
    for known in texts.filter(|known| known.name != "BERT") {
        let own = |name: &&str| known.model_types.contains(name);
        assert!(types.iter().any(own), "{}", known.name);
    }
}
