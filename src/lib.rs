//! refire fires a model again: a pretrained model, a data set and a TOML file become a fine-tuned, evaluated model,
//! running only the stages whose inputs changed.
//!
//! The modules in reading order:

pub mod error;
pub mod event;

pub mod config;
pub mod data;
pub mod fingerprint;
pub mod models;
pub mod plan;
pub mod report;
pub mod sources;
pub mod stages;
pub mod store;
pub mod train;
