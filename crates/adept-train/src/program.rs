//! Tasks whose targets are programs (MBPP): generated text is cut where the program ends, run, and scored by pass@k.

mod completions;
mod judge;
mod pass_at_k;
mod prepare;
mod text;
mod write;

pub use completions::{COMPLETIONS, Completion, Completions};
pub use judge::{JUDGED, Judged, Proceed, judge, scores, tally};
pub use prepare::{PreparedPrograms, Problem, ProgramOptions, prepare_programs};
pub use write::{Writer, in_order, write};

pub(crate) use text::{end_of, tidied, truncated};

use pass_at_k::pass_at_k;
