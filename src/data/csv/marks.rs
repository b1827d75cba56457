//! Where the fields and rows of delimited text end, byte by byte (RFC 4180).

/// What divides delimited text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Marks {
    /// Between two fields.
    pub(in crate::data) separator: u8,
    /// Around a field that holds separators, quotes or line feeds; none if quotes are characters like any other.
    pub(in crate::data) quote: Option<u8>,
}

/// Where in a row a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum State {
    /// At the beginning of a field.
    Begin,
    /// In a field without quotes.
    Plain,
    /// In a field with quotes.
    Quoted,
    /// Behind a quote in such a field: its end, or the first of two.
    Quote,
    /// Behind that and a carriage return.
    Return,
}

/// What a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Byte {
    /// Part of a field.
    Inside,
    /// The end of a field, after which another one begins.
    Separator,
    /// The end of a row.
    Feed,
    /// A quote inside a field without quotes, or something between a closing quote and the end of its field.
    Stray,
}

impl Marks {
    /// What `byte` is for a reader in `state`, and where the reader is behind it.
    pub(in crate::data) fn read(self, state: State, byte: u8) -> (State, Byte) {
        let is_quote = Some(byte) == self.quote;
        match state {
            State::Begin | State::Quote if is_quote => (State::Quoted, Byte::Inside),
            State::Quoted if is_quote => (State::Quote, Byte::Inside),
            State::Quoted => (State::Quoted, Byte::Inside),
            _ if byte == b'\n' => (State::Begin, Byte::Feed),
            State::Return => (State::Plain, Byte::Stray),
            _ if byte == self.separator => (State::Begin, Byte::Separator),
            State::Quote if byte == b'\r' => (State::Return, Byte::Inside),
            State::Quote => (State::Plain, Byte::Stray),
            _ if is_quote => (State::Plain, Byte::Stray),
            _ => (State::Plain, Byte::Inside),
        }
    }
}
