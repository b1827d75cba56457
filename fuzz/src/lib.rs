//! What each fuzz target does with bytes from outside: it reads them as refire does, and panics if they are read in two ways,
//! come back as others, or lead out of their folder. An error is a good answer; it is drawn as for a user.
//!
//! `tests/scenarios/fuzz_seeds.rs` runs the same on `seeds/TARGET/*`, and on inputs that once failed.

#![allow(
    unreachable_pub,
    reason = "it is a library for the targets, a module for the test of the seeds"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use refire::config::{self, Overrides};
use refire::data::csv::{self, Dialect, Loaded};
use refire::data::scan::Scan;
use refire::data::sql::Query;
use refire::data::{Format, Table, ndjson};
use refire::error::{Error, Result, Source, Span};
use refire::event::Observer;
use refire::lock::Lock;
use refire::models::{Network, labels};
use refire::plan::Plan;
use refire::report::diagnostic::{Look, render};
use refire::sources::{self, Environment, Transfer};
use refire::store::{Digest, Entry, Manifest, Store};
use serde_json::Value;

/// What a target does with its bytes.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("archive", archive),
    ("delimited", delimited),
    ("lock", lock),
    ("manifest", manifest),
    ("model", model),
    ("ndjson", lines),
    ("pipeline", pipeline),
    ("record", record),
    ("sql", sql),
];

/// Draws the error as it would be shown.
fn shown<T>(result: Result<T>) -> Option<T> {
    let draw = |error: Error| {
        let look = Look {
            unicode: true,
            styled: true,
            width: 80,
        };
        assert!(render(&error, look).starts_with(['\u{1b}', 'e']));
    };
    result.map_err(draw).ok()
}

/// A pipeline file, up to its graph.
pub fn pipeline(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let source = Arc::new(Source::new("pipelines/p.toml", text));
    let pipeline = shown(config::parse(&source, &Overrides::default()));
    shown(pipeline.map_or(Ok(()), |pipeline| Plan::new(&pipeline).map(drop)));
}

/// A query over two tables.
pub fn sql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let source = Arc::new(Source::new("query.sql", text));
    let locate = |range| Span::new(&source, range);
    shown(Query::parse(text, &["reviews", "labels"], &locate));
}

/// The columns of a table by name, all as text but for lists, which are not looked into.
type Columns = Vec<(String, Vec<Option<String>>)>;

fn columns(table: &Table) -> Columns {
    let columns = table.columns().into_iter();
    let values = |name: &str| {
        table
            .as_text(name)
            .unwrap_or_else(|_| vec![None; table.rows()])
    };
    columns
        .map(|name| (name.to_owned(), values(name)))
        .collect()
}

/// All rows of a file that is read in pieces of so many bytes.
fn in_pieces(scan: Result<Scan>) -> Result<Columns> {
    let scan = scan?;
    let mut all: Columns = Vec::new();
    let mut rows = 0;
    for table in scan.tables()? {
        let table = table?;
        rows += table.rows();
        let piece = columns(&table);
        if all.is_empty() {
            all = piece;
            continue;
        }
        assert_eq!(all.len(), piece.len(), "every piece has all columns");
        for (column, (name, values)) in all.iter_mut().zip(piece) {
            assert_eq!(column.0, name);
            column.1.extend(values);
        }
    }
    assert_eq!(rows, scan.rows(), "as many rows as were counted");
    Ok(all)
}

/// Reads a file at once and in pieces of any size: the same rows, or always an error. Which one it is may depend on how much
/// of the file is seen.
fn compare(whole: Result<Loaded>, scan: &dyn Fn(usize) -> Result<Scan>, size: usize) {
    let read = |size: usize| shown(in_pieces(scan(size)));
    let (large, small) = (read(1 << 18), read(size));
    assert_eq!(large, small, "in pieces of {size} bytes");
    let whole = shown(whole.map(|loaded| columns(&loaded.table)));
    match (whole, large) {
        (Some(whole), Some(pieces)) => assert_eq!(whole, pieces, "at once"),
        (None, Some(_)) => panic!("it is refused at once, but not in pieces"),
        _ => {}
    }
}

/// The size of pieces, some settings, and the rest.
fn headed(bytes: &[u8]) -> Option<(usize, u8, &[u8])> {
    let (size, rest) = bytes.split_first()?;
    let (settings, rest) = rest.split_first()?;
    Some((usize::from(*size) + 1, *settings, rest))
}

