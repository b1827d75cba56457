//! Parity of crops and colours with Pillow; and what draws depend on.

use serde::Deserialize;

use super::*;
use crate::data::images::decode;
use crate::data::images::tests::{crc32, file};

#[derive(Deserialize)]
struct Reference {
    crops: Vec<Crop>,
    colours: Vec<Coloured>,
}

#[derive(Deserialize)]
struct Crop {
    interpolation: Interpolation,
    /// Left, top, width, height.
    part: [usize; 4],
    size: usize,
    crc32: u32,
}

#[derive(Deserialize)]
struct Coloured {
    kind: String,
    factor: f32,
    crc32: u32,
}

fn reference() -> Reference {
    let text = include_str!("../../../../../tests/reference/images.json");
    serde_json::from_str(text).expect("reference numbers")
}

fn rendered(variant: &Variant, pixels: &[u8], interpolation: Interpolation) -> Vec<u8> {
    let mut square = vec![0; 3 * variant.size * variant.size];
    variant.render(pixels, interpolation, &mut square);
    square
}

#[test]
fn crops_are_resized_as_pillow_does() {
    let image = decode(&file("rgb.png"), 10_000).expect("decoded");
    for crop in reference().crops {
        let [left, top, width, height] = crop.part;
        let mut variant = Variant::plain((image.height(), image.width()), crop.size);
        variant.part = Rectangle {
            left,
            top,
            width,
            height,
        };
        let bytes = rendered(&variant, image.pixels(), crop.interpolation);
        assert_eq!(crc32(&bytes), crop.crc32, "{:?}", crop.part);
    }
}

#[test]
fn colours_change_as_pillow_changes_them() {
    let image = decode(&file("rgb.png"), 10_000).expect("decoded");
    for coloured in reference().colours {
        let colour = match coloured.kind.as_str() {
            "brightness" => Colour::Brightness(coloured.factor),
            "contrast" => Colour::Contrast(coloured.factor),
            _ => Colour::Saturation(coloured.factor),
        };
        let mut pixels = image.pixels().to_vec();
        colour.apply(&mut pixels);
        assert_eq!(crc32(&pixels), coloured.crc32, "{colour:?}");
    }
}

const ALL: Augmentation = Augmentation {
    hflip: 0.5,
    vflip: 0.5,
    scale: Some([0.2, 0.9]),
    ratio: [0.75, 4.0 / 3.0],
    color_jitter: 0.4,
    reprob: 0.5,
};

fn moment(look: u64, sample: u64) -> Moment {
    Moment {
        seed: 1,
        look,
        sample,
    }
}

#[test]
fn draws_depend_on_seed_look_and_sample_alone() {
    let draw = |moment| ALL.variant((160, 200), 128, moment);
    assert_eq!(draw(moment(3, 7)), draw(moment(3, 7)));
    let others = [
        moment(4, 7),
        moment(3, 8),
        Moment {
            seed: 2,
            ..moment(3, 7)
        },
    ];
    for other in others {
        assert_ne!(draw(moment(3, 7)), draw(other));
    }
}

#[test]
fn each_change_draws_for_itself() {
    let without = Augmentation {
        scale: None,
        color_jitter: 0.0,
        ..ALL
    };
    for sample in 0..50 {
        let [all, some] = [&ALL, &without].map(|it| it.variant((160, 160), 160, moment(0, sample)));
        assert_eq!(
            (all.hflip, all.vflip, all.erased),
            (some.hflip, some.vflip, some.erased)
        );
    }
}

#[test]
fn crops_have_the_area_and_shape_that_was_asked_for() {
    let mut shares = Vec::new();
    for sample in 0..2000 {
        let part = ALL.variant((160, 200), 128, moment(0, sample)).part;
        assert!(part.left + part.width <= 200 && part.top + part.height <= 160);
        let (width, height) = (float(part.width), float(part.height));
        let share = width * height / (160.0 * 200.0);
        assert!((0.19..0.91).contains(&share), "{share}");
        assert!((0.73..1.36).contains(&(width / height)), "{part:?}");
        shares.push(share);
    }
    let mean = shares.iter().sum::<f64>() / 2000.0;
    assert!((0.45..0.6).contains(&mean), "{mean}");
}

#[test]
fn what_never_fits_becomes_the_largest_middle() {
    let wide = Augmentation {
        scale: Some([1.0, 1.0]),
        ratio: [1.0, 1.0],
        ..Augmentation::default()
    };
    let part = wide.variant((100, 300), 50, moment(0, 0)).part;
    assert_eq!(
        part,
        Rectangle {
            left: 100,
            top: 0,
            width: 100,
            height: 100
        }
    );
}

#[test]
fn probabilities_are_kept() {
    let count = |is: fn(&Variant) -> bool| {
        let variants = (0..1000).map(|sample| ALL.variant((64, 64), 64, moment(0, sample)));
        variants.filter(is).count()
    };
    for count in [
        count(|variant| variant.hflip),
        count(|variant| variant.vflip),
        count(|variant| variant.erased.is_some()),
    ] {
        assert!((440..560).contains(&count), "{count}");
    }
}

#[test]
fn flips_and_erased_parts_are_where_they_should_be() {
    let pixels = [1, 2, 3, 4].map(|pixel| [pixel; 3]).concat();
    let mut variant = Variant::plain((2, 2), 2);
    let first = |variant: &Variant| {
        let bytes = rendered(variant, &pixels, Interpolation::Bilinear);
        bytes.chunks(3).map(|pixel| pixel[0]).collect::<Vec<_>>()
    };
    assert_eq!(first(&variant), [1, 2, 3, 4]);
    variant.hflip = true;
    assert_eq!(first(&variant), [2, 1, 4, 3]);
    variant.vflip = true;
    assert_eq!(first(&variant), [4, 3, 2, 1]);
    variant.hflip = false;
    assert_eq!(first(&variant), [3, 4, 1, 2]);
    variant.erased = Some(Rectangle {
        left: 1,
        top: 0,
        width: 1,
        height: 2,
    });
    let mut planes = [1.0; 12];
    variant.erase(&mut planes);
    assert_eq!(
        planes.map(|number| number > 0.5),
        [[true, false, true, false]; 3].concat()[..]
    );
}

#[test]
fn evaluation_sees_the_middle() {
    let variant = Variant::plain((4, 6), 2);
    let pixels: Vec<u8> = (0..24).flat_map(|pixel| [pixel; 3]).collect();
    let bytes = rendered(&variant, &pixels, Interpolation::Bilinear);
    assert_eq!(bytes[..6], [8, 8, 8, 9, 9, 9]);
    assert!(Augmentation::default().is_none());
    assert_eq!(
        Augmentation::default().variant((4, 6), 2, moment(5, 5)),
        variant
    );
}

#[test]
fn numbers_that_cannot_be_meant_are_named() {
    assert_eq!(ALL.mistake(), None);
    let wrong = [
        ("hflip", Augmentation { hflip: 1.5, ..ALL }),
        (
            "reprob",
            Augmentation {
                reprob: f64::NAN,
                ..ALL
            },
        ),
        (
            "color_jitter",
            Augmentation {
                color_jitter: 2.0,
                ..ALL
            },
        ),
        (
            "scale",
            Augmentation {
                scale: Some([0.0, 1.0]),
                ..ALL
            },
        ),
        (
            "ratio",
            Augmentation {
                ratio: [2.0, 1.0],
                ..ALL
            },
        ),
    ];
    for (name, augmentation) in wrong {
        assert_eq!(augmentation.mistake().map(|(name, _)| name), Some(name));
    }
}
