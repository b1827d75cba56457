//! Folders, archives and tables of images, good and bad.

mod left_out;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use polars::prelude::{
    Column, DataFrame, IntoSeries, NamedFrom, ParquetWriter, Series, StructChunked, df,
};

use super::*;
use crate::data::images::{CropMargin, Images as Opened, ResizeMode, Transform, decode};
use crate::error::Kind;
use crate::fingerprint::{Fingerprint, Walk};
use crate::needs;
use crate::stages::bench::{Bench, Made, place, table};

const SMALL: &str = "kind = 'images'\nsize = 12\nresize = 14\n";

/// A file of `tests/data/images`.
fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images");
    std::fs::read(folder.join(name)).expect("a file of the tests")
}

/// Puts files of `tests/data/images` where the pairs say.
fn bench(files: &[(&str, &str)]) -> Bench {
    let bench = Bench::new();
    for (path, content) in files {
        put(&bench, path, &file(content));
    }
    bench
}

fn put(bench: &Bench, path: &str, bytes: &[u8]) {
    let folder = bench.path(path);
    let folder = folder.parent().expect("a folder");
    std::fs::create_dir_all(folder).expect("made");
    bench.write(path, bytes);
}

fn run(bench: &Bench, settings: &str) -> Result<Made> {
    bench.run(&format!("{SMALL}{settings}"), &[], 1)
}

/// Path and label of every image.
fn listed(made: &Made) -> Vec<(String, String)> {
    let images = opened(made);
    let pair = |index| {
        (
            images.path(index).to_owned(),
            images.label(index).to_owned(),
        )
    };
    (0..images.len()).map(pair).collect()
}

fn opened(made: &Made) -> Opened {
    Opened::open(made.folder(IMAGES)).expect("images")
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(path, label): &(&str, &str)| ((*path).to_owned(), (*label).to_owned());
    pairs.iter().map(owned).collect()
}

/// What an image of the artifact must hold.
fn expected(name: &str) -> Vec<u8> {
    let transform = Transform {
        size: 12,
        resize: 14,
        mode: ResizeMode::Shorter,
        margin: CropMargin::Even,
        interpolation: crate::data::images::Interpolation::Bilinear,
    };
    let mut pixels = vec![0; transform.bytes()];
    transform.apply(&decode(&file(name), 10_000).expect("decoded"), &mut pixels);
    pixels
}

const PETS: [(&str, &str); 5] = [
    ("pets/dogs/b.JPG", "420.jpg"),
    ("pets/dogs/deep/a.png", "rgb.png"),
    ("pets/cats/2.webp", "lossless.webp"),
    ("pets/cats/1.gif", "palette.gif"),
    ("pets/cats/10.bmp", "rgb.bmp"),
];

#[test]
fn the_first_folder_is_the_label() {
    let bench = bench(&PETS);
    put(&bench, "pets/cats/Thumbs.db", b"no image");
    put(&bench, "pets/.cache/x/y.png", b"passed over");
    put(&bench, "pets/__MACOSX/cats/._1.png", b"passed over");
    put(&bench, "pets/cats/._1.png", b"passed over");
    let made = run(&bench, "source = 'pets'").expect("made");
    assert_eq!(
        listed(&made),
        pairs(&[
            ("cats/1.gif", "cats"),
            ("cats/10.bmp", "cats"),
            ("cats/2.webp", "cats"),
            ("dogs/b.JPG", "dogs"),
            ("dogs/deep/a.png", "dogs"),
        ])
    );
    let images = opened(&made);
    assert_eq!((images.height(), images.width()), (12, 12));
    for (index, name) in [
        "palette.gif",
        "rgb.bmp",
        "lossless.webp",
        "420.jpg",
        "rgb.png",
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(images.pixels(index), expected(name), "{name}");
    }
    assert_eq!(made.notices, Vec::<String>::new());
    assert_eq!(
        made.logs,
        [
            "2 files are no images by their ending: `cats/._1.png`, `cats/Thumbs.db`",
            "cats: 3 images",
            "dogs: 2 images"
        ]
    );
}

#[test]
fn threads_change_nothing() {
    let bench = bench(&PETS);
    let bytes = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        let made = pool
            .install(|| run(&bench, "source = 'pets'"))
            .expect("made");
        std::fs::read(made.folder(IMAGES).join(crate::data::images::FILE)).expect("read")
    };
    assert_eq!(bytes(1), bytes(4));
}

