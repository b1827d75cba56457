//! What a command writes, line by line, without waiting for ever.

use std::io::PipeReader;
use std::time::Instant;

/// What came in some time.
pub(super) enum Heard {
    /// A line, without its end.
    Line(String),
    /// Nothing.
    Nothing,
    /// The end: nobody can write any more.
    End,
}

/// The reading end of a command's output.
pub(super) use system::Lines;

/// A line that is longer is passed on in pieces, so that no output fills the memory.
const LONGEST: usize = 64 << 10;

/// Cuts the first line off `bytes`; what is not UTF-8 is replaced.
fn cut_line(bytes: &mut Vec<u8>) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let end = end.or_else(|| {
        bytes
            .len()
            .checked_sub(1)
            .filter(|_| bytes.len() >= LONGEST)
    })?;
    let line: Vec<u8> = bytes.drain(..=end).collect();
    Some(text(&line))
}

fn text(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    line.trim_end_matches(['\n', '\r']).to_string()
}

#[cfg(unix)]
mod system {
    use std::io::Read;
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::{Heard, Instant, PipeReader, cut_line, text};

    /// Waits with the system, so that a short command costs no thread.
    pub(in super::super) struct Lines {
        pipe: PipeReader,
        /// What was read and not yet given.
        bytes: Vec<u8>,
        ended: bool,
    }

    impl Lines {
        pub(in super::super) fn new(pipe: PipeReader) -> Self {
            Self {
                pipe,
                bytes: Vec::new(),
                ended: false,
            }
        }

        /// The next line, if it comes before `deadline`.
        pub(in super::super) fn next(&mut self, deadline: Instant) -> Heard {
            loop {
                if let Some(line) = cut_line(&mut self.bytes) {
                    return Heard::Line(line);
                }
                if self.ended {
                    return self.rest().map_or(Heard::End, Heard::Line);
                }
                let left = deadline.saturating_duration_since(Instant::now());
                let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
                let mut pipes = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
                if !matches!(poll(&mut pipes, timeout), Ok(1..)) {
                    return Heard::Nothing;
                }
                let mut read = [0; 8192];
                match self.pipe.read(&mut read) {
                    Ok(0) | Err(_) => self.ended = true,
                    Ok(count) => self.bytes.extend_from_slice(&read[..count]),
                }
                if left.is_zero() && !self.ended && !self.bytes.contains(&b'\n') {
                    return Heard::Nothing;
                }
            }
        }

        /// What came after the last line.
        pub(in super::super) fn rest(&mut self) -> Option<String> {
            let rest = std::mem::take(&mut self.bytes);
            (!rest.is_empty()).then(|| text(&rest))
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io::Read;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

    use super::{Heard, Instant, PipeReader, cut_line, text};

    /// A thread reads, because a pipe cannot be waited for.
    pub(in super::super) struct Lines(Receiver<String>);

    impl Lines {
        pub(in super::super) fn new(mut pipe: PipeReader) -> Self {
            let (sender, lines) = channel();
            std::thread::spawn(move || {
                let (mut bytes, mut read) = (Vec::new(), [0; 8192]);
                while let Ok(count @ 1..) = pipe.read(&mut read) {
                    bytes.extend_from_slice(&read[..count]);
                    while let Some(line) = cut_line(&mut bytes) {
                        if sender.send(line).is_err() {
                            return;
                        }
                    }
                }
                if !bytes.is_empty() {
                    let _ = sender.send(text(&bytes));
                }
            });
            Self(lines)
        }

        /// The next line, if it comes before `deadline`.
        pub(in super::super) fn next(&mut self, deadline: Instant) -> Heard {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.0.recv_timeout(left) {
                Ok(line) => Heard::Line(line),
                Err(RecvTimeoutError::Timeout) => Heard::Nothing,
                Err(RecvTimeoutError::Disconnected) => Heard::End,
            }
        }

        /// What came after the last line: nothing, because the thread gives it as a line at the end.
        pub(in super::super) fn rest(&mut self) -> Option<String> {
            None
        }
    }
}
