//! Repositories on the hub: kind, name and revision.

use crate::HubError;

/// The kind of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A dataset.
    Dataset,
    /// A model and its tokenizer.
    Model,
}

impl Kind {
    /// Name of the kind in the hub's and the cache's paths.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::Model => "models",
        }
    }
}

/// A repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repository {
    kind: Kind,
    name: String,
    revision: String,
}

impl Repository {
    /// `name` is `owner/name`, or just a name for the hub's oldest repositories; `revision` a branch, tag or commit.
    ///
    /// # Errors
    /// [`HubError::Name`] if one of them could not be part of a path.
    pub fn new(kind: Kind, name: &str, revision: &str) -> Result<Self, HubError> {
        // The hub's own rules, which the cache's use of `--` for `/` relies on.
        let is_name = |part: &str| is_part(part) && !part.contains("--") && part.trim_matches(['-', '.']) == part;
        if name.split('/').count() > 2 || !name.split('/').all(is_name) {
            return Err(HubError::Name {
                expected: "a repository: owner/name",
                found: name.to_owned(),
            });
        }
        if !revision.split('/').all(is_part) {
            return Err(HubError::Name {
                expected: "a revision: a branch, tag or commit",
                found: revision.to_owned(),
            });
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// Whether it is a dataset or a model.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// `owner/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The branch, tag or commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} at {}", self.kind.plural(), self.name, self.revision)
    }
}

/// Whether a text can be the name of a folder that is neither hidden nor `.` nor `..`.
fn is_part(part: &str) -> bool {
    let is_usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    !part.is_empty() && !part.starts_with('.') && part.chars().all(is_usual)
}
