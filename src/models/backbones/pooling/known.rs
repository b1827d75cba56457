//! Sentence encoders that are known by the bytes of their weights.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Context, Result};
use crate::models::Pooling;

/// Weights of a sentence encoder that are known by their bytes.
pub(super) struct Known {
    pub(super) name: &'static str,
    bytes: u64,
    sha256: &'static str,
    pub(super) pooling: Pooling,
}

/// Those that come without their other files often enough.
pub(super) const KNOWN: &[Known] = &[Known {
    name: "all-MiniLM-L6-v2",
    bytes: 90_868_376,
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    pooling: Pooling::Mean,
}];

impl Known {
    /// Which of `all` the weights in `file` are. It is read only if it has the length of one of them.
    pub(super) fn find<'a>(all: &'a [Self], file: &Path) -> Result<Option<&'a Self>> {
        let cannot = || format!("cannot read `{}`", file.display());
        let bytes = std::fs::metadata(file).or_stage(cannot)?.len();
        let Some(known) = all.iter().find(|known| known.bytes == bytes) else {
            return Ok(None);
        };
        let mut opened = std::fs::File::open(file).or_stage(cannot)?;
        let mut hasher = Sha256::new();
        let mut piece = vec![0; 1 << 20];
        loop {
            match opened.read(&mut piece).or_stage(cannot)? {
                0 => break,
                read => hasher.update(&piece[..read]),
            }
        }
        let mut digits = String::new();
        for byte in hasher.finalize() {
            let _ = write!(digits, "{byte:02x}");
        }
        Ok((digits == known.sha256).then_some(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_known_by_their_bytes() {
        let known = [Known {
            name: "three letters",
            bytes: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            pooling: Pooling::Mean,
        }];
        let folder = tempfile::tempdir().expect("a temporary folder");
        let find = |bytes: &[u8]| {
            let file = folder.path().join("weights");
            crate::models::weights::write_new(&file, bytes).expect("written");
            let found = Known::find(&known, &file).expect("readable");
            found.map(|known| known.name)
        };
        assert_eq!(find(b"abc"), Some("three letters"));
        assert_eq!(find(b"xyz"), None);
        assert_eq!(find(b"abcd"), None);
    }
}
