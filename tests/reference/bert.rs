//! BERT against PyTorch and transformers, by `make_bert.py`: last hidden states, and the losses of AdamW's first steps.

use burn::module::Module;
use refire::models::{self, Activations, Network, Tokenizer, Truncation};
use refire::train::{Optimizer, Trained};

use crate::lessons::{Lessons, batch, folder, head, minilm, reference, report};

#[test]
#[ignore = "needs pip and its registry"]
fn token_ids_and_last_hidden_states_are_those_of_transformers() {
    let model = minilm();
    let reference = reference();
    let device = models::device("cpu").expect("every build has a CPU");
    let tokenizer = Tokenizer::load(&model).expect("the tokenizer loads");
    let encoded = tokenizer
        .encode(&reference.sentences, None, 512, Truncation::default())
        .expect("the sentences encode");
    let ids: Vec<Vec<u32>> = encoded.iter().map(|text| text.ids.clone()).collect();
    assert_eq!(ids, reference.ids);

    let network = Network::load(&model, &head(), &device)
        .expect("the model loads")
        .network;
    let body = 0..network.hidden_blocks().expect("it takes texts");
    let tokens = batch(&encoded, tokenizer.pad_id(), &device);
    let Activations::Hidden { states, .. } = network.forward(body, Activations::Tokens(tokens))
    else {
        panic!("the encoder gives hidden states");
    };

    let [_, longest, width] = states.dims();
    let states: Vec<f32> = states.into_data().try_to_vec().expect("states are f32");
    let ours = encoded.iter().enumerate().flat_map(|(row, text)| {
        let from = row * longest * width;
        &states[from..from + text.ids.len() * width]
    });
    let bytes = std::fs::read(folder().join("minilm.safetensors")).expect("it is committed");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("it is safetensors");
    let theirs = file.tensor("last_hidden_state").expect("it has the states");
    let theirs = theirs
        .data()
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().expect("chunks of four")));
    assert_eq!(ours.clone().count(), theirs.len());
    let worst = ours
        .zip(theirs)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst <= 1e-5, "max |Δ| is {worst:e}");
    report(&format!("last hidden state: max |Δ| {worst:e}"));
}

#[test]
#[ignore = "needs pip and its registry"]
fn losses_of_ten_adamw_steps_are_those_of_pytorch() {
    let lessons = Lessons::new();
    let steps = &lessons.steps;
    let mut network = lessons.network.clone().train();
    let trained = network
        .parameters()
        .into_iter()
        .map(|parameter| Trained::new(parameter, 1.0));
    let mut optimizer = Optimizer::adamw(steps.weight_decay, trained.collect());

    let mut worst = 0.0_f64;
    for (step, (expected, tokens)) in steps.losses.iter().zip(&steps.tokens).enumerate() {
        let (loss, gradients, seen) = lessons.step(&network, step);
        assert_eq!(seen, *tokens, "step {step} sees the same tokens");
        worst = worst.max((loss - expected).abs() / expected);
        (network, _) = optimizer.step(network, &gradients, steps.learning_rate);
    }
    assert!(worst <= 1e-4, "the worst relative difference is {worst:e}");
    report(&format!(
        "loss of ten steps: worst relative difference {worst:e}"
    ));
}
