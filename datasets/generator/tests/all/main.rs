//! The committed samples: that they are what the generator writes, and what the project's readers need.
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

mod committed;
mod common;
mod programs;
mod superglue;
mod table4;
