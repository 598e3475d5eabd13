//! The adept program.
fn main() {}
