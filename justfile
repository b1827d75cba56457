# Recipes for those who work on refire. `just` lists them.

libtorch := justfile_directory() / "target/libtorch"

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

# The same with those that need more than this repository: pip, root, data; tests/may-lack says what may be missing
test-all *FILTER:
    cargo test --release {{ FILTER }} -- --include-ignored

# Feed refire's readers with inputs made up for them, each reader for SECONDS; what one finds lies in fuzz/artifacts
fuzz SECONDS="60" *TARGETS:
    fuzz/run {{ SECONDS }} {{ TARGETS }}

# All pipelines as they stand, those too that take a quarter of an hour; CI runs these two in a short form
pipelines:
    REFIRE_PIPELINES=full cargo test --release pipelines -- --include-ignored

# Look at pages of `refire report` in headless Chromium: needs playwright (pip), Chromium and, for axe, axe-core (npm)
browser *ARGUMENTS:
    cargo build --release
    tests/browser/run "${CARGO_TARGET_DIR:-target}/release/refire" {{ ARGUMENTS }}

# Licences, sources and known vulnerabilities of the dependencies
deny:
    cargo deny check

# Write again, after a change of settings or help, what is written from them: schemas/pipeline.schema.json and docs/src/reference
schema:
    REFIRE_UPDATE=1 cargo test --release --test scenarios -- the_schema the_reference

# Build a wheel with the binary, completions and man pages into dist: needs maturin
wheel:
    packaging/wheel

# Build the book into docs/book: needs mdBook
book:
    mdbook build docs

# Accept changed snapshots, then look at them with `git diff`
snapshots *FILTER:
    INSTA_UPDATE=always cargo test --release {{ FILTER }}

# Run a pipeline
run *ARGUMENTS:
    cargo run --release -- run {{ ARGUMENTS }}

# PyTorch's C++ library for the CPU from its pip packages (0.9 GB are downloaded), into target/libtorch
fetch-libtorch:
    #!/usr/bin/env bash
    set -euo pipefail
    home="{{ libtorch }}"
    if [ -e "$home/lib/libtorch.so" ]; then exit 0; fi
    packages="$(mktemp -d)"
    trap 'rm -rf "$packages"' EXIT
    python3 -m pip install --quiet --no-deps --target "$packages" \
        torch==2.9.1 nvidia-cuda-runtime-cu12==12.8.90 nvidia-cuda-cupti-cu12==12.8.90
    rm -rf "$home.part"
    mkdir -p "$home.part/lib"
    mv "$packages/torch/include" "$home.part/include"
    mv "$packages"/torch/lib/{libtorch_cpu.so,libc10.so,libgomp.so.1} "$home.part/lib"
    # The library links these two even where no GPU is used.
    mv "$packages"/nvidia/cuda_runtime/lib/libcudart.so.12 "$packages"/nvidia/cuda_cupti/lib/libcupti.so.12 \
        "$home.part/lib"
    ln -s libtorch_cpu.so "$home.part/lib/libtorch.so"
    mv "$home.part" "$home"

# Run refire with libtorch built in: `just libtorch run pipelines/sentiment.toml -S pipeline.device=libtorch`
libtorch *ARGUMENTS: fetch-libtorch
    LIBTORCH="{{ libtorch }}" LIBTORCH_BYPASS_VERSION_CHECK=1 LD_LIBRARY_PATH="{{ libtorch }}/lib" \
        cargo run --release --features libtorch -- {{ ARGUMENTS }}

# Hold `wgpu` against the CPU on all small networks and a tiny pipeline: needs a Vulkan driver, and builds all dependencies anew (an hour on two cores)
wgpu:
    cargo test --release --features wgpu --lib -- every_network_computes_the_same_on_every_device
    cargo test --release --features wgpu --test scenarios -- other_devices_give_the_figures_of_the_cpu

# Measure the runner beside make, ninja, snakemake and DVC: the tables of benches/README.md
bench-runner *ARGUMENTS:
    cargo build --release
    benches/runner/bench.py --refire "${CARGO_TARGET_DIR:-target}/release/refire" {{ ARGUMENTS }}

# Measure trainings and predictions beside PyTorch, ONNX Runtime and OpenVINO: the table of benches/README.md
bench-training *ARGUMENTS:
    cargo build --release
    benches/training/bench.py --refire "${CARGO_TARGET_DIR:-target}/release/refire" {{ ARGUMENTS }}
