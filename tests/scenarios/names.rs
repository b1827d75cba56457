//! Names and paths that a pipeline writes: what is no plain name is refused before anything is touched.

use crate::support::Project;

/// A command with `inputs` and `outputs`, beside a folder that is none of its business.
fn command(inputs: &str, outputs: &str) -> Project {
    let project = Project::with(&format!(
        "[stage.data]\nkind = \"command\"\nargv = [\"touch\", \"o\"]\noutputs = {{ o = \"o\" }}\n\n\
         [stage.it]\nkind = \"command\"\nargv = [\"touch\", \"o\"]\ninputs = {{ {inputs} }}\noutputs = {{ {outputs} }}\n",
    ));
    project.write("thesis/chapter.txt", "years of work\n");
    project
}

#[test]
fn an_output_or_an_input_is_called_by_a_name_and_not_by_a_path() {
    let project = command("", "");
    let thesis = project.path("thesis").display().to_string();
    for name in [&*thesis, "..", "../../thesis", "/etc/x", "a/b", "a.b", ""] {
        let text = format!("`{name}` cannot be the name of an output")
            .replace(&project.path("").display().to_string(), "PROJECT/");
        let outputs = format!("\"{name}\" = \"o\"");
        let wrong = command("", &outputs).read("refire.toml");
        project.write("refire.toml", wrong);
        for verb in ["check", "run"] {
            project.refire(&[verb]).fails_with(2).shows(&text);
        }
        let wrong = command(&format!("\"{name}\" = \"data\""), "o = \"o\"");
        let text = text.replace("an output", "an input");
        project.write("refire.toml", wrong.read("refire.toml"));
        project.refire(&["run"]).fails_with(2).shows(&text);
    }
    assert_eq!(project.read("thesis/chapter.txt"), "years of work\n");
    assert!(!project.path(".refire/cache/objects").exists());
}

#[test]
fn a_profile_is_called_by_a_name() {
    let project = command("", "o = \"o\"");
    for profile in ["a/b", "../x", ".."] {
        project
            .refire(&["check", "--profile", profile])
            .fails_with(2)
            .shows(&format!("has no profile `{profile}`"));
    }
}

#[cfg(unix)]
#[test]
fn what_a_link_leads_to_is_not_moved_away() {
    let project = command("", "o = \"results/chapter.txt\"");
    let link = format!(
        "rmdir results && ln -s {} results",
        project.path("thesis").display()
    );
    project.edit(
        "argv = [\"touch\", \"o\"]\ninputs",
        &format!("argv = [\"sh\", \"-c\", \"{link}\"]\ninputs"),
    );
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("which is outside of the command's folder");
    assert_eq!(project.read("thesis/chapter.txt"), "years of work\n");
}
