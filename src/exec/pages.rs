//! In which pages the system backs the memory of runners and workers. The allocator asks for huge ones, where it can.

use std::path::Path;

/// From how many bytes on a pipeline has thousands of stages.
#[cfg(target_os = "linux")]
const LARGE: u64 = 500_000;

/// For a runner. What it knows of thousands of stages is many small things, which take a third more memory in huge pages;
/// few stages are faster in them.
pub fn for_runner(pipeline: &Path) {
    #[cfg(target_os = "linux")]
    if std::fs::metadata(pipeline).is_ok_and(|metadata| metadata.len() >= LARGE) {
        // Only memory is at stake.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = pipeline;
}

/// For a worker, which would inherit its runner's choice: tensors are large.
pub(super) fn for_worker() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(false);
}
