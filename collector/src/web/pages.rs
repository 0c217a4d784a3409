//! The pages that people look at.

mod agents;
mod assets;
mod bars;
mod chart;
mod detail;
mod frame;
mod incidents;
mod overview;
mod public;
mod standing;
#[cfg(test)]
mod tests;
mod trouble;
mod words;
