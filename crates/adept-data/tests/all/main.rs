//! Integration tests of readers, tasks, splits, batches and metrics.

mod answers;
mod batches;
mod bpe;
mod chat;
mod classes;
mod codecs;
mod common;
mod conversations;
mod encodings;
mod every_file;
mod faults;
mod formats;
mod forms;
mod groups;
mod joined;
mod losses;
mod malformed;
mod metrics;
mod own_tasks;
mod pretrain;
mod properties;
mod real_files;
mod real_tasks;
mod rows;
mod splits;
mod thorough;
