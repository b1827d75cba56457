//! The artifact `images.arrow`: an Arrow IPC file, uncompressed, so that its pixels are used where they lie.
//!
//! Its columns: `pixels` (a [fixed-shape tensor][tensor] of height × width × 3 bytes), `label` and `path` (text). How the images were
//! made is in the metadata of `pixels`. Written batch by batch, so that memory does not grow with the number of images; read by mapping
//! the file into memory.
//!
//! [tensor]: https://arrow.apache.org/docs/format/CanonicalExtensions.html#fixed-shape-tensor

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use polars_arrow::array::{Array, FixedSizeListArray, UInt8Array, Utf8Array};
use polars_arrow::datatypes::{ArrowDataType, ArrowSchema, ArrowSchemaRef, ExtensionType, Field};
use polars_arrow::io::ipc::format::ipc::planus::ReadAsRoot;
use polars_arrow::io::ipc::format::ipc::{Block, MessageHeaderRef, MessageRef};
use polars_arrow::io::ipc::read::{FileReader, read_file_metadata};
use polars_arrow::io::ipc::write::{FileWriter, WriteOptions};
use polars_arrow::record_batch::RecordBatchT;

use super::transform::Transform;
use crate::error::{Context, Error, Result};

/// The file of an images artifact.
pub const FILE: &str = "images.arrow";

/// What a batch may take in memory, in bytes.
const BATCH_BYTES: usize = 16 << 20;

const CHANNELS: usize = 3;
const TENSOR: &str = "arrow.fixed_shape_tensor";
/// The key of the metadata that says how images were made.
const TRANSFORM: &str = "refire.transform";

/// How many images of `height` × `width` are best written at a time. A function of the size alone, because it decides the
/// bytes of the file.
#[must_use]
pub fn batch_len(height: usize, width: usize) -> usize {
    (BATCH_BYTES / (height * width * CHANNELS).max(1)).max(1)
}

/// Writes an images artifact.
pub struct Writer {
    path: PathBuf,
    file: FileWriter<BufWriter<File>>,
    schema: ArrowSchemaRef,
}

impl Writer {
    /// Begins the artifact in `folder`: images of `height` × `width` pixels, which `transform` made, if that is known.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(
        folder: &Path,
        height: usize,
        width: usize,
        transform: Option<Transform>,
    ) -> Result<Self> {
        let path = folder.join(FILE);
        let cannot = || format!("cannot write `{}`", path.display());
        let schema = Arc::new(schema(height, width, transform));
        let options = WriteOptions { compression: None };
        let file = BufWriter::new(File::create(&path).or_stage(cannot)?);
        let file =
            FileWriter::try_new(file, Arc::clone(&schema), None, options).or_stage(cannot)?;
        Ok(Self { path, file, schema })
    }

    /// Appends a batch: `pixels` holds as many images, one after the other, as there are labels and paths.
    ///
    /// # Errors
    /// Those of the disk.
    ///
    /// # Panics
    /// If the lengths do not belong together.
    pub fn write(&mut self, pixels: Vec<u8>, labels: &[&str], paths: &[&str]) -> Result<()> {
        assert_eq!(
            labels.len(),
            paths.len(),
            "a label and a path for every image"
        );
        let tensor = self.schema.get_at_index(0).map(|(_, field)| &field.dtype);
        let tensor = tensor.cloned().unwrap_or(ArrowDataType::Null);
        let pixels = UInt8Array::from_vec(pixels).boxed();
        let columns: Vec<Box<dyn Array>> = vec![
            FixedSizeListArray::new(tensor, labels.len(), pixels, None).boxed(),
            Utf8Array::<i32>::from_slice(labels).boxed(),
            Utf8Array::<i32>::from_slice(paths).boxed(),
        ];
        let batch = RecordBatchT::new(labels.len(), Arc::clone(&self.schema), columns);
        self.file.write(&batch, None).or_stage(|| self.cannot())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn finish(mut self) -> Result<()> {
        self.file.finish().or_stage(|| self.cannot())
    }

    fn cannot(&self) -> String {
        format!("cannot write `{}`", self.path.display())
    }
}

