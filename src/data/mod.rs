//! Tables: files → checked tables → SQL → parts → examples; and images. Hides polars; knows no stage, no pipeline and no model.

pub mod conll;
pub mod csv;
pub mod duplicates;
mod exact;
pub mod facts;
pub mod format;
mod guard;
pub mod images;
pub mod labels;
pub mod ndjson;
mod numerals;
pub mod profile;
pub mod scan;
pub mod schema;
pub mod shown;
pub mod sniff;
pub mod spans;
pub mod split;
pub mod sql;
pub mod table;
pub mod targets;
pub mod text;
pub mod types;
pub mod words;

pub use format::Format;
pub use schema::DataSchema;
pub use table::Table;
pub use types::Type;
