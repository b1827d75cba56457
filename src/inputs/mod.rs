//! Samples → what a network takes. The one place where texts become tokens, and photos planes of numbers, so that training, evaluation
//! and prediction cannot differ.

pub mod masks;
pub mod photos;
pub mod squares;
pub mod texts;
pub mod words;

pub use squares::Changes;