/// A delimited file behind two bytes: the size of pieces, and how it is written.
pub fn delimited(bytes: &[u8]) {
    let Some((size, settings, content)) = headed(bytes) else {
        return;
    };
    let settings = usize::from(settings);
    let mut dialect = Dialect::of(Format::Csv).expect("it is delimited");
    dialect.separator = [b',', b'\t', b';', b'|'][settings % 4];
    dialect.quote = [Some(b'"'), None, Some(b'\'')][settings / 4 % 3];
    let folder = Folder::new();
    let path = folder.write("t.csv", content);
    let whole = csv::read("t.csv", content, &dialect, &BTreeMap::new());
    let scan = |size| Scan::delimited_in(&path, dialect.clone(), size);
    compare(whole, &scan, size);
}

/// A file of JSON objects behind two bytes: the size of pieces, and one that says nothing.
pub fn lines(bytes: &[u8]) {
    let Some((size, _, content)) = headed(bytes) else {
        return;
    };
    let folder = Folder::new();
    let path = folder.write("t.ndjson", content);
    let whole = ndjson::read("t.ndjson", content, &BTreeMap::new());
    // A table refuses numbers that a float would change; in pieces they are text, which `predict` passes on as it is written.
    let changes = |error: &Error| error.message().contains("is exactly that");
    if whole.as_ref().is_err_and(changes) {
        return;
    }
    compare(whole, &|size| Scan::ndjson_in(&path, size), size);
}

/// A lock: read line by line it is what TOML makes of it, and written it comes back.
pub fn lock(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let path = Path::new("p.lock");
    let parse = |text: &str| Lock::parse(&Arc::new(Source::new("p.lock", text)), path);
    // No lock that refire writes begins with an empty line. A mark is one in front of everything alone.
    if text.starts_with('\u{feff}') {
        return;
    }
    let in_general = shown(parse(&format!("\n{text}")));
    let lock = shown(parse(text));
    assert_eq!(lock, in_general, "line by line and in general");
    let Some(lock) = lock else { return };
    let folder = Folder::new();
    let path = folder.path("p.lock");
    lock.write(&path).expect("it can be written");
    assert_eq!(Lock::read(&path).expect("it can be read"), Some(lock));
}

/// A store whose files are the target's own, in a folder of nothing else.
struct Cache {
    folder: Folder,
    store: Store,
}

impl Cache {
    fn new() -> Self {
        let folder = Folder::new();
        let store = Store::open(&folder.path("cache")).expect("a cache");
        Self { folder, store }
    }

    /// Files `bytes` as that of `digest`.
    fn put(&self, board: &str, digest: &Digest, bytes: &[u8]) {
        let digest = digest.to_string();
        let path = format!("cache/{board}/{}/{}.json", &digest[..2], &digest[2..]);
        self.folder.write(&path, bytes);
    }
}

/// What is in a record behind its digest; with `{` at its beginning all of a record.
pub fn record(bytes: &[u8]) {
    let whole = bytes.starts_with(b"{");
    let json = if whole { bytes.to_vec() } else { sealed(bytes) };
    let key = serde_json::from_slice::<Value>(&json).ok();
    let key = key.and_then(|json| json["record"]["key"].as_str()?.parse().ok());
    let key = key.unwrap_or(Digest::of(b""));
    let cache = Cache::new();
    cache.put("records", &key, &json);
    let Some(record) = shown(cache.store.record(&key)).flatten() else {
        return;
    };
    assert_eq!(record.key, key);
    for artifact in record.outputs.values() {
        cache.store.is_whole(artifact);
        let out = cache.folder.path("out");
        assert!(cache.store.materialise(artifact, &out).is_err() || is_inside(&cache.folder));
        let _ = std::fs::remove_dir_all(out);
    }
    cache.store.put_record(&record).expect("it can be written");
    let again = Store::open(cache.store.root()).expect("a cache");
    let again = again.record(&key).expect("it can be read").expect("there");
    assert_same(&record, &again);
}

/// As equal as numbers that are none can be.
fn assert_same(a: &impl Debug, b: &impl Debug) {
    assert_eq!(
        format!("{a:?}"),
        format!("{b:?}"),
        "it comes back as it was"
    );
}

