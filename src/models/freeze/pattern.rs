//! Patterns of parameter names: globs, and regular expressions.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;

use crate::error::{Error, Result};
use crate::models::Parameter;
use crate::names;

/// What a regular expression begins with.
const REGEX: &str = "re:";

/// A pattern of whole parameter names as Hugging Face or torchvision writes them, with or without the name of the base model in front.
///
/// It is a glob, in which `*` crosses dots: `encoder.layer.0.*`, `*.LayerNorm.*`, `bert.embeddings.*`. After `re:` it is a regular
/// expression: `re:encoder\.layer\.[0-3]\..*`.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Glob(GlobMatcher),
    Regex(Regex),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Broken syntax, as a mistake in the file.
    pub fn parse(text: &str) -> Result<Self> {
        let refusal = |cause: String, help: &str| {
            Error::usage(format!("`{text}` is not a pattern"))
                .cause(cause)
                .help(help)
        };
        let matcher = match text.strip_prefix(REGEX) {
            Some(expression) => Regex::new(&format!("^(?:{expression})$"))
                .map(Matcher::Regex)
                .map_err(|error| {
                    let help = r"after `re:` a pattern is a regular expression, such as 're:encoder\.layer\.[0-3]\..*'";
                    refusal(error.to_string(), help)
                }),
            None => names::glob(text, GlobBuilder::new(text).literal_separator(false))
                .map(Matcher::Glob)
                .map_err(|cause| {
                    let help =
                        "a pattern is a glob over parameter names, such as \"encoder.layer.0.*\"";
                    refusal(cause, help)
                }),
        };
        Ok(Self {
            text: text.to_string(),
            matcher: matcher?,
        })
    }

    /// Whether it matches the whole `name`.
    pub(in crate::models) fn is_match(&self, name: &str) -> bool {
        match &self.matcher {
            Matcher::Glob(glob) => glob.is_match(name),
            Matcher::Regex(regex) => regex.is_match(name),
        }
    }

    /// The indices of the parameters that it matches.
    ///
    /// # Errors
    /// None is matched.
    pub fn matching(&self, parameters: &[Parameter]) -> Result<Vec<usize>> {
        let found: Vec<usize> = (0..parameters.len())
            .filter(|index| {
                let parameter = &parameters[*index];
                self.is_match(&parameter.name) || self.is_match(&parameter.full_name)
            })
            .collect();
        if found.is_empty() {
            return Err(self.matches_nothing(parameters));
        }
        Ok(found)
    }

    fn matches_nothing(&self, parameters: &[Parameter]) -> Error {
        let mut known = BTreeSet::new();
        for parameter in parameters {
            for name in [&parameter.name, &parameter.full_name] {
                let parents = name
                    .match_indices('.')
                    .map(|(dot, _)| format!("{}.*", &name[..dot]));
                known.extend(parents);
                known.insert(name.clone());
            }
        }
        let error = Error::stage(format!("the pattern `{}` matches no parameter", self.text))
            .did_you_mean(&self.text, known.iter().map(String::as_str))
            .note(format!(
                "the parameters go from `{}` to `{}`; `*` stands for any part of a name",
                parameters.first().map_or("", |first| &first.name),
                parameters.last().map_or("", |last| &last.name),
            ));
        let looks_like_regex = ['\\', '^', '$', '(', '|', '+']
            .iter()
            .any(|sign| self.text.contains(*sign));
        if looks_like_regex && matches!(self.matcher, Matcher::Glob(_)) {
            return error.note(format!("a regular expression begins with `{REGEX}`"));
        }
        error
    }
}
