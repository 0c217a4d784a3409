//! Prepares the end of a process: OpenSSL keeps its state to the last.

/// Makes OpenSSL keep its state until the process is gone. This must be called before anything else of OpenSSL is used.
///
/// Threads that are not waited for may use OpenSSL while the process ends: threads that make a session for the pool of
/// a database, or a check that is being made. OpenSSL by itself frees its state when `main` is over. These threads
/// would then use freed state, and the process would end by a signal instead of with its exit code. The openssl crate
/// asks OpenSSL not to free its state. libpq, when it comes first, does not ask for that.
pub fn keep_openssl_at_exit() {
    openssl::init();
}
