//! What the machine has, and how much of it running stages have taken.

use std::path::{Path, PathBuf};

use crate::config::Resources;

/// Processors, memory and accelerators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Processors.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// Accelerators.
    pub gpus: usize,
}

impl Machine {
    /// This machine, as the system tells it. What it does not tell is taken as plenty (memory) or none (accelerators).
    #[must_use]
    pub fn here() -> Self {
        Self {
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory: memory().unwrap_or(u64::MAX),
            gpus: std::fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count),
        }
    }
}

/// The machine's memory, or what a container may take of it.
fn memory() -> Option<u64> {
    let all = total_memory()?;
    Some(memory_limit().map_or(all, |limit| limit.min(all)))
}

/// The lowest `memory.max` of this process's control groups (version 2), or the limit of version 1.
fn memory_limit() -> Option<u64> {
    let root = Path::new("/sys/fs/cgroup");
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let own = root.join(own.unwrap_or_default());
    let folders = own
        .ancestors()
        .take_while(|folder| folder.starts_with(root));
    let limits = folders.map(|folder| folder.join("memory.max"));
    let limits = limits.chain([root.join("memory/memory.limit_in_bytes")]);
    let limit = |path: PathBuf| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    limits.filter_map(limit).min()
}

/// `MemTotal` of `/proc/meminfo`, where there is one.
fn total_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Hands the machine out to stages.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    machine: Machine,
    jobs: usize,
    taken: Vec<Resources>,
}

impl Pool {
    /// A pool for at most `jobs` stages at once.
    pub(super) fn new(machine: Machine, jobs: usize) -> Self {
        Self {
            machine,
            jobs: jobs.max(1),
            taken: Vec::new(),
        }
    }

    /// The number of threads of a stage with these needs: what it asks for, else an equal share.
    pub(super) fn threads(&self, needs: &Resources) -> usize {
        needs
            .cpus
            .unwrap_or(self.machine.cpus / self.jobs)
            .clamp(1, self.machine.cpus.max(1))
    }

    /// Whether no stage at all can start now.
    pub(super) fn is_full(&self) -> bool {
        self.taken.len() >= self.jobs
    }

    /// Whether a stage with these needs can start now. One that needs more than there is may run alone.
    pub(super) fn fits(&self, needs: &Resources) -> bool {
        if self.taken.is_empty() {
            return true;
        }
        let cpus: usize = self
            .taken
            .iter()
            .chain([needs])
            .map(|taken| taken.cpus.unwrap_or(0))
            .sum();
        let memory: u64 = self
            .taken
            .iter()
            .chain([needs])
            .map(|taken| taken.memory.unwrap_or(0))
            .sum();
        let gpus: usize = self
            .taken
            .iter()
            .chain([needs])
            .map(|taken| taken.gpus)
            .sum();
        self.taken.len() < self.jobs
            && cpus <= self.machine.cpus
            && memory <= self.machine.memory
            && gpus <= self.machine.gpus
    }

    /// What of `needs` the machine does not have at all, in words.
    pub(super) fn lacks(&self, needs: &Resources) -> Option<String> {
        const GIB: u64 = 1 << 30;
        let memory = needs.memory.unwrap_or(0);
        if memory > self.machine.memory {
            let (asked, there) = (memory.div_ceil(GIB), self.machine.memory / GIB);
            return Some(format!(
                "asks for {asked} GiB of memory, but the machine has {there}"
            ));
        }
        if needs.gpus > self.machine.gpus {
            return Some(format!(
                "asks for {} accelerators, but the machine has {}",
                needs.gpus, self.machine.gpus
            ));
        }
        let cpus = needs.cpus.unwrap_or(0);
        (cpus > self.machine.cpus).then(|| {
            format!(
                "asks for {cpus} processors, but the machine has {}",
                self.machine.cpus
            )
        })
    }

    pub(super) fn take(&mut self, needs: Resources) {
        self.taken.push(needs);
    }

    pub(super) fn give_back(&mut self, needs: &Resources) {
        if let Some(place) = self.taken.iter().position(|taken| taken == needs) {
            self.taken.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_run_side_by_side_as_far_as_the_machine_goes() {
        let machine = Machine {
            cpus: 4,
            memory: 8 << 30,
            gpus: 1,
        };
        let mut pool = Pool::new(machine, 3);
        let needs = |cpus, memory: u64, gpus| Resources {
            cpus,
            memory: Some(memory << 30),
            gpus,
        };
        assert_eq!(pool.threads(&needs(None, 0, 0)), 1);
        assert_eq!(pool.threads(&needs(Some(9), 0, 0)), 4);
        assert!(pool.fits(&needs(Some(9), 99, 9)), "alone, anything fits");
        assert_eq!(
            pool.lacks(&needs(None, 99, 0)).expect("too much"),
            "asks for 99 GiB of memory, but the machine has 8"
        );
        pool.take(needs(Some(3), 6, 1));
        assert!(pool.fits(&needs(Some(1), 2, 0)));
        assert!(!pool.fits(&needs(Some(2), 0, 0)));
        assert!(!pool.fits(&needs(None, 3, 0)));
        assert!(!pool.fits(&needs(None, 0, 1)));
        pool.take(needs(None, 0, 0));
        pool.take(needs(None, 0, 0));
        assert!(!pool.fits(&Resources::default()), "three at once");
        pool.give_back(&needs(None, 0, 0));
        assert!(pool.fits(&Resources::default()));
    }
}
