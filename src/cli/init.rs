//! `refire init`.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use super::Outcome;
use crate::error::{Error, Kind, Result};
use crate::init::{self, Ask, CommandOptions, Draft, ImageOptions, TextOptions};
use crate::report;

/// Begin a project: a pipeline for the data that is there.
///
/// Looks at the data in FOLDER, asks on a terminal what it does not show, and writes `refire.toml`, a data schema, a `.gitignore` and a
/// workflow for GitHub, but nothing over a file that is there. `refire run` trains and measures it at once.
#[derive(Debug, clap::Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct Args {
    #[command(subcommand)]
    template: Template,

    /// Leave files besides refire.toml that are there already as they are, and write the others
    #[arg(long, global = true)]
    keep: bool,

    /// Ask nothing: take what is likeliest
    #[arg(short, long, global = true)]
    yes: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Template {
    /// Labels, lists of labels or numbers for texts or pairs of texts, or a tag for each word, from a table: a CSV, TSV, NDJSON, Parquet or
    /// CoNLL file
    Text {
        /// The folder of the project, with the table in it or in its folder `data`
        #[arg(default_value = ".", hide_default_value = true)]
        folder: PathBuf,

        /// The table; by default the only one
        #[arg(long, value_name = "FILE")]
        data: Option<PathBuf>,

        /// The column with the texts, or with lists of words; by default the one with the longest values
        #[arg(long, value_name = "COLUMN")]
        text_column: Option<String>,

        /// The column with the second texts, where the rows are pairs; by default columns like `sentence1` and `sentence2` are
        #[arg(long, value_name = "COLUMN")]
        text_pair_column: Option<String>,

        /// The column that is to be predicted; by default the one that is called so, or has few values
        #[arg(long, value_name = "COLUMN")]
        label_column: Option<String>,

        /// What is to be learnt, such as text-regression; by default what the values of the column look like
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
    },
    /// Labels for photos, from a folder that has a folder of photos for each label
    Images {
        /// The folder of the project, with the folder of photos in it
        #[arg(default_value = ".", hide_default_value = true)]
        folder: PathBuf,

        /// The folder with a folder of photos for each label; by default the only one
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
    },
    /// A program of your own, which runs when what it reads has changed
    Command {
        /// The folder of the project, with the program in it
        #[arg(default_value = ".", hide_default_value = true)]
        folder: PathBuf,

        /// The file or folder that the program makes
        #[arg(long, value_name = "PATH")]
        output: Option<String>,

        /// The program and its arguments, behind two dashes; by default the only script in the folder
        #[arg(last = true, value_name = "COMMAND")]
        argv: Vec<String>,
    },
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let mut someone = Someone {
            is_there: !self.yes && std::io::stdin().is_terminal() && report::is_terminal(),
        };
        let draft = match self.template {
            Template::Text {
                folder,
                data,
                text_column,
                text_pair_column,
                label_column,
                task,
            } => {
                let options = TextOptions {
                    data,
                    text_column,
                    text_pair_column,
                    label_column,
                    task,
                };
                init::text(&folder, &options, &mut someone)?
            }
            Template::Images { folder, data } => {
                init::images(&folder, &ImageOptions { data }, &mut someone)?
            }
            Template::Command {
                folder,
                mut output,
                argv,
            } => {
                if output.is_none() && someone.is_there {
                    let question = "Which file or folder does the program make?";
                    output = Some(Someone::answer(&format!("{question} "))?);
                }
                init::command(&folder, &CommandOptions { argv, output }, &mut someone)?
            }
        };
        write(draft, self.keep)
    }
}

/// Writes the project, and says what was decided and what comes next.
fn write(mut draft: Draft, keep: bool) -> Outcome {
    let told = std::mem::take(&mut draft.told);
    let written = draft.write(keep)?;
    for told in told {
        report::print_status(&format!("note: {told}\n"));
    }
    let names: Vec<String> = written.iter().map(|path| shown(path)).collect();
    report::print_status(&format!("wrote {}\n", names.join(", ")));
    let pipeline = written.first().map(|path| shown(path)).unwrap_or_default();
    let run = match pipeline.as_str() {
        "refire.toml" => "refire run".to_owned(),
        other => format!("refire run {other}"),
    };
    report::print_status(&format!("next: {run}\n"));
    Ok(())
}

fn shown(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path);
    path.display().to_string()
}

/// The user at a terminal, or nobody.
struct Someone {
    is_there: bool,
}

impl Someone {
    /// What the user writes in answer to `question`.
    fn answer(question: &str) -> Result<String> {
        report::print_status(question);
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        match read {
            Ok(0) | Err(_) => {
                report::print_status("\n");
                Err(Error::new(
                    Kind::Interrupted,
                    "interrupted; nothing was written",
                ))
            }
            Ok(_) => Ok(line.trim().to_owned()),
        }
    }
}

impl Ask for Someone {
    fn choose(
        &mut self,
        question: &str,
        options: &[String],
        guess: Option<usize>,
        flag: &str,
    ) -> Result<usize> {
        if self.is_there {
            report::print_status(&format!("{question}\n"));
            for (place, option) in (1..).zip(options) {
                report::print_status(&format!("  {place}  {}\n", report::line(option)));
            }
            let default = guess.unwrap_or(0);
            loop {
                let answer = Self::answer(&format!("Number or name [{}]: ", default + 1))?;
                let named = options.iter().position(|option| *option == answer);
                let number = answer
                    .parse::<usize>()
                    .ok()
                    .and_then(|number| number.checked_sub(1));
                match named.or(number.filter(|number| *number < options.len())) {
                    Some(chosen) => return Ok(chosen),
                    None if answer.is_empty() => return Ok(default),
                    None => report::print_status(&format!(
                        "`{answer}` is none of them: a number from 1 to {}\n",
                        options.len()
                    )),
                }
            }
        }
        let list = options.join("`, `");
        match guess {
            Some(guess) => {
                let others: Vec<&str> = options
                    .iter()
                    .enumerate()
                    .filter(|(place, _)| *place != guess)
                    .map(|(_, option)| option.as_str())
                    .collect();
                report::print_status(&format!(
                    "note: {question} `{}` was taken; {flag} names another: `{}`\n",
                    options[guess],
                    others.join("`, `")
                ));
                Ok(guess)
            }
            None => Err(Error::usage(format!("{question} There are `{list}`"))
                .help(format!("say it with {flag}"))),
        }
    }
}
