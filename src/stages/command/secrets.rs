//! Keeps secret values out of what a command writes, wherever the system cuts it.

use std::sync::Arc;

use aho_corasick::AhoCorasick;

use crate::error::{Context, Result};

/// What stands where a secret stood.
const HIDDEN: &[u8] = b"***";

/// A part of a secret with fewer bytes gives nothing away, and may be a word, or the brace that ends a JSON file.
const SHORTEST_PART: usize = 4;

/// What must not be seen: values, and every line of those that have several.
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    /// The longest first.
    words: Arc<[Vec<u8>]>,
    finder: Arc<AhoCorasick>,
}

impl Secrets {
    /// Those in `values`. What surrounds a value, or a line of it, as white space is no secret.
    ///
    /// # Errors
    /// If they are too large to look for.
    pub(super) fn new<'v>(values: impl IntoIterator<Item = &'v str>) -> Result<Self> {
        let mut words: Vec<Vec<u8>> = Vec::new();
        for value in values {
            let value = value.trim();
            let lines = value.lines().map(str::trim);
            let lines = lines.filter(|line| line.len() >= SHORTEST_PART);
            let whole = (!value.is_empty()).then_some(value);
            words.extend(whole.into_iter().chain(lines).map(Into::into));
        }
        words.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        words.dedup();
        let finder = AhoCorasick::new(&words).or_stage(|| "cannot look for so long secrets")?;
        Ok(Self {
            words: words.into(),
            finder: Arc::new(finder),
        })
    }

    /// `text` without them.
    pub(super) fn hide(&self, text: &str) -> String {
        let (mut filter, mut shown) = (Filter::new(self.clone()), Vec::new());
        filter.pass(text.as_bytes(), &mut shown);
        filter.end(&mut shown);
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// How many bytes at the end of `bytes` may be the beginning of a secret.
    fn begun(&self, bytes: &[u8]) -> usize {
        let longest = self.words.first().map_or(0, Vec::len);
        let is_begun = |count: &usize| {
            let end = &bytes[bytes.len() - count..];
            let longer = self.words.iter().take_while(|word| word.len() > *count);
            longer.into_iter().any(|word| word.starts_with(end))
        };
        (1..longest.min(bytes.len() + 1))
            .rev()
            .find(is_begun)
            .unwrap_or(0)
    }
}

/// Hides secrets in a stream that comes in pieces. What may be the beginning of one is held back until it is known.
pub(super) struct Filter {
    secrets: Secrets,
    held: Vec<u8>,
    /// How many of the bytes held belong to a secret that is hidden already.
    hidden: usize,
}

impl Filter {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self {
            secrets,
            held: Vec::new(),
            hidden: 0,
        }
    }

    /// Appends to `shown` what may be seen of the next `bytes`, and of those held back before.
    pub(super) fn pass(&mut self, bytes: &[u8], shown: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        let known = self.held.len() - self.secrets.begun(&self.held);
        self.show(known, shown);
    }

    /// Appends the rest when no more will come. A secret that breaks off, because its writer was killed, is hidden too.
    pub(super) fn end(&mut self, shown: &mut Vec<u8>) {
        if self.held.len() < SHORTEST_PART {
            self.show(self.held.len(), shown);
        } else if self.hidden == 0 {
            shown.extend_from_slice(HIDDEN);
        }
        self.held.clear();
        self.hidden = 0;
    }

    /// Moves the first `known` of the bytes held to `shown`. Secrets that overlap are hidden as one.
    fn show(&mut self, known: usize, shown: &mut Vec<u8>) {
        let finder = &self.secrets.finder;
        let mut found: Vec<_> = finder.find_overlapping_iter(&self.held).collect();
        found.sort_by_key(aho_corasick::Match::start);
        let mut at = self.hidden;
        for secret in found.iter().take_while(|secret| secret.start() < known) {
            if secret.start() >= at {
                shown.extend_from_slice(&self.held[at..secret.start()]);
                shown.extend_from_slice(HIDDEN);
            }
            at = at.max(secret.end());
        }
        if at < known {
            shown.extend_from_slice(&self.held[at..known]);
        }
        self.hidden = at.saturating_sub(known);
        self.held.drain(..known);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\r\nMIIEvQIBADAN\r\n  Bgkq\r\n}\r\n-----END PRIVATE KEY-----\r\n";

    fn secrets(values: &[&str]) -> Secrets {
        Secrets::new(values.iter().copied()).expect("small")
    }

    /// What is seen of `text` when it comes in pieces of `size` bytes.
    fn seen(values: &[&str], text: &str, size: usize) -> String {
        let (mut filter, mut shown) = (Filter::new(secrets(values)), Vec::new());
        for piece in text.as_bytes().chunks(size) {
            filter.pass(piece, &mut shown);
        }
        filter.end(&mut shown);
        String::from_utf8(shown).expect("as it came")
    }

    #[test]
    fn no_part_of_a_secret_is_seen_however_it_is_cut() {
        let cases: [(&[&str], &str, &str); 12] = [
            (&["hunter2"], "a hunter2 b\n", "a *** b\n"),
            // One begins like another, lies in another, overlaps another or itself.
            (&["abc", "abcdef"], "abcdefg abcx", "***g ***x"),
            (&["bcd", "abcdef"], "abcdef bcd abc", "*** *** abc"),
            (&["abcd", "cdef"], "xabcdefx", "x***x"),
            (&["abab"], "ababab ab", "*** ab"),
            (&["hunter2"], "hunter2hunter2", "******"),
            (&["7"], "1975", "19***5"),
            (&["", " \n", "ä€x"], "a ä€x\n€", "a ***\n€"),
            // Every line of several, with the ends of lines of any system, or as a program writes a text's source.
            (&[KEY], KEY, "***\r\n"),
            (&[KEY], "MIIEvQIBADAN\nBgkq\n}\n", "***\n***\n}\n"),
            (&[KEY], r"'MIIEvQIBADAN\nBgkq'", r"'***\n***'"),
            // It breaks off.
            (&["hunter2"], "hunt", "***"),
        ];
        for (values, text, expected) in cases {
            for size in 1..=text.len() {
                assert_eq!(seen(values, text, size), expected, "{text} by {size}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_is_not_held_back() {
        let mut filter = Filter::new(secrets(&[KEY, "hunter2"]));
        let mut shown = Vec::new();
        filter.pass(b"epoch 1: the hunt is on\n", &mut shown);
        assert_eq!(shown, b"epoch 1: the hunt is on\n");
    }

    proptest! {
        /// What is seen does not depend on how it is cut, and nothing is lost where there is no secret.
        #[test]
        fn pieces_change_nothing(
            values in proptest::collection::vec("[ab]{1,6}", 0..4),
            text in "[abc]{0,40}",
            size in 1_usize..9,
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let whole = seen(&values, &text, 64);
            prop_assert_eq!(&seen(&values, &text, size), &whole);
            for value in &values {
                prop_assert!(!whole.contains(value));
            }
            if !values.iter().any(|value| text.contains(value)) {
                let end = whole.strip_suffix("***").unwrap_or(&whole);
                prop_assert!(text.starts_with(end));
            }
        }
    }
}
