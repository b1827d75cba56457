//! Tokenizers of every kind, and files that only look like one.

use serde_json::{Value, json};

use super::*;

/// A tokenizer of this model, which adds no special tokens.
fn tokenizer(model: &Value) -> Tokenizer {
    read(&parts(model)).expect("a tokenizer")
}

/// The file of a tokenizer of this model.
fn parts(model: &Value) -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": { "type": "Whitespace" }, "post_processor": null, "decoder": null, "model": model,
    })
}

/// A folder with a tokenizer of this model.
fn written(model: &Value) -> tempfile::TempDir {
    written_as(&parts(model))
}

fn read(json: &Value) -> Result<Tokenizer> {
    Tokenizer::load(written_as(json).path())
}

fn written_as(json: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (file, json) in [
        ("tokenizer.json", json.to_string()),
        ("config.json", r#"{"pad_token_id": 2}"#.to_owned()),
    ] {
        crate::store::write_atomic(&folder.path().join(file), json.as_bytes()).expect("written");
    }
    folder
}

#[test]
fn no_token_is_drawn() {
    let vocab = json!({ "a": 0, "b": 1, "ab": 2, "abab": 3 });
    let bpe = |dropout: Value| {
        json!({
            "type": "BPE", "dropout": dropout, "vocab": vocab, "merges": [["a", "b"], ["ab", "ab"]],
        })
    };
    let ids = |tokenizer: &Tokenizer| {
        let texts = vec!["ababababab abab".to_string(); 40];
        let encoded = tokenizer
            .encode(&texts, None, 32, Truncation::default())
            .expect("encoded");
        encoded.into_iter().map(|text| text.ids).collect::<Vec<_>>()
    };
    let without = tokenizer(&bpe(Value::Null));
    assert_eq!(ids(&without)[0], [3, 3, 2, 3]);
    assert!(without.notice().is_none() && tokenizer(&bpe(0.0.into())).notice().is_none());
    let drawing = written(&bpe(0.5.into()));
    let with = Tokenizer::load(drawing.path()).expect("a tokenizer");
    assert_eq!(ids(&with), ids(&without));
    assert!(
        with.notice()
            .is_some_and(|text| text.contains("switched off"))
    );

    // Whoever loads the copy gets these tokens as well; what draws none is copied to the byte.
    let copied = |from: &Path| {
        let to = tempfile::tempdir().expect("a temporary folder");
        copy_tokenizer(from, to.path()).expect("copied");
        std::fs::read(to.path().join("tokenizer.json")).expect("there")
    };
    let copy: Value = serde_json::from_slice(&copied(drawing.path())).expect("JSON");
    assert_eq!(copy["model"], bpe(Value::Null));
    let plain = written(&bpe(Value::Null));
    let original = std::fs::read(plain.path().join("tokenizer.json")).expect("there");
    assert_eq!(copied(plain.path()), original);
}

#[test]
fn a_text_without_tokens_is_one_padding_token_whatever_the_tokenizer() {
    let vocab = json!({ "a": 0, "b": 1, "c": 2 });
    for model in [
        json!({ "type": "WordLevel", "vocab": vocab, "unk_token": "c" }),
        json!({
            "type": "WordPiece", "vocab": vocab, "unk_token": "c", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 9,
        }),
        json!({ "type": "BPE", "vocab": vocab, "merges": [] }),
        json!({
            "type": "Unigram", "vocab": [["a", -1.0], ["b", -1.0], ["c", -2.0]], "unk_id": 2,
        }),
    ] {
        let texts = ["", "  ", "a b"].map(String::from);
        let encoded = tokenizer(&model)
            .encode(&texts, None, 8, Truncation::default())
            .expect("encoded");
        let ids: Vec<_> = encoded.iter().map(|text| &text.ids[..]).collect();
        assert_eq!(ids, [&[2][..], &[2], &[0, 1]], "{model}");
        let empty: Vec<_> = encoded.iter().map(|text| text.is_empty).collect();
        assert_eq!(empty, [true, true, false], "{model}");
    }
}

/// A part of a tokenizer, and what no part should be.
const MALFORMED: [(&str, &str); 29] = [
    (
        "post_processor",
        r#"{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[X]","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":0}}],"special_tokens":{}}"#,
    ),
    (
        "post_processor",
        r#"{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[X]","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":0}}],"special_tokens":{"[X]":{"id":"[X]","ids":[99999],"tokens":["[X]"]}}}"#,
    ),
    (
        "post_processor",
        r#"{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[X]","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":0}}],"special_tokens":{"[X]":{"id":"[X]","ids":[1,2],"tokens":["[X]"]}}}"#,
    ),
    (
        "post_processor",
        r#"{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[X]","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":0}}],"special_tokens":{"[X]":{"id":"[X]","ids":[],"tokens":[]}}}"#,
    ),
    (
        "post_processor",
        r#"{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":0}}],"special_tokens":{}}"#,
    ),
    (
        "post_processor",
        r#"{"type":"TemplateProcessing","single":[],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":0}}],"special_tokens":{}}"#,
    ),
    (
        "post_processor",
        r#"{"type":"BertProcessing","sep":["s",4294967295],"cls":["c",4294967295]}"#,
    ),
    (
        "normalizer",
        r#"{"type":"Precompiled","precompiled_charsmap":"AAAA"}"#,
    ),
    (
        "normalizer",
        r#"{"type":"Precompiled","precompiled_charsmap":"/////wAAAAA="}"#,
    ),
    (
        "normalizer",
        r#"{"type":"Precompiled","precompiled_charsmap":""}"#,
    ),
    (
        "normalizer",
        r#"{"type":"Replace","pattern":{"Regex":"("},"content":"x"}"#,
    ),
    (
        "normalizer",
        r#"{"type":"Replace","pattern":{"Regex":"(a|b|ab)*(?=c)"},"content":""}"#,
    ),
    (
        "normalizer",
        r#"{"type":"Replace","pattern":{"String":""},"content":"xy"}"#,
    ),
    (
        "pre_tokenizer",
        r#"{"type":"Split","pattern":{"Regex":"(?=(a+)+$)"},"behavior":"Isolated","invert":true}"#,
    ),
    (
        "pre_tokenizer",
        r#"{"type":"Metaspace","replacement":"ab","prepend_scheme":"always"}"#,
    ),
    ("pre_tokenizer", r#"{"type":"FixedLength","length":0}"#),
    ("pre_tokenizer", r#"{"type":"Sequence","pretokenizers":[]}"#),
    (
        "model",
        r#"{"type":"Unigram","unk_id":99,"vocab":[["a",-1.0]]}"#,
    ),
    (
        "model",
        r#"{"type":"Unigram","unk_id":null,"vocab":[["a",-1.0]]}"#,
    ),
    ("model", r#"{"type":"Unigram","unk_id":0,"vocab":[]}"#),
    (
        "model",
        r#"{"type":"Unigram","unk_id":0,"vocab":[["",-1.0],["a",1e308],["aa",-1e308]],"byte_fallback":true}"#,
    ),
    (
        "model",
        r#"{"type":"WordPiece","unk_token":"?","continuing_subword_prefix":"","max_input_chars_per_word":0,"vocab":{"a":7}}"#,
    ),
    (
        "model",
        r#"{"type":"WordLevel","unk_token":"?","vocab":{"a":4294967295}}"#,
    ),
    (
        "model",
        r#"{"type":"BPE","vocab":{"a":0},"merges":["a b"]}"#,
    ),
    (
        "model",
        r#"{"type":"BPE","vocab":{"a":0,"aa":0},"merges":["a a"],"byte_fallback":true,"fuse_unk":true,"unk_token":"?"}"#,
    ),
    (
        "model",
        r#"{"type":"BPE","vocab":{"a":9,"b":3},"merges":[["a","b"]],"dropout":7.0}"#,
    ),
    (
        "padding",
        r#"{"strategy":{"Fixed":9000000000},"direction":"Left","pad_to_multiple_of":0,"pad_id":5,"pad_type_id":0,"pad_token":"p"}"#,
    ),
    (
        "truncation",
        r#"{"max_length":0,"strategy":"OnlySecond","direction":"Left","stride":9}"#,
    ),
    (
        "added_tokens",
        r#"[{"id":4294967295,"content":"","single_word":true,"lstrip":true,"rstrip":true,"normalized":true,"special":false}]"#,
    ),
];

#[test]
fn what_is_malformed_is_an_error_and_no_panic() {
    let vocab = json!({ "a": 0, "b": 1, "c": 2 });
    let whole = parts(&json!({ "type": "WordLevel", "vocab": vocab, "unk_token": "c" }));
    let texts = [
        "",
        "a b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
        "x\u{0} \u{10ffff}",
    ]
    .map(String::from);
    for (part, value) in MALFORMED {
        let mut json = whole.clone();
        json[part] = serde_json::from_str(value).expect("JSON");
        let done = contained(|| {
            let tokenizer = read(&json)?;
            let encoded = tokenizer.encode(&texts, None, 8, Truncation::default())?;
            let ids = encoded.iter().flat_map(|text| &text.ids);
            // Whatever it gives fits an embedding that it is said to fit.
            let highest = ids.copied().max().expect("at least padding");
            Ok(tokenizer.check_fits(highest as usize).is_err()
                && encoded.iter().all(|text| text.ids.len() <= 8))
        });
        match done {
            Err(panic) => panic!("{json}: {panic}"),
            Ok(Ok(fits)) => assert!(fits, "{json}"),
            Ok(Err::<_, Error>(error)) => assert!(!error.message().is_empty()),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn tiny_bert() -> Tokenizer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    Tokenizer::load(&folder).expect("a tokenizer")
}

/// A word, the place of its first token, and how many others it has.
type Place = (usize, u32, usize);

/// How many tokens each window has, and the words that it speaks for, with the places of their tokens.
fn windows(encoded: &Windows) -> Vec<(usize, Vec<Place>)> {
    let of_word = |word: &WordTokens| (word.word, word.first, word.further.len());
    let windows = encoded.windows.iter();
    windows
        .map(|window| (window.ids.len(), window.words.iter().map(of_word).collect()))
        .collect()
}

#[test]
fn a_word_is_spoken_for_by_its_first_token() {
    let tokenizer = tiny_bert();
    // `7th` is three tokens, and the zero-width space none.
    let texts = [words("the 7th \u{200b} film"), Vec::new()];
    let encoded = tokenizer.encode_words(&texts, 32, None).expect("encoded");
    assert_eq!(
        windows(&encoded[0]),
        [(7, vec![(0, 1, 0), (1, 2, 2), (3, 5, 0)])]
    );
    assert_eq!(windows(&encoded[1]), [(2, Vec::new())]);
    let whole = tokenizer.encode(
        &["the 7th film".to_owned()],
        None,
        32,
        Truncation::default(),
    );
    assert_eq!(encoded[0].windows[0].ids, whole.expect("encoded")[0].ids);
}

#[test]
fn texts_that_are_too_long_are_cut_or_fall_into_windows() {
    let tokenizer = tiny_bert();
    let texts = [
        words("the film is a story of the food and the place"),
        words("a film"),
    ];
    let cut = tokenizer.encode_words(&texts, 6, None).expect("encoded");
    assert!(cut[0].truncated && !cut[1].truncated);
    let first_four = (0..4).map(|word| (word as usize, word + 1, 0)).collect();
    assert_eq!(windows(&cut[0]), [(6, first_four)]);
    // Windows of 4 tokens, 2 of which are those of the one before: 0–3, 2–5, 4–7, 6–9, 8–10.
    let split = tokenizer.encode_words(&texts, 6, Some(2)).expect("encoded");
    assert!(!split[0].truncated);
    assert_eq!(
        windows(&split[0]),
        [
            (6, vec![(0, 1, 0), (1, 2, 0), (2, 3, 0)]),
            (6, vec![(3, 2, 0), (4, 3, 0)]),
            (6, vec![(5, 2, 0), (6, 3, 0)]),
            (6, vec![(7, 2, 0), (8, 3, 0)]),
            (5, vec![(9, 2, 0), (10, 3, 0)]),
        ]
    );
    assert_eq!(windows(&split[1]).len(), 1);
}

#[test]
fn there_has_to_be_room_for_a_word_and_for_what_is_new() {
    let tokenizer = tiny_bert();
    let texts = [words("the film is a story")];
    let error = tokenizer
        .encode_words(&texts, 2, None)
        .expect_err("no room");
    assert_eq!(
        error.message(),
        "a `max_length` of 2 leaves no room beside the 2 special tokens"
    );
    let error = tokenizer
        .encode_words(&texts, 6, Some(4))
        .expect_err("nothing new");
    assert!(
        error.message().contains("leaves nothing new in a window"),
        "{error}"
    );
}

#[test]
fn no_word_is_lost_in_windows() {
    let tokenizer = tiny_bert();
    let text: Vec<String> = (0..57).map(|word| format!("word{word}")).collect();
    for room in 1..12 {
        for stride in 0..room {
            let encoded =
                tokenizer.encode_words(std::slice::from_ref(&text), room + 2, Some(stride));
            let encoded = encoded.expect("encoded");
            let found = encoded[0].windows.iter().flat_map(|window| &window.words);
            let found: Vec<usize> = found.map(|tokens| tokens.word).collect();
            assert_eq!(found, (0..57).collect::<Vec<_>>(), "{room}, {stride}");
        }
    }
}
