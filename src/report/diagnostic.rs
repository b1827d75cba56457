//! Errors as text: the message, the places in the files, the causes and what to do, drawn as cargo and rustc draw them.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::{DecorStyle, Renderer};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Snippet};

use super::visible::{visible, visible_error};
use crate::error::{Error, Label, Source};

/// How an error is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Box-drawing characters instead of ASCII.
    pub unicode: bool,
    /// ANSI styles.
    pub styled: bool,
    /// Columns; excerpts of longer lines are cut.
    pub width: usize,
}

/// The whole text of `error`, ended by a newline.
///
/// Places that lie outside their file are drawn at its end: drawing an error never fails.
#[must_use]
pub fn render(error: &Error, look: Look) -> String {
    let error = &visible_error(error);
    let mut group = Group::with_title(Level::ERROR.primary_title(error.message()));
    let mut primary = AnnotationKind::Primary;
    for (source, labels) in by_source(error.labels()) {
        let annotations = labels.iter().map(|label| {
            annotate(
                label,
                std::mem::replace(&mut primary, AnnotationKind::Context),
            )
        });
        group = group.element(
            Snippet::source(source.text.as_str())
                .path(visible(&source.name).into_owned())
                .annotations(annotations),
        );
    }
    for cause in error.causes() {
        group = group.element(Level::NOTE.with_name("caused by").message(cause.as_str()));
    }
    for note in error.notes() {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(help) = error.help_text() {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = if look.styled {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let decor = if look.unicode {
        DecorStyle::Unicode
    } else {
        DecorStyle::Ascii
    };
    let mut text = renderer
        .decor_style(decor)
        .term_width(look.width)
        .render(&[group]);
    text.push('\n');
    text
}

/// The labels of one file together, files in the order of their first label.
fn by_source(labels: &[Label]) -> Vec<(&Arc<Source>, Vec<&Label>)> {
    let mut files: Vec<(&Arc<Source>, Vec<&Label>)> = Vec::new();
    for label in labels {
        match files
            .iter_mut()
            .find(|(source, _)| *source == &label.span.source)
        {
            Some((_, of_file)) => of_file.push(label),
            None => files.push((&label.span.source, vec![label])),
        }
    }
    files
}

fn annotate(label: &Label, kind: AnnotationKind) -> Annotation<'_> {
    let range = drawable(&label.span.source.text, &label.span.range);
    let text = Some(label.text.as_str()).filter(|text| !text.is_empty());
    kind.span(range).label(text)
}

/// `range` cut to what can be drawn: inside the text, on character boundaries, and only its first line, because a
/// table or a long string is pointed to best by where it begins.
fn drawable(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start.min(text.len()));
    let end = text.ceil_char_boundary(range.end.clamp(start, text.len()));
    let first_line = text[start..end]
        .find(['\n', '\r'])
        .map_or(end, |length| start + length);
    start..first_line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Span;

    const ASCII: Look = Look {
        unicode: false,
        styled: false,
        width: 100,
    };
    const UNICODE: Look = Look {
        unicode: true,
        ..ASCII
    };

    const FILE: &str = "[stage.tune]\nkind = \"finetune\"\nmodel = \"split.train\"\n\n[stage.split]\nkind = \"split\"\ntable = \"clean\"\n";

    fn span(of: &str) -> Span {
        let source = Arc::new(Source::new("pipelines/sentiment.toml", FILE));
        let start = FILE.find(of).expect("it is in the file");
        Span::new(&source, start..start + of.len())
    }

    fn wrong_type() -> Error {
        Error::usage("stage `tune` needs a model, but `split.train` is a table")
            .at(&span("\"split.train\""), "a table")
            .at(&span("stage.split"), "it comes from here")
            .help("did you mean `frozen`, which is a model?")
    }

    #[test]
    fn places_are_drawn_in_ascii() {
        insta::assert_snapshot!(render(&wrong_type(), ASCII));
    }

    #[test]
    fn places_are_drawn_in_unicode() {
        insta::assert_snapshot!(render(&wrong_type(), UNICODE));
    }

    #[test]
    fn causes_notes_and_help_follow() {
        let error = Error::stage("cannot download `model.safetensors`")
            .at(&span("\"finetune\""), "")
            .cause("https://example.org/model.safetensors answered 404")
            .cause("not found")
            .note("the mirrors were tried in order:\n1. hf:a/b\n2. pip:c==1")
            .help("check the name of the repository");
        insta::assert_snapshot!(render(&error, ASCII));
    }

    #[test]
    fn an_error_without_a_place_is_its_message() {
        let error = Error::usage("no pipeline file here")
            .help("name one, or go to the folder of your project");
        insta::assert_snapshot!(render(&error, ASCII));
    }

    #[test]
    fn two_files_make_two_excerpts() {
        let other = Arc::new(Source::new(
            "schemas/reviews.toml",
            "[column.label]\ntype = \"int\"\n",
        ));
        let error = Error::usage("the schema does not fit")
            .at(&span("table = \"clean\""), "this table")
            .at(&Span::new(&other, 15..27), "is said to have whole numbers");
        insta::assert_snapshot!(render(&error, ASCII));
    }

    #[test]
    fn a_place_of_many_lines_is_its_first() {
        let source = Arc::new(Source::new("a.toml", FILE));
        let error = Error::usage("unused").at(&Span::new(&source, 0..FILE.len()), "this");
        let text = render(&error, ASCII);
        assert!(text.contains("^^^^^^^^^^^^ this"), "{text}");
        assert!(!text.contains("kind"), "{text}");
    }

    proptest! {
        #[test]
        fn no_place_breaks_the_drawing(text in "[aß\t\r\n漢🎉\u{85}\u{0} ]{0,12}", places in prop::collection::vec((0..40usize, 0..40usize), 0..4)) {
            let source = Arc::new(Source::new("a.toml", text));
            let error = places.into_iter().fold(Error::usage("x"), |error, (start, end)| {
                error.at(&Span { source: Arc::clone(&source), range: start..end }, "here")
            });
            for look in [ASCII, UNICODE] {
                prop_assert!(render(&error, look).starts_with("error: x"));
            }
        }
    }
}
