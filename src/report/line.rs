//! Lines above the live region: what ended, what the user should know.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::figures::seconds;
use super::views::{BAD, GOOD, ODD, QUIET};
use crate::event::Outcome;

/// Columns before the name of the stage: two blanks, the mark, a blank.
const MARGIN: usize = 4;

/// Columns before text that stands below the name.
const BELOW: usize = 6;

/// Text is given at least so many columns, however narrow the terminal.
const NARROWEST: usize = 20;

/// `  ✓ tune  ran     12.4 s  learning_rate: 0.001 → 0.002`.
pub(super) struct Line {
    mark: (&'static str, Style),
    stage: String,
    /// Outcome and seconds, in columns.
    columns: String,
    text: String,
    style: Style,
    /// Whether a long text goes on below; otherwise it is cut.
    wraps: bool,
}

impl Line {
    /// Something that the user should know.
    pub(super) fn notice(stage: &str, text: &str) -> Self {
        Self::below(("!", ODD), stage, text.into(), Style::new())
    }

    /// Figures measured on the way.
    pub(super) fn measured(stage: &str, text: String) -> Self {
        Self::below(("·", QUIET), stage, text, QUIET)
    }

    /// A line that a failed stage wrote.
    pub(super) fn log(text: String) -> Self {
        Self::below(("│", BAD), "", text, QUIET)
    }

    fn below(mark: (&'static str, Style), stage: &str, text: String, style: Style) -> Self {
        Self {
            mark,
            stage: stage.into(),
            columns: String::new(),
            text,
            style,
            wraps: true,
        }
    }

    /// How a stage ended.
    pub(super) fn finished(stage: &str, outcome: Outcome, took: f64, reason: &str) -> Self {
        let (mark, word) = match outcome {
            Outcome::Ran => (("✓", GOOD), "ran"),
            Outcome::Cached => (("•", GOOD), "cached"),
            Outcome::Failed => (("✗", BAD), "failed"),
            Outcome::Skipped => (("–", ODD), "skipped"),
            Outcome::Cancelled => (("–", ODD), "cancelled"),
        };
        let worked = matches!(outcome, Outcome::Ran | Outcome::Failed | Outcome::Cancelled);
        // Restoring takes next to no time, and saying so would only be noise.
        let took = if worked || took >= 0.1 {
            seconds(took)
        } else {
            String::new()
        };
        Self {
            mark,
            stage: stage.into(),
            columns: format!("{word:<9}  {took:>9}  "),
            text: reason.into(),
            style: QUIET,
            wraps: false,
        }
    }

    /// The line, its name `names` columns wide, in a terminal of `width` columns; ended by a newline.
    pub(super) fn render(&self, names: usize, width: usize) -> String {
        let padding = names.min(width / 2).saturating_sub(self.stage.width());
        let head = format!("{}{:padding$}  {}", self.stage, "", self.columns);
        let ((mark, colour), style) = (self.mark, self.style);
        if self.text.is_empty() {
            return format!("  {colour}{mark}{colour:#} {}\n", head.trim_end());
        }
        let beside = MARGIN + head.width();
        // Behind a name that takes nearly all of the line, text stands below.
        let is_below = beside + NARROWEST > width && width >= 2 * NARROWEST;
        let indent = if is_below { BELOW } else { beside };
        let room = width.saturating_sub(indent).max(NARROWEST);
        let lines = if self.wraps {
            wrap(&self.text, room)
        } else {
            vec![cut(&self.text, room)]
        };
        let mut text = if is_below {
            format!("  {colour}{mark}{colour:#} {}\n", head.trim_end())
        } else {
            format!("  {colour}{mark}{colour:#} {head}")
        };
        for (index, line) in lines.iter().enumerate() {
            let blanks = if index == 0 && !is_below { 0 } else { indent };
            let _ = writeln!(text, "{:blanks$}{style}{line}{style:#}", "");
        }
        text
    }
}

/// `text` on one line of at most `width` columns.
fn cut(text: &str, width: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.width() <= width && line.len() == text.trim_end().len() {
        return line.into();
    }
    let mut kept: String = line[..fitting(line, width.saturating_sub(1))].into();
    kept.push('…');
    kept
}

/// `text` on lines of at most `width` columns, broken between words where that can be.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while rest.width() > width {
            // A character that is wider than the line still has to go somewhere.
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let fits = fitting(rest, width).max(first);
            // A blank right behind what fits is as good as one inside it.
            let end = rest.floor_char_boundary((fits + 1).min(rest.len()));
            let blank = rest[..end].rfind(' ').filter(|blank| *blank > 0);
            let broken = blank.unwrap_or(fits);
            lines.push(rest[..broken].to_string());
            rest = rest[broken..].trim_start();
        }
        if !rest.is_empty() || line.is_empty() {
            lines.push(rest.to_string());
        }
    }
    lines
}

/// How many bytes of `line` fit `width` columns.
fn fitting(line: &str, width: usize) -> usize {
    let mut used = 0;
    line.char_indices()
        .find(|(_, character)| {
            used += character.width().unwrap_or(0);
            used > width
        })
        .map_or(line.len(), |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::event::samples;

    fn plain(line: &Line, width: usize) -> String {
        anstream::adapter::strip_str(&line.render(7, width)).to_string()
    }

    #[test]
    fn finished_stages_stand_in_columns() {
        let mut lines = String::new();
        for event in samples::run() {
            if let Event::StageFinished {
                stage,
                outcome,
                seconds,
                reason,
                ..
            } = event
            {
                lines.push_str(&plain(
                    &Line::finished(&stage, outcome, seconds, &reason),
                    80,
                ));
            }
        }
        insta::assert_snapshot!(lines);
    }

    #[test]
    fn long_reasons_are_cut_to_the_terminal() {
        let reason = "features: 漢字 ".repeat(20);
        let text = plain(&Line::finished("tune", Outcome::Ran, 1.0, &reason), 80);
        assert!(
            text.ends_with("…\n") && text.trim_end().width() <= 80,
            "{text}"
        );
        assert_eq!(cut("two\nlines", 80), "two…");
        assert_eq!(cut("one line\n", 80), "one line");
    }

    #[test]
    fn text_stands_below_a_name_that_leaves_no_room() {
        let name = "test-pretrained@learning_rate=0.002,labels=16,seed=0";
        let text = plain(
            &Line::notice(name, "words that need some room of their own"),
            60,
        );
        assert_eq!(
            text,
            format!("  ! {name}\n      words that need some room of their own\n")
        );
        let text = plain(
            &Line::finished(name, Outcome::Ran, 1.0, "no earlier result"),
            80,
        );
        assert!(
            text.ends_with("1.00 s\n      no earlier result\n"),
            "{text}"
        );
    }

    #[test]
    fn notices_are_shown_whole() {
        let text = "the file is not pinned; to get the same bytes everywhere, write sha256 = \"sha256:0f16a3b41331828\"";
        insta::assert_snapshot!(plain(&Line::notice("reviews", text), 60));
    }

    #[test]
    fn lines_break_between_words_or_else_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one two three", 6), ["one", "two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("漢字", 3), ["漢", "字"]);
        assert_eq!(wrap("漢字", 1), ["漢", "字"]);
        assert_eq!(wrap("a\nb", 3), ["a", "b"]);
        assert_eq!(wrap("", 3), Vec::<String>::new());
    }
}
