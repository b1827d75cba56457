//! Losses of a few vectors, by hand; gradients of a large batch in pieces.

use burn::module::Module;

use super::*;
use crate::models::small::small_models;
use crate::models::{self, Activations, Head, Modality, Network, Problem, TokenBatch};
use crate::train::{Gradients, Pieces};

/// Samples of these texts and scores.
fn compared(members: usize, texts: &[u32], scores: &[f32]) -> Targets {
    Targets::Compared(Compared {
        members,
        texts: texts.to_vec(),
        scores: scores.to_vec(),
    })
}

/// The loss of embeddings of two numbers, sample by sample.
fn loss(loss: &dyn Loss, rows: &[[f32; 2]], targets: &Targets) -> f32 {
    let numbers: Vec<f32> = rows.iter().flatten().copied().collect();
    let data = TensorData::new(numbers, [rows.len(), 2]);
    let outputs = Tensor::from_data(data, &Device::flex());
    loss.sum(outputs, targets, loss.weight(targets))
        .into_scalar()
}

#[test]
fn cosines_are_held_against_scores() {
    let rows = [[2.0, 0.0], [0.0, 3.0], [1.0, 0.0], [5.0, 0.0]];
    let targets = compared(2, &[0, 1, 2, 3], &[0.5, 1.0]);
    // Cosines 0 and 1.
    let found = loss(&CosineSimilarity, &rows, &targets);
    assert!((found - 0.125).abs() < 1e-6, "{found}");
}

const RANKING: Ranking = Ranking {
    temperature: 1.0,
    symmetric: false,
    piece: None,
};

#[test]
fn a_partner_is_found_among_those_of_the_batch() {
    let rows = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
    let targets = compared(2, &[0, 1, 2, 3], &[]);
    let expected = (1.0 + (-1.0_f32).exp()).ln();
    let found = loss(&RANKING, &rows, &targets);
    assert!((found - expected).abs() < 1e-6, "{found}");
    let both = Ranking {
        symmetric: true,
        ..RANKING
    };
    let found = loss(&both, &rows, &targets);
    assert!((found - expected).abs() < 1e-6, "{found}");
}

#[test]
fn equal_texts_are_no_negatives_of_each_other() {
    let rows = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
    // The same first text, the same second text, a second text that is another's first one: no negative is left.
    for texts in [[0, 1, 0, 2], [0, 1, 2, 1], [0, 1, 1, 0]] {
        let found = loss(&RANKING, &rows, &compared(2, &texts, &[]));
        assert!(found.abs() < 1e-6, "{texts:?}: {found}");
    }
    let told = RANKING
        .look(&compared(2, &[0, 1, 0, 2, 3, 4], &[]), 8)
        .expect("there is something to learn");
    assert!(told[0].contains("2 of 3 pairs"), "{told:?}");
}

#[test]
fn a_negative_that_is_the_partner_of_its_own_sample_does_not_count() {
    let rows = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]];
    let found = loss(&RANKING, &rows, &compared(3, &[0, 1, 1], &[]));
    assert!(found.abs() < 1e-6, "{found}");
    let found = loss(&RANKING, &rows, &compared(3, &[0, 1, 2], &[]));
    assert!((found - (1.0 + 1.0_f32.exp()).ln()).abs() < 1e-6, "{found}");
}

#[test]
fn a_batch_of_one_pair_is_refused_or_told() {
    let three = compared(2, &[0, 1, 2, 3, 4, 5], &[]);
    let error = RANKING.look(&three, 1).expect_err("it has no negative");
    assert!(error.message().contains("`batch_size` is 1"), "{error}");
    let one = compared(2, &[0, 1], &[]);
    let error = RANKING.look(&one, 32).expect_err("it has no negative");
    assert!(error.message().contains("one pair"), "{error}");
    let told = RANKING.look(&three, 2).expect("the first batch has two");
    assert!(told[0].contains("holds one pair"), "{told:?}");
    let with_negatives = compared(3, &[0, 1, 2], &[]);
    assert_eq!(RANKING.look(&with_negatives, 1).expect("fine"), [""; 0]);
}

#[test]
fn a_partner_is_to_be_closer_than_a_negative() {
    let rows = [[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]];
    let triplets = |distance, margin| Triplets { distance, margin };
    let targets = compared(3, &[0, 1, 2], &[]);
    let found = loss(&triplets(Measure::Euclidean, 5.0), &rows, &targets);
    assert!((found - 6.0).abs() < 1e-5, "{found}");
    let found = loss(&triplets(Measure::Euclidean, 0.5), &rows, &targets);
    assert!((found - 1.5).abs() < 1e-5, "{found}");
    let rows = [[1.0, 0.0], [0.0, 4.0], [2.0, 0.0]];
    let found = loss(&triplets(Measure::Cosine, 0.5), &rows, &targets);
    assert!((found - 1.5).abs() < 1e-5, "{found}");
}

/// A small text network without dropout, with a layer on top.
fn network() -> Network {
    let mut models = small_models().into_iter();
    let model = models.find(|model| model.modality == Modality::Texts);
    let model = model.expect("there are networks for texts");
    let head = Head {
        modality: Modality::Texts,
        problem: Problem::Embedding,
        labels: Vec::new(),
        embedding_size: Some(16),
        pooling: Some(models::Pooling::Mean),
        dropout: None,
        seed: 3,
    };
    let device = models::device("cpu").expect("every build has a CPU");
    Network::load(model.path(), &head, &device)
        .expect("it loads")
        .network
}

#[test]
fn gradients_in_pieces_are_those_of_the_whole_batch() {
    const PAIRS: u32 = 256;
    let network = network().train();
    let tokens = |text: u32| -> Vec<u32> {
        let words = (0..=text % 9).map(|at| 5 + (text * 31 + at * 17 + text / 7) % 120);
        [2].into_iter().chain(words).chain([3]).collect()
    };
    let texts: Vec<Vec<u32>> = (0..2 * PAIRS).map(tokens).collect();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let device = models::device("cpu").expect("every build has a CPU");
    let input = Activations::Tokens(TokenBatch::new(&texts, 0, &device));
    let numbers: Vec<u32> = (0..2 * PAIRS).collect();
    let targets = compared(2, &numbers, &[]);
    let ranking = Ranking {
        temperature: 0.05,
        symmetric: true,
        piece: Some(32),
    };
    let total = ranking.weight(&targets);
    let outputs = network.outputs(0, input.clone(), None);
    let whole = ranking.sum(outputs, &targets, total);
    let value = f64::from(whole.clone().into_scalar::<f32>());
    let whole = Gradients::new(&network, whole.backward());
    let pieces = Pieces {
        network: &network,
        from: 0,
        input,
        size: 32,
        seed: 1,
    };
    let (found, pieces) = pieces.run(|outputs| ranking.sum(outputs, &targets, total));
    assert!((found - value).abs() < 1e-5 * value, "{found}, {value}");
    let mut seen = 0;
    for id in whole.parameters() {
        let (one, other) = (whole.get(id), pieces.get(id));
        let (one, other) = (one.expect("there"), other.expect("there"));
        let most = one
            .iter()
            .fold(0.0_f32, |most, number| most.max(number.abs()));
        for (one, other) in one.iter().zip(other) {
            let apart = (one - other).abs();
            assert!(apart <= 1e-5 * most.max(1e-3), "{one} and {other}");
        }
        seen += 1;
    }
    assert_eq!(seen, pieces.parameters().count());
    assert!(seen > 20, "{seen}");
}
