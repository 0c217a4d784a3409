//! What can still be read of a damaged chunk: every frame with a right checksum, wherever it is found.
//!
//! 1. sled opens a copy as it is; then one without its snapshots, which it then makes again from its log.
//! 2. The bytes of its log are searched for frames that sled does not find: a frame of one piece lies there in one
//!    piece, and its checksum, epoch and number tell what it is. Only the ledger is needed to know where it belongs.
//!
//! sled's word goes before the search's, which also finds what was overwritten; there the later one counts.

use crate::outbox::disk::frame::PAYLOAD;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::database::found;
use super::frame;
use super::frame::Header;
use super::ledger::Ledger;
use super::root::Root;

/// The frames of a chunk, each with its header, by the positions of their first records. They don't overlap.
pub(in crate::outbox) type Frames = BTreeMap<u64, (Header, Vec<u8>)>;

/// Salvages the chunk in `path`, made with one of the segment sizes; `read` reads its files. `ledger` learns what the
/// frames tell.
pub(in crate::outbox) fn salvage(
    root: &Root,
    path: &Path,
    segment_sizes: &[usize],
    ledger: &mut Ledger,
    read: fn(&Path) -> io::Result<Vec<u8>>,
) -> io::Result<Frames> {
    // Read before sled has a chance to write to it.
    let log = match read(&path.join("db")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let mut frames = Frames::new();
    for (segment_size, with_snapshots) in segment_sizes.iter().flat_map(|size| [(*size, true), (*size, false)]) {
        let found = root.with_copy(path, read, |copy| found(copy, segment_size, with_snapshots))?;
        for (position, frame) in found {
            if let Ok(header) = frame::header(&frame) {
                ledger.learn(header.epoch, position, header.first_seq);
                add(&mut frames, position, header, frame);
            }
        }
    }
    let mut searched = search(&log);
    searched.sort_by_key(|(header, _)| std::cmp::Reverse(header.appended_at));
    for (header, frame) in searched {
        if let Some(position) = ledger.position(header.epoch, header.first_seq) {
            add(&mut frames, position, header, frame.to_vec());
        }
    }
    Ok(frames)
}

/// Adds a frame unless it shares a position with one that is there.
fn add(frames: &mut Frames, position: u64, header: Header, frame: Vec<u8>) {
    let end = position.saturating_add(header.count.into());
    let before = frames.range(..end).next_back();
    if before.is_none_or(|(first, (before, _))| first + u64::from(before.count) <= position) {
        frames.insert(position, (header, frame));
    }
}

/// All whole frames among some bytes.
fn search(bytes: &[u8]) -> Vec<(Header, &[u8])> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match whole_frame(&bytes[at..]) {
            Some((header, frame)) => {
                at += frame.len();
                frames.push((header, frame));
            }
            None => at += 1,
        }
    }
    frames
}

fn whole_frame(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let length = frame::plausible(bytes)?;
    let frame = bytes.get(..length).filter(|_| length <= 2 * PAYLOAD)?;
    let (header, _) = frame::decode(frame).ok()?;
    Some((header, frame))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn frame(epoch: u128, first: u64, at: i64, payloads: &[&[u8]]) -> (Header, Vec<u8>) {
        let at = Timestamp::from_second(at).unwrap();
        let bytes = frame::encode(Uuid::from_u128(epoch), first, at, 0, payloads.iter().copied()).unwrap();
        (frame::header(&bytes).unwrap(), bytes)
    }

    #[test]
    fn frames_are_found_among_other_bytes() {
        let (one, two) = (frame(1, 1, 1, &[b"one", b"two"]).1, frame(1, 3, 1, &[b"three"]).1);
        let mut damaged = frame(1, 4, 1, &[b"four"]).1;
        *damaged.last_mut().unwrap() ^= 1;
        let log = [&[1, 1, 0][..], &one, &[1; 70], &damaged, &two, &one[..20]].concat();
        let found: Vec<_> = search(&log).iter().map(|(header, _)| (header.first_seq, header.count)).collect();
        assert_eq!(found, [(1, 2), (3, 1)]);
    }

    #[test]
    fn a_frame_that_shares_positions_with_one_that_is_there_is_left_out() {
        let mut frames = Frames::new();
        for (position, count) in [(10, 3), (12, 1), (9, 2), (13, 2), (8, 2), (7, 1)] {
            let (header, bytes) = frame(1, position, 1, &vec![b"x".as_slice(); count]);
            add(&mut frames, position, header, bytes);
        }
        assert_eq!(frames.keys().copied().collect::<Vec<_>>(), [7, 8, 10, 13]);
    }
}
