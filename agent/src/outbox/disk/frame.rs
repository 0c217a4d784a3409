//! Records on disk: a frame holds up to 64 consecutive records of one epoch.
//!
//! ```text
//!  0  version  u8 = 1
//!  1  count    u8        records in the frame, 1..=64
//!  2  epoch    16 bytes
//! 18  first    u64       sequence number of the first record
//! 26  at       i64       when the frame was appended, microseconds since 1970
//! 34  ordinal  u64       results are in the outbox up to this one, this frame included (see journal.rs)
//! 42  length   u32       of the body before compression
//! 46  stored   u32       length of the body as stored
//! 50  crc32c   u32       of everything before it and of the body as stored
//! 54  body               zstd of, for each record: length u32, payload
//! ```
//! All integers are little-endian. The position of the first record is the frame's key, not in here.

use std::cell::RefCell;

use jiff::Timestamp;
use uuid::Uuid;
use zstd::bulk::{Compressor, Decompressor};

/// Longest payload.
pub(in crate::outbox) const PAYLOAD: usize = 120 * 1024;

/// Most records in a frame.
pub(in crate::outbox) const RECORDS: usize = 64;
/// A frame is closed when its body has reached this size before compression.
pub(in crate::outbox) const BODY: usize = 30 * 1024;

const VERSION: u8 = 1;
const HEADER: usize = 54;
/// Level 1: the outbox is bound by fsync and by bytes, and this one costs the least of both.
const LEVEL: i32 = 1;

thread_local! {
    // One thread writes and one reads. What zstd needs is larger than most frames, so it is made once.
    static COMPRESSOR: RefCell<Compressor<'static>> =
        RefCell::new(Compressor::new(LEVEL).expect("memory for a compressor"));
    static DECOMPRESSOR: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::new().expect("memory for a decompressor"));
}

/// What a frame says before its body is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::outbox) struct Header {
    pub(in crate::outbox) count: u8,
    pub(in crate::outbox) epoch: Uuid,
    pub(in crate::outbox) first_seq: u64,
    pub(in crate::outbox) appended_at: Timestamp,
    pub(in crate::outbox) ordinal: u64,
    length: u32,
}

/// A frame that can't be read: what is wrong with it.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("a frame {0}")]
pub(in crate::outbox) struct Damaged(&'static str);

/// How many of the payloads, from the first, go into one frame.
pub(in crate::outbox) fn fitting<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut bytes = 0;
    let mut count = 0;
    for payload in payloads.take(RECORDS) {
        bytes += payload.len() + 4;
        if count > 0 && bytes > BODY {
            break;
        }
        count += 1;
    }
    count
}

/// The bytes of a frame of 1 to 64 payloads.
pub(in crate::outbox) fn encode<'a>(
    epoch: Uuid,
    first_seq: u64,
    appended_at: Timestamp,
    ordinal: u64,
    payloads: impl Iterator<Item = &'a [u8]>,
) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::with_capacity(BODY);
    let mut count = 0_u8;
    for payload in payloads {
        body.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        body.extend_from_slice(payload);
        count += 1;
    }
    let compressed = COMPRESSOR.with_borrow_mut(|compressor| compressor.compress(&body))?;
    let mut frame = Vec::with_capacity(HEADER + compressed.len());
    frame.extend_from_slice(&[VERSION, count]);
    frame.extend_from_slice(epoch.as_bytes());
    frame.extend_from_slice(&first_seq.to_le_bytes());
    frame.extend_from_slice(&appended_at.as_microsecond().to_le_bytes());
    frame.extend_from_slice(&ordinal.to_le_bytes());
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&(compressed.len() as u32).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&frame), &compressed);
    frame.extend_from_slice(&crc.to_le_bytes());
    frame.extend_from_slice(&compressed);
    Ok(frame)
}

/// How long a frame is, by what its first bytes say.
pub(in crate::outbox) fn length(beginning: &[u8]) -> Result<usize, Damaged> {
    let (head, _) = beginning.split_at_checked(HEADER).ok_or(Damaged("is too short"))?;
    Ok(HEADER + u32::from_le_bytes(field(head, 46)) as usize)
}

