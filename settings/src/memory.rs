//! Sets how a daemon's memory is given back to the system. All functions must be called at the start.

/// Makes the allocator take pieces of memory of this size and more from the system one by one, and give them back when
/// they are freed.
///
/// glibc begins with such a bound, too, but raises it to the size of any large piece that is freed, up to 32 MiB. Then
/// large buffers that are allocated again and again lie between small pieces in the heaps of several threads, and these
/// heaps never shrink.
pub fn give_back_pieces_from(bytes: i32) {
    #[cfg(target_env = "gnu")]
    set(libc::M_MMAP_THRESHOLD, bytes);
}

/// Keeps this number of bytes at the end of each heap for later small pieces, instead of glibc's 128 KiB. Otherwise the
/// memory of a daemon that frees and allocates thousands of small pieces in turn is mapped again each time.
pub fn keep_free(bytes: i32) {
    #[cfg(target_env = "gnu")]
    set(libc::M_TRIM_THRESHOLD, bytes);
}

/// Makes all threads share this number of heaps, instead of up to eight for each core, so that one thread can use what
/// another thread freed. It is for a daemon with many threads that seldom run at the same time.
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
