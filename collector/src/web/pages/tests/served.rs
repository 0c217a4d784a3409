//! The pages over their addresses.
