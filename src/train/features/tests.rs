//! Features of the tiny BERT at several depths, kept in plain folders.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::event::Observer;
use crate::models::{self, Head, Modality, Network, Problem};
use crate::train::{Inputs, Targets, Texts};

/// Keeps memos in a folder, and says which were made.
struct Shelf {
    folder: tempfile::TempDir,
    made: RefCell<Vec<PathBuf>>,
}

impl Shelf {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            made: RefCell::default(),
        }
    }

    fn place(&self, fields: &[(&str, String)]) -> PathBuf {
        let name = blake3::hash(format!("{fields:?}").as_bytes()).to_hex();
        self.folder.path().join(name.as_str())
    }
}

impl Observer for Shelf {
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}

    fn notice(&self, _: String) {}

    fn check_cancelled(&self) -> Result<()> {
        Ok(())
    }
}

impl Host for Shelf {
    fn measured(&self, _: String, _: BTreeMap<String, f64>, _: f64) {}

    fn memo(
        &self,
        _: &str,
        fields: &[(&str, String)],
        make: &mut dyn FnMut(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let place = self.place(fields);
        if !place.exists() {
            std::fs::create_dir(&place).expect("made");
            make(&place)?;
            self.made.borrow_mut().push(place.clone());
        }
        Ok(place)
    }

    fn recall(&self, _: &str, fields: &[(&str, String)]) -> Result<Option<PathBuf>> {
        Ok(Some(self.place(fields)).filter(|place| place.exists()))
    }
}

fn prefix() -> Prefix {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    let head = Head {
        modality: Modality::Texts,
        problem: Problem::default(),
        labels: vec!["a".into(), "b".into()],
        embedding_size: None,
        pooling: None,
        dropout: None,
        seed: 0,
    };
    let device = models::device("cpu").expect("every build has a CPU");
    let loaded = Network::load(&folder, &head, &device).expect("it loads");
    Prefix::new(loaded.network, 0, "cpu").expect("every build has a CPU")
}

/// Texts of many lengths, so that batches are padded.
fn samples() -> Samples {
    let tokens =
        (0..70_u32).map(|text| (0..text % 11 + 2).map(|at| (text + at * 7) % 130).collect());
    Samples {
        inputs: Inputs::Texts(Texts {
            tokens: tokens.collect(),
            members: std::num::NonZeroUsize::MIN,
            types: None,
            pad_id: 0,
        }),
        targets: Targets::Classes(vec![0; 70]),
    }
}

fn bits(depth: usize, shelf: &Shelf) -> Vec<u32> {
    let features = Features::new(&prefix().cut(depth), &samples(), u64::MAX, shelf);
    let features = features.expect("it is computed").expect("there are blocks");
    features
        .numbers
        .iter()
        .map(|number| number.to_bits())
        .collect()
}

#[test]
fn a_deeper_prefix_goes_on_from_a_shallower_one_with_the_same_bits() {
    for (shallow, deep) in [(1, 2), (1, 4), (2, 3), (3, 4)] {
        let (fresh, shelf) = (Shelf::new(), Shelf::new());
        bits(shallow, &shelf);
        assert_eq!(bits(deep, &shelf), bits(deep, &fresh), "{shallow} → {deep}");
    }
}

#[test]
fn it_is_the_remembered_features_that_it_goes_on_from() {
    let (fresh, shelf) = (Shelf::new(), Shelf::new());
    bits(1, &shelf);
    bits(2, &shelf);
    let deepest = shelf.made.borrow()[1].clone();
    let width = 32;
    let count = samples().lengths().iter().sum::<u32>() as usize;
    file::write(&deepest, &vec![0.5; count * width], width).expect("written over");
    assert_ne!(bits(3, &shelf), bits(3, &fresh));
}

#[test]
fn features_beyond_the_limit_are_not_kept() {
    let shelf = Shelf::new();
    let prefix = prefix().cut(4);
    let bytes = 70 * 32 * 4;
    let features = |limit| Features::new(&prefix, &samples(), limit, &shelf).expect("it runs");
    assert!(features(bytes - 1).is_none());
    Features::keep(&prefix, &samples(), bytes - 1, &shelf).expect("it runs");
    assert!(shelf.made.borrow().is_empty());
    assert!(features(bytes).is_some());
}
