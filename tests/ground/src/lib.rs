//! What the machine lets tests do: mounts that others do not see, the rights of root, many descriptors. Where it does not
//! let a test run, that is written down, and the test counts as not run, never as passed.
//!
//! ```text
//! test ──▶ root, or a user namespace? ──▶ runs here
//!      └──▶ `sudo -n`? ─────────────────▶ runs again as root, in a process of its own
//!      └──▶ neither ────────────────────▶ not_run: `./dev test` names it at the end
//! ```

mod mounts;
mod not_run;
mod root;

pub use mounts::{private_mounts, privately};
pub use not_run::{RECORD, not_run};
pub use root::{again_as_root, is_root};

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises this process's limit of open descriptors as far as it is allowed to. Answers whether that is as many as
/// `wanted`.
pub fn raise_descriptors(wanted: u64) -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let most = limit.maximum.unwrap_or(u64::MAX);
    most >= wanted && setrlimit(Resource::Nofile, limit).is_ok()
}

/// The name of the test that says this, as the test program itself lists it.
#[macro_export]
macro_rules! this_test {
    () => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        // What an async test does is a closure in it.
        let path = path.trim_end_matches("::here").trim_end_matches("::{{closure}}");
        path.split_once("::").map_or(path, |(_, path)| path)
    }};
}

#[cfg(test)]
mod tests {
    mod deeper {
        #[test]
        fn a_test_knows_its_name() {
            assert_eq!(this_test!(), "tests::deeper::a_test_knows_its_name");
        }
    }
}
