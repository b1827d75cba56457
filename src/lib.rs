//! refire fires a model again: a pretrained model, a data set and a TOML file become a fine-tuned, evaluated model,
//! running only the stages whose inputs changed.
//!
//! The modules in reading order:

// The shared vocabulary.
pub mod error;
pub mod event;
pub mod names;
pub mod random;

// What refire starts.
pub mod processes;
pub mod threads;

// A run, and what it walks through: read, plan, decide, run, publish, lock.
pub mod run;

pub mod config;
pub mod plan;

pub mod exec;
pub mod fingerprint;
pub mod journal;
pub mod lock;
pub mod store;
pub mod tracking;

// What stages do.
pub mod stages;

pub mod data;
pub mod inputs;
pub mod measure;
pub mod models;
pub mod predict;
pub mod sources;
pub mod tasks;
pub mod train;

// What the user types and sees.
pub mod cli;
pub mod findings;
pub mod init;
pub mod page;
pub mod report;
pub mod show;
pub mod watch;

#[cfg(test)]
#[path = "../tests/needs.rs"]
mod needs;
