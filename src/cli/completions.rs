//! `refire completions`.

use clap_complete::Shell;

use super::{Outcome, command};
use crate::report;

/// Print completions for a shell.
///
/// For bash: `refire completions bash > ~/.local/share/bash-completion/completions/refire`
///
/// For zsh: `refire completions zsh > ~/.zfunc/_refire`, with `fpath+=(~/.zfunc)` before `compinit` in ~/.zshrc
///
/// For fish: `refire completions fish > ~/.config/fish/completions/refire.fish`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell.
    shell: Shell,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command(), "refire", &mut script);
        Ok(report::print(&String::from_utf8_lossy(&script))?)
    }
}
