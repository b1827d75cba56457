//! The terminal as the live region sees it: one that may be gone at any moment, which is no reason to stop.

use std::io::Result;

use console::Term;
use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};

/// How often a second the live region is drawn.
const RATE: u8 = 20;

/// A live region on standard error.
pub(super) fn live(coloured: bool) -> MultiProgress {
    // For a terminal that it does not know, indicatif looks at standard output.
    console::set_colors_enabled(coloured);
    let screen = Box::new(Screen(Term::buffered_stderr()));
    MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(screen, RATE))
}

/// Standard error. indicatif panics where something cannot be written to it: here, everything can.
#[derive(Debug)]
struct Screen(Term);

impl TermLike for Screen {
    fn width(&self) -> u16 {
        TermLike::width(&self.0)
    }

    fn height(&self) -> u16 {
        TermLike::height(&self.0)
    }

    fn move_cursor_up(&self, n: usize) -> Result<()> {
        shown(self.0.move_cursor_up(n))
    }

    fn move_cursor_down(&self, n: usize) -> Result<()> {
        shown(self.0.move_cursor_down(n))
    }

    fn move_cursor_right(&self, n: usize) -> Result<()> {
        shown(self.0.move_cursor_right(n))
    }

    fn move_cursor_left(&self, n: usize) -> Result<()> {
        shown(self.0.move_cursor_left(n))
    }

    fn write_line(&self, text: &str) -> Result<()> {
        shown(self.0.write_line(text))
    }

    fn write_str(&self, text: &str) -> Result<()> {
        shown(self.0.write_str(text))
    }

    fn clear_line(&self) -> Result<()> {
        shown(self.0.clear_line())
    }

    fn flush(&self) -> Result<()> {
        shown(self.0.flush())
    }
}

/// Whatever became of it.
#[expect(clippy::unnecessary_wraps, reason = "it is what the trait wants")]
fn shown(_: Result<()>) -> Result<()> {
    Ok(())
}