#[test]
fn a_pattern_finds_the_label_in_the_path() {
    let bench = bench(&[
        ("food/P01.jpg", "420.jpg"),
        ("food/E07.jpg", "422.jpg"),
        ("food/E08.jpg", "444.jpg"),
        ("food/X01.jpg", "rgb.jpg"),
        ("food/cover.jpg", "grey.jpg"),
    ]);
    let settings = "source = 'food'\nlabel_pattern = '^([A-Z])\\d'\n";
    let made = run(
        &bench,
        &format!("{settings}labels = {{ P = 'fish', E = 'fruit' }}"),
    )
    .expect("made");
    assert_eq!(
        listed(&made),
        pairs(&[
            ("E07.jpg", "fruit"),
            ("E08.jpg", "fruit"),
            ("P01.jpg", "fish")
        ])
    );
    assert_eq!(
        made.notices,
        ["1 images are left out because they have no label: `cover.jpg`"]
    );
    assert_eq!(
        made.logs[0],
        "1 images have a label that is not in `labels`"
    );

    // A class that these images lack is told; one that is only written otherwise is refused.
    let made = run(&bench, &format!("{settings}labels = ['P', 'Q']")).expect("made");
    assert_eq!(made.notices[1], "no image has the label `Q`");
    let error = run(&bench, &format!("{settings}labels = ['Q', 'R']")).expect_err("none");
    assert_eq!(error.message(), "no image has the label `Q`");
    assert_eq!(error.help_text(), None);
    assert_eq!(place(&error), "['Q', 'R']");
    let error = run(&bench, &format!("{settings}labels = {{ p = 'fish' }}")).expect_err("no p");
    assert_eq!(
        error.message(),
        "no image has the label `p`, which `labels` calls `fish`"
    );
    assert_eq!(error.help_text(), Some("did you mean `P`?"));
}

#[test]
fn an_archive_is_a_source_too() {
    let bench = Bench::new();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, name) in PETS {
        zip.start_file(path, zip::write::SimpleFileOptions::default())
            .expect("a file");
        zip.write_all(&file(name)).expect("written");
    }
    bench.write("pets.zip", zip.finish().expect("a zip").into_inner());
    let made = run(&bench, "source = 'pets.zip#pets'").expect("made");
    assert_eq!(listed(&made).len(), 5);
    assert_eq!(opened(&made).labels(), ["cats", "dogs"]);

    let error = run(&bench, "source = 'pets.zip'").expect_err("a folder too high");
    assert_eq!(error.message(), "all 5 images have the label `pets`");
    assert_eq!(place(&error), "'pets.zip'");
    let one = run(&bench, "source = 'pets.zip'\nlabels = ['pets']").expect("made");
    assert_eq!(listed(&one).len(), 5);
}

#[test]
fn a_table_names_files_and_labels() {
    let bench = bench(&PETS);
    let rows = table("file,kind\ndogs/b.JPG,1\ncats/2.webp,0\ndogs/deep/a.png,1\ncats/2.webp,2\n");
    let settings = format!(
        "{SMALL}source = 'pets'\ntable = 'x'\npath_column = 'file'\nlabel_column = 'kind'\n"
    );
    let made = bench
        .run(
            &format!("{settings}labels = ['0', '1']"),
            &[(TABLE, &rows)],
            1,
        )
        .expect("made");
    assert_eq!(
        listed(&made),
        pairs(&[
            ("dogs/b.JPG", "1"),
            ("cats/2.webp", "0"),
            ("dogs/deep/a.png", "1")
        ])
    );
    // The same files as an artifact of another stage.
    let inputs = BTreeMap::from([
        (FILES.to_owned(), bench.path("pets")),
        (TABLE.to_owned(), written(&bench, &rows)),
    ]);
    let files = settings.replace("source = 'pets'", "files = 'y'");
    let made = bench.run_on(&files, inputs, 1).expect("made");
    assert_eq!(listed(&made).len(), 4);

    let rows = table("file,kind\ndogs/b.JPG,1\n../cats/2.webp,0\n");
    let error = bench
        .run(&settings, &[(TABLE, &rows)], 1)
        .expect_err("leads out");
    assert_eq!(
        error.message(),
        "row 2 has the path `../cats/2.webp` in column `file`"
    );
    let rows = table("file,kind\ndogs/b.JPG,1\ncats/none.png,0\n");
    let error = bench
        .run(&settings, &[(TABLE, &rows)], 1)
        .expect_err("not there");
    assert_eq!(error.message(), "the image `cats/none.png` cannot be read");
}

fn written(bench: &Bench, rows: &Table) -> PathBuf {
    let folder = bench.path("table");
    std::fs::create_dir_all(&folder).expect("made");
    rows.write(&folder).expect("written");
    folder
}

/// Three images with labels 0 and 1, in row groups of two rows.
fn parquet(bench: &Bench, name: &str, image: Column) {
    let labels = Column::new("label".into(), [0i64, 1, 0]);
    let mut frame = DataFrame::new_infer_height(vec![image, labels]).expect("a frame");
    let file = std::fs::File::create(bench.path(name)).expect("a file");
    let writer = ParquetWriter::new(file).with_row_group_size(Some(2));
    writer.finish(&mut frame).expect("written");
}

