//! Scenarios: what a user does, through the real binary, in a temporary project.

mod caching;
mod command_line;
mod files;
mod house;
mod papers;
mod support;
mod training;
