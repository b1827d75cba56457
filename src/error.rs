//! The one error type: what went wrong, where, why, and what to do. Its kind alone decides the exit code.
//!
//! It owns no rendering; `report` turns it into text.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization as _;

mod panics;

pub use panics::{contained, panic_text};

/// A result whose error is refire's own.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A file that errors can point into.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the user wrote it.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// The folder that relative paths in the file are relative to.
    pub folder: PathBuf,
}

impl Source {
    /// The file called `name` that holds `text`.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let name = name.into();
        let folder = Path::new(&name)
            .parent()
            .unwrap_or(Path::new(""))
            .to_path_buf();
        Self {
            name,
            text: text.into(),
            folder,
        }
    }
}

/// A place in a [`Source`]: a range of bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub source: Arc<Source>,
    /// Byte offsets into the file's text.
    pub range: Range<usize>,
}

impl Span {
    /// The place `range` of `source`.
    #[must_use]
    pub fn new(source: &Arc<Source>, range: Range<usize>) -> Self {
        Self {
            source: Arc::clone(source),
            range,
        }
    }

    /// The 1-based line that the place starts on.
    #[must_use]
    pub fn line(&self) -> usize {
        let end = self.range.start.min(self.source.text.len());
        let before = &self.source.text.as_bytes()[..end];
        before.split(|byte| *byte == b'\n').count()
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source.name, self.line())
    }
}

/// What kind of failure it is. Each kind has one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A stage failed on its data, its model, its disk or its network: 1.
    Stage,
    /// The command line or a file that the user wrote is wrong: 2.
    Usage,
    /// A gate or `verify` failed: 3.
    Gate,
    /// `--locked`, and the lock is out of date: 4.
    Locked,
    /// Interrupted by the user: 130.
    Interrupted,
}

impl Kind {
    /// The process exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Stage => 1,
            Self::Usage => 2,
            Self::Gate => 3,
            Self::Locked => 4,
            Self::Interrupted => 130,
        }
    }
}

/// A place with the words that stand under it in the excerpt.
#[derive(Clone, Debug)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there; may be empty.
    pub text: String,
}

/// What went wrong: a message, the places, the causes and what to do.
///
/// Messages start in lower case and end without a full stop. Names that the user wrote stand in backticks.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    message: String,
    labels: Vec<Label>,
    causes: Vec<String>,
    notes: Vec<String>,
    help: Option<String>,
    /// What of the help is settings of a file.
    settings: &'static [&'static str],
}

