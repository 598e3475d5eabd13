//! The official files: names, headers and columns as in GLUE's archive. Each is written beside its place and then moved
//! there, so that none is ever half written.

use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};

use crate::tasks::{Exhausted, Row, Sizes, Split, TASKS};

/// What can go wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system refused.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A file of the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleFile {
    /// Below the output folder, with `/`.
    pub name: String,
    /// Its whole text, before compression.
    pub text: String,
}

impl SampleFile {
    /// What is written: the text, compressed where the name says so (`.gz`), without a time, so that the same text gives
    /// the same bytes.
    ///
    /// # Errors
    /// None is known: the compressor writes to memory.
    pub fn bytes(&self) -> std::io::Result<Cow<'_, [u8]>> {
        if !self.name.ends_with(".gz") {
            return Ok(Cow::Borrowed(self.text.as_bytes()));
        }
        let mut compressor = GzBuilder::new().write(Vec::new(), Compression::best());
        compressor.write_all(self.text.as_bytes())?;
        Ok(Cow::Owned(compressor.finish()?))
    }
}

/// Every file, made in memory: a pure function of its arguments. With `apart_from` no row is one that this seed gives
/// in the default sizes: what a backbone is trained on must not hold the sample that it is then measured with.
///
/// # Errors
/// [`Exhausted`] where the sizes ask for more than there is.
pub fn files(seed: u64, sizes: &Sizes, apart_from: Option<u64>) -> Result<Vec<SampleFile>, Exhausted> {
    let mut files = Vec::new();
    for task in &TASKS {
        let taken = match apart_from {
            Some(other) => task.splits(other, &Sizes::DEFAULT, &[])?,
            None => Vec::new(),
        };
        for split in task.splits(seed, sizes, &taken)? {
            files.push(SampleFile {
                name: format!("{}/{}.tsv", task.folder, split.name),
                text: tsv(task.folder, &split),
            });
        }
    }
    Ok(files)
}

/// Writes files below a folder.
///
/// # Errors
/// [`WriteError::Io`] with the file's name.
pub fn write(files: &[SampleFile], out: &Path) -> Result<(), WriteError> {
    for file in files {
        let path = out.join(&file.name);
        let bytes = file.bytes().map_err(|source| WriteError::Io {
            file: path.clone(),
            source,
        })?;
        write_bytes(&path, &bytes)?;
    }
    Ok(())
}

/// Writes one file, and the folder that it is in.
///
/// # Errors
/// [`WriteError::Io`] with the file's name.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    std::fs::create_dir_all(&folder).map_err(|source| WriteError::Io {
        file: folder.clone(),
        source,
    })?;
    let failed = |source| WriteError::Io {
        file: path.to_owned(),
        source,
    };
    let mut temporary = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
    temporary.write_all(bytes).map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// A split in its task's official form.
fn tsv(folder: &str, split: &Split) -> String {
    let header = match folder {
        "CoLA" => "",
        "SST-2" => "sentence\tlabel",
        "MRPC" => "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
        "STS-B" => "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        "QQP" => "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        "MNLI" => "index\tpromptID\tpairID\tgenre\tsentence1\tsentence2\tgold_label",
        "QNLI" => "index\tquestion\tsentence\tlabel",
        _ => "index\tsentence1\tsentence2\tlabel",
    };
    let mut text = String::new();
    if !header.is_empty() {
        text.push_str(header);
        text.push('\n');
    }
    for (index, row) in split.rows.iter().enumerate() {
        text.push_str(&line(folder, index, row));
        text.push('\n');
    }
    text
}

fn line(folder: &str, index: usize, row: &Row) -> String {
    let Row { texts, label, source } = row;
    let first = &texts[0];
    let second = texts.get(1).map_or("", String::as_str);
    let (one, two) = (2 * index + 1, 2 * index + 2);
    match folder {
        // Unacceptable sentences carry the linguists' star.
        "CoLA" => format!("{source}\t{label}\t{}\t{first}", if label == "0" { "*" } else { "" }),
        "SST-2" => format!("{first}\t{label}"),
        "MRPC" => format!("{label}\t{one}\t{two}\t{first}\t{second}"),
        "STS-B" => format!("{index}\t{source}\t-\t-\t{index}\t-\t-\t{first}\t{second}\t{label}"),
        "QQP" => format!("{index}\t{one}\t{two}\t{first}\t{second}\t{label}"),
        "MNLI" => format!("{index}\t-\t-\t{source}\t{first}\t{second}\t{label}"),
        _ => format!("{index}\t{first}\t{second}\t{label}"),
    }
}
