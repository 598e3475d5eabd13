//! What a run trains: an adapter of a method, or the whole backbone.

use adept_core::Method;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::schema::json_words;

/// What is trained: `full` is the baseline that steps every backbone parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TrainMethod {
    /// All parameters of the backbone, no adapter.
    Full,
    /// An adapter.
    Adapter(Method),
}

impl TrainMethod {
    /// Every method, in the order of tables.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Full]
            .into_iter()
            .chain(Method::ALL.iter().copied().map(Self::Adapter))
    }

    /// What a reader is told was expected where a name is none of these.
    pub fn expected() -> String {
        format!("one of {}", Self::all().map(Self::name).collect::<Vec<_>>().join(", "))
    }

    /// The adapter's method; `None` for `full`.
    pub fn adapter(self) -> Option<Method> {
        match self {
            TrainMethod::Full => None,
            TrainMethod::Adapter(method) => Some(method),
        }
    }

    /// Name as printed.
    pub fn title(self) -> &'static str {
        match self {
            TrainMethod::Full => "Full fine-tuning",
            TrainMethod::Adapter(method) => method.info().title,
        }
    }

    /// Name as in configurations and folders.
    pub fn name(self) -> &'static str {
        match self {
            TrainMethod::Full => "full",
            TrainMethod::Adapter(method) => method.name(),
        }
    }
}

impl std::fmt::Display for TrainMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for TrainMethod {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let method = Self::all().find(|method| method.name() == text);
        method.ok_or_else(|| ConfigError::Value {
            place: "method".into(),
            key: "adapter.method".into(),
            expected: Self::expected(),
            found: format!("{text:?}"),
        })
    }
}

impl TryFrom<String> for TrainMethod {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl From<TrainMethod> for String {
    fn from(method: TrainMethod) -> Self {
        method.name().to_owned()
    }
}

json_words!(TrainMethod, "TrainMethod", TrainMethod::all());
