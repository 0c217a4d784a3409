//! Pictures in SVG: bars of hours or days, and charts of response times.

pub(super) mod bars;
pub(super) mod chart;