/// A record's text with the digest that fits it.
fn sealed(rest: &[u8]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    for field in [b"refire record 2", rest] {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    let head = format!(
        "{{\"version\":2,\"digest\":\"{}\",",
        hasher.finalize().to_hex()
    );
    [head.as_bytes(), rest].concat()
}

/// A manifest, filed as the artifact that it describes.
pub fn manifest(bytes: &[u8]) {
    let json = serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let files = serde_json::from_value::<Vec<Entry>>(json["files"].clone());
    let manifest = files.ok().and_then(|files| shown(Manifest::new(files)));
    let digest = manifest.map_or(Digest::of(b""), |manifest| manifest.digest());
    let cache = Cache::new();
    let two = cache.folder.path("two");
    cache.folder.write("two/empty", b"");
    cache.folder.write("two/a", b"a");
    cache.store.publish(&two).expect("published");
    std::fs::remove_dir_all(two).expect("removed");
    cache.put("artifacts", &digest, bytes);
    let out = cache.folder.path("out");
    if cache.store.materialise(&digest, &out).is_ok() {
        let manifest = cache.store.manifest(&digest).expect("it is whole");
        let named: BTreeSet<_> = manifest.files().iter().map(|f| f.path.clone()).collect();
        assert_eq!(files_below(&out), named);
    }
    assert!(is_inside(&cache.folder));
}

/// Whether there is nothing but the cache and what was taken out of it.
fn is_inside(folder: &Folder) -> bool {
    let names = std::fs::read_dir(folder.path("")).expect("a folder");
    let mut names = names.map(|entry| entry.expect("readable").file_name());
    names.all(|name| name == "cache" || name == "out")
}

fn files_below(folder: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(folder).expect("below");
                files.insert(path.to_str().expect("UTF-8").to_owned());
            }
        }
    }
    files
}

struct Nobody;

impl Observer for Nobody {
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}

    fn notice(&self, _: String) {}

    fn check_cancelled(&self) -> Result<()> {
        Ok(())
    }
}

/// An archive behind one byte, which says of which format.
pub fn archive(bytes: &[u8]) {
    let Some((format, content)) = bytes.split_first() else {
        return;
    };
    let name = ["a.zip", "a.tar", "a.tar.gz"][usize::from(*format) % 3];
    let folder = Folder::new();
    let path = folder.write(name, content);
    std::fs::create_dir(folder.path("out")).expect("a folder");
    let transfer = Transfer::new(
        &folder.path("downloads"),
        &folder.path("scratch"),
        true,
        Environment::of_process(),
        &Nobody,
    );
    let source = sources::parse(path.to_str().expect("UTF-8"), None).expect("a path");
    shown(source.fetch_folder(&transfer, &folder.path("out"), None));
    let names = std::fs::read_dir(folder.path("")).expect("a folder");
    let mut names = names.map(|entry| entry.expect("readable").file_name());
    assert!(names.all(|found| found == name || found == "out"));
    for entry in walk(&folder.path("out")) {
        let metadata = entry.symlink_metadata().expect("it is there");
        assert!(metadata.is_file() || metadata.is_dir(), "no link");
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

/// `config.json`, an empty line, and the header of `model.safetensors`, whose tensors hold zeros.
pub fn model(bytes: &[u8]) {
    let mark = b"\n\n";
    let at = bytes.windows(mark.len()).position(|two| two == mark);
    let Some(at) = at else { return };
    let (config, header) = (&bytes[..at], &bytes[at + mark.len()..]);
    let folder = Folder::new();
    folder.write("config.json", config);
    let size = header.len() as u64;
    let mut file = [&size.to_le_bytes(), header].concat();
    let end = serde_json::from_slice::<Value>(header).ok();
    let end = end.and_then(|header| {
        let tensors = header.as_object()?.values();
        tensors
            .filter_map(|tensor| tensor["data_offsets"][1].as_u64())
            .max()
    });
    // What is larger lacks its end.
    let end = usize::try_from(end.unwrap_or(0)).unwrap_or(0).min(1 << 20);
    file.resize(file.len() + end, 0);
    folder.write("model.safetensors", &file);
    let path = folder.path("");
    shown(labels(&path));
    if let Some(loaded) = shown(Network::outline(&path)) {
        let _ = (loaded.network.anatomy(), loaded.network.parameters());
    }
}

/// A folder that goes with what is in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a file that nobody else reads needs no atomicity"
    )]
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        let folder = path.parent().expect("it is in a folder");
        std::fs::create_dir_all(folder).expect("a folder can be made");
        std::fs::write(&path, bytes).expect("a file can be written");
        path
    }
}
