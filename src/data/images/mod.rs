//! Images: files → RGB pixels → squares of one size, kept as an Arrow file that is memory-mapped when it is read. Hides
//! the image decoders; knows no stage and no model.

pub mod augment;
mod decode;
mod embedded;
mod jpeg;
mod listing;
mod prepare;
mod resize;
mod store;
mod table;
mod thumbnail;
mod transform;

pub use decode::{Broken, Rgb, decode};
pub use embedded::{Embedded, contents};
pub use listing::{
    ENDINGS, Entry, Exclude, Labelling, Listing, Photos, Wanted, endings, find, list, list_table,
};
pub use prepare::{Content, Item, OnError, Preparation, Prepared};
pub use store::{FILE, Images, Writer, batch_len};
pub use table::CONTENT;
pub use thumbnail::thumbnail;
pub use transform::{CropMargin, Interpolation, ResizeMode, Transform};

#[cfg(test)]
mod tests;
