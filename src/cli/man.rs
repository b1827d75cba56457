//! `refire man`.

use clap_mangen::Man;

use super::{Outcome, command};
use crate::error::{Context as _, Error, Result};
use crate::report;

/// Print the man page of refire, or of one verb.
///
/// To read one: `refire man run | man -l -`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The verb; without it, refire itself.
    verb: Option<String>,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        Ok(report::print(&page(self.verb.as_deref())?)?)
    }
}

fn page(verb: Option<&str>) -> Result<String> {
    // Building gives the verbs their full names: `refire run`.
    let mut root = command();
    root.build();
    let command = match verb {
        None => root,
        Some(verb) => {
            let found = root.find_subcommand(verb).cloned();
            found.ok_or_else(|| {
                Error::usage(format!("there is no verb `{verb}`"))
                    .did_you_mean(verb, root.get_subcommands().map(clap::Command::get_name))
            })?
        }
    };
    let mut text = Vec::new();
    Man::new(command)
        .render(&mut text)
        .or_stage(|| "cannot write the man page")?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page() {
        for verb in command().get_subcommands() {
            let text = page(Some(verb.get_name())).expect("it exists");
            assert!(text.contains(".SH SYNOPSIS"), "{text}");
        }
        let error = page(Some("schma")).expect_err("it does not exist");
        assert_eq!(error.help_text(), Some("did you mean `schema`?"));
    }
}
