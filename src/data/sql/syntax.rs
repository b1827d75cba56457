//! What can be said about a query without any data.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use polars::prelude::{DataFrame, IntoLazy};
use polars::sql::SQLContext;
use sqlparser::ast::{
    Expr, Function, FunctionArguments, Ident, ObjectName, Query, Statement, TableFactor, Visit,
    Visitor,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError, ParserOptions};
use sqlparser::tokenizer::Tokenizer;

use super::place::{Identifier, bytes_at, bytes_of};
use super::{Locate, depth};
use crate::data::guard::has_threads;
use crate::error::{Context, Error, Result, contained};

/// Functions that SQL has elsewhere and that would make a result differ from run to run.
const VOLATILE: [&str; 14] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "gen_random_uuid",
    "getdate",
    "localtime",
    "localtimestamp",
    "newid",
    "now",
    "rand",
    "random",
    "setseed",
    "today",
    "uuid",
];

/// Reads `text` as polars does.
pub(super) fn parse(text: &str, locate: &Locate<'_>) -> Result<Statement> {
    let options = ParserOptions {
        trailing_commas: true,
        ..ParserOptions::default()
    };
    let broken = |error| syntax_error(text, &error, locate);
    let tokens = Tokenizer::new(&GenericDialect, text)
        .tokenize_with_location()
        .map_err(|error| broken(error.into()))?;
    if let Some((span, what)) = depth::too_deep(&tokens) {
        return Err(Error::usage(format!("the query has more than {what}"))
            .at(&locate(bytes_of(text, span)), "")
            .help("cut it into several stages, join a table of the values, or write `IN (…)`"));
    }
    let statements = Parser::new(&GenericDialect)
        .with_options(options)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(broken)?;
    let whole = locate(0..text.len());
    match <[Statement; 1]>::try_from(statements) {
        Ok([statement @ Statement::Query(_)]) => Ok(statement),
        Ok(_) => Err(Error::usage("the query must be a SELECT").at(&whole, "")),
        Err(statements) if statements.is_empty() => {
            Err(Error::usage("the query is empty").at(&whole, ""))
        }
        Err(statements) => Err(Error::usage(format!(
            "the query must be one SELECT, and there are {} statements",
            statements.len()
        ))
        .at(&whole, "")),
    }
}

fn syntax_error(text: &str, error: &ParserError, locate: &Locate<'_>) -> Error {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.clone(),
        ParserError::RecursionLimitExceeded => "it is nested too deeply".to_owned(),
    };
    let (reason, range) = bytes_at(text, &message);
    Error::usage(format!("SQL syntax error: {reason}")).at(&locate(range), "")
}

/// Checks tables and functions; returns the names that the query uses.
pub(super) fn check(
    text: &str,
    statement: &Statement,
    tables: &[&str],
    locate: &Locate<'_>,
) -> Result<Vec<Identifier>> {
    let mut names = Names::default();
    let _ = statement.visit(&mut names);
    let identifier = |ident: &Ident| Identifier {
        name: ident.value.clone(),
        range: bytes_of(text, ident.span),
    };
    for table in &names.tables {
        let Identifier { name, range } = identifier(table);
        if !tables.contains(&name.as_str()) && !names.defined.contains(&name) {
            let error = Error::usage(format!(
                "the query reads `{name}`, which is not among `tables`"
            ));
            return Err(error
                .at(&locate(range), "")
                .note(format!("`tables`: {}", tables.join(", ")))
                .did_you_mean(&name, tables.iter().copied()));
        }
    }
    if let Some(function) = names.table_functions.first() {
        let Identifier { name, range } = identifier(function);
        return Err(Error::usage(format!(
            "`{name}` as a table would read what is not declared"
        ))
        .at(&locate(range), "")
        .help("read files with stages of kind `dataset` and name them in `tables`"));
    }
    let mut known = BTreeSet::new();
    for (function, is_empty) in &names.functions {
        let Identifier { name, range } = identifier(function);
        if known.insert((name.to_ascii_lowercase(), *is_empty)) {
            check_function(&name, *is_empty).map_err(|error| error.at(&locate(range), ""))?;
        }
    }
    Ok(names.all.iter().map(identifier).collect())
}

/// Refuses functions that polars does not have, and those that it cannot call with no argument if there `is_empty`. polars
/// keeps no complete list, so it is asked.
fn check_function(name: &str, is_empty: bool) -> Result<()> {
    let lower = name.to_ascii_lowercase();
    if VOLATILE.contains(&lower.as_str()) {
        return Err(
            Error::usage(format!("`{name}` would give another result on every run"))
                .help("a stage of kind `split` draws rows at random, by the pipeline's seed"),
        );
    }
    let mut context = SQLContext::new();
    context.register("t", DataFrame::empty().lazy());
    let unknown = format!("unsupported function '{lower}'");
    let cannot = || format!("cannot ask polars for `{name}`");
    has_threads().or_stage(cannot)?;
    match contained(|| context.execute(&format!("SELECT {lower}() FROM t"))) {
        Err(_) if is_empty => Err(Error::usage(format!("`{name}` needs an argument"))),
        Ok(Err(error)) if error.to_string().contains(&unknown) => {
            let known = polars::sql::keywords::all_functions();
            Err(Error::usage(format!("polars has no SQL function `{name}`"))
                .did_you_mean(&lower, known))
        }
        _ => Ok(()),
    }
}

/// The names in a query, by what they are.
#[derive(Default)]
struct Names {
    /// Tables that it reads.
    tables: Vec<Ident>,
    /// Tables that it defines: CTEs and aliases.
    defined: BTreeSet<String>,
    table_functions: Vec<Ident>,
    /// Functions, and whether they are called with nothing.
    functions: Vec<(Ident, bool)>,
    /// Names of columns and tables.
    all: Vec<Ident>,
}

impl Names {
    fn first(name: &ObjectName) -> Option<Ident> {
        name.0.first()?.as_ident().cloned()
    }
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            let names = with.cte_tables.iter().map(|table| &table.alias.name.value);
            self.defined.extend(names.cloned());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table {
                name, args, alias, ..
            } => {
                let first = Self::first(name);
                self.all.extend(first.clone());
                self.defined
                    .extend(alias.iter().map(|alias| alias.name.value.clone()));
                if args.is_some() {
                    self.table_functions.extend(first);
                } else {
                    self.tables.extend(first);
                }
            }
            TableFactor::Derived {
                alias: Some(alias), ..
            } => {
                self.defined.insert(alias.name.value.clone());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Function(Function { name, args, .. }) => {
                let is_empty = match args {
                    FunctionArguments::List(list) => list.args.is_empty(),
                    _ => false,
                };
                let first = Self::first(name).map(|name| (name, is_empty));
                self.functions.extend(first);
            }
            Expr::Identifier(name) => self.all.push(name.clone()),
            // The column comes before its table: it is what an error is about.
            Expr::CompoundIdentifier(names) => self.all.extend(names.iter().rev().cloned()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
