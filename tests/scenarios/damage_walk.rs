//! Every file of a cache damaged, one at a time: the next run comes to the same, or says what is wrong; it never comes to
//! anything else, and what it can make again it makes again.
//!
//! A walk damages each file in one way, another one each time. `REFIRE_WALK=full cargo test --release walk` damages each in
//! all of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::{Project, Ran};
use crate::walks::{chance, copy, files, project, say};

/// What can happen to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip,
    Cut,
    Delete,
    Exchange,
}

const ALL: [Damage; 4] = [Damage::Flip, Damage::Cut, Damage::Delete, Damage::Exchange];

/// The files below `folder`, in order.
fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            paths.extend(self::paths(&path));
        } else {
            paths.push(path);
        }
    }
    paths.sort();
    paths
}

/// A disk that damages a file tells nobody: its times and permissions stay.
#[expect(clippy::disallowed_methods, reason = "nothing about damage is atomic")]
fn damage(path: &Path, how: Damage, sibling: &Path, place: usize) {
    let metadata = std::fs::metadata(path).expect("it is there");
    let mut bytes = std::fs::read(path).expect("readable");
    let middle = bytes.len() / 2;
    match how {
        Damage::Delete => return std::fs::remove_file(path).expect("removed"),
        Damage::Flip if bytes.is_empty() => bytes.push(0),
        Damage::Flip => {
            let at = place % bytes.len();
            bytes[at] ^= 1;
        }
        Damage::Cut => bytes.truncate(middle),
        Damage::Exchange => bytes = std::fs::read(sibling).expect("readable"),
    }
    // A new file, because others may be links to the old one.
    std::fs::remove_file(path).expect("removed");
    std::fs::write(path, bytes).expect("written");
    std::fs::set_permissions(path, metadata.permissions()).expect("ours");
    let times = std::fs::FileTimes::new();
    let times = times
        .set_modified(metadata.modified().expect("a time"))
        .set_accessed(metadata.accessed().expect("a time"));
    std::fs::File::open(path)
        .and_then(|file| file.set_times(times))
        .expect("ours");
}

/// Whether it went well. If not, it must have said why, and not as a fault of refire's own.
fn went_well(ran: &Ran) -> bool {
    let (code, shown) = (ran.code(), ran.stderr());
    assert!(!shown.contains("panicked"), "{shown}");
    match code {
        Some(0) => true,
        Some(1 | 2 | 4) => {
            assert!(shown.contains("error: "), "{shown}");
            false
        }
        _ => panic!("exit code {code:?}\n{shown}"),
    }
}

/// A project, and what each of its results is.
struct Intact {
    project: Project,
    lock: String,
    results: BTreeMap<&'static str, BTreeMap<String, Vec<u8>>>,
}

/// Results that are looked at: what is trained, what is gathered, what is figures, what is a command's.
const RESULTS: [&str; 4] = ["tune", "split.train", "test", "count.sum"];

fn result(project: &Project, from: &str) -> Option<BTreeMap<String, Vec<u8>>> {
    let folder = project.path("copied");
    let got = project.refire(&["get", from, "copied"]);
    let result = went_well(&got).then(|| files(&folder));
    let _ = std::fs::remove_dir_all(folder);
    result
}

impl Intact {
    fn new(project: Project) -> Self {
        let whole = copy(&project);
        whole.refire(&["run"]).succeeds();
        let results = RESULTS.map(|from| (from, result(&whole, from).expect(from)));
        Self {
            project,
            lock: whole.read("refire.lock"),
            results: results.into(),
        }
    }