impl Error {
    /// An error of `kind`.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            labels: Vec::new(),
            causes: Vec::new(),
            notes: Vec::new(),
            help: None,
            settings: &[],
        }))
    }

    /// The command line or a file that the user wrote is wrong (exit code 2).
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A stage failed (exit code 1).
    #[must_use]
    pub fn stage(message: impl Into<String>) -> Self {
        Self::new(Kind::Stage, message)
    }

    /// Points to `span`; the first call is the primary place.
    #[must_use]
    pub fn at(mut self, span: &Span, text: impl Into<String>) -> Self {
        self.0.labels.push(Label {
            span: span.clone(),
            text: text.into(),
        });
        self
    }

    /// Points to `span` unless the error already points somewhere.
    #[must_use]
    pub fn or_at(self, span: &Span, text: impl Into<String>) -> Self {
        if self.0.labels.is_empty() {
            self.at(span, text)
        } else {
            self
        }
    }

    /// Adds the error of a library or the system as a cause, with its own causes.
    #[must_use]
    pub fn because(mut self, cause: &dyn std::error::Error) -> Self {
        let mut next = Some(cause);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Many libraries repeat their source in their own message.
            if !self
                .0
                .causes
                .last()
                .is_some_and(|last| last.contains(&text))
            {
                self.0.causes.push(text);
            }
            next = cause.source();
        }
        self
    }

    /// Adds a cause in words.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.0.causes.push(cause.into());
        self
    }

    /// Adds a fact that helps to understand the error.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.0.notes.push(note.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Says which settings of a file the help names, each in backticks: `KEY` or `KEY = VALUE`.
    #[must_use]
    pub fn naming(mut self, settings: &'static [&'static str]) -> Self {
        self.0.settings = settings;
        self
    }

    /// Names what `flag` gives for a setting, where the help names one: for what was asked for on the command line.
    #[must_use]
    pub fn with_flags(mut self, flag: impl Fn(&str) -> Option<String>) -> Self {
        let Inner { help, settings, .. } = &mut *self.0;
        for setting in std::mem::take(settings) {
            if let (Some(help), Some(flag)) = (help.as_mut(), flag(setting)) {
                *help = help.replace(&format!("`{setting}`"), &format!("`{flag}`"));
            }
        }
        self
    }

    /// The same without its places, which are in no file of the user's.
    #[must_use]
    pub fn without_places(mut self) -> Self {
        self.0.labels.clear();
        self
    }

    /// Says what to do, unless that is said already.
    #[must_use]
    pub fn or_help(mut self, help: impl Into<String>) -> Self {
        self.0.help.get_or_insert_with(|| help.into());
        self
    }

    /// Puts `message` in front; the old message becomes the first cause.
    #[must_use]
    pub fn wrap(mut self, message: impl Into<String>) -> Self {
        let old = std::mem::replace(&mut self.0.message, message.into());
        self.0.causes.insert(0, old);
        self
    }

    /// Replaces the message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Changes every text of it: message, labels, causes, notes and help.
    #[must_use]
    pub fn map_text(mut self, change: impl Fn(&str) -> String) -> Self {
        let inner = &mut *self.0;
        let labels = inner.labels.iter_mut().map(|label| &mut label.text);
        let texts = std::iter::once(&mut inner.message)
            .chain(labels)
            .chain(&mut inner.causes)
            .chain(&mut inner.notes)
            .chain(&mut inner.help);
        for text in texts {
            *text = change(text);
        }
        self
    }

    /// Changes the kind.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Adds a did-you-mean for `name` among `known`, unless there is help already.
    #[must_use]
    pub fn did_you_mean<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(name, known) {
            Some(near) if self.0.help.is_none() => self.help(suggestion(name, near)),
            _ => self,
        }
    }

    /// The kind, which decides the exit code.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The message, one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The places that it points to, the primary one first.
    #[must_use]
    pub fn labels(&self) -> &[Label] {
        &self.0.labels
    }

    /// Why, outermost first.
    #[must_use]
    pub fn causes(&self) -> &[String] {
        &self.0.causes
    }

    /// Facts that help to understand it.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// What to do.
    #[must_use]
    pub fn help_text(&self) -> Option<&str> {
        self.0.help.as_deref()
    }
}

impl fmt::Display for Error {
    /// The message and its causes on one line, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = self.0.labels.first() {
            write!(f, "{:?}: ", label.span)?;
        }
        f.write_str(&self.0.message)?;
        for cause in &self.0.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Turns a library's or the system's error into ours, with a message in front.
pub trait Context<T> {
    /// A failed stage (exit code 1): `message`, because of the error.
    ///
    /// # Errors
    /// The error, if there is one.
    fn or_stage<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T>;

    /// A wrong command line or file (exit code 2): `message`, because of the error.
    ///
    /// # Errors
    /// The error, if there is one.
    fn or_usage<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T>;
}

impl<T, E: std::error::Error> Context<T> for std::result::Result<T, E> {
    fn or_stage<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|error| Error::stage(message()).because(&error))
    }

    fn or_usage<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|error| Error::usage(message()).because(&error))
    }
}

