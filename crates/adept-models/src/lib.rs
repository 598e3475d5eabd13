//! T5 backbones on burn that take input embeddings, with Hugging Face weights.
