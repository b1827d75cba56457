//! `fill-mask`: texts teach the tiny BERT which words follow each other; what is made of it afterwards.

use super::*;
use crate::data::Table;
use crate::models::{Card, Network};

const PACE: &str = "epochs = 6\nbatch_size = 8\nlearning_rate = 3e-3\nmask_probability = 0.3\n";

fn stage(settings: &str) -> Result<Box<dyn Stage>> {
    let ports = "model = \"encoder\"\ntrain = \"train\"\nvalidation = \"validation\"\n";
    parse(
        "finetune",
        &format!("{ports}task = \"fill-mask\"\n{settings}"),
    )
}

/// A bench without dropout, whose generator other tests in this process share.
fn bench() -> Bench {
    let bench = Bench::new("{}");
    let path = bench.path("encoder/config.json");
    let config = std::fs::read_to_string(&path).expect("a config");
    let config = config.replace("_dropout_prob\": 0.1", "_dropout_prob\": 0.0");
    crate::store::write_atomic(&path, config.as_bytes()).expect("written");
    bench
}

fn perplexities(tuned: &Path) -> Vec<f64> {
    let card = Card::read(tuned).expect("a card");
    let history = card.training.expect("it was trained").history;
    let figure = |epoch: &Value| {
        epoch["validation"]["perplexity"]
            .as_f64()
            .expect("a figure")
    };
    history.iter().map(figure).collect()
}

#[test]
fn texts_teach_what_stands_behind_masks() {
    let bench = bench();
    let (tuned, figures) = bench
        .run(&*stage(PACE).expect("it parses"), "tuned", &|| false)
        .expect("it trains");
    let said = bench.notices();
    assert!(
        said.contains("a new head for masked tokens is drawn"),
        "{said}"
    );
    let perplexities = perplexities(&tuned);
    assert!(perplexities[5] < perplexities[0] / 2.0, "{perplexities:?}");

    let evaluate = "model = \"tuned\"\ntable = \"validation\"\n";
    let evaluate = parse("evaluate", evaluate).expect("it parses");
    let (_, measured) = bench
        .run(&*evaluate, "measured", &|| false)
        .expect("measured");
    let best = figures["validation_perplexity"];
    assert!(
        (measured["perplexity"] - best).abs() < 1e-5 * best,
        "{measured:?}, {figures:?}"
    );

    std::fs::create_dir_all(bench.path("test")).expect("a folder");
    let texts = ["very [MASK] food", "good film"];
    write(df!("text" => texts).expect("a frame"), &bench.path("test"));
    let predict = parse("predict", "model = \"tuned\"\ntable = \"test\"\n").expect("it parses");
    let (said, _) = bench.run(&*predict, "said", &|| false).expect("it is said");
    let said = Table::read(&said).expect("a table");
    assert_eq!(
        said.columns(),
        ["text", "filled", "tokens", "probabilities"]
    );
    let filled = said.values("filled").expect("a column");
    assert!(
        !filled[0].contains("[MASK]") && filled[0].starts_with("very"),
        "{filled:?}"
    );
    assert_eq!(filled[1], "good film");
}

/// What the tuned model makes of texts: what it fills in, its tokens, and what is told.
fn filled(bench: &Bench, texts: &[&str]) -> (Vec<String>, Vec<Vec<String>>, String) {
    std::fs::create_dir_all(bench.path("test")).expect("a folder");
    write(df!("text" => texts).expect("a frame"), &bench.path("test"));
    let predict = parse("predict", "model = \"tuned\"\ntable = \"test\"\n").expect("it parses");
    bench.notices();
    let (said, _) = bench.run(&*predict, "said", &|| false).expect("it is said");
    let said = Table::read(&said).expect("a table");
    let tokens = crate::data::words::lists(&said, "tokens", 0).expect("lists");
    let filled = said.values("filled").expect("a column");
    (filled, tokens, bench.notices())
}

#[test]
fn masks_are_filled_in_their_order_and_texts_without_one_stay() {
    let bench = bench();
    let pace = PACE.replace("epochs = 6", "epochs = 1");
    let tuned = bench.run(&*stage(&pace).expect("it parses"), "tuned", &|| false);
    tuned.expect("it trains");
    let long = format!("{}[MASK]", "very ".repeat(60));
    let (said, tokens, told) = filled(
        &bench,
        &[
            "very [MASK] food in [MASK]",
            "good film",
            "",
            "[MASK]",
            &long,
        ],
    );
    let counts: Vec<usize> = tokens.iter().map(Vec::len).collect();
    assert_eq!(counts, [2, 0, 0, 1, 0]);
    let words: Vec<String> = tokens[0]
        .iter()
        .map(|token| token.replace("##", ""))
        .collect();
    assert!(said[0].starts_with("very"), "{said:?}");
    assert!(said[0].contains(" food in"), "{said:?}");
    assert!(said[0].ends_with(&words[1]), "{said:?}, {words:?}");
    assert!(said[0].find(&words[0]) < said[0].find("food"), "{said:?}");
    assert_eq!(said[1..3], ["good film", ""]);
    assert_eq!(said[3], tokens[3][0].replace("##", ""));
    assert_eq!(said[4], long);
    let unmasked = "3 of 5 texts have no mask among the tokens that count, and stay as they are";
    assert!(told.contains(unmasked), "{told}");
    assert!(told.contains("1 of 5 texts are longer"), "{told}");
}

