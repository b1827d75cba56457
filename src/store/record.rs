//! What a key led to: outputs, figures, time. Written last, so that a record means that everything is there.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use jiff::Timestamp;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::digest::{Digest, Fields};
use super::disk::{OnDisk, place, read_small, replace, touch};
use super::durable::Durable;
use super::explanation::Explanation;
use super::manifest::{Entry, Manifest};
use super::{Store, lock};
use crate::error::{Error, Result};

/// The version of the JSON; a record of another version is no record.
///
/// 2: a digest of all the rest.
const VERSION: u32 = 2;

/// What a record's file begins with. 64 hexadecimal digits follow, a quote and a comma, and what they are the digest of.
const HEAD: &str = "{\"version\":2,\"digest\":\"";

/// A finished piece of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What it is filed under: the digest of everything that could change it.
    pub key: Digest,
    /// The kind of stage, or `memo`.
    pub kind: String,
    /// What the key was made of, by name, in order.
    pub explanation: Explanation,
    /// Name of each output → its artifact.
    pub outputs: BTreeMap<String, Digest>,
    /// Figures measured, by name. They may be infinite or not a number.
    #[serde(with = "figures")]
    pub metrics: BTreeMap<String, f64>,
    /// How long the work took.
    pub seconds: f64,
    /// When it was finished.
    #[serde(with = "rfc3339")]
    pub finished_at: Timestamp,
    /// The size of all outputs in bytes.
    pub bytes: u64,
}

/// An artifact of at most so many files is described in the records that name it, which spares opening its manifest.
const FEW: usize = 8;

/// What is in a record's file beside its version and its digest.
#[derive(Serialize, Deserialize)]
struct Stored<R, F> {
    record: R,
    /// The files of those outputs that have few. They prove which artifact they are: its digest is made of them.
    manifests: Vec<F>,
}

/// What every version's file begins with.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// A record that was read before it was asked for, and whether each artifact that it names was found whole.
#[derive(Debug)]
pub(super) struct Foreseen {
    record: Box<Record>,
    whole: Vec<(Digest, bool)>,
}

impl Store {
    /// What `key` led to, if that is known. A file that is not a whole record is removed and noticed.
    ///
    /// # Errors
    /// If the file is there but cannot be read.
    pub fn record(&self, key: &Digest) -> Result<Option<Box<Record>>> {
        if let Some(Foreseen { record, whole }) = lock(&self.foreseen).remove(key) {
            lock(&self.found_whole).extend(whole);
            return Ok(Some(record));
        }
        let Some((record, manifests)) = self.read_record(key)? else {
            return Ok(None);
        };
        let mut described = lock(&self.described);
        for manifest in manifests {
            described.insert(manifest.digest(), Arc::new(manifest));
        }
        Ok(Some(record))
    }

