//! What a check found out about the answer.

/// It is filled on the way and stays when the check fails later.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) status_code: Option<u16>,
    pub(super) reason: Option<String>,
    pub(super) redirects: Option<u32>,
    pub(super) pattern_matched: Option<bool>,
    pub(super) body_bytes: Option<u64>,
    pub(super) truncated: Option<bool>,
}
