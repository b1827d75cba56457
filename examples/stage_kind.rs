//! A stage kind of one's own: `sample` keeps some rows of a table, drawn at random. The whole of refire with it:
//!
//! ```console
//! $ cargo run --release --example stage_kind -- run examples/stage_kind.toml
//! ```

use std::process::ExitCode;

use rand::SeedableRng as _;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use refire::config::{self, Spanned, from_table};
use refire::data::Table;
use refire::error::{Error, Result};
use refire::fingerprint::{Manifest, describe};
use refire::stages::{ArtifactType, Input, Output, Port, Stage, StageContext, StageKind};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// As in refire's own binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    refire::cli::main_with(&[&SampleKind])
}

/// The kind `sample`.
struct SampleKind;

/// Some rows of a table, drawn at random without replacement, in the order in which they stand there.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The table.
    table: Port,
    /// How many of its rows are kept.
    rows: Spanned<usize>,
}

impl StageKind for SampleKind {
    fn name(&self) -> &'static str {
        "sample"
    }

    fn about(&self) -> &'static str {
        "keeps some rows of a table, drawn at random"
    }

    fn version(&self) -> u32 {
        1
    }

    fn parse(&self, table: &config::Table) -> Result<Box<dyn Stage>> {
        let settings: Settings = from_table(table)?;
        if settings.rows.value == 0 {
            let error = Error::usage("a sample of no rows").help("set `rows` to 1 or more");
            return Err(settings.rows.blame(error, ""));
        }
        Ok(Box::new(Sample { settings }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

struct Sample {
    settings: Settings,
}

impl Stage for Sample {
    fn inputs(&self) -> Vec<Input> {
        vec![Input {
            port: "table".into(),
            accepts: &[ArtifactType::Table],
            from: self.settings.table.clone(),
        }]
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new("table", ArtifactType::Table)]
    }

    /// Everything that can change the result: the settings and the seed. The input enters by its content.
    fn describe(&self, key: &mut dyn Manifest) {
        describe(key, &self.settings, &[]);
        key.seed();
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let table = Table::read(cx.input("table"))?;
        let (all, rows) = (table.rows(), &self.settings.rows);
        if all < rows.value {
            let error = Error::stage(format!("cannot draw {} rows from {all}", rows.value));
            return Err(rows.blame(error, ""));
        }
        let mut generator = ChaCha8Rng::seed_from_u64(cx.seed());
        let mut drawn = index::sample(&mut generator, all, rows.value).into_vec();
        drawn.sort_unstable();
        cx.notice(format!("{} of {all} rows", rows.value));
        table.take(&drawn)?.write(cx.output("table"))
    }
}
