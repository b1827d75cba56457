//! Tokenizers made of files give the ids that transformers gives. The files and the numbers are those of
//! `tests/reference/make_tokenizers.py`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::models::tokenizer::{Tokenizer, Truncation, copy_tokenizer};
use crate::store::write_atomic;

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

fn numbers() -> Value {
    let json = std::fs::read(reference().join("tokenizers.json")).expect("it is committed");
    serde_json::from_slice(&json).expect("JSON")
}

/// A number that follows from two others, as the script has it.
fn noise(text: u64, place: u64) -> u64 {
    let mut state = text
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(place.wrapping_mul(0xBF58_476D_1CE4_E5B9))
        .wrapping_add(0x94D0_49BB_1331_11EB);
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (state ^ (state >> 31)) >> 16
}

/// Text `number` of the script.
fn odd_text(number: u64, parts: &[Value]) -> String {
    let mut text = String::new();
    for place in 0..=noise(number, 0) % 9 {
        if noise(number, 10 + place).is_multiple_of(8) {
            let code = u32::try_from(noise(number, 30 + place) % 0x3100).expect("small");
            text.push(char::from_u32(code).expect("below the surrogates"));
        } else {
            let index = noise(number, 50 + place) % parts.len() as u64;
            text.push_str(
                parts[usize::try_from(index).expect("small")]
                    .as_str()
                    .expect("a text"),
            );
        }
        let space = usize::try_from(noise(number, 70 + place) % 4).expect("small");
        text.push_str(["", " ", " ", "  "][space]);
    }
    text
}

/// The folder of a case.
fn folder(case: &Value) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let objects = |key: &str| case[key].as_object().expect("an object").clone();
    for (to, from) in objects("files") {
        let from = reference()
            .join("tokenizers")
            .join(from.as_str().expect("a name"));
        std::fs::copy(from, folder.path().join(to)).expect("it is committed");
    }
    for (to, contents) in objects("written") {
        write(&folder, &to, &contents.to_string());
    }
    folder
}

fn write(folder: &TempDir, name: &str, text: &str) {
    write_atomic(&folder.path().join(name), text.as_bytes()).expect("written");
}

/// The first four digits of the SHA-256 of numbers.
fn digest(numbers: impl Iterator<Item = u32>) -> String {
    let mut written = String::new();
    for (place, number) in numbers.enumerate() {
        let comma = if place == 0 { "" } else { "," };
        write!(written, "{comma}{number}").expect("a string");
    }
    let digest = Sha256::digest(written.as_bytes());
    format!("{:02x}{:02x}", digest[0], digest[1])
}

/// The four digits of a text or a pair in the numbers of a case.
fn expected<'c>(case: &'c Value, key: &str, number: usize) -> &'c str {
    let digits = case[key].as_str().expect("digits");
    &digits[4 * number..][..4]
}

#[test]
fn odd_texts_have_the_ids_that_transformers_gives() {
    let numbers = numbers();
    let parts = numbers["fragments"].as_array().expect("a list");
    let texts: Vec<String> = (0..1000).map(|number| odd_text(number, parts)).collect();
    for case in numbers["cases"].as_array().expect("a list") {
        let name = case["name"].as_str().expect("a name");
        let folder = folder(case);
        let tokenizer = Tokenizer::load(folder.path());
        let tokenizer = tokenizer.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let encoded = tokenizer.encode(&texts, None, 1000, Truncation::default());
        let encoded = encoded.expect("encoded");
        let others = encoded.iter().enumerate().filter(|(number, text)| {
            digest(text.ids.iter().copied()) != expected(case, "singles", *number)
        });
        let others: Vec<String> = others
            .map(|(number, text)| format!("{number}: {:?} {:?}", texts[number], text.ids))
            .collect();
        assert!(
            others.is_empty(),
            "{name}: {} differ, {:#?}",
            others.len(),
            &others[..1]
        );
        let longest = encoded.iter().map(|text| text.ids.len()).max();
        assert_eq!(
            longest.map(|length| length as u64),
            case["longest"].as_u64(),
            "{name}"
        );

        let (first, second) = (texts[..100].to_vec(), texts[1..101].to_vec());
        let pairs = tokenizer.encode(&first, Some(&second), 1000, Truncation::default());
        for (number, pair) in pairs.expect("encoded").iter().enumerate() {
            let both = pair.ids.iter().chain(&pair.types).copied();
            assert_eq!(
                digest(both),
                expected(case, "pairs", number),
                "{name}: pair {number}"
            );
        }
        // What is copied to a tuned model, or exported, has a file of it that gives the same.
        let copied = tempfile::tempdir().expect("a folder");
        copy_tokenizer(folder.path(), copied.path()).expect("copied");
        assert!(copied.path().join("tokenizer.json").is_file());
        let again = Tokenizer::load(copied.path()).expect("a tokenizer");
        assert!(again.notice().is_none(), "it is told once");
        assert_eq!(again.pad_id(), tokenizer.pad_id(), "{name}");
        assert_eq!(again.digest(), tokenizer.digest(), "{name}");
        let same = again
            .encode(&texts, None, 1000, Truncation::default())
            .expect("encoded");
        assert_eq!(same, encoded, "{name}");
    }
}

