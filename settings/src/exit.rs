//! What a process leaves alone when it ends.

/// Has OpenSSL keep its state to the last. To be called before anything else of OpenSSL is.
///
/// Threads that are not waited for may use it while the process ends: those that make a session for the pool of a database,
/// or a check under way. What OpenSSL frees on its own when `main` is over would be gone under them, and the process would
/// end by a signal in the place of its exit code. The openssl crate asks OpenSSL not to free it; libpq, where it comes
/// first, does not.
pub fn keep_openssl_at_exit() {
    openssl::init();
}
