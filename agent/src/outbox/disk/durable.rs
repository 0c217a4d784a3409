//! Makes what sled writes durable.
//!
//! sled 0.34 takes a buffer for stable once `sync_file_range` has returned, which a power cut takes back: neither the
//! file's length nor the place of new blocks is on the device then. An `fdatasync` of our own after each `flush()` is
//! not enough, either. sled moves records about, when a leaf of its tree is written again, and overwrites the place where
//! they were once the new one is "stable", which may be long before that `fdatasync`.
//!
//! So the program brings a `sync_file_range` of its own, which the linker puts before the C library's: it is an
//! `fdatasync`. Only sled calls it. Whatever sled then does next happens after the device has what came before, as its
//! authors meant it, and `flush()` needs nothing after it.

use std::ffi::{c_int, c_uint};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often it was called.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Takes the place of the C library's function of this name.
#[allow(unsafe_code, reason = "a function of the C library is replaced, by one with its signature")]
// SAFETY: the name is the C library's, the signature too; see sync_file_range(2).
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(file: c_int, _at: i64, _length: i64, _flags: c_uint) -> c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: it takes a number, and answers EBADF where that is no open file.
    unsafe { libc::fdatasync(file) }
}

/// Whether it has. That hangs on how the program was linked, so anyone who opens an outbox asks.
pub(in crate::outbox) fn is_in_force() -> bool {
    let before = CALLS.load(Ordering::Relaxed);
    #[allow(unsafe_code, reason = "called as sled calls it")]
    // SAFETY: it takes numbers, and answers EBADF to this one.
    let answer = unsafe { libc::sync_file_range(-1, 0, 0, 0) };
    answer == -1 && CALLS.load(Ordering::Relaxed) > before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_of_sled_syncs_its_file() {
        assert!(is_in_force());
        let directory = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(directory.path()).flush_every_ms(None).open().unwrap();
        let before = CALLS.load(Ordering::Relaxed);
        db.insert("key", "value").unwrap();
        db.flush().unwrap();
        assert!(CALLS.load(Ordering::Relaxed) > before);
    }
}