#[test]
fn a_tokenizer_without_a_mask_is_refused() {
    let bench = bench();
    let path = bench.path("encoder/tokenizer.json");
    let text = std::fs::read_to_string(&path).expect("a tokenizer");
    crate::store::write_atomic(&path, text.replace("[MASK]", "[HIDE]").as_bytes())
        .expect("written");
    let error = failure(bench.run(&*stage(PACE).expect("it parses"), "tuned", &|| false));
    assert!(
        error.message().contains("has no token for what is masked"),
        "{error}"
    );
}

#[test]
fn texts_without_a_token_to_mask_are_told_and_too_few_tokens_are_refused() {
    let bench = bench();
    let texts = ["good food and very warm film", "", "  ", "the place is bad"];
    write(df!("text" => texts).expect("a frame"), &bench.path("train"));
    let pace = PACE.replace("epochs = 6", "epochs = 1");
    let tuned = bench.run(&*stage(&pace).expect("it parses"), "tuned", &|| false);
    tuned.expect("it trains");
    let told = bench.notices();
    let without = "2 of 4 train texts have no token that could be masked, and are left out";
    assert!(told.contains(without), "{told}");
    for port in ["train", "validation"] {
        let seldom = PACE.replace("mask_probability = 0.3", "mask_probability = 1e-6");
        write(
            df!("text" => ["good food"]).expect("a frame"),
            &bench.path(port),
        );
        let error = failure(bench.run(&*stage(&seldom).expect("it parses"), "tuned", &|| false));
        assert!(error.message().contains("they are too few"), "{error}");
        bench.table(port, 80, 0);
    }
}

/// The weights of a language that is tuned with so many threads.
fn language(threads: usize) -> Vec<u8> {
    let bench = bench();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let stage = stage(&PACE.replace("epochs = 6", "epochs = 2")).expect("it parses");
    let tuned = pool
        .expect("a pool")
        .install(|| bench.run(&*stage, "tuned", &|| false));
    weights(&tuned.expect("it trains").0)
}

#[test]
fn the_same_seed_teaches_the_same_bits() {
    let first = language(2);
    for threads in [2, 1, 3] {
        assert!(language(threads) == first, "{threads} threads: other bits");
    }
}

#[test]
fn a_tuned_language_is_kept_by_what_is_tuned_next() {
    let bench = bench();
    let (first, _) = bench
        .run(&*stage(PACE).expect("it parses"), "tuned", &|| false)
        .expect("it trains");
    let outline = Network::outline(&first).expect("a model");
    assert_eq!(
        outline.network.blocks().last().map(String::as_str),
        Some("cls")
    );
    std::fs::remove_dir_all(bench.path("encoder")).expect("it goes");
    copy(&first, &bench.path("encoder"));
    bench.notices();
    let again = stage(&PACE.replace("epochs = 6", "epochs = 1")).expect("it parses");
    let (on, _) = bench.run(&*again, "tuned", &|| false).expect("it goes on");
    let said = bench.notices();
    assert!(!said.contains("a new head"), "{said}");
    assert!(perplexities(&on)[0] < perplexities(&bench.path("encoder"))[0]);

    let pace = "epochs = 1\nbatch_size = 8\nlearning_rate = 1e-3\nclassifier_dropout = 0.0\n";
    let (tuned, _) = bench.tune(pace).expect("it trains");
    let said = bench.notices();
    assert!(
        said.contains("a new head is drawn for bad, good: the model has none"),
        "{said}"
    );
    let card = Card::read(&tuned).expect("a card");
    assert!(card.masking.is_none() && card.task.as_deref() == Some("text-classification"));
}

#[test]
fn masks_are_the_same_when_a_training_goes_on() {
    let train = |cancel_after: usize| {
        let bench = bench();
        let steps = std::sync::atomic::AtomicUsize::new(0);
        let cancelled = || steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= cancel_after;
        let stage = || {
            stage("epochs = 2\nbatch_size = 8\nlearning_rate = 1e-3\nwhole_words = true\npacking = true\nmax_length = 16\n").expect("it parses")
        };
        if bench.run(&*stage(), "tuned", &cancelled).is_err() {
            assert!(cancel_after < usize::MAX);
        }
        let (tuned, _) = bench.run(&*stage(), "tuned", &|| false).expect("it trains");
        weights(&tuned)
    };
    assert!(train(usize::MAX) == train(12), "the weights differ");
}

#[test]
fn what_means_nothing_here_is_refused() {
    for (settings, message) in [
        (
            "pooling = 'mean'",
            "`pooling` is for other tasks: of these texts some tokens are masked",
        ),
        (
            "text_pair_column = 'b'",
            "`text_pair_column` is for other tasks: of these texts some tokens are masked",
        ),
        (
            "mask_probability = 1.0",
            "`mask_probability` is 1; it must be above 0 and below 1",
        ),
    ] {
        assert_eq!(refusal(stage(settings)).message(), message);
    }
    let error = refusal(stage("labels = ['a', 'b']"));
    assert_eq!(error.message(), "`labels` is no setting of fill-mask");
    let bench = bench();
    write(
        df!("text" => ["", " "]).expect("a frame"),
        &bench.path("train"),
    );
    let stage = stage(PACE).expect("it parses");
    let error = failure(bench.run(&*stage, "tuned", &|| false));
    assert_eq!(error.message(), "no text has a token that could be masked");
}
