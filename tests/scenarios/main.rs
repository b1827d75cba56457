//! Scenarios: what a user does, through the real binary, in a temporary project.

mod caches;
mod caching;
mod clients;
mod clocks;
mod command_line;
mod commands;
mod comparing;
mod damage_walk;
mod data;
mod empty_texts;
mod encodings;
mod escapes;
mod experiments;
mod export;
mod files;
mod folders;
mod freezing;
mod fuzz_seeds;
mod heads;
mod history;
mod hostile;
mod house;
mod hub;
mod kill_walk;
mod kills;
mod matrix;
mod model_files;
mod names;
mod outcomes;
mod papers;
mod photos;
mod pooling;
mod predict;
mod preparation;
mod processes;
mod reading;
mod reports;
mod screen;
mod sentiment;
mod settings;
mod shards;
mod sources;
mod spans;
mod support;
mod tampering;
mod tiny;
mod tracing;
mod training;
mod walks;
mod watching;
mod workers;

#[path = "../needs.rs"]
mod needs;
#[path = "../reference/wheels.rs"]
mod wheels;
