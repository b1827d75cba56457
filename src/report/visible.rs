//! What comes from users, data, programs and servers, as it may reach a terminal: characters that it would obey, or show as
//! nothing, are written out. Everything that is printed goes through here ([`visible`]); what may be coloured is what
//! `report` itself has drawn of texts that did, and what a stage wrote ([`visible_styled`]).

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::error::Error;
use crate::event::Event;

/// `text` with control characters, byte order marks and marks of the direction of text as `\u001b`. Line feeds and tabs
/// stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    shown(text, false)
}

/// The same, but styles (`ESC [ … m`) stay as well, but for the one that hides text; none reaches beyond the end.
pub(super) fn visible_styled(text: &str) -> Cow<'_, str> {
    let mut shown = shown(text, true);
    let last = shown.rfind("\u{1b}[").map(|at| &shown[at..]);
    let is_open = last.is_some_and(|last| {
        let style = &last[..style(last)];
        !matches!(style, "\u{1b}[0m" | "\u{1b}[m")
    });
    if is_open {
        shown.to_mut().push_str("\u{1b}[0m");
    }
    shown
}

fn shown(text: &str, with_styles: bool) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let style = if with_styles { style(rest) } else { 0 };
        let length = if style > 0 { style } else { c.len_utf8() };
        match c {
            _ if style > 0 => shown.push_str(&rest[..style]),
            '\r' if rest.starts_with("\r\n") => {}
            c if is_hidden(c) => {
                let _ = write!(shown, "\\u{:04x}", u32::from(c));
            }
            c => shown.push(c),
        }
        rest = &rest[length..];
    }
    Cow::Owned(shown)
}

fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // The space of no width and the byte order mark; what ends lines or turns the direction of text.
        '\u{200b}' | '\u{feff}' | '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        c => c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'),
    }
}

/// How many bytes of a style `text` begins with.
fn style(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';');
    match end {
        Some(end) if parameters[end..].starts_with('m') && !hides(&parameters[..end]) => {
            2 + end + 1
        }
        _ => 0,
    }
}

/// Whether a style with these parameters makes text invisible. An 8 in a colour (`38;5;8`) does not.
fn hides(parameters: &str) -> bool {
    let mut parameters = parameters.split(';').map(|one| one.trim_start_matches('0'));
    while let Some(parameter) = parameters.next() {
        match parameter {
            "8" => return true,
            "38" | "48" | "58" => match parameters.next() {
                Some("5") => drop(parameters.next()),
                Some("2") => drop(parameters.nth(2)),
                _ => {}
            },
            _ => {}
        }
    }
    false
}

/// `error` with texts that can be shown; its message is one line.
pub(super) fn visible_error(error: &Error) -> Error {
    let message = visible(error.message()).replace('\n', "\\n");
    let shown = error.clone().map_text(|text| visible(text).into_owned());
    shown.with_message(message)
}

/// `event` with texts that can be shown. What a stage wrote keeps its colours.
pub(super) fn visible_event(event: &Event) -> Cow<'_, Event> {
    // The only one that comes by the thousand.
    if let Event::StageFinished {
        stage,
        reason,
        metrics,
        ..
    } = event
        && !stage.contains(is_hidden)
        && !reason.contains(is_hidden)
        && !metrics.keys().any(|name| name.contains(is_hidden))
    {
        return Cow::Borrowed(event);
    }
    let mut shown = event.clone();
    for text in texts(&mut shown) {
        if let Cow::Owned(other) = visible(text) {
            *text = other;
        }
    }
    match &mut shown {
        Event::Log { text, .. } => *text = visible_styled(text).into_owned(),
        Event::Measured { metrics, .. }
        | Event::Was { metrics, .. }
        | Event::StageFinished { metrics, .. } => {
            let named = std::mem::take(metrics).into_iter();
            metrics.extend(named.map(|(name, figure)| (visible(&name).into_owned(), figure)));
        }
        _ => {}
    }
    Cow::Owned(shown)
}