/// How long a frame that begins here would be; none when it can't be one. A cheap look before a checksum is made.
pub(in crate::outbox) fn plausible(beginning: &[u8]) -> Option<usize> {
    let (head, _) = beginning.split_at_checked(HEADER)?;
    let possible = head[0] == VERSION && (1..=RECORDS).contains(&usize::from(head[1]));
    possible.then(|| length(head).ok()).flatten()
}

/// Reads and verifies a frame's header.
pub(in crate::outbox) fn header(frame: &[u8]) -> Result<Header, Damaged> {
    let (head, body) = frame.split_at_checked(HEADER).ok_or(Damaged("is too short"))?;
    let crc = u32::from_le_bytes(field(head, 50));
    if crc != crc32c::crc32c_append(crc32c::crc32c(&head[..50]), body) {
        return Err(Damaged("has a wrong checksum"));
    }
    if head[0] != VERSION {
        return Err(Damaged("is of an unknown version"));
    }
    let at = i64::from_le_bytes(field(head, 26));
    Ok(Header {
        count: head[1],
        epoch: Uuid::from_bytes(field(head, 2)),
        first_seq: u64::from_le_bytes(field(head, 18)),
        appended_at: Timestamp::from_microsecond(at).map_err(|_| Damaged("has an impossible time"))?,
        ordinal: u64::from_le_bytes(field(head, 34)),
        length: u32::from_le_bytes(field(head, 42)),
    })
}

/// Reads and verifies a frame: its header and its payloads.
pub(in crate::outbox) fn decode(frame: &[u8]) -> Result<(Header, Vec<Vec<u8>>), Damaged> {
    let header = header(frame)?;
    let body = DECOMPRESSOR
        .with_borrow_mut(|decompressor| decompressor.decompress(&frame[HEADER..], header.length as usize))
        .map_err(|_| Damaged("does not decompress"))?;
    let mut payloads = Vec::with_capacity(header.count.into());
    let mut rest = body.as_slice();
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let (payload, more) =
            more.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(Damaged("ends early"))?;
        payloads.push(payload.to_vec());
        rest = more;
    }
    if payloads.len() != usize::from(header.count) {
        return Err(Damaged("has another number of records than it says"));
    }
    Ok((header, payloads))
}

fn field<const N: usize>(head: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[at..at + N]);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame_of(payloads: &[Vec<u8>]) -> Vec<u8> {
        let at = Timestamp::from_microsecond(1_700_000_000_000_000).unwrap();
        encode(Uuid::from_u128(7), 41, at, 1 << 40, payloads.iter().map(Vec::as_slice)).unwrap()
    }

    proptest! {
        #[test]
        fn a_frame_reads_back_as_it_was_written(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..=64)) {
            let (header, read) = decode(&frame_of(&payloads)).unwrap();
            prop_assert_eq!((header.epoch, header.first_seq, header.ordinal), (Uuid::from_u128(7), 41, 1 << 40));
            prop_assert_eq!(usize::from(header.count), payloads.len());
            prop_assert_eq!(read, payloads);
        }

        #[test]
        fn a_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut frame = frame_of(&[b"one".to_vec(), b"two".to_vec()]);
            let at = at.index(frame.len());
            frame[at] ^= 1 << bit;
            prop_assert!(decode(&frame).is_err());
        }

        #[test]
        fn a_cut_frame_is_noticed(at in any::<prop::sample::Index>()) {
            let frame = frame_of(&[b"one".to_vec(), b"two".to_vec()]);
            prop_assert!(decode(&frame[..at.index(frame.len())]).is_err());
        }
    }

    #[test]
    fn a_large_payload_has_a_frame_of_its_own() {
        let large = vec![0_u8; BODY * 2];
        let small = vec![0_u8; 10];
        assert_eq!(fitting([large.as_slice(), &small].into_iter()), 1);
        assert_eq!(fitting([small.as_slice(), &large].into_iter()), 1);
        assert_eq!(fitting([small.as_slice(); 100].into_iter()), RECORDS);
    }
}
