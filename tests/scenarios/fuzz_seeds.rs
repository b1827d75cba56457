//! What the fuzz targets do, on their seeds: as they are, cut, and with a bit flipped. `just fuzz 60` goes on from there.

use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// In how many places each seed is cut and flipped.
const PLACES: usize = 12;

#[test]
fn every_target_reads_its_seeds() {
    for (name, target) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(name);
        let seeds = std::fs::read_dir(folder).expect(name);
        let mut read = 0;
        for seed in seeds {
            let path = seed.expect("readable").path();
            println!("{}", path.display());
            let seed = std::fs::read(&path).expect("readable");
            target(&seed);
            for place in 0..PLACES {
                let at = seed.len() * place / PLACES;
                target(&seed[..at]);
                let mut flipped = seed.clone();
                flipped[at] ^= 1 << (place % 8);
                target(&flipped);
            }
            read += 1;
        }
        assert!(read > 0, "{name} has no seeds");
    }
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| {
        let entries = std::fs::read_dir(fuzz.join(folder)).expect(folder);
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.expect("readable").path();
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    };
    let targets: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("seeds"), targets);
}
