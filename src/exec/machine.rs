//! What the machine has, and how much of it running stages have taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Resources;
use crate::stages::VISIBLE_GPUS;

/// Processors, memory and accelerators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Processors.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// NVIDIA's accelerators, as `CUDA_VISIBLE_DEVICES` names them.
    pub gpus: Vec<String>,
}

/// What a stage has got of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// How many threads it may use.
    pub threads: usize,
    /// The accelerators that are kept from all others that ask for some. One that asks for none sees what the user lets it.
    pub gpus: Vec<String>,
}

impl Machine {
    /// This machine, as the system tells it. What it does not tell is taken as plenty (memory) or none (accelerators).
    #[must_use]
    pub fn here() -> Self {
        Self {
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory: memory().unwrap_or(u64::MAX),
            gpus: gpus(
                std::env::var(VISIBLE_GPUS).ok().as_deref(),
                std::fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count),
            ),
        }
    }
}

/// The accelerators that this process may use, of so many that are `installed`, if the user has named the `visible` ones.
fn gpus(visible: Option<&str>, installed: usize) -> Vec<String> {
    match visible {
        // The first that is not there ends the list. One that is named twice is still one.
        Some(list) => {
            let names = list.split(',').map(|name| name.trim().to_string());
            let mut gpus = Vec::new();
            for name in names.take_while(|name| !name.is_empty() && !name.starts_with('-')) {
                if !gpus.contains(&name) {
                    gpus.push(name);
                }
            }
            gpus
        }
        None => (0..installed).map(|index| index.to_string()).collect(),
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
    /// Stage index → what it asked for, and the accelerators that it got.
    taken: BTreeMap<usize, (Resources, Vec<String>)>,
}

impl Pool {
    /// A pool for at most `jobs` stages at once.
    pub(super) fn new(machine: Machine, jobs: usize) -> Self {
        Self {
            machine,
            jobs: jobs.max(1),
            taken: BTreeMap::new(),
        }
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
        let all = || self.taken.values().map(|(taken, _)| taken).chain([needs]);
        let cpus: usize = all().map(|taken| taken.cpus.unwrap_or(0)).sum();
        let memory: u64 = all().map(|taken| taken.memory.unwrap_or(0)).sum();
        let gpus: usize = all().map(|taken| taken.gpus).sum();
        self.taken.len() < self.jobs
            && cpus <= self.machine.cpus
            && memory <= self.machine.memory
            && gpus <= self.machine.gpus.len()
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
        let gpus = self.machine.gpus.len();
        if needs.gpus > gpus {
            return Some(format!(
                "asks for {} accelerators, but the machine has {gpus}",
                needs.gpus
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

    /// Gives stage `index`, with these needs, its share: threads as it asks for or an equal part of them, accelerators that
    /// no other stage has.
    pub(super) fn take(&mut self, index: usize, needs: Resources) -> Share {
        let threads = needs
            .cpus
            .unwrap_or(self.machine.cpus / self.jobs)
            .clamp(1, self.machine.cpus.max(1));
        let is_free = |gpu: &&String| !self.taken.values().any(|(_, gpus)| gpus.contains(gpu));
        let free = self.machine.gpus.iter().filter(is_free);
        let gpus: Vec<String> = free.take(needs.gpus).cloned().collect();
        self.taken.insert(index, (needs, gpus.clone()));
        Share { threads, gpus }
    }

    /// Takes back what stage `index` had.
    pub(super) fn give_back(&mut self, index: usize) {
        self.taken.remove(&index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(cpus: impl Into<Option<usize>>, gib: u64, gpus: usize) -> Resources {
        Resources {
            cpus: cpus.into(),
            memory: Some(gib << 30),
            gpus,
        }
    }

    #[test]
    fn stages_run_side_by_side_as_far_as_the_machine_goes() {
        let machine = Machine {
            cpus: 4,
            memory: 8 << 30,
            gpus: gpus(None, 1),
        };
        let mut pool = Pool::new(machine, 3);
        assert!(pool.fits(&needs(9, 99, 9)), "alone, anything fits");
        assert_eq!(
            pool.lacks(&needs(None, 99, 0)).expect("too much"),
            "asks for 99 GiB of memory, but the machine has 8"
        );
        assert_eq!(pool.take(0, needs(3, 6, 1)).threads, 3);
        assert!(pool.fits(&needs(1, 2, 0)));
        assert!(!pool.fits(&needs(2, 0, 0)));
        assert!(!pool.fits(&needs(None, 3, 0)));
        assert!(!pool.fits(&needs(None, 0, 1)));
        assert_eq!(pool.take(1, needs(None, 0, 0)).threads, 1);
        pool.take(2, needs(None, 0, 0));
        assert!(!pool.fits(&Resources::default()), "three at once");
        pool.give_back(1);
        assert!(pool.fits(&Resources::default()));
        pool.give_back(2);
        pool.give_back(0);
        assert_eq!(pool.take(3, needs(9, 0, 0)).threads, 4);
    }

    #[test]
    fn no_two_stages_have_the_same_accelerator() {
        let machine = Machine {
            cpus: 4,
            memory: 8 << 30,
            gpus: gpus(Some("2, 3,GPU-8a"), 8),
        };
        let mut pool = Pool::new(machine, 4);
        assert_eq!(pool.take(0, needs(None, 0, 1)).gpus, ["2"]);
        assert_eq!(pool.take(1, needs(None, 0, 0)).gpus, [""; 0]);
        assert!(pool.fits(&needs(None, 0, 2)) && !pool.fits(&needs(None, 0, 3)));
        assert_eq!(pool.take(2, needs(None, 0, 2)).gpus, ["3", "GPU-8a"]);
        pool.give_back(0);
        assert_eq!(pool.take(3, needs(None, 0, 1)).gpus, ["2"]);
    }

    #[test]
    fn the_user_says_which_accelerators_there_are() {
        assert_eq!(gpus(None, 2), ["0", "1"]);
        assert_eq!(gpus(Some("1"), 2), ["1"]);
        assert_eq!(gpus(Some("0,-1,1"), 2), ["0"]);
        assert_eq!(gpus(Some("1,0,1"), 2), ["1", "0"]);
        assert_eq!(gpus(Some(""), 2), [""; 0]);
    }
}
