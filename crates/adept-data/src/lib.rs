//! GLUE readers, exact splits, tokenisation, length-bucketed batches and metrics.
