//! Records whose whole content follows from an identity, so that what comes back can be checked byte by byte.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

const START: &str = "{\"v\":1,\"kind\":\"result\",\"id\":";

/// The record of an identity: some are small, a few are so large that their frame is cut into pieces.
pub(crate) fn payload(id: u64) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(id);
    let most = if rng.random_ratio(1, 20) { 60_000 } else { 64 << rng.random_range(0..9) };
    noisy(id, rng.random_range(0..most), &mut rng)
}

/// A record with this many characters of noise, which compresses to half of it at best.
pub(crate) fn noisy(id: u64, noise: usize, rng: &mut StdRng) -> Vec<u8> {
    let mut payload = format!("{START}{id},\"noise\":\"").into_bytes();
    let mut bytes = vec![0; noise.div_ceil(2)];
    rng.fill_bytes(&mut bytes);
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    payload.extend(digits.take(noise).map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    payload.extend_from_slice(b"\"}");
    payload
}

/// Whose record this is; none when it is not exactly what was appended.
pub(crate) fn id_of(found: &[u8]) -> Option<u64> {
    let digits = found.strip_prefix(START.as_bytes())?.split(|byte| *byte == b',').next()?;
    let id = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (payload(id) == found).then_some(id)
}

#[test]
fn a_record_is_known_by_its_content_and_only_whole() {
    for id in [0, 1, 77 << 32] {
        let mut record = payload(id);
        assert_eq!(id_of(&record), Some(id));
        let last = record.len() - 3;
        record[last] ^= 1;
        assert_eq!(id_of(&record), None);
    }
}
