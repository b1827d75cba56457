//! The exit code, nothing else.

use std::process::ExitCode;

/// Training is 1.3 to 1.7 times as fast with it as with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    refire::cli::main()
}
