//! Training, evaluation, checkpoints, records and reports for prompt-style adapters.