/// The name among `known` that `name` is most likely a misspelling of: one that looks the same, one that differs in case alone,
/// one with few other letters.
#[must_use]
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let composed = |text: &str| text.nfc().collect::<String>();
    let ours = composed(name);
    let length = ours.chars().count();
    let allowed = (length / 3).clamp(1, 3).min(length.saturating_sub(1));
    let distances = |candidate| {
        let theirs = composed(candidate);
        let small = strsim::damerau_levenshtein(&ours.to_lowercase(), &theirs.to_lowercase());
        // Of those that are as near, the one in the same case is nearer.
        (small, strsim::damerau_levenshtein(&ours, &theirs))
    };
    known
        .into_iter()
        .filter(|candidate| *candidate != name)
        .map(|candidate| (distances(candidate), candidate))
        .filter(|((distance, _), _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// What to say of `near`, which is [`closest`] to `name`. Two words that look the same would help nobody.
#[must_use]
pub fn suggestion(name: &str, near: &str) -> String {
    if name != near && name.nfc().eq(near.nfc()) {
        return format!(
            "there is `{near}`, which looks the same but is composed of other characters: `{}` there, `{}` here",
            in_ascii(near),
            in_ascii(name)
        );
    }
    format!("did you mean `{near}`?")
}

/// `text` with the numbers of its characters beyond ASCII.
fn in_ascii(text: &str) -> String {
    let shown = |c: char| match u32::from(c) {
        0..0x80 => c.to_string(),
        code @ 0x80..0x1_0000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_finds_misspellings_and_nothing_else() {
        let known = ["learning_rate", "epochs", "seed"];
        assert_eq!(closest("learing_rate", known), Some("learning_rate"));
        assert_eq!(closest("epoch", known), Some("epochs"));
        assert_eq!(closest("dropout", known), None);
    }

    #[test]
    fn closest_finds_other_cases() {
        assert_eq!(closest("LABEL", ["text", "label"]), Some("label"));
        assert_eq!(closest("Lable", ["text", "LABEL"]), Some("LABEL"));
        assert_eq!(
            closest("Straße", ["strasse", "STRASSE", "strafe"]),
            Some("strafe")
        );
        assert_eq!(closest("b", ["a", "B"]), Some("B"));
        assert_eq!(closest("Labl", ["label", "Label"]), Some("Label"));
    }

    #[test]
    fn names_that_look_the_same_are_told_apart() {
        let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
        let error = Error::usage("x").did_you_mean(decomposed, ["cafes", composed]);
        assert_eq!(
            error.help_text(),
            Some(
                "there is `caf\u{e9}`, which looks the same but is composed of other characters: `caf\\u00e9` there, `cafe\\u0301` here"
            )
        );
        let error = Error::usage("x").did_you_mean("cafe", [composed]);
        assert_eq!(error.help_text(), Some("did you mean `caf\u{e9}`?"));
    }

    #[test]
    fn every_text_can_be_changed() {
        let source = Arc::new(Source::new("a.toml", "x"));
        let error = Error::usage("a")
            .at(&Span::new(&source, 0..1), "a")
            .cause("a")
            .note("a")
            .help("a")
            .map_text(|text| text.replace('a', "b"));
        let texts = [
            error.message(),
            &error.labels()[0].text,
            &error.causes()[0],
            &error.notes()[0],
            error.help_text().unwrap_or_default(),
        ];
        assert_eq!(texts, ["b"; 5]);
    }

    #[test]
    fn a_hint_names_settings_or_flags() {
        let error = Error::usage("no column `quote`")
            .help("set `quote = \"\"`, or rename `quote`")
            .naming(&["quote = \"\""]);
        assert_eq!(
            error.help_text(),
            Some("set `quote = \"\"`, or rename `quote`")
        );
        let error = error.with_flags(|_| Some("--quote ''".into()));
        assert_eq!(
            error.help_text(),
            Some("set `--quote ''`, or rename `quote`")
        );
        assert_eq!(error.message(), "no column `quote`");
    }

    #[test]
    fn display_is_one_line_with_place_and_causes() {
        let source = Arc::new(Source::new("a.toml", "x = 1\ny = 2\n"));
        let error = Error::usage("bad")
            .at(&Span::new(&source, 6..7), "here")
            .cause("because");
        assert_eq!(error.to_string(), "a.toml:2: bad: because");
    }
}
