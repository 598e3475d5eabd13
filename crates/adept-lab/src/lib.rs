//! What a laboratory does: runs, grids of runs, reports, analyses, verification and benchmarks.
//!
//! [`run`] loads data and a backbone, builds what is trained and hands everything to the training loop of `adept-train`;
//! [`reproduce`] does so for every task, method and seed of a benchmark, and [`report`] makes tables of the records alone.
//! [`analysis`] looks at trained adapters from outside: the paper's Tables 1 and 2. [`verify`] holds the program against
//! golden files of other implementations, [`mod@bench`] times its parts, [`baseline`] is what counting labels scores.
//!
//! Everything is generic over burn's autodiff backend; nothing here prints or exits.

pub mod analysis;
pub mod baseline;
pub mod bench;
pub mod report;
pub mod reproduce;
pub mod run;
pub mod verify;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
