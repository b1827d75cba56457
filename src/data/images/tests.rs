//! Parity with Pillow, by the numbers that `tests/reference/images.py` made.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{CropMargin, Interpolation, ResizeMode, Rgb, Transform, decode};

const PLENTY: u64 = 1_000_000;

/// The picture that every file in `tests/data/images` shows, or a file of another name there.
pub(super) fn file(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).expect("a file of the tests")
}

pub(super) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/images")
}

#[derive(Deserialize)]
struct Reference {
    size: u32,
    resize: u32,
    files: std::collections::BTreeMap<String, String>,
    resized: Vec<Resized>,
}

#[derive(Deserialize)]
struct Resized {
    interpolation: Interpolation,
    size: u32,
    resize: u32,
    crc32: u32,
}

fn reference() -> Reference {
    let text = include_str!("../../../tests/reference/images.json");
    serde_json::from_str(text).expect("reference numbers")
}

fn transformed(image: &Rgb, transform: Transform) -> Vec<u8> {
    let mut out = vec![0; transform.bytes()];
    transform.apply(image, &mut out);
    out
}

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(std::str::from_utf8);
    digits
        .map(|two| u8::from_str_radix(two.expect("ASCII"), 16).expect("hex"))
        .collect()
}

#[test]
fn resizing_is_pillow_s_to_the_bit() {
    let image = decode(&file("rgb.png"), PLENTY).expect("decoded");
    for resized in reference().resized {
        let transform = Transform {
            size: resized.size,
            resize: resized.resize,
            mode: ResizeMode::Shorter,
            margin: CropMargin::Even,
            interpolation: resized.interpolation,
        };
        let crc = crc32(&transformed(&image, transform));
        assert_eq!(crc, resized.crc32, "{transform:?}");
    }
}

#[test]
fn every_format_and_mode_becomes_what_pillow_makes_of_it() {
    let reference = reference();
    let transform = Transform {
        size: reference.size,
        resize: reference.resize,
        mode: ResizeMode::Shorter,
        margin: CropMargin::Even,
        interpolation: Interpolation::Bilinear,
    };
    assert!(reference.files.len() > 30);
    for (name, expected) in &reference.files {
        let image = decode(&file(name), PLENTY).unwrap_or_else(|why| panic!("{name}: {why}"));
        let ours = transformed(&image, transform);
        let expected = bytes(expected);
        assert_eq!(ours.len(), expected.len(), "{name}");
        let apart = || ours.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
        let most = apart().max().unwrap_or(0);
        let sum: u32 = apart().map(u32::from).sum();
        if Path::new(name).extension() == Some("jpg".as_ref()) {
            // JPEG lets decoders round as they like, and ours interpolates colours a little differently.
            assert!(most <= 2, "{name}: {most}");
            assert!(
                sum * 2 < u32::try_from(expected.len()).expect("small"),
                "{name}: {sum}"
            );
        } else {
            assert_eq!(most, 0, "{name}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a file of a test")]
pub(super) fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("written");
}
