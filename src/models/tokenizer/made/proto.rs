//! SentencePiece's model files: what a tokenizer needs of `sentencepiece_model.proto`, read without a library for protobuf.
//!
//! A message is a row of fields, each a number with a wire type and a value; what is not known is passed over.

use crate::error::{Error, Result};

/// The part of a `ModelProto` that tokenizers are made of.
#[derive(Debug)]
pub(super) struct SentencePiece {
    /// The pieces in the order of their ids.
    pub(super) pieces: Vec<Piece>,
    /// Whether it splits by merging pairs, and not by the most likely pieces.
    pub(super) is_bpe: bool,
    /// The id of the piece for what is unknown.
    pub(super) unk_id: u64,
    /// The text of that piece.
    pub(super) unk_piece: String,
    /// What characters are replaced by, compiled; empty if none are.
    pub(super) charsmap: Vec<u8>,
}

/// A piece.
#[derive(Debug)]
pub(super) struct Piece {
    /// Its text; a space is `▁`.
    pub(super) text: String,
    /// Its logarithmic probability, or how late it was merged.
    pub(super) score: f32,
    /// What it is for.
    pub(super) kind: Kind,
}

/// What a piece is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It stands for no text: the beginning, the end, padding.
    Control,
    /// It is one piece wherever it stands, because the user said so.
    UserDefined,
    /// Anything else.
    Other,
}

impl SentencePiece {
    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// Bytes that are no such file, a kind of model without pieces that transformers has a tokenizer for.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let mut model = Self {
            pieces: Vec::new(),
            is_bpe: false,
            unk_id: 0,
            unk_piece: "<unk>".into(),
            charsmap: Vec::new(),
        };
        model.fill(bytes).map_err(|what| {
            Error::stage("it is no model of SentencePiece, or it is damaged").cause(what)
        })?;
        if model.pieces.is_empty() {
            return Err(Error::stage(
                "it is no model of SentencePiece: it has no pieces",
            ));
        }
        Ok(model)
    }

    fn fill(&mut self, bytes: &[u8]) -> Result<(), String> {
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(piece)) => self.pieces.push(Piece::read(piece)?),
                (2, Value::Bytes(trainer)) => self.read_trainer(trainer)?,
                (3, Value::Bytes(normalizer)) => {
                    for field in Fields(normalizer) {
                        if let (2, Value::Bytes(charsmap)) = field? {
                            self.charsmap = charsmap.to_vec();
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_trainer(&mut self, trainer: &[u8]) -> Result<(), String> {
        for field in Fields(trainer) {
            match field? {
                (3, Value::Number(1)) => self.is_bpe = false,
                (3, Value::Number(2)) => self.is_bpe = true,
                (3, Value::Number(_)) => {
                    return Err("it splits texts into words or characters".into());
                }
                (40, Value::Number(id)) => self.unk_id = id,
                (45, Value::Bytes(piece)) => self.unk_piece = text(piece)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Piece {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut piece = Self {
            text: String::new(),
            score: 0.0,
            kind: Kind::Other,
        };
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(bytes)) => piece.text = text(bytes)?,
                (2, Value::Float(score)) => piece.score = score,
                (3, Value::Number(3)) => piece.kind = Kind::Control,
                (3, Value::Number(4)) => piece.kind = Kind::UserDefined,
                _ => {}
            }
        }
        if !piece.score.is_finite() {
            return Err(format!(
                "the score of the piece `{}` is no number",
                piece.text
            ));
        }
        Ok(piece)
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

/// The value of a field.
enum Value<'b> {
    Number(u64),
    Float(f32),
    Bytes(&'b [u8]),
    /// Eight bytes, which nothing here is.
    Wide,
}

/// The fields of a message: their numbers and values. It ends after an error.
struct Fields<'b>(&'b [u8]);

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u64, Value<'b>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(|| "a field is cut off or of no known type".into()))
    }
}

impl<'b> Fields<'b> {
    fn field(&mut self) -> Option<(u64, Value<'b>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Wide
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Float(f32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number in groups of seven bits, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_unknown_ones_passed_over() {
        let mut piece = vec![0x0a, 3, 0xe2, 0x96, 0x81, 0x15];
        piece.extend((-1.5_f32).to_le_bytes());
        piece.extend([0x18, 4]);
        // A trainer: BPE, a wide field that nothing here is, unk_id 5.
        let trainer = [&[0x18, 2, 0x51][..], &[0; 8], &[0xc0, 0x02, 5]].concat();
        let bytes = [&[0x0a, 12][..], &piece, &[0x12, 14], &trainer].concat();
        let cut = SentencePiece::read(&bytes[..bytes.len() - 1]);
        assert!(cut.is_err());
        let model = SentencePiece::read(&bytes).expect("it is whole");
        assert!(model.is_bpe);
        assert_eq!(model.unk_id, 5);
        assert_eq!(model.unk_piece, "<unk>");
        assert_eq!(model.pieces[0].text, "▁");
        assert_eq!(model.pieces[0].kind, Kind::UserDefined);
        assert!((model.pieces[0].score + 1.5).abs() < f32::EPSILON);
    }

    #[test]
    fn whatever_the_bytes_there_is_no_panic() {
        let whole = [&[0x0a, 3, 0x0a, 1, b'a'][..], &[0x1a, 4, 0x12, 2, 7, 7]].concat();
        assert!(SentencePiece::read(&whole).is_ok());
        for length in 0..whole.len() {
            let cut = SentencePiece::read(&whole[..length]);
            assert!(length == 5 || cut.is_err(), "{length}");
        }
        for place in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] = value;
                let _ = SentencePiece::read(&bytes).map(drop);
            }
        }
        assert!(SentencePiece::read(&[0xff; 40]).is_err());
    }
}
