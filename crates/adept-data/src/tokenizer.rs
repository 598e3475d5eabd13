//! Tokenizer.
use crate::{DataError, Encoded, Example};
use std::path::Path;
/// Target length of a task whose targets are free text.
pub const DEFAULT_TARGET_LENGTH: usize = 20;
/// A Hugging Face tokenizer.
pub struct TextTokenizer {}
impl TextTokenizer {
    /// Reads `tokenizer.json` in a folder.
    pub fn from_dir(dir: &Path) -> Result<Self, DataError> {
        todo!("{dir:?}")
    }
    /// Reads a tokenizer file.
    pub fn from_file(path: &Path) -> Result<Self, DataError> {
        todo!("{path:?}")
    }
    /// Ids of one text, `</s>` included and kept last where the text is cut to `max_tokens`.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Vec<u32>, DataError> {
        todo!("{text:?} {max_tokens}")
    }
    /// Ids of many texts, in their order, on all cores.
    pub fn encode_batch(&self, texts: &[&str], max_tokens: usize) -> Result<Vec<Vec<u32>>, DataError> {
        todo!("{texts:?} {max_tokens}")
    }
    /// Tokenises examples: sources cut to `max_source_length`, targets to `target_width`.
    pub fn encode_examples(
        &self,
        examples: &[Example],
        max_source_length: usize,
        target_width: usize,
    ) -> Result<Vec<Encoded>, DataError> {
        todo!("{examples:?} {max_source_length} {target_width}")
    }
    /// Text of ids.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, DataError> {
        todo!("{ids:?} {skip_special}")
    }
    /// Entries of the vocabulary, added tokens included.
    pub fn vocab_size(&self) -> usize {
        todo!()
    }
    /// Tokens of the longest label, `</s>` included.
    pub fn target_length(&self, labels: &[&str]) -> Result<usize, DataError> {
        todo!("{labels:?}")
    }
}
