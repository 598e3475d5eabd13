//! Pretraining data: corpora, tokenizer training, the token store, span corruption, mixtures and their batches.

mod corpus;
mod denoise;
mod real;
mod store;
mod support;
mod tasks;
mod text;
mod tokenizer;
