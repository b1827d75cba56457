//! What a watcher notices on a real disk. Where the system tells nothing there is nothing to test.

use std::fs;

use super::*;

/// A project with a pipeline and a folder of data, which are watched.
struct Scene {
    _folder: tempfile::TempDir,
    root: PathBuf,
    watcher: Watcher,
}

impl Scene {
    /// Watches `read` in a project that has `files`.
    fn new(files: &[&str], read: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("there");
        for file in files {
            write(&root.join(file), "one");
        }
        let ours = [root.join(".refire"), root.join("p.lock")];
        let watcher = Watcher::new(None, &root, &ours);
        let mut scene = Self {
            _folder: folder,
            root,
            watcher,
        };
        scene.watch(read);
        scene
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn write(&self, path: &str, text: &str) {
        write(&self.path(path), text);
    }

    fn watch(&mut self, read: &[&str]) {
        let paths = Paths {
            read: read.iter().map(|path| self.path(path)).collect(),
            searched: BTreeSet::new(),
        };
        self.watcher.watch(paths);
    }

    /// Looks, as a caller would.
    fn look(&mut self) {
        self.watcher.catch_up();
        let paths = self.watcher.paths().clone();
        self.watcher.watch(paths);
        self.watcher.rest();
    }

    /// Something must be told within a second; it is looked then.
    fn tells(&mut self) {
        let end = Instant::now() + Duration::from_secs(1);
        let told = self.watcher.wait(&|| Instant::now() > end, false);
        assert!(told || !self.watcher.is_told());
        self.look();
    }

    fn is_quiet(&mut self) {
        let end = Instant::now() + Duration::from_millis(150);
        let told = self.watcher.wait(&|| Instant::now() > end, false);
        assert!(!told || !self.watcher.is_told());
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    crate::store::write_atomic(path, text.as_bytes()).expect("written");
}

#[test]
fn saves_of_all_kinds_are_told_and_reading_and_our_own_files_are_not() {
    let mut scene = Scene::new(&["p.toml", "data/a/b.txt"], &["p.toml", "data"]);
    scene.is_quiet();
    fs::read(scene.path("p.toml")).expect("read");
    scene.write("p.lock", "ours");
    scene.write(".refire/runs/x", "ours");
    scene.is_quiet();
    // By a rename, in place, in a new folder deep down.
    scene.write("p.toml", "two");
    scene.tells();
    let mut open = fs::File::options()
        .append(true)
        .open(scene.path("data/a/b.txt"))
        .expect("there");
    std::io::Write::write_all(&mut open, b"more").expect("written");
    scene.tells();
    scene.write("data/new/deep/c.txt", "one");
    scene.tells();
    // A folder that goes and comes back.
    fs::remove_dir_all(scene.path("data")).expect("removed");
    scene.tells();
    scene.write("data/a/b.txt", "two");
    scene.tells();
    scene.is_quiet();
    scene.write("data/a/b.txt", "three");
    scene.tells();
}

#[test]
fn a_folder_that_was_replaced_between_two_looks_is_watched_anew() {
    // On many disks the new folder even gets the number of the old one.
    let mut scene = Scene::new(&["p.toml", "data/a.txt"], &["p.toml", "data/a.txt"]);
    for text in ["two", "three"] {
        fs::remove_dir_all(scene.path("data")).expect("removed");
        scene.write("data/a.txt", text);
        scene.tells();
        scene.is_quiet();
        scene.write("data/a.txt", "again");
        scene.tells();
    }
}

#[test]
fn folders_of_watched_files_do_not_stop_their_own_from_being_watched() {
    // Both as a whole and file by file, as a glob gives them.
    let files = ["data/a/one.txt", "data/b/two.txt"];
    let mut scene = Scene::new(&files, &["data", "data/a/one.txt", "data/b/two.txt"]);
    fs::create_dir(scene.path("data/a/new")).expect("made");
    scene.tells();
    scene.is_quiet();
    scene.write("data/a/new/three.txt", "three");
    scene.tells();
}

#[test]
fn what_is_no_longer_watched_takes_nothing_along() {
    let mut scene = Scene::new(&["data/a/b.txt"], &["data", "data/a/b.txt"]);
    scene.watch(&["data/a/b.txt"]);
    scene.write("data/a/b.txt", "two");
    scene.tells();
    scene.write("data/other/c.txt", "two");
    scene.is_quiet();
}

#[cfg(unix)]
#[test]
fn links_are_watched_where_they_stand_and_where_they_lead_to() {
    use std::os::unix::fs::symlink;
    let mut scene = Scene::new(&["v1/deep/a.txt", "v2/deep/a.txt", "set/b.txt"], &[]);
    symlink("v1", scene.path("current")).expect("linked");
    symlink("../current/deep/a.txt", scene.path("set/a.txt")).expect("linked");
    symlink("there", scene.path("here")).expect("linked");
    symlink("here", scene.path("there")).expect("linked");
    // A file behind a link behind a link, in a folder that is read as a whole; and a cycle.
    scene.watch(&["set", "here/x"]);
    scene.is_quiet();
    scene.write("v1/deep/a.txt", "two");
    scene.tells();
    fs::remove_file(scene.path("current")).expect("removed");
    symlink("v2", scene.path("current")).expect("linked");
    scene.tells();
    scene.is_quiet();
    scene.write("v2/deep/a.txt", "three");
    scene.tells();
    scene.write("v1/deep/a.txt", "four");
    scene.is_quiet();
}

#[test]
fn a_folder_above_may_be_renamed() {
    let file = "x/above/below/a.txt";
    let mut scene = Scene::new(&[file, "x/other/below/a.txt"], &[file]);
    fs::rename(scene.path("x/above"), scene.path("x/old")).expect("renamed");
    scene.tells();
    fs::rename(scene.path("x/other"), scene.path("x/above")).expect("renamed");
    scene.tells();
    scene.is_quiet();
    scene.write(file, "three");
    scene.tells();
    // What a path only leads over may hold anything.
    scene.write("x/notes.md", "nothing reads it");
    scene.is_quiet();
}

#[test]
fn thousands_of_files_in_a_few_folders_cost_little() {
    let names: Vec<String> = (0..15_000)
        .map(|number| format!("data/{}/{number}.txt", number % 5))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    for name in &names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::File::create(path).expect("made");
    }
    let paths = Paths {
        read: names.iter().map(|name| folder.path().join(name)).collect(),
        searched: BTreeSet::from([folder.path().join("data")]),
    };
    let mut watcher = Watcher::new(None, folder.path(), &[]);
    watcher.watch(paths.clone());
    let mut took: Vec<Duration> = (0..5)
        .map(|_| {
            let paths = paths.clone();
            let begin = Instant::now();
            watcher.catch_up();
            watcher.watch(paths);
            begin.elapsed()
        })
        .collect();
    took.sort();
    eprintln!("a look at what to watch for 15,000 files: {took:?}");
    // A tenth of that on an idle machine.
    assert!(took[2] <= Duration::from_millis(300), "{took:?}");
}

#[test]
fn where_nothing_is_told_it_is_looked_again() {
    let poll = Duration::from_millis(200);
    let mut watcher = Watcher::new(Some(poll), Path::new("/"), &[]);
    let begin = Instant::now();
    watcher.watch(Paths {
        read: BTreeSet::from([PathBuf::from("/nowhere")]),
        ..Paths::default()
    });
    watcher.rest();
    assert!(!watcher.has_changed(Duration::ZERO), "it is not yet time");
    assert!(watcher.wait(&|| false, false));
    assert!(begin.elapsed() >= poll);
    assert!(watcher.has_changed(Duration::ZERO));
    watcher.rest();
    assert!(!watcher.has_changed(Duration::ZERO));
    assert!(!watcher.wait(&|| true, false));
}

#[test]
fn the_impatient_look_again_even_where_all_is_told() {
    let scene = Scene::new(&["p.toml"], &["p.toml"]);
    assert!(scene.watcher.wait(&|| false, true));
    assert!(scene.watcher.looked.elapsed() >= POLL);
}
