//! Location of the project's own data and backbone: a folder `datasets`, found at the root of the repository.

use std::path::{Path, PathBuf};

/// Environment variable with the folder's path.
pub const VARIABLE: &str = "ADEPT_DATASETS";

/// Name of the folder.
const FOLDER: &str = "datasets";

/// The files needed by a profile were not found.
#[derive(Debug, thiserror::Error)]
#[error(
    "found no {} in {}",
    wanted.display(),
    looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
)]
pub struct DatasetsError {
    /// The required path below the folder.
    pub wanted: PathBuf,
    /// The folders searched.
    pub looked: Vec<PathBuf>,
}

/// Finds the files needed by a profile: in the folder given by [`VARIABLE`] if it is set, otherwise in the folder
/// `datasets` of `start` or of its nearest ancestor.
///
/// # Errors
/// [`DatasetsError`] with every folder searched.
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
        // A `datasets` folder without the wanted files does not hide the one above.
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
