//! Experiments: runs, grids of runs, reports, analyses, verification and benchmarks.
//!
//! [`run`] loads data and a backbone, builds the training target and passes everything to the training loop of
//! `adept-train`; [`reproduce`] does so for every task, method and seed of a benchmark, and [`report`] makes tables
//! from the records alone. [`analysis`] examines trained adapters for the paper's Tables 1 and 2. [`verify`] compares
//! the program with golden files from other implementations, [`mod@bench`] times its parts, [`costs`] lists what
//! methods train, [`doctor`] predicts what a step needs, [`baseline`] is the score of the majority label.
//!
//! Everything is generic over burn's autodiff backend; nothing here prints or exits.

pub mod analysis;
pub mod baseline;
pub mod bench;
pub mod costs;
pub mod doctor;
#[cfg(all(feature = "flex", debug_assertions, not(test)))]
#[doc(hidden)]
pub mod instances;
pub mod report;
pub mod reproduce;
pub mod run;
pub mod verify;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