    /// The same from the record's own file, and the artifacts that it describes.
    fn read_record(&self, key: &Digest) -> Result<Option<(Box<Record>, Vec<Manifest>)>> {
        let json = match self.records.open(key).and_then(read_small) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            // A link.
            Err(error) if error.kind() == ErrorKind::InvalidData => Vec::new(),
            json => json.doing("read the record", &self.record_path(key))?,
        };
        let whole = from_json(&json, key);
        if whole.is_none() {
            let version = serde_json::from_slice::<Versioned>(&json);
            if version.is_ok_and(|of| of.version != VERSION) {
                return Ok(None);
            }
            let path = self.record_path(key);
            self.notice(format!(
                "the record `{}` was damaged and is dropped",
                path.display()
            ));
            self.discard(&path);
        }
        Ok(whole)
    }

    /// Drops a record that cannot be true, and notices what it `does`.
    pub fn distrust(&self, record: &Record, does: &str) {
        let path = self.record_path(&record.key);
        self.notice(format!(
            "the record `{}` {does} and is dropped",
            path.display()
        ));
        self.discard(&path);
    }

    /// Reads the records of `keys` on all processors at once and looks at what they name, so that each can be had and is
    /// known to be whole without waiting, once.
    pub fn look_ahead(&self, keys: Vec<Digest>) {
        // What cannot be read is read again, and told of, when it is asked for.
        let look = |key: Digest| {
            let (record, manifests) = self.read_record(&key).ok()??;
            let manifests: Vec<(Digest, Manifest)> = manifests
                .into_iter()
                .map(|manifest| (manifest.digest(), manifest))
                .collect();
            let described = |artifact: &Digest| {
                let mut manifests = manifests.iter();
                manifests.find_map(|(digest, manifest)| (digest == artifact).then_some(manifest))
            };
            let artifacts = record.outputs.values();
            let whole = artifacts
                .map(|artifact| (*artifact, self.looks_whole(artifact, described(artifact))))
                .collect();
            Some(Foreseen { record, whole })
        };
        let found: Vec<Option<Foreseen>> = keys.into_par_iter().map(look).collect();
        let mut foreseen = lock(&self.foreseen);
        for found in found.into_iter().flatten() {
            foreseen.insert(found.record.key, found);
        }
    }

    /// Those of `keys` whose records were not read ahead.
    #[must_use]
    pub fn unforeseen(&self, mut keys: Vec<Digest>) -> Vec<Digest> {
        let foreseen = lock(&self.foreseen);
        keys.retain(|key| !foreseen.contains_key(key));
        keys
    }

    /// Notes that a record was used, so that it is collected later than others. Locks do not name memos, so this is all
    /// that keeps them.
    pub(super) fn touch_record(&self, key: &Digest) {
        // In a cache that can only be read nothing is collected either.
        let _ = touch(&self.record_path(key));
    }

    /// Files `record`. Everything that it names must have been published.
    ///
    /// # Errors
    /// If the cache is not writable or the disk is full.
    pub fn put_record(&self, record: &Record) -> Result<()> {
        self.put_record_durably(record, Durable::Now)
    }

    /// The same, on the disk for good now or later.
    ///
    /// # Errors
    /// Those of [`put_record`](Self::put_record).
    pub fn put_record_durably(&self, record: &Record, durable: Durable) -> Result<()> {
        let manifests: Vec<Arc<Manifest>> = record
            .outputs
            .values()
            .filter_map(|artifact| self.manifest(artifact).ok())
            .filter(|manifest| manifest.files().len() <= FEW)
            .collect();
        let manifests = manifests.iter().map(|manifest| manifest.files()).collect();
        let json = to_json(record, manifests)?;
        let path = self.record_path(&record.key);
        let folder = path.parent().unwrap_or(&self.root);
        durable
            .make_folder(folder)
            .doing("make the folder", folder)?;
        let put = match durable {
            Durable::Now => replace,
            Durable::Later => place,
        };
        put(&path, &self.tmp()?, &json).doing("write", &path)
    }
}

/// A record as it is stored, with the files of some of its artifacts.
pub(super) fn to_json(record: &Record, manifests: Vec<&[Entry]>) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(&Stored { record, manifests })
        .map_err(|error| Error::stage("cannot write a record").because(&error))?;
    // Behind the brace that opens it.
    let rest = &json[1..];
    let digest = digest_of(rest).to_string();
    Ok([HEAD.as_bytes(), digest.as_bytes(), b"\",", rest].concat())
}

/// The record that is stored so, if it is that of `key` to the last bit, and the artifacts that it describes.
fn from_json(json: &[u8], key: &Digest) -> Option<(Box<Record>, Vec<Manifest>)> {
    let (digest, rest) = json.strip_prefix(HEAD.as_bytes())?.split_at_checked(64)?;
    let rest = rest.strip_prefix(b"\",")?;
    if digest_of(rest).to_string().as_bytes() != digest {
        return None;
    }
    let stored: Stored<Box<Record>, Vec<Entry>> = serde_json::from_slice(json).ok()?;
    let manifests = stored.manifests.into_iter().map(Manifest::described);
    let manifests = manifests.collect::<Option<Vec<Manifest>>>()?;
    (stored.record.key == *key).then_some((stored.record, manifests))
}

fn digest_of(rest: &[u8]) -> Digest {
    let mut fields = Fields::new("refire record 2");
    fields.push(rest);
    fields.digest()
}

/// JSON has no infinities and no NaN, but a metric may be one: they are written as strings.
mod figures {
    use std::collections::BTreeMap;
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    struct Figure(f64);

    impl Serialize for Figure {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0.is_finite() {
                serializer.serialize_f64(self.0)
            } else {
                serializer.collect_str(&self.0)
            }
        }
    }

    impl<'de> Deserialize<'de> for Figure {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Read;
            impl Visitor<'_> for Read {
                type Value = Figure;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a number, \"NaN\", \"inf\" or \"-inf\"")
                }

                fn visit_f64<E: Error>(self, figure: f64) -> Result<Figure, E> {
                    Ok(Figure(figure))
                }

                fn visit_str<E: Error>(self, text: &str) -> Result<Figure, E> {
                    text.parse().map(Figure).map_err(E::custom)
                }
            }
            deserializer.deserialize_any(Read)
        }
    }

    pub(super) fn serialize<S: Serializer>(
        metrics: &BTreeMap<String, f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(metrics.iter().map(|(name, figure)| (name, Figure(*figure))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, f64>, D::Error> {
        let figures = BTreeMap::<String, Figure>::deserialize(deserializer)?;
        Ok(figures
            .into_iter()
            .map(|(name, Figure(figure))| (name, figure))
            .collect())
    }
}

mod rfc3339 {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
