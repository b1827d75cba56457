//! What a photo becomes by a folder's `preprocessor_config.json`, against the numbers of transformers' image processors that
//! `make_preparation.py` wrote.

use std::path::Path;

use refire::data::images::decode;
use refire::inputs;
use refire::models::ImageInput;
use refire::store::write_atomic;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    settings: Value,
    model_type: String,
    picture: String,
    size: usize,
    /// Of the pixels before their colours are normalised, row by row.
    crc32: u32,
    /// A row and a column, and what red, green and blue come to there.
    place: [usize; 2],
    values: [f32; 3],
}

#[test]
fn photos_become_what_transformers_makes_of_them() {
    let text = include_str!("preparation.json");
    let Reference { cases } = serde_json::from_str(text).expect("reference numbers");
    assert!(cases.len() > 30);
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images");
    for case in cases {
        let what = format!(
            "{} of {} on {}",
            case.settings, case.model_type, case.picture
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, contents: &Value| {
            let bytes = contents.to_string();
            write_atomic(&folder.path().join(name), bytes.as_bytes()).expect("written");
        };
        write("config.json", &json!({ "model_type": case.model_type }));
        write("preprocessor_config.json", &case.settings);
        let input = ImageInput::of(folder.path()).expect("readable");
        let input = input.expect("it takes photos");
        assert_eq!(input.size, case.size, "{what}");

        let bytes = std::fs::read(pictures.join(&case.picture)).expect("it is in the repository");
        let picture = decode(&bytes, 1 << 20).expect("decoded");
        let transform = inputs::photos::transform(&input);
        let mut pixels = vec![0; transform.bytes()];
        transform.apply(&picture, &mut pixels);
        let mut crc = flate2::Crc::new();
        crc.update(&pixels);
        assert_eq!(crc.sum(), case.crc32, "{what}: {transform:?}");

        let mut planes = vec![0.0; pixels.len()];
        input.planes(&pixels, &mut planes);
        let [row, column] = case.place;
        for (plane, value) in planes.chunks(case.size * case.size).zip(case.values) {
            let ours = plane[row * case.size + column];
            let tolerance = 1e-6 * value.abs().max(1.0);
            assert!(
                (ours - value).abs() <= tolerance,
                "{what}: {ours} for {value}"
            );
        }
    }
}
