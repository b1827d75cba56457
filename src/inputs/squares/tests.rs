//! What a network sees of an image, and what that depends on.

use super::*;
use crate::data::images::Writer;
use crate::train::Images as _;

/// Two squares of 4 × 4 pixels, in an artifact of their own.
fn photos(changes: Changes) -> Squares {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut writer = Writer::create(folder.path(), 4, 4, None).expect("created");
    let pixels = (0..96).map(|byte| byte * 2).collect();
    writer
        .write(pixels, &["cat", "dog"], &["1.png", "2.png"])
        .expect("written");
    writer.finish().expect("finished");
    let images = Images::open(folder.path()).expect("opened");
    Squares {
        pixels: Pixels::Artifact(Arc::new(images), 0..2),
        digests: OnceLock::new(),
        input: ImageInput::default(),
        changes,
    }
}

fn rendered(photos: &Squares, view: usize) -> Vec<f32> {
    let mut planes = vec![0.0; 48];
    photos.render(view, &mut planes);
    planes
}

fn changes(augmentation: Augmentation) -> Changes {
    Changes {
        augmentation,
        seed: 1,
        ..Changes::default()
    }
}

/// torchvision's `Normalize` with the means and deviations of ImageNet: `(0 / 255 - 0.485) / 0.229`.
#[test]
fn colours_are_normalised_plane_by_plane() {
    let planes = rendered(&photos(Changes::default()), 0);
    let expected = [
        (0, -2.117_904),
        (16, -2.000_7),
        (32, -1.734_641),
        (1, -2.015_156),
    ];
    for (place, number) in expected {
        assert!(
            (planes[place] - number).abs() < 1e-4,
            "{place}: {}",
            planes[place]
        );
    }
}

#[test]
fn an_image_that_nothing_changes_has_one_look() {
    let plain = photos(Changes::default());
    assert_eq!(plain.views(), Views::One);
    assert_eq!(plain.digest(1), plain.content(1));
}

#[test]
fn a_mirrored_look_is_the_image_from_right_to_left() {
    let hflip = Augmentation {
        hflip: 1.0,
        ..Augmentation::default()
    };
    let (plain, mirrored) = (photos(Changes::default()), photos(changes(hflip)));
    assert_eq!(mirrored.views(), Views::Endless);
    let mut planes = rendered(&mirrored, 3);
    planes.chunks_mut(4).for_each(<[f32]>::reverse);
    assert_eq!(planes, rendered(&plain, 1));
}

#[test]
fn a_look_depends_on_its_number_the_seed_and_the_content() {
    let scale = Augmentation {
        scale: Some([0.2, 1.0]),
        color_jitter: 0.4,
        ..Augmentation::default()
    };
    let views = |views, seed| Changes {
        views: NonZeroUsize::new(views),
        seed,
        ..changes(scale.clone())
    };
    let one = photos(views(5, 1));
    assert_eq!(one.views(), Views::Fixed(NonZeroUsize::new(5).expect("5")));
    // Look 2 of image 1 is the fifth in all.
    let [again, more, other] = [views(5, 1), views(9, 1), views(5, 2)].map(photos);
    assert_eq!(rendered(&one, 5), rendered(&again, 5));
    assert_eq!(
        one.digest(5),
        more.digest(5),
        "more views leave the others alone"
    );
    assert_ne!(rendered(&one, 5), rendered(&one, 3));
    assert_ne!(one.digest(5), one.digest(3));
    assert_ne!(rendered(&one, 5), rendered(&other, 5));
    assert_ne!(one.digest(5), other.digest(5));
    assert_eq!(one.content(1), other.content(1));
}
