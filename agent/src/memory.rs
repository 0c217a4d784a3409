//! How the agent's memory goes back to the system.

/// Pieces of memory from this size on come from the system and go back to it; the smallest of sled's segments.
#[cfg(target_env = "gnu")]
const LARGE: i32 = 512 * 1024;

/// Has large buffers go back to the system when they are freed. To be called at the start.
///
/// glibc begins with a bound for that, too, but raises it to the size of whatever large piece is freed, up to 32 MiB.
/// Then the outbox's buffers, of some MiB each and made anew for each segment, lie between small pieces in the heaps of
/// several threads, which never shrink: four times the memory while a backlog grows.
pub fn give_back_large_buffers() {
    #[cfg(target_env = "gnu")]
    #[allow(unsafe_code, reason = "the bound can't be set otherwise; it takes two numbers and nothing of ours")]
    // SAFETY: mallopt may be called at any time, from any thread.
    let set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    #[cfg(target_env = "gnu")]
    if set == 0 {
        log::debug!("the allocator keeps its own bound on large buffers");
    }
}