fn schema(height: usize, width: usize, transform: Option<Transform>) -> ArrowSchema {
    let byte = Field::new("item".into(), ArrowDataType::UInt8, false);
    let shape = format!(r#"{{"shape":[{height},{width},{CHANNELS}],"dim_names":["H","W","C"]}}"#);
    let tensor = ArrowDataType::Extension(Box::new(ExtensionType {
        name: TENSOR.into(),
        inner: ArrowDataType::FixedSizeList(Box::new(byte), height * width * CHANNELS),
        metadata: Some(shape.into()),
    }));
    let made = transform.and_then(|transform| serde_json::to_string(&transform).ok());
    let made = made.map(|made| (TRANSFORM.into(), made.into()));
    let text = |name: &str| Field::new(name.into(), ArrowDataType::Utf8, false);
    ArrowSchema::from_iter([
        Field::new("pixels".into(), tensor, false).with_metadata(made.into_iter().collect()),
        text("label"),
        text("path"),
    ])
}

/// An images artifact, mapped into memory: pixels are read from the disk when they are first looked at.
#[derive(Debug)]
pub struct Images {
    map: Mmap,
    height: usize,
    width: usize,
    transform: Option<Transform>,
    /// Where each image begins in the file.
    starts: Vec<usize>,
    labels: Vec<String>,
    paths: Vec<String>,
}

impl Images {
    /// Opens the artifact in `folder`.
    ///
    /// # Errors
    /// A file that is missing, damaged or not an images artifact.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let cannot = || format!("cannot read `{}`", path.display());
        let file = File::open(&path).or_stage(cannot)?;
        #[expect(
            unsafe_code,
            reason = "mapping is sound while nobody changes the file: artifacts are read-only, immutable and verified before use"
        )]
        // SAFETY: as above; and who cuts off a file in the cache in spite of that ends the process of one stage.
        let map = unsafe { Mmap::map(&file) }.or_stage(cannot)?;
        Self::read(map).map_err(|error| error.wrap(cannot()))
    }

    fn read(map: Mmap) -> Result<Self> {
        let strange = || "it is not an Arrow file of images";
        let metadata = read_file_metadata(&mut Cursor::new(&map[..])).or_stage(strange)?;
        let (height, width) = shape_of(&metadata.schema).ok_or_else(|| Error::stage(strange()))?;
        let image = height * width * CHANNELS;
        let mut images = Self {
            height,
            width,
            transform: transform_of(&metadata.schema),
            starts: Vec::new(),
            labels: Vec::new(),
            paths: Vec::new(),
            map,
        };
        let blocks = metadata.blocks.clone();
        let text = FileReader::new(
            Cursor::new(&images.map[..]),
            metadata,
            Some(vec![1, 2]),
            None,
        );
        let (mut labels, mut paths) = (Vec::new(), Vec::new());
        for (block, batch) in blocks.iter().zip(text) {
            let batch = batch.or_stage(|| "its labels cannot be read")?;
            let rows = batch.len();
            let first = pixels_of(&images.map, block, rows * image)
                .ok_or_else(|| Error::stage("its pixels are not where they should be"))?;
            images
                .starts
                .extend((0..rows).map(|row| first + row * image));
            for (column, texts) in batch.columns().iter().zip([&mut labels, &mut paths]) {
                let column = column.as_any().downcast_ref::<Utf8Array<i32>>();
                let column = column.ok_or_else(|| Error::stage(strange()))?;
                texts.extend(column.values_iter().map(str::to_owned));
            }
        }
        images.labels = labels;
        images.paths = paths;
        Ok(images)
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Rows of an image.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixels in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// How the images were made, if that is known.
    #[must_use]
    pub fn transform(&self) -> Option<Transform> {
        self.transform
    }

    /// The label of image `index`.
    ///
    /// # Panics
    /// If there is no such image; so the others below.
    #[must_use]
    pub fn label(&self, index: usize) -> &str {
        &self.labels[index]
    }

    /// Where image `index` comes from: its path within its source, for messages and reports.
    #[must_use]
    pub fn path(&self, index: usize) -> &str {
        &self.paths[index]
    }

    /// The pixels of image `index`: rows from the top, three bytes a pixel, red first.
    #[must_use]
    pub fn pixels(&self, index: usize) -> &[u8] {
        let start = self.starts[index];
        &self.map[start..start + self.height * self.width * CHANNELS]
    }

    /// The labels that occur, sorted.
    #[must_use]
    pub fn labels(&self) -> Vec<&str> {
        let labels: BTreeSet<&str> = self.labels.iter().map(String::as_str).collect();
        labels.into_iter().collect()
    }

    /// Writes the images with these 0-based numbers, in this order, as an artifact into `folder`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write_some(&self, indices: &[usize], folder: &Path) -> Result<()> {
        let mut writer = Writer::create(folder, self.height, self.width, self.transform)?;
        for batch in indices.chunks(batch_len(self.height, self.width)) {
            let pixels = batch.iter().flat_map(|index| self.pixels(*index));
            let labels: Vec<_> = batch.iter().map(|index| self.label(*index)).collect();
            let paths: Vec<_> = batch.iter().map(|index| self.path(*index)).collect();
            writer.write(pixels.copied().collect(), &labels, &paths)?;
        }
        writer.finish()
    }
}

/// Height and width, if the schema is that of an images artifact.
fn shape_of(found: &ArrowSchema) -> Option<(usize, usize)> {
    #[derive(serde::Deserialize)]
    struct Tensor {
        shape: [usize; 3],
    }
    let (_, pixels) = found.get_at_index(0)?;
    let ArrowDataType::Extension(tensor) = &pixels.dtype else {
        return None;
    };
    let shape: Tensor = serde_json::from_str(tensor.metadata.as_ref()?).ok()?;
    let [height, width, _] = shape.shape;
    let expected = schema(height, width, None);
    let types = |schema: &ArrowSchema| -> Vec<_> {
        let fields = schema.iter_values();
        fields
            .map(|field| (field.name.clone(), field.dtype.clone()))
            .collect()
    };
    (types(found) == types(&expected)).then_some((height, width))
}

