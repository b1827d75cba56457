//! Pipeline files: TOML → spanned tables → params, profiles and references resolved. Knows no stage kind.

mod de;
mod value;

pub use de::{Spanned, from_table};
pub use value::{Data, Table, Value};
