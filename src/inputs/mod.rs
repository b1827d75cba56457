//! Samples → what a network takes. The one place where the words of a model's folder become work on a sample, so that training,
//! evaluation and prediction cannot differ.

pub mod photos;
