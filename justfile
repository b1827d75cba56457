# Recipes for those who work on refire. `just` lists them.

_default:
    @just --list --unsorted

# Everything that continuous integration checks
ci:
    .ci/run

# The quick part of it
check:
    cargo fmt --check
    typos
    cargo clippy --release --all-targets -- -D warnings

# All tests, or those whose name contains FILTER
test *FILTER:
    cargo test --release {{ FILTER }}

# Licences, sources and known vulnerabilities of the dependencies
deny:
    cargo deny check

# Write schemas/pipeline.schema.json again after a change of settings
schema:
    REFIRE_UPDATE=1 cargo test --release --test scenarios the_schema

# Accept changed snapshots, then look at them with `git diff`
snapshots *FILTER:
    INSTA_UPDATE=always cargo test --release {{ FILTER }}

# Run a pipeline
run *ARGUMENTS:
    cargo run --release -- run {{ ARGUMENTS }}