    /// Damages each file below `.refire` that `chosen` names, and the lock.
    fn walk(&self, chosen: &dyn Fn(&str) -> bool) {
        let root = self.project.path("");
        let mut all = paths(&root.join(".refire"));
        all.push(root.join("refire.lock"));
        all.retain(|path| path.exists());
        let chance = chance() % 997;
        let mut shift = chance;
        let full = std::env::var("REFIRE_WALK").is_ok_and(|walk| walk == "full");
        let mut damaged = 0;
        for (number, path) in all.iter().enumerate() {
            let name = path
                .strip_prefix(&root)
                .expect("below")
                .display()
                .to_string();
            if !chosen(&name) {
                continue;
            }
            // A file of the same kind.
            let kind = |path: &Path| {
                let parts = path.strip_prefix(&root).expect("below").components();
                parts.take(3).collect::<PathBuf>()
            };
            let siblings: Vec<&PathBuf> = all
                .iter()
                .filter(|other| kind(other) == kind(path))
                .collect();
            let place = siblings
                .iter()
                .position(|other| *other == path)
                .expect("it");
            let sibling = siblings[(place + 1) % siblings.len()];
            let ways = if full {
                &ALL[..]
            } else {
                &ALL[(number + chance) % 4..][..1]
            };
            for how in ways {
                let project = copy(&self.project);
                // Another byte each time, of all that there are.
                shift += 997;
                say(&format!("{how:?} with {shift}: {name}"));
                damage(&project.path(&name), *how, sibling, shift);
                self.check(&project, &name, damaged % 2 == 0);
                damaged += 1;
            }
        }
        assert!(damaged > 0, "nothing was damaged");
        say(&format!("{damaged} damages"));
    }

    /// Uses the damaged project: its results, as they are `found`, or a run at once.
    fn check(&self, project: &Project, name: &str, found: bool) {
        if found {
            self.use_results(project);
        }
        // A person has to look at these two.
        if name.ends_with("CACHEDIR.TAG") || name == "refire.lock" {
            let ran = project.refire(&["run"]);
            if !went_well(&ran) {
                assert_eq!(ran.code(), Some(2), "{}", ran.stderr());
                return;
            }
        }
        project.refire(&["run"]).succeeds();
        assert_eq!(project.read("refire.lock"), self.lock);
        if !found {
            // A run reads no more than it needs, so that some damage is found only by who uses the results.
            self.use_results(project);
            project.refire(&["run"]).succeeds();
            assert_eq!(project.read("refire.lock"), self.lock);
        }
        for (from, expected) in &self.results {
            let found = result(project, from);
            let is_same = found.is_some_and(|found| found == *expected);
            assert!(is_same, "`{from}` is another one");
        }
        project.refire(&["gc"]).succeeds();
        let locked = project.refire(&["run", "--locked"]).succeeds();
        locked.shows("0 ran, 8 cached");
    }

    /// Uses what the cache says it has; none of it is another than it was.
    fn use_results(&self, project: &Project) {
        let verbs: [&[&str]; 4] = [&["status"], &["log"], &["metrics"], &["logs", "tune"]];
        for verb in verbs {
            went_well(&project.refire(verb));
        }
        for (from, expected) in &self.results {
            if let Some(found) = result(project, from) {
                assert!(found == *expected, "`{from}` is another one");
            }
        }
        for stage in ["test", "count"] {
            if went_well(&project.refire(&["run", "--force", "--single", stage])) {
                let lock = project.read("refire.lock");
                assert_eq!(entry(&lock, stage), entry(&self.lock, stage));
            }
        }
    }
}

/// What a lock says of a stage.
fn entry<'l>(lock: &'l str, stage: &str) -> Option<&'l str> {
    let mut entries = lock.split("\n[stage.");
    entries.find(|entry| entry.starts_with(stage))
}

/// What a run has left.
fn finished() -> Intact {
    let project = project();
    project.refire(&["run"]).succeeds();
    Intact::new(project)
}

fn is_result(name: &str) -> bool {
    ["/objects/", "/artifacts/"]
        .iter()
        .any(|folder| name.contains(folder))
}

#[test]
fn a_walk_of_damage_through_results() {
    finished().walk(&is_result);
}

#[test]
fn a_walk_of_damage_through_what_is_known_of_results() {
    finished().walk(&|name| !is_result(name));
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_walk_of_damage_through_a_training_that_was_interrupted() {
    let project = crate::kill_walk::interrupted();
    Intact::new(project).walk(&|name| name.contains("/checkpoints/") || name.contains("/records/"));
}
