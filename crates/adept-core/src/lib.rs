//! Soft prompts, token-embedding offsets and adapter files: the ADePT family for any burn model.
