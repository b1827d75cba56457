//! Seeds for the parts of a training, each from the stage's seed, a role and a position: no generator carries state from one step
//! to the next, so resuming needs none.

/// The seed of `role` at `position`.
#[must_use]
pub fn derive(seed: u64, role: &str, position: &[u64]) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("refire training seeds, version 1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&(role.len() as u64).to_le_bytes());
    hasher.update(role.as_bytes());
    for number in position {
        hasher.update(&number.to_le_bytes());
    }
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::derive;

    #[test]
    fn each_part_has_a_seed_of_its_own() {
        let seeds = [
            derive(1, "step", &[0, 1]),
            derive(1, "step", &[1, 0]),
            derive(1, "order", &[0, 1]),
            derive(2, "step", &[0, 1]),
        ];
        for (index, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..index].contains(seed));
        }
        assert_eq!(derive(1, "step", &[0, 1]), seeds[0]);
    }
}
