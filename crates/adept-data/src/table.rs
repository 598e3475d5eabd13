//! Table faults that other readers silently repair and ours reject.

/// A fault in a table or in a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableFault {
    /// A quoted cell of a comma-separated file with text after its closing quotation mark.
    #[error(
        "column {column}: expected a comma or the end of the line after the closing quotation mark, found {found:?}"
    )]
    BehindQuote {
        /// The column, from 1.
        column: usize,
        /// The character found instead of a separator.
        found: char,
    },
    /// A quoted cell without a closing quotation mark.
    #[error("column {column}: expected a closing quotation mark, found the end of the file")]
    OpenQuote {
        /// The column, from 1.
        column: usize,
    },
    /// A JSON object with a duplicate key.
    #[error("duplicate key `{key}`")]
    DoubleKey {
        /// The key.
        key: String,
    },
    /// A header line in a file that, according to its card, has none.
    #[error("expected a row, found a header line, which files of form `{form}` do not have; remove it")]
    HeaderRow {
        /// The form.
        form: String,
    },
}