/// A folder with a vocabulary of BERT and what else is given.
fn of_bert(more: &[(&str, Value)], words: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let lines: Vec<&str> = special.iter().chain(words).copied().collect();
    write(&folder, "vocab.txt", &(lines.join("\n") + "\n"));
    for (name, contents) in more {
        write(&folder, name, &contents.to_string());
    }
    folder
}

fn told(folder: &TempDir) -> String {
    let tokenizer = Tokenizer::load(folder.path()).expect("a tokenizer");
    tokenizer.notice().unwrap_or_default().to_string()
}

#[test]
fn what_was_decided_is_told() {
    let lower = of_bert(&[], &["word"]);
    assert_eq!(
        told(&lower),
        "there is no tokenizer.json: texts become tokens by vocab.txt, as by transformers' BertTokenizer, in lower case, as nothing says \
         otherwise"
    );
    let surprising = of_bert(&[], &["word", "Word"]);
    assert!(told(&surprising).contains("though vocab.txt has capital letters"));
    let cased = json!({ "do_lower_case": false });
    let cased = of_bert(&[("tokenizer_config.json", cased)], &["word", "Word"]);
    assert!(told(&cased).ends_with("BertTokenizer, in upper and lower case"));
}

#[test]
fn a_tokenizer_that_cannot_be_made_is_refused_with_the_reason() {
    let class = |name: &str| json!({ "tokenizer_class": name });
    let refused = |folder: &TempDir| Tokenizer::load(folder.path()).expect_err("it is refused");
    let unknown = of_bert(
        &[("tokenizer_config.json", class("BertJapaneseTokenizer"))],
        &["a"],
    );
    let error = refused(&unknown);
    assert!(
        error
            .message()
            .contains("the class `BertJapaneseTokenizer`"),
        "{error}"
    );
    let other = of_bert(
        &[("tokenizer_config.json", class("RobertaTokenizerFast"))],
        &["a"],
    );
    let error = refused(&other);
    assert!(
        error
            .message()
            .contains("no `vocab.json`, of which one for the class `RobertaTokenizer`"),
        "{error}"
    );
    let nothing = tempfile::tempdir().expect("a folder");
    assert!(
        refused(&nothing)
            .help_text()
            .is_some_and(|help| help.contains("vocab.txt"))
    );
    let unclear = tempfile::tempdir().expect("a folder");
    let model = reference().join("tokenizers/fairseq.model");
    std::fs::copy(model, unclear.path().join("tokenizer.model")).expect("it is committed");
    let error = refused(&unclear);
    assert!(
        error.message().contains("says what kind of tokenizer"),
        "{error}"
    );
    for (name, text, what) in [
        ("vocab.txt", "", "is no vocabulary"),
        ("added_tokens.json", "{\"a\": \"b\"}", "gives `a` no id"),
        (
            "tokenizer_config.json",
            "{\"do_lower_case\": 3}",
            "neither true nor false",
        ),
        (
            "tokenizer_config.json",
            "{\"mask_token\": [1]}",
            "is no token",
        ),
        (
            "tokenizer_config.json",
            "{\"extra_special_tokens\": [1]}",
            "is no token",
        ),
        ("tokenizer_config.json", "[]", "is not a JSON object"),
    ] {
        let folder = of_bert(&[], &["a"]);
        write(&folder, name, text);
        let error = refused(&folder);
        assert!(format!("{error:?}").contains(what), "{name}: {error:?}");
    }
    for (vocab, merges, what) in [
        ("{\"a\": 0, \"b\": 1, \"ab\": 2}", "a b c\n", "line 1 of"),
        ("{\"a\": 0, \"b\": 1}", "a b\n", "cannot be made"),
        ("{\"a\": -1}", "", "`a` has no id"),
        ("[]", "", "is no vocabulary"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder, "vocab.json", vocab);
        write(&folder, "merges.txt", merges);
        let error = refused(&folder);
        assert!(format!("{error}").contains(what), "{error}");
    }
}

#[test]
fn a_damaged_model_of_sentencepiece_is_an_error_and_no_panic() {
    let whole = std::fs::read(reference().join("tokenizers/fairseq.model")).expect("committed");
    let load = |bytes: &[u8]| {
        let folder = tempfile::tempdir().expect("a folder");
        write_atomic(&folder.path().join("sentencepiece.bpe.model"), bytes).expect("written");
        Tokenizer::load(folder.path()).map(drop)
    };
    load(&whole).expect("it is whole");
    for length in (0..whole.len()).step_by(211) {
        let done = crate::error::contained(|| load(&whole[..length]).is_ok());
        assert!(done.is_ok(), "{length}");
    }
    for place in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0xff;
        let done = crate::error::contained(|| load(&bytes).is_ok());
        assert!(done.is_ok(), "{place}");
    }
}
