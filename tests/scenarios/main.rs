//! Scenarios: what a user does, through the real binary, in a temporary project.

mod caching;
mod command_line;
mod data;
mod export;
mod files;
mod freezing;
mod heads;
mod history;
mod house;
mod hub;
mod kills;
mod matrix;
mod model_files;
mod papers;
mod photos;
mod pooling;
mod predict;
mod processes;
mod sentiment;
mod settings;
mod sources;
mod support;
mod tiny;
mod training;
mod watching;
mod workers;
