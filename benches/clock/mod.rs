//! The clock of the benchmarks.

use std::time::Instant;

/// Seconds since some moment; with `--cpu-time` of the processors, by all threads (Linux only).
pub(crate) fn now() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    if std::env::args().any(|argument| argument == "--cpu-time") {
        let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
        let nanoseconds = tasks.map(|task| {
            let path = task.expect("a thread").path().join("schedstat");
            let text = std::fs::read_to_string(path).expect("its times");
            text.split(' ')
                .next()
                .and_then(|time| time.parse::<f64>().ok())
                .expect("a time")
        });
        nanoseconds.sum::<f64>() / 1e9
    } else {
        START.get_or_init(Instant::now).elapsed().as_secs_f64()
    }
}
