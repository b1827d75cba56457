//! Clients of registries in a project that is somebody else's.

use crate::support::Project;

#[test]
fn a_checkout_runs_no_code_of_its_own_as_pip() {
    let mut project = Project::with(
        "[stage.data]\nkind = \"dataset\"\nsource = \"pip:refire-there-is-no-such-package==0.0.1#a.csv\"\n",
    );
    let ran = project.path("ran");
    let code = format!("open({:?}, 'w').close()\n", ran.display().to_string());
    for module in ["pip.py", "sitecustomize.py", "lib/pip/__main__.py"] {
        project.write(module, &code);
    }
    project.write("lib/pip/__init__.py", &code);
    let (here, lib) = (project.path(""), project.path("lib"));
    let both = std::env::join_paths([&here, &lib]).expect("plain paths");
    project.set("PYTHONPATH", &both.to_string_lossy());
    // Nobody answers there.
    project.set("PIP_INDEX_URL", "http://127.0.0.1:9/simple");
    project.set("PIP_RETRIES", "0");
    project.refire(&["run"]).fails_with(1).shows("cannot fetch");
    assert!(!ran.exists());
    let made = std::fs::read_dir(project.path("")).expect("a folder");
    assert!(
        made.flatten()
            .all(|entry| entry.file_name() != "__pycache__")
    );
}