/// The texts of an event that are shown.
fn texts(event: &mut Event) -> Vec<&mut String> {
    match event {
        Event::RunStarted {
            pipeline,
            configuration,
            stages,
            params,
            ..
        } => {
            let of = configuration.profiles.iter_mut();
            let of = of.chain(&mut configuration.set).chain(stages);
            let of = of.chain(params.values_mut());
            of.chain([pipeline, &mut configuration.file]).collect()
        }
        Event::StageStarted { stage, reason, .. } | Event::StageFinished { stage, reason, .. } => {
            vec![stage, reason]
        }
        Event::Progress {
            stage, activity, ..
        } => vec![stage, activity],
        Event::Notice { stage, text } => stage.iter_mut().chain([text]).collect(),
        Event::Paste { stage, text, lines } => lines.iter_mut().chain([stage, text]).collect(),
        Event::Log { stage, .. } | Event::Used { stage, .. } | Event::Was { stage, .. } => {
            vec![stage]
        }
        Event::Measured { stage, at, .. } => vec![stage, at],
        Event::RunFinished { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(
            visible("a\u{feff}b\0c\u{1b}[2Jd\re\u{85}\u{202e}"),
            "a\\ufeffb\\u0000c\\u001b[2Jd\\u000de\\u0085\\u202e"
        );
        assert_eq!(visible("one\r\ntwo\tä漢🎉"), "one\ntwo\tä漢🎉");
        assert!(matches!(visible("plain\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn styles_stay_where_they_are_meant() {
        let text = "\u{1b}[1;31mred\u{1b}[0m\u{1b}[2J\u{1b}[31";
        assert_eq!(
            visible_styled(text),
            "\u{1b}[1;31mred\u{1b}[0m\\u001b[2J\\u001b[31"
        );
        assert!(!visible(text).contains('\u{1b}'));
        // What is not ended ends here, and what would hide the rest is no style.
        assert_eq!(visible_styled("\u{1b}[31mred"), "\u{1b}[31mred\u{1b}[0m");
        for hidden in ["8", "1;8", "38;5;1;8", "08", "38;2;1;2;3;8"] {
            let text = format!("\u{1b}[{hidden}mx");
            assert_eq!(visible_styled(&text), format!("\\u001b[{hidden}mx"));
        }
        for colour in ["38;5;8", "48;2;8;8;8", "38;5;8;1", "", "0", "7"] {
            let text = format!("\u{1b}[{colour}mx\u{1b}[m");
            assert_eq!(visible_styled(&text), text);
        }
    }

    #[test]
    fn errors_and_events_are_shown_whole() {
        let error = Error::usage("no `a\nb\u{0}`")
            .note("x\ny\u{7}")
            .help("\u{feff}");
        let shown = visible_error(&error);
        assert_eq!(shown.message(), "no `a\\nb\\u0000`");
        assert_eq!(shown.notes(), ["x\ny\\u0007"]);
        assert_eq!(shown.help_text(), Some("\\ufeff"));
        let log = |text: &str| Event::Log {
            stage: "a".into(),
            text: text.into(),
        };
        assert_eq!(
            *visible_event(&log("\u{1b}[1mb\u{7}")),
            log("\u{1b}[1mb\\u0007\u{1b}[0m")
        );
        let notice = |text: &str| Event::Notice {
            stage: Some(text.into()),
            text: text.into(),
        };
        assert_eq!(*visible_event(&notice("\u{1b}[1mb")), notice("\\u001b[1mb"));
        let measured = |name: &str| Event::Measured {
            stage: "a".into(),
            at: "b".into(),
            metrics: [(name.to_string(), 1.0)].into(),
            samples_per_second: None,
        };
        assert_eq!(*visible_event(&measured("\u{7}")), measured("\\u0007"));
    }
}
