//! Makes a plan keep the order of rows. polars seeds its hash tables anew in every process, so that groups, distinct
//! rows and joined rows otherwise come in another order on every run.

use std::sync::Arc;

use polars::prelude::{DslPlan, Expr, FunctionExpr, MaintainOrderJoin};

/// `plan` with every step in order.
pub(super) fn in_order(plan: DslPlan) -> DslPlan {
    match plan {
        // Was translated for its schema only; translating it again picks up what is changed below it.
        DslPlan::IR { dsl, .. } => in_order(Arc::unwrap_or_clone(dsl)),
        DslPlan::GroupBy {
            input,
            keys,
            predicates,
            aggs,
            options,
            apply,
            maintain_order: _,
        } => DslPlan::GroupBy {
            input: below(input),
            keys: all(keys),
            predicates: all(predicates),
            aggs: all(aggs),
            maintain_order: true,
            options,
            apply,
        },
        DslPlan::Distinct { input, mut options } => {
            options.maintain_order = true;
            DslPlan::Distinct {
                input: below(input),
                options,
            }
        }
        DslPlan::Join {
            input_left,
            input_right,
            left_on,
            right_on,
            predicates,
            mut options,
        } => {
            Arc::make_mut(&mut options).args.maintain_order = MaintainOrderJoin::LeftRight;
            DslPlan::Join {
                input_left: below(input_left),
                input_right: below(input_right),
                left_on: all(left_on),
                right_on: all(right_on),
                predicates: all(predicates),
                options,
            }
        }
        DslPlan::Sort {
            input,
            by_column,
            slice,
            sort_options,
        } => DslPlan::Sort {
            input: below(input),
            by_column: all(by_column),
            slice,
            sort_options: sort_options.with_maintain_order(true),
        },
        DslPlan::Union { inputs, mut args } => {
            args.maintain_order = true;
            DslPlan::Union {
                inputs: each(inputs),
                args,
            }
        }
        plan => passed_on(plan),
    }
}

/// `plan`, a step that keeps the order of its inputs, with these in order.
fn passed_on(plan: DslPlan) -> DslPlan {
    match plan {
        DslPlan::Filter { input, predicate } => DslPlan::Filter {
            input: below(input),
            predicate: stable(predicate),
        },
        DslPlan::Cache { input, id } => DslPlan::Cache {
            input: below(input),
            id,
        },
        DslPlan::Select {
            expr,
            input,
            options,
        } => DslPlan::Select {
            expr: all(expr),
            input: below(input),
            options,
        },
        DslPlan::HStack {
            input,
            exprs,
            options,
        } => DslPlan::HStack {
            input: below(input),
            exprs: all(exprs),
            options,
        },
        DslPlan::Slice { input, offset, len } => DslPlan::Slice {
            input: below(input),
            offset,
            len,
        },
        DslPlan::MapFunction { input, function } => DslPlan::MapFunction {
            input: below(input),
            function,
        },
        DslPlan::HConcat { inputs, options } => DslPlan::HConcat {
            inputs: each(inputs),
            options,
        },
        DslPlan::ExtContext { input, contexts } => DslPlan::ExtContext {
            input: below(input),
            contexts: each(contexts),
        },
        DslPlan::Gather {
            input,
            idxs,
            null_on_oob,
        } => DslPlan::Gather {
            input: below(input),
            idxs: below(idxs),
            null_on_oob,
        },
        DslPlan::MatchToSchema {
            input,
            match_schema,
            per_column,
            extra_columns,
        } => DslPlan::MatchToSchema {
            input: below(input),
            match_schema,
            per_column,
            extra_columns,
        },
        DslPlan::PipeWithSchema { input, callback } => DslPlan::PipeWithSchema {
            input: each(input.to_vec()).into(),
            callback,
        },
        // Tables, and what SQL never makes.
        plan => plan,
    }
}

fn below(input: Arc<DslPlan>) -> Arc<DslPlan> {
    Arc::new(in_order(Arc::unwrap_or_clone(input)))
}

fn each(inputs: Vec<DslPlan>) -> Vec<DslPlan> {
    inputs.into_iter().map(in_order).collect()
}

fn all(expressions: Vec<Expr>) -> Vec<Expr> {
    expressions.into_iter().map(stable).collect()
}

/// An expression whose values come in order, too.
fn stable(expression: Expr) -> Expr {
    expression.map_expr(|expression| match expression {
        Expr::SortBy {
            expr,
            by,
            sort_options,
        } => Expr::SortBy {
            expr,
            by,
            sort_options: sort_options.with_maintain_order(true),
        },
        Expr::Over {
            function,
            partition_by,
            order_by,
            mapping,
        } => Expr::Over {
            function,
            partition_by,
            order_by: order_by.map(|(by, options)| (by, options.with_maintain_order(true))),
            mapping,
        },
        Expr::Function {
            input,
            function: FunctionExpr::Unique(_),
        } => Expr::Function {
            input,
            function: FunctionExpr::Unique(true),
        },
        expression => expression,
    })
}
