//! Files of TensorBoard: records with checksums (TensorFlow's `TFRecord`, `tensorflow/core/lib/io/record_writer.cc`), each an `Event`
//! (`tensorboard/compat/proto/event.proto`). The few messages that are needed are written field by field; a crate for Protocol Buffers would
//! bring a compiler of its own for six of them.

/// A message of Protocol Buffers as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// How fields of a message are written.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

impl Message {
    fn varint(&mut self, mut number: u64) {
        loop {
            let [seven, ..] = (number & 0x7f).to_le_bytes();
            number >>= 7;
            if number == 0 {
                return self.0.push(seven);
            }
            self.0.push(seven | 0x80);
        }
    }

    fn tag(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    pub(super) fn integer(mut self, field: u64, number: u64) -> Self {
        self.tag(field, VARINT);
        self.varint(number);
        self
    }

    pub(super) fn double(mut self, field: u64, number: f64) -> Self {
        self.tag(field, FIXED_64);
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(super) fn float(mut self, field: u64, number: f32) -> Self {
        self.tag(field, FIXED_32);
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.tag(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    pub(super) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub(super) fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.0
    }
}

/// Adds a record to the bytes of a file.
pub(super) fn add(file: &mut Vec<u8>, record: &Message) {
    let length = (record.0.len() as u64).to_le_bytes();
    for part in [&length[..], &record.0] {
        file.extend(part);
        file.extend(masked(part).to_le_bytes());
    }
}

/// The checksum of a part of a record: CRC-32C, turned so that a checksum of data that hold checksums says something.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: the files are small.
fn crc32c(bytes: &[u8]) -> u32 {
    let byte = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let carry = if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            crc >> 1 ^ carry
        })
    };
    !bytes.iter().fold(u32::MAX, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn messages_are_written_field_by_field() {
        let inner = Message::default().integer(1, 150);
        let message = Message::default().message(3, &inner).text(2, "testing");
        let expected = b"\x1a\x03\x08\x96\x01\x12\x07testing";
        assert_eq!(message.encoded(), expected);
    }
}
