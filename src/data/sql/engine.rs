//! Runs a query on one thread of polars' in-memory engine.
//!
//! With more threads, polars adds floats up in as many pieces, and the pieces show in the last bits. Its streaming
//! engine, to which `collect` hands groupings, does the same.

use std::thread::Builder;

use polars::prelude::{DataFrame, DslPlan, LazyFrame, OptFlags, PolarsError, PolarsResult};
use polars_async::executor::ALLOW_RAYON_THREADS;
use polars_expr::state::ExecutionState;
use polars_mem_engine::create_physical_plan;

use super::order;
use crate::data::guard::guarded;

/// Polars goes down into an expression by recursion: this is enough for the longest that `depth` lets through.
const STACK: usize = 256 << 20;

/// Runs what `plan` makes, which must read nothing but tables in memory.
pub(super) fn collect(
    plan: impl FnOnce() -> PolarsResult<LazyFrame> + Send,
) -> PolarsResult<DataFrame> {
    // The setting is one of a thread, and polars makes a pool of one for it: so the thread is a new one.
    std::thread::scope(|scope| {
        let worker = Builder::new().stack_size(STACK).spawn_scoped(scope, || {
            guarded(|| {
                let plan = order::in_order(plan()?.logical_plan);
                ALLOW_RAYON_THREADS.set(false);
                execute(plan)
            })
        });
        let worker = worker.map_err(|error| PolarsError::IO {
            error: error.into(),
            msg: Some("cannot start a thread".into()),
        })?;
        let lost = || Err(PolarsError::ComputeError("polars stopped".into()));
        worker.join().unwrap_or_else(|_| lost())
    })
}

fn execute(plan: DslPlan) -> PolarsResult<DataFrame> {
    let lazy = LazyFrame::from_logical_plan(plan, OptFlags::default())
        // These may drop an order that `order` asks for, or take the first rows of a sort in another order than sorting does.
        .with_check_order(false)
        .with_slice_pushdown(false);
    let mut plan = lazy.to_alp_optimized()?;
    create_physical_plan(plan.lp_top, &mut plan.lp_arena, &mut plan.expr_arena, None)?
        .execute(&mut ExecutionState::new())
}
