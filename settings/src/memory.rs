//! How a daemon's memory goes back to the system. All are to be called at the start.

/// Has pieces of memory of this many bytes and more come from the system one by one, and go back to it when they are
/// freed.
///
/// glibc begins with a bound for that, too, but raises it to the size of whatever large piece is freed, up to 32 MiB.
/// Then large buffers that are made again again and again lie between small pieces in the heaps of several threads,
/// which never shrink.
pub fn give_back_pieces_from(bytes: i32) {
    #[cfg(target_env = "gnu")]
    set(libc::M_MMAP_THRESHOLD, bytes);
}

/// Keeps this many bytes at the end of each heap for small pieces to come, in place of glibc's 128 KiB: a daemon that
/// frees and makes thousands of them in turn has all of them mapped again each time otherwise.
pub fn keep_free(bytes: i32) {
    #[cfg(target_env = "gnu")]
    set(libc::M_TRIM_THRESHOLD, bytes);
}

/// Has all threads share this many heaps, in place of up to eight for each core: what one thread freed another one uses.
/// For a daemon of many threads that seldom run at once.
pub fn share_heaps(heaps: i32) {
    #[cfg(target_env = "gnu")]
    set(libc::M_ARENA_MAX, heaps);
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "the bounds can't be set otherwise; it takes two numbers and nothing of ours")]
fn set(parameter: i32, bytes: i32) {
    // SAFETY: mallopt may be called at any time, from any thread.
    if unsafe { libc::mallopt(parameter, bytes) } == 0 {
        log::debug!("the allocator keeps its own bounds");
    }
}
