//! Which samples are kept together, so that what is kept depends on nothing but its key.

/// The most samples in a bucket.
const BUCKET: usize = 1024;

/// The digest of a sample's content.
pub(super) type Digest = [u8; 32];

/// Distinct samples, sorted by their digests: each with its place among all samples.
pub(super) type Distinct = [(Digest, usize)];

/// Splits samples that are sorted by digest into buckets, by the leading bits of the digest.
pub(super) fn buckets(samples: &Distinct) -> Vec<&Distinct> {
    fn split<'a>(samples: &'a Distinct, bit: usize, into: &mut Vec<&'a Distinct>) {
        if samples.len() <= BUCKET {
            into.extend((!samples.is_empty()).then_some(samples));
            return;
        }
        let middle =
            samples.partition_point(|(digest, _)| digest[bit / 8] & (0x80 >> (bit % 8)) == 0);
        split(&samples[..middle], bit + 1, into);
        split(&samples[middle..], bit + 1, into);
    }
    let mut all = Vec::new();
    split(samples, 0, &mut all);
    all
}

/// The digest of the contents of a bucket.
pub(super) fn digest_of_all(bucket: &Distinct) -> String {
    let mut hasher = blake3::Hasher::new();
    for (digest, _) in bucket {
        hasher.update(digest);
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_more_makes_one_bucket_stale() {
        let digests = (0..5000_u32)
            .map(|sample| *blake3::hash(&sample.to_le_bytes()).as_bytes())
            .collect::<Vec<Digest>>();
        let split = |digests: &[Digest]| {
            let mut samples = digests.iter().copied().zip(0..).collect::<Vec<_>>();
            samples.sort_unstable();
            let buckets = buckets(&samples);
            assert!(buckets.iter().all(|bucket| bucket.len() <= BUCKET));
            assert_eq!(buckets.concat(), samples);
            buckets.into_iter().map(digest_of_all).collect::<Vec<_>>()
        };
        let (before, after) = (split(&digests[..4999]), split(&digests));
        let kept = after
            .iter()
            .filter(|bucket| before.contains(bucket))
            .count();
        assert!(
            before.len() >= 5 && kept + 1 >= before.len(),
            "{kept} of {}",
            before.len()
        );
    }
}
