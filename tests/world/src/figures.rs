//! The product's file `due.rs` counts what is due. It asks for names of two neighbours.

pub(crate) mod overview {
    pub(crate) type Tags = std::collections::BTreeMap<String, String>;
}

#[allow(dead_code, unreachable_pub, reason = "the product asks for more of it, from elsewhere")]
#[path = "../../../collector/src/figures/counts.rs"]
pub(crate) mod counts;
#[allow(dead_code, unreachable_pub, reason = "the product asks for more of it, from elsewhere")]
#[path = "../../../collector/src/figures/due.rs"]
pub(crate) mod due;
