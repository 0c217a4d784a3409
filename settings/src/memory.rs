//! How a daemon's memory goes back to the system.

/// Has pieces of memory of so many bytes and more come from the system one by one, and go back to it when they are
/// freed. To be called at the start.
///
/// glibc begins with a bound for that, too, but raises it to the size of whatever large piece is freed, up to 32 MiB.
/// Then large buffers that are made anew again and again lie between small pieces in the heaps of several threads,
/// which never shrink.
pub fn give_back_pieces_from(bytes: i32) {
    #[cfg(target_env = "gnu")]
    #[allow(unsafe_code, reason = "the bound can't be set otherwise; it takes two numbers and nothing of ours")]
    // SAFETY: mallopt may be called at any time, from any thread.
    let set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, bytes) };
    #[cfg(target_env = "gnu")]
    if set == 0 {
        log::debug!("the allocator keeps its own bound on large buffers");
    }
}
