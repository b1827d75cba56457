//! Scenarios: what a user does, through the real binary, in a temporary project.

mod caching;
mod command_line;
mod data;
mod files;
mod house;
mod hub;
mod papers;
mod sources;
mod support;
mod training;
