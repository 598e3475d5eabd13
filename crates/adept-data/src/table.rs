//! What other readers of tables mend in silence, and ours refuse.

/// What is wrong with a table, or with one JSON text among others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableFault {
    /// A cell of a comma-separated file that goes on behind its closing quotation mark.
    #[error(
        "column {column}: expected a comma or the end of the line behind the closing quotation mark, found {found:?}"
    )]
    BehindQuote {
        /// The column, from 1.
        column: usize,
        /// The character there.
        found: char,
    },
    /// A quoted cell without its closing quotation mark.
    #[error("column {column}: expected a closing quotation mark, found the end of the file")]
    OpenQuote {
        /// The column, from 1.
        column: usize,
    },
    /// A JSON object that has a key twice.
    #[error("expected every key once, found `{key}` twice")]
    DoubleKey {
        /// The key.
        key: String,
    },
    /// A header line in a file that has none by its card.
    #[error("expected a row, found a header line, which files of form `{form}` have none of; leave it out")]
    HeaderRow {
        /// The form.
        form: String,
    },
}
