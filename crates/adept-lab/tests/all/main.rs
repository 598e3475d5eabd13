//! Tests of the public API: runs, their folders, analyses and reports.

mod analysis;
mod attention;
#[path = "../../../adept-train/tests/all/common/mod.rs"]
#[allow(dead_code, reason = "shared with the trainer's tests, which use the rest")]
mod common;
mod comparisons;
#[path = "../../../adept-data/tests/all/properties/damage.rs"]
mod damage;
mod edges;
mod feed;
mod folders;
mod hostile;
#[path = "../../../adept-data/tests/all/properties/input.rs"]
mod input;
mod lengths;
mod run;
mod several;
mod start;
#[path = "../../../adept-data/tests/all/thorough.rs"]
mod thorough;
mod world;
