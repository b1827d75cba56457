//! What a command writes, line by line, without waiting for ever and without what is secret in it.

use std::io::PipeReader;
use std::time::{Duration, Instant};

use super::secrets::{Filter, Secrets};

/// What came in some time.
pub(super) enum Heard {
    /// A line, without its end.
    Line(String),
    /// Nothing.
    Nothing,
    /// The end: nobody can write any more, or is listened to.
    End,
}

/// The reading end of a command's output.
pub(super) use system::Lines;

/// A line that is longer is passed on in pieces, so that no output fills the memory.
const LONGEST: usize = 64 << 10;

/// What was read and not yet given.
struct Text {
    filter: Filter,
    bytes: Vec<u8>,
    /// How many of the bytes were given.
    given: usize,
}

impl Text {
    fn new(secrets: Secrets) -> Self {
        Self {
            filter: Filter::new(secrets),
            bytes: Vec::new(),
            given: 0,
        }
    }

    fn add(&mut self, read: &[u8]) {
        self.bytes.drain(..self.given);
        self.given = 0;
        self.filter.pass(read, &mut self.bytes);
    }

    /// The first line, or as much of it as is passed on at once.
    fn line(&mut self) -> Option<String> {
        let bytes = &self.bytes[self.given..];
        let end = bytes.iter().take(LONGEST).position(|byte| *byte == b'\n');
        let end = match end {
            Some(end) => end + 1,
            None if bytes.len() >= LONGEST => whole_characters(&bytes[..LONGEST]),
            None => return None,
        };
        let line = text(&bytes[..end]);
        self.given += end;
        Some(line)
    }

    /// Takes what was held back, since no more will come.
    fn end(&mut self) {
        self.filter.end(&mut self.bytes);
    }

    /// What stands behind the last line.
    fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.bytes).split_off(self.given);
        self.given = 0;
        (!rest.is_empty()).then(|| text(&rest))
    }
}

/// Where to cut `bytes` so that no character is cut, if they are text.
fn whole_characters(bytes: &[u8]) -> usize {
    let is_start = |byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
    let last = bytes.iter().rev().take(4).position(is_start);
    let last = last.map_or(0, |from_end| from_end + 1);
    match std::str::from_utf8(&bytes[bytes.len() - last..]) {
        Err(error) if error.error_len().is_none() => bytes.len() - last,
        _ => bytes.len(),
    }
}

/// A line without its end; what is not UTF-8 is replaced.
fn text(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    line.trim_end_matches(['\n', '\r']).to_string()
}

#[cfg(unix)]
mod system {
    use std::io::Read;
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::{Duration, Heard, Instant, PipeReader, Secrets, Text};
    use crate::error::Result;

    /// Waits with the system, so that a short command costs no thread.
    pub(in super::super) struct Lines {
        pipe: PipeReader,
        text: Text,
        ended: bool,
    }

    impl Lines {
        /// # Errors
        /// None: only on systems where a thread has to read.
        #[expect(clippy::unnecessary_wraps, reason = "other systems may refuse")]
        pub(in super::super) fn new(pipe: PipeReader, secrets: Secrets) -> Result<Self> {
            Ok(Self {
                pipe,
                text: Text::new(secrets),
                ended: false,
            })
        }

        /// The next line, if it comes before `deadline`.
        pub(in super::super) fn next(&mut self, deadline: Instant) -> Heard {
            loop {
                if let Some(line) = self.text.line() {
                    return Heard::Line(line);
                }
                if self.ended {
                    return self.text.rest().map_or(Heard::End, Heard::Line);
                }
                let left = deadline.saturating_duration_since(Instant::now());
                if !self.is_readable(left) {
                    return Heard::Nothing;
                }
                self.read(usize::MAX);
                if left.is_zero() && !self.ended {
                    return self.text.line().map_or(Heard::Nothing, Heard::Line);
                }
            }
        }

        /// Takes what lies in the pipe. What comes later, from a process that could not be ended, is not waited for.
        pub(in super::super) fn finish(&mut self) {
            let mut left = rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0);
            while left > 0 && !self.ended {
                let read = self.read(usize::try_from(left).unwrap_or(usize::MAX));
                left = left.saturating_sub(read as u64);
            }
            self.end();
        }

        fn is_readable(&self, patience: Duration) -> bool {
            let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
            let mut pipes = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
            matches!(poll(&mut pipes, timeout), Ok(1..))
        }

        /// Reads at most `most` bytes, and says how many there were.
        fn read(&mut self, most: usize) -> usize {
            let mut read = [0; 8192];
            let most = most.min(read.len());
            match self.pipe.read(&mut read[..most]) {
                Ok(0) | Err(_) => {
                    self.end();
                    0
                }
                Ok(count) => {
                    self.text.add(&read[..count]);
                    count
                }
            }
        }

        fn end(&mut self) {
            if !self.ended {
                self.ended = true;
                self.text.end();
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io::Read;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

    use super::{Duration, Heard, Instant, PipeReader, Secrets, Text};
    use crate::error::Result;
    use crate::threads;

    /// How long after the end of a command its next line may come, and all of them.
    const LAST_WORDS: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(2)];

    /// A thread reads, because a pipe cannot be waited for.
    pub(in super::super) struct Lines {
        lines: Receiver<String>,
        /// When nobody is listened to any more.
        end: Option<Instant>,
    }

    impl Lines {
        /// # Errors
        /// If the system refuses the thread.
        pub(in super::super) fn new(mut pipe: PipeReader, secrets: Secrets) -> Result<Self> {
            let (sender, lines) = channel();
            threads::start("output", move || {
                let (mut text, mut read) = (Text::new(secrets), [0; 8192]);
                while let Ok(count @ 1..) = pipe.read(&mut read) {
                    text.add(&read[..count]);
                    while let Some(line) = text.line() {
                        if sender.send(line).is_err() {
                            return;
                        }
                    }
                }
                text.end();
                while let Some(line) = text.line().or_else(|| text.rest()) {
                    let _ = sender.send(line);
                }
            })?;
            Ok(Self { lines, end: None })
        }

        /// The next line, if it comes before `deadline`.
        pub(in super::super) fn next(&mut self, deadline: Instant) -> Heard {
            let now = Instant::now();
            let deadline = match self.end {
                Some(end) if now >= end => return Heard::End,
                Some(end) => end.min(now + LAST_WORDS[0]),
                None => deadline,
            };
            let left = deadline.saturating_duration_since(now);
            match self.lines.recv_timeout(left) {
                Ok(line) => Heard::Line(line),
                Err(RecvTimeoutError::Timeout) if self.end.is_none() => Heard::Nothing,
                Err(_) => Heard::End,
            }
        }

        /// Listens only to what was written already.
        pub(in super::super) fn finish(&mut self) {
            self.end = Some(Instant::now() + LAST_WORDS[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_characters_and_hides_what_lies_across_the_cut() {
        let secrets = Secrets::new(["hunter2"]).expect("small");
        for before in (LONGEST - 12)..LONGEST {
            let mut text = Text::new(secrets.clone());
            for piece in format!("{}€hunter2€\nend", "-".repeat(before))
                .as_bytes()
                .chunks(1000)
            {
                text.add(piece);
            }
            text.end();
            let mut seen = Vec::new();
            while let Some(line) = text.line().or_else(|| text.rest()) {
                assert!(line.len() <= LONGEST);
                seen.push(line);
            }
            assert_eq!(seen.pop().as_deref(), Some("end"));
            assert_eq!(seen.concat(), format!("{}€***€", "-".repeat(before)));
        }
    }
}