/// How the images were made, if the schema says so.
fn transform_of(found: &ArrowSchema) -> Option<Transform> {
    let (_, pixels) = found.get_at_index(0)?;
    let made = pixels.metadata.as_ref()?.get(TRANSFORM)?;
    serde_json::from_str(made).ok()
}

/// Where the pixels of a batch begin in the file, if all `bytes` of them are there.
fn pixels_of(file: &[u8], block: &Block, bytes: usize) -> Option<usize> {
    // A mark and a length stand before the message.
    const PREFIX: usize = 8;
    let message = usize::try_from(block.offset).ok()?;
    let body = message.checked_add(usize::try_from(block.meta_data_length).ok()?)?;
    let message = MessageRef::read_as_root(file.get(message + PREFIX..body)?).ok()?;
    let MessageHeaderRef::RecordBatch(batch) = message.header().ok()?? else {
        return None;
    };
    if batch.compression().ok()?.is_some() {
        return None;
    }
    // The buffers of the first column: which lists are null, which bytes are null, the bytes.
    let buffer = batch.buffers().ok()??.get(2)?;
    let start = body.checked_add(usize::try_from(buffer.offset()).ok()?)?;
    let whole = usize::try_from(buffer.length()).ok()? == bytes;
    (whole && start.checked_add(bytes)? <= file.len()).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::images::{CropMargin, Interpolation, ResizeMode};

    const MADE: Transform = Transform {
        size: 5,
        resize: 7,
        mode: ResizeMode::Squash,
        margin: CropMargin::Down,
        interpolation: Interpolation::Bicubic,
    };

    fn written(count: usize, height: usize, width: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut writer = Writer::create(folder.path(), height, width, Some(MADE)).expect("created");
        for batch in (0..count).collect::<Vec<_>>().chunks(3) {
            let pixels = batch
                .iter()
                .flat_map(|index| pixels(*index, height * width * 3));
            let text: Vec<_> = batch.iter().map(ToString::to_string).collect();
            let labels: Vec<_> = batch
                .iter()
                .map(|index| ["cat", "dog"][index % 2])
                .collect();
            let paths: Vec<_> = text.iter().map(String::as_str).collect();
            writer
                .write(pixels.collect(), &labels, &paths)
                .expect("written");
        }
        writer.finish().expect("finished");
        folder
    }

    fn pixels(index: usize, count: usize) -> impl Iterator<Item = u8> {
        (0..count).map(move |byte| u8::try_from((index * 31 + byte) % 251).expect("small"))
    }

    #[test]
    fn what_is_written_is_read_in_order() {
        let folder = written(8, 5, 7);
        let images = Images::open(folder.path()).expect("opened");
        assert_eq!((images.len(), images.height(), images.width()), (8, 5, 7));
        assert_eq!(images.labels(), ["cat", "dog"]);
        assert_eq!(images.transform(), Some(MADE));
        for index in 0..8 {
            assert_eq!(images.path(index), index.to_string());
            assert_eq!(images.label(index), ["cat", "dog"][index % 2]);
            assert!(images.pixels(index).iter().copied().eq(pixels(index, 105)));
        }
    }

    #[test]
    fn some_images_make_an_artifact_of_their_own() {
        let folder = written(8, 2, 2);
        let all = Images::open(folder.path()).expect("opened");
        let other = tempfile::tempdir().expect("a temporary folder");
        all.write_some(&[6, 1], other.path()).expect("written");
        let some = Images::open(other.path()).expect("opened");
        assert_eq!(some.len(), 2);
        assert_eq!((some.path(0), some.path(1)), ("6", "1"));
        assert_eq!(some.transform(), Some(MADE));
        assert_eq!(some.pixels(1), all.pixels(1));
    }

    #[test]
    fn no_images_are_an_artifact_too() {
        let folder = written(0, 4, 4);
        let images = Images::open(folder.path()).expect("opened");
        assert!(images.is_empty());
        assert_eq!(images.height(), 4);
    }

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let folder = written(4, 3, 3);
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).expect("read");
        let open = |bytes: &[u8]| {
            crate::data::images::tests::write(&path, bytes);
            Images::open(folder.path()).expect_err("refused")
        };
        for bytes in [&whole[..whole.len() / 2], &whole[8..], b"", b"ARROW1"] {
            let error = open(bytes);
            assert!(error.message().starts_with("cannot read `"), "{error}");
        }
    }

    #[test]
    fn batches_depend_on_the_size_alone() {
        assert_eq!(batch_len(224, 224), 111);
        assert_eq!(batch_len(10_000, 10_000), 1);
    }
}
