//! Where the project's own data and backbone lie: a folder `datasets`, which a copy of the repository has at its root.

use std::path::{Path, PathBuf};

/// The variable that names the folder.
pub const VARIABLE: &str = "ADEPT_DATASETS";

/// Name of the folder.
const FOLDER: &str = "datasets";

/// No folder has what a profile needs.
#[derive(Debug, thiserror::Error)]
#[error(
    "found no {} in {}",
    wanted.display(),
    looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
)]
pub struct DatasetsError {
    /// What is needed, below the folder.
    pub wanted: PathBuf,
    /// The folders that were looked at.
    pub looked: Vec<PathBuf>,
}

/// Finds what a profile needs: in the folder that [`VARIABLE`] names, where it names one; else in the folder `datasets`
/// of `start` or of the nearest folder above it.
///
/// # Errors
/// [`DatasetsError`] with every place that was looked at.
pub fn find(variable: Option<&Path>, start: &Path, wanted: &Path) -> Result<PathBuf, DatasetsError> {
    let looked: Vec<PathBuf> = match variable {
        Some(folder) => vec![folder.to_owned()],
        None => start.ancestors().map(|folder| folder.join(FOLDER)).collect(),
    };
    let found = looked
        .iter()
        .map(|folder| folder.join(wanted))
        .find(|path| path.exists());
    found.ok_or_else(|| DatasetsError {
        wanted: wanted.to_owned(),
        looked,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_variable_wins_and_else_the_nearest_folder_above() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let wanted = Path::new("backbones/small");
        let inner = root.path().join("a/b/c");
        for folder in [
            &root.path().join("datasets").join(wanted),
            &root.path().join("other").join(wanted),
            &inner,
        ] {
            fs::create_dir_all(folder).expect("the folder is writable");
        }
        // A folder of that name without what is wanted does not hide the one above.
        fs::create_dir_all(root.path().join("a/datasets")).expect("the folder is writable");
        assert_eq!(
            find(None, &inner, wanted).expect("it is there"),
            root.path().join("datasets/backbones/small")
        );
        let other = root.path().join("other");
        assert_eq!(
            find(Some(&other), &inner, wanted).expect("it is there"),
            other.join(wanted)
        );

        let error = find(Some(&inner), root.path(), wanted).expect_err("it is not there");
        assert_eq!(
            error.to_string(),
            format!("found no backbones/small in {}", inner.display())
        );
        let error = find(None, &inner, Path::new("no/such"))
            .expect_err("it is not there")
            .to_string();
        for folder in ["a/b/c/datasets", "a/datasets"] {
            assert!(
                error.contains(&root.path().join(folder).display().to_string()),
                "{error}"
            );
        }
    }
}
