//! Tests of the public API: offsets, prompts and adapter files.

mod common;
#[path = "../../../adept-data/tests/all/properties/damage.rs"]
mod damage;
mod feed;
mod files;
mod forward;
mod hostile;
#[path = "../../../adept-data/tests/all/properties/input.rs"]
mod input;
mod ladder;
mod networks;
mod places;
mod published;
mod rows;
mod shift;
mod tasks;
mod weights;
