//! `refire worker`, which `refire run` starts for its stages. Not for people.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Outcome;
use crate::error::Context as _;
use crate::{exec, threads};

/// Run stages on orders from standard input. Started by `refire run`.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(super) struct Args {}

impl Args {
    pub(super) fn run() -> Outcome {
        let listen = |stop: Arc<AtomicBool>| {
            ctrlc::set_handler(move || stop.store(true, Ordering::Relaxed))
                .or_stage(|| "cannot listen to signals")
                .map_err(|error| error.help(threads::MORE))
        };
        Ok(exec::serve(listen)?)
    }
}