fn embedded() -> Series {
    let bytes = [file("420.jpg"), file("rgb.png"), file("grey.jpg")];
    let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
    Series::new("bytes".into(), bytes)
}

#[test]
fn images_inside_a_parquet_file() {
    let bench = Bench::new();
    parquet(
        &bench,
        "plain.parquet",
        embedded().with_name("image".into()).into(),
    );
    let made = run(&bench, "source = 'plain.parquet'").expect("made");
    assert_eq!(
        listed(&made),
        pairs(&[("row 1", "0"), ("row 2", "1"), ("row 3", "0")])
    );
    assert_eq!(opened(&made).pixels(2), expected("grey.jpg"));

    // As Hugging Face data sets have them.
    let paths = Series::new("path".into(), [Some("a.jpg"), None, Some("c.jpg")]);
    let columns = [embedded(), paths];
    let structs = StructChunked::from_series("photo".into(), 3, columns.iter()).expect("structs");
    parquet(&bench, "train.parquet", structs.into_series().into());
    let settings =
        "source = 'train.parquet'\nimage_column = 'photo'\nlabels = { 0 = 'cat', 1 = 'dog' }";
    let made = run(&bench, settings).expect("made");
    assert_eq!(
        listed(&made),
        pairs(&[("a.jpg", "cat"), ("row 2", "dog"), ("c.jpg", "cat")])
    );

    let error = run(&bench, "source = 'train.parquet'").expect_err("another column");
    assert_eq!(error.message(), "the table has no column `image`");
    let error =
        run(&bench, "source = 'train.parquet'\nimage_column = 'label'").expect_err("no images");
    assert_eq!(error.message(), "column `label` holds no images but i64");
}

#[test]
fn images_inside_a_table_of_another_stage() {
    let frame = df!("label" => ["b", "a", "b"]).expect("a frame");
    let bench = Bench::new();
    let folder = bench.path("table");
    std::fs::create_dir_all(&folder).expect("made");
    let image: Column = embedded().with_name("image".into()).into();
    let columns = vec![image, frame.column("label").expect("a column").clone()];
    let mut frame = DataFrame::new_infer_height(columns).expect("a frame");
    let file = std::fs::File::create(folder.join(crate::data::table::FILE)).expect("a file");
    ParquetWriter::new(file)
        .finish(&mut frame)
        .expect("written");
    let inputs = BTreeMap::from([(TABLE.to_owned(), folder)]);
    let made = bench
        .run_on(&format!("{SMALL}table = 'x'"), inputs, 1)
        .expect("made");
    assert_eq!(
        listed(&made),
        pairs(&[("row 1", "b"), ("row 2", "a"), ("row 3", "b")])
    );
}

#[test]
fn content_counts_and_not_the_ending() {
    let bench = bench(&[
        ("pets/cats/1.jpg", "rgb.png"),
        ("pets/dogs/1.png", "420.jpg"),
    ]);
    let made = run(&bench, "source = 'pets'").expect("made");
    assert_eq!(opened(&made).pixels(0), expected("rgb.png"));
    assert_eq!(opened(&made).pixels(1), expected("420.jpg"));
}

#[test]
fn folders_without_images_are_refused() {
    let bench = bench(&PETS);
    put(&bench, "pets/birds/readme.txt", b"none yet");
    let made = run(&bench, "source = 'pets'").expect("made");
    assert_eq!(made.notices, ["the class folder `birds` has no image"]);
    run(&bench, "source = 'pets'\nlabels = ['cats', 'dogs']").expect("birds do not count");

    let error = run(&bench, "source = 'pets/cats'").expect_err("no folders");
    assert_eq!(error.message(), "no image has a label, `1.gif` for one");
    assert!(
        error
            .help_text()
            .is_some_and(|help| help.contains("label_pattern"))
    );
    put(&bench, "none/readme.txt", b"nothing");
    let error = run(&bench, "source = 'none'").expect_err("no image");
    assert_eq!(error.message(), "there is no image");
    let error = run(&bench, "source = 'missing'").expect_err("no folder");
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.message().ends_with("missing` does not exist"));
}

