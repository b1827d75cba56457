//! What is known of the images of an artifact, as a table: so that they can be split by what splits tables.

use polars::prelude::{Column, df};
use rayon::prelude::*;

use super::Images;
use crate::data::Table;
use crate::error::{Context, Result};

/// The column with the digest of each image's pixels.
pub const CONTENT: &str = "content";

impl Images {
    /// A row for each image, with the columns `label`, `path` and [`CONTENT`].
    ///
    /// # Errors
    /// More images than a table has rows.
    pub fn table(&self) -> Result<Table> {
        let digest = |index| blake3::hash(self.pixels(index)).to_hex().to_string();
        let content: Vec<_> = (0..self.len()).into_par_iter().map(digest).collect();
        let Table { mut frame } = self.names()?;
        frame
            .with_column(Column::new(CONTENT.into(), content))
            .or_stage(|| "there are too many images")?;
        Ok(Table::new(frame))
    }

    /// The same without the digests.
    ///
    /// # Errors
    /// More images than a table has rows.
    pub fn names(&self) -> Result<Table> {
        let labels: Vec<_> = (0..self.len()).map(|index| self.label(index)).collect();
        let paths: Vec<_> = (0..self.len()).map(|index| self.path(index)).collect();
        let frame = df!("label" => labels, "path" => paths);
        Ok(Table::new(frame.or_stage(|| "there are too many images")?))
    }
}
