//! Images that cannot be read, or are not wanted: what becomes of them, and what is said about them.

use super::*;

/// Images that cannot be read, and what is said about them.
fn broken() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let jpeg = file("420.jpg");
    let png = file("rgb.png");
    // Width and height in the header, whose checksum follows.
    let mut bomb = png.clone();
    bomb[16..24].copy_from_slice(&[0, 0, 0x2E, 0xE0, 0, 0, 0x23, 0x28]);
    let sum = crc(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    vec![
        (
            "cut.jpg",
            jpeg[..jpeg.len() / 2].to_vec(),
            "it is truncated",
        ),
        ("empty.jpg", Vec::new(), "it is empty"),
        (
            "text.jpg",
            b"not a photo at all".to_vec(),
            "its content is not an image",
        ),
        (
            "tiff.jpg",
            b"II*\0\x08\0\0\0".to_vec(),
            "TIFF images are not supported",
        ),
        (
            "bomb.png",
            bomb,
            "it has 12000 × 9000 pixels, more than the 50000000 that are allowed",
        ),
    ]
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn broken_images_are_named() {
    for (name, bytes, why) in broken() {
        let bench = bench(&PETS);
        put(&bench, &format!("pets/cats/{name}"), &bytes);
        let error = run(&bench, "source = 'pets'").expect_err(name);
        assert_eq!(
            error.message(),
            format!("the image `cats/{name}` cannot be read")
        );
        assert_eq!(error.causes(), [why], "{name}");
        assert!(
            error
                .help_text()
                .is_some_and(|help| help.contains("on_error = \"skip\""))
        );
        assert_eq!(error.kind(), Kind::Stage);
    }
    let bench = bench(&PETS);
    for (name, bytes, _) in broken() {
        put(&bench, &format!("pets/cats/{name}"), &bytes);
    }
    let error = run(&bench, "source = 'pets'").expect_err("broken");
    assert_eq!(error.message(), "5 of 10 images cannot be read");
    assert_eq!(error.notes().len(), 5, "{:?}", error.notes());
    assert_eq!(
        error.notes()[4],
        "`cats/tiff.jpg`: TIFF images are not supported"
    );
}

/// Images of 1,500 pixels come in batches of two.
#[test]
fn broken_images_are_counted_to_the_end() {
    let bench = bench(&PETS);
    for index in 0..7 {
        put(
            &bench,
            &format!("pets/cats/2{index}.jpg"),
            b"not a photo at all",
        );
    }
    put(&bench, "pets/dogs/z.jpg", b"");
    let settings = "kind = 'images'\nsize = 1500\nsource = 'pets'";
    assert_eq!(batch_len(1500, 1500), 2);
    let (error, told) = bench.fails(settings);
    assert_eq!(error.message(), "8 of 13 images cannot be read");
    assert_eq!(error.notes()[5], "and 3 more: `refire logs it` lists all");
    let listed = told
        .logs
        .iter()
        .filter(|line| line.contains("cannot be read"));
    assert_eq!(listed.count(), 8);
    assert!(
        told.logs
            .contains(&"`dogs/z.jpg` cannot be read: it is empty".to_owned())
    );
}

#[test]
fn images_are_left_out_by_their_names() {
    let bench = bench(&PETS);
    let made = run(
        &bench,
        "source = 'pets'\nexclude = ['*.gif', 'DOGS/deep/*', '*.tif']",
    )
    .expect("made");
    assert_eq!(
        listed(&made),
        pairs(&[
            ("cats/10.bmp", "cats"),
            ("cats/2.webp", "cats"),
            ("dogs/b.JPG", "dogs")
        ])
    );
    assert_eq!(made.notices, ["no image matches `*.tif` in `exclude`"]);
    assert_eq!(made.logs[0], "1 images match `*.gif` in `exclude`");

    let rows = table("path,label\ndogs/b.JPG,1\ncats/1.gif,0\ncats/2.webp,0\n");
    let settings = format!("{SMALL}source = 'pets'\ntable = 'x'\nexclude = ['*.gif']");
    let made = bench.run(&settings, &[(TABLE, &rows)], 1).expect("made");
    assert_eq!(listed(&made).len(), 2);

    let made = run(&bench, "source = 'pets'\nexclude = ['dogs/*']").expect("made");
    assert_eq!(made.notices, ["the class folder `dogs` has no image"]);
}

#[test]
fn a_class_whose_photos_have_other_endings_is_explained() {
    let bench = bench(&PETS);
    put(&bench, "pets/birds/1.heic", b"\0\0\0\x18ftypheic and more");
    let made = run(&bench, "source = 'pets'").expect("made");
    assert_eq!(
        made.notices,
        [
            "1 photos are left out because of their ending (.heic 1): `birds/1.heic`",
            "the class folder `birds` has no image",
        ]
    );
    let error = run(&bench, "source = 'pets/birds'").expect_err("no image");
    let told = "photos of other endings are there: .heic 1".to_owned();
    assert!(error.notes().contains(&told), "{:?}", error.notes());
}

#[test]
fn broken_images_are_skipped_on_demand() {
    let bench = bench(&PETS);
    for (name, bytes, _) in broken() {
        put(&bench, &format!("pets/cats/{name}"), &bytes);
    }
    let made = run(&bench, "source = 'pets'\non_error = 'skip'").expect("made");
    let images = opened(&made);
    assert_eq!(images.len(), 5);
    assert_eq!(images.pixels(2), expected("lossless.webp"));
    assert_eq!(images.path(4), "dogs/deep/a.png");
    assert_eq!(
        made.notices,
        [
            "5 images are left out because they cannot be read: `cats/bomb.png`, `cats/cut.jpg`, `cats/empty.jpg`, `cats/text.jpg`, `cats/tiff.jpg`"
        ]
    );
    assert!(
        made.logs
            .contains(&"`cats/cut.jpg` cannot be read: it is truncated".to_owned())
    );

    put(&bench, "pets/birds/1.jpg", b"");
    let error = run(&bench, "source = 'pets'\non_error = 'skip'").expect_err("no bird left");
    assert_eq!(error.message(), "not one image of `birds` can be read");
}
