//! What walks through a project have in common: the project, copies of it, what is in it, where they begin.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::support::Project;
use crate::tiny;

/// A number that is another one each time, for walks that try something else each time.
pub(crate) fn chance() -> usize {
    let moment = refire::event::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    usize::try_from(moment.expect("after 1970").subsec_micros()).expect("32 bits")
}

/// Says what a walk does, for whoever has to do it again.
#[expect(clippy::print_stderr, reason = "it is shown where the test fails")]
pub(crate) fn say(what: &str) {
    eprintln!("{what}");
}

/// The tiny pipeline and a command; the training is long enough to be interrupted.
pub(crate) fn project() -> Project {
    let project = tiny::project();
    project.edit("epochs = 4", "epochs = 12");
    let count = "\n[stage.count]\nkind = \"command\"\nargv = [\"sh\", \"-ec\", \"wc -l < words.txt > n; \
                 cksum clean/* > sum\"]\ninputs = { clean = \"clean\" }\nfiles = [\"words.txt\"]\n\
                 outputs = { n = \"n\", sum = \"sum\" }\n";
    let pipeline = project.read("refire.toml") + count;
    project.write("refire.toml", pipeline);
    project.write("words.txt", "pear\napple\n");
    project
}

/// The same project in another folder.
pub(crate) fn copy(project: &Project) -> Project {
    let copy = Project::new();
    let status = Command::new("cp")
        .arg("-a")
        .arg(project.path("."))
        .arg(copy.path("."))
        .status();
    assert!(status.expect("cp is there").success());
    copy
}

/// All files below `folder` but those of refire's own folder, and those that a kill left half-written under a name of
/// refire's: path → content.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == ".refire" || name.starts_with(".refire-") {
                continue;
            }
            let name = path.strip_prefix(folder).expect("below").display();
            let name = name.to_string();
            if path.is_dir() {
                files.insert(format!("{name}/"), Vec::new());
                folders.push(path);
            } else {
                files.insert(name, std::fs::read(&path).expect("readable"));
            }
        }
    }
    files
}
