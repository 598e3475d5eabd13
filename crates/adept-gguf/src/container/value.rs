//! Metadata values.

/// A value of any of GGUF's types; numbers are widened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// u8 to u64.
    Unsigned(u64),
    /// i8 to i64.
    Signed(i64),
    /// f32 and f64. An f32 becomes the f64 with the same shortest decimal representation, so that 1e-6 stays 1e-6.
    Float(f64),
    /// A Boolean.
    Flag(bool),
    /// A text.
    Text(String),
    /// A list.
    List(List),
}

/// A list of values of one type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum List {
    /// u8 to u64.
    Unsigned(Vec<u64>),
    /// i8 to i64.
    Signed(Vec<i64>),
    /// f32 and f64.
    Float(Vec<f64>),
    /// Booleans.
    Flag(Vec<bool>),
    /// Texts.
    Text(Vec<String>),
}

impl Value {
    /// For error messages: type and value, or a list's length.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Unsigned(value) => value.to_string(),
            Self::Signed(value) => value.to_string(),
            Self::Float(value) => format!("the float {value}"),
            Self::Flag(value) => value.to_string(),
            Self::Text(value) => format!("the text {:?}", value.chars().take(80).collect::<String>()),
            Self::List(list) => list.describe(),
        }
    }
}

impl List {
    fn describe(&self) -> String {
        let (length, of) = match self {
            Self::Unsigned(values) => (values.len(), "unsigned integers"),
            Self::Signed(values) => (values.len(), "integers"),
            Self::Float(values) => (values.len(), "floats"),
            Self::Flag(values) => (values.len(), "Booleans"),
            Self::Text(values) => (values.len(), "texts"),
        };
        format!("a list of {length} {of}")
    }
}

/// The f64 with an f32's shortest decimal representation.
pub(crate) fn same_decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}