#[test]
fn settings_that_do_not_belong_together_are_refused() {
    let cases = [
        ("", "nothing says where the images are"),
        (
            "source = 'a'\nfiles = 'b'",
            "`source` and `files` both say where the images are",
        ),
        (
            "source = 'a.parquet'\ntable = 'b'",
            "`source` is a table already",
        ),
        (
            "source = 'a'\npath_column = 'b'",
            "`path_column` is for `table` with `source` or `files`",
        ),
        (
            "source = 'a'\nlabel_column = 'b'",
            "`label_column` is for `table`",
        ),
        (
            "table = 'a'\nlabel_pattern = 'b'",
            "`label_pattern` is for files without a `table`",
        ),
        (
            "source = 'a'\nimage_column = 'b'",
            "`image_column` is for a table with the images inside",
        ),
        (
            "source = 'a'\nlabel_pattern = '('",
            "`label_pattern` is not a regular expression",
        ),
        (
            "source = 'a'\nsize = 0",
            "`size` must be from 1 to 4096 pixels",
        ),
        (
            "source = 'a'\nsize = 64\nresize = 60",
            "`resize` must be from `size` (64) to 8192 pixels",
        ),
        (
            "source = 'a'\nsize = 64\nresize = { squash = 60 }",
            "`resize` must be from `size` (64) to 8192 pixels",
        ),
        (
            "source = 'a'\nresize = 9000",
            "`resize` must be from `size` to 8192 pixels",
        ),
        (
            "table = 'a'\nexclude = ['*.gif']",
            "`exclude` is for files, not for a table with the images inside",
        ),
        ("source = 'a'\nexclude = ['[']", "`[` is not a valid glob"),
        ("source = 'a'\nlabels = []", "`labels`: no label is named"),
        (
            "source = 'a'\nlabels = { a = '' }",
            "`labels`: the name of a label is empty",
        ),
        ("source = 'a'\nmax_pixel = 3", "unknown key `max_pixel`"),
    ];
    for (settings, message) in cases {
        let error = Bench::new().refusal(&format!("kind = 'images'\n{settings}"));
        assert_eq!(error.message(), message);
        assert!(!error.labels().is_empty(), "{settings}");
    }
}

fn key(bench: &Bench, settings: &str) -> Fingerprint {
    let stage = bench
        .parse(&format!("kind = 'images'\n{settings}"))
        .expect("parsed");
    let mut walk = Walk::new("images", 1);
    stage.describe(&mut walk);
    walk.finish(1, None)
}

#[test]
fn the_key_holds_what_changes_pixels_and_not_where_files_lie() {
    let bench = Bench::new();
    let same = [
        ("source = 'a'", "source = 'b'"),
        (
            "source = 'a'",
            "source = 'a'\nsize = 224\nresize = 256\ninterpolation = 'bilinear'",
        ),
        (
            "source = 'a'\nlabels = ['x']",
            "source = 'a'\nlabels = { x = 'x' }",
        ),
        ("source = 'a'", "source = 'a'\nresize = 'shorter'"),
        ("source = 'a'", "source = 'a'\nresize = { shorter = 256 }"),
        (
            "source = 'a'\nresize = 'squash'",
            "source = 'a'\nresize = { squash = 224 }",
        ),
        ("source = 'a.zip#x'", "source = 'b.zip#x'"),
        ("files = 'a'", "files = 'b'"),
    ];
    for (one, other) in same {
        assert_eq!(
            key(&bench, one).digest(),
            key(&bench, other).digest(),
            "{one} {other}"
        );
    }
    let other = [
        ("source = 'a'", "source = 'a'\nsize = 160"),
        ("source = 'a'", "source = 'a'\nresize = 250"),
        ("source = 'a'", "source = 'a'\nresize = 'squash'"),
        ("source = 'a'", "source = 'a'\nexclude = ['*.gif']"),
        ("source = 'a'", "source = 'a'\non_error = 'skip'"),
        ("source = 'a'", "source = 'a'\nlabels = ['x']"),
        ("source = 'a.zip#x'", "source = 'a.zip#y'"),
        ("source = 'npm:a@1.0.0#x'", "source = 'npm:a@1.0.1#x'"),
    ];
    for (one, other) in other {
        assert_ne!(
            key(&bench, one).digest(),
            key(&bench, other).digest(),
            "{one} {other}"
        );
    }
}

#[test]
#[ignore = "needs shared data"]
fn cats_and_dogs() {
    let Some(folder) = needs::shared("cats-dogs") else {
        return;
    };
    let bench = Bench::new();
    let settings = format!(
        "kind = 'images'\nsource = '{}'\nsize = 160",
        folder.display()
    );
    let made = bench.run(&settings, &[], 1).expect("made");
    let images = opened(&made);
    assert_eq!(images.len(), 1602);
    assert_eq!(images.labels(), ["cats", "dogs"]);
}

#[test]
#[ignore = "needs shared data"]
fn photos_of_imagenet() {
    let Some(folder) = needs::shared("imagenet-sample") else {
        return;
    };
    let bench = Bench::new();
    let settings = format!(
        "{SMALL}source = '{}'\nlabel_pattern = '^(n\\d+)_'",
        folder.display()
    );
    let made = bench.run(&settings, &[], 1).expect("made");
    assert_eq!(opened(&made).len(), 342);
}
