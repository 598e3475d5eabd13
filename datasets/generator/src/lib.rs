//! Synthetic samples of GLUE's eight tasks, of the eight of the paper's Table 4 and of five of SuperGLUE's, in their
//! official file forms, made from a grammar and a lexicon of our own.
//!
//! From the ground up: the words ([`lexicon`], [`morphology`]), how they make sentences ([`grammar`]), what may be
//! changed in a sentence and what that does to its meaning ([`edits`]), the tasks ([`tasks`], [`table4`], [`superglue`])
//! and their files ([`mod@write`]). All is a pure function of the seed and the numbers of rows. [`programs`] stands
//! apart: small Python functions for the paper's Table 7. No text of others went into it.

pub mod dice;
pub mod edits;
pub mod grammar;
pub mod lexicon;
pub mod morphology;
pub mod programs;
pub mod superglue;
pub mod table4;
pub mod tasks;
pub mod write;
