//! Hugging Face checkpoints on disk: `model.safetensors`, or shards named by `model.safetensors.index.json`.
//!
//! Files are memory-mapped, so that a backbone is not held twice during conversion. Guarantees after
//! [`Checkpoint::open`]: every header parses, every file is exactly as long as its header says, every tensor of the
//! index is in the shard the index names. Values are read by [`Checkpoint::read`], which checks the shape, the element
//! type and that all values are finite.
//!
//! Tensors are addressed by the model's names for them. If a file uses other names (a shared matrix under one of its
//! aliases, no prefix), the family declares this once when it opens the checkpoint, and both files have the same
//! fingerprint.
//!
//! Limits: truncating a file in another process *while* it is mapped faults, as with any memory map; replacing it by
//! renaming (as [`write()`] does) is safe, since the map keeps the old file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};

use adept_core::{Fingerprint, FingerprintBuilder};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::{Metadata, View};
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::Deserialize;

use crate::error::ModelError;

/// File name of an unsharded checkpoint.
pub const WEIGHTS: &str = "model.safetensors";
/// File name of the index of a sharded checkpoint.
pub const INDEX: &str = "model.safetensors.index.json";

/// One mapped safetensors file.
#[derive(Debug)]
struct Shard {
    path: PathBuf,
    map: Mmap,
    metadata: Metadata,
    /// Offset of the tensor data: 8 bytes of length plus the header.
    start: usize,
}

/// A checkpoint's files, memory-mapped and verified to be complete.
#[derive(Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    shards: Vec<Shard>,
    /// Locations of the tensors, by the model's names for them.
    tensors: BTreeMap<String, Place>,
    /// Tensors that are not part of the model: aliases of tied weights and leftovers.
    ignored: BTreeSet<String>,
}

/// Location of a tensor.
#[derive(Debug)]
struct Place {
    shard: usize,
    /// Its name in the file, which may be an older or shorter one.
    stored: String,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Maps the weights of a folder. If both forms are present the single file is preferred, as in transformers.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let mut this = Self {
            dir: dir.to_path_buf(),
            shards: Vec::new(),
            tensors: BTreeMap::new(),
            ignored: BTreeSet::new(),
        };
        let single = dir.join(WEIGHTS);
        let index = dir.join(INDEX);
        if adept_files::is_named(&single) {
            let shard = Shard::open(single)?;
            for name in shard.metadata.offset_keys() {
                this.place(name, 0);
            }
            this.shards.push(shard);
        } else if adept_files::is_named(&index) {
            this.open_sharded(&index)?;
        } else {
            return Err(ModelError::NoWeights { dir: dir.to_path_buf() });
        }
        Ok(this)
    }

    fn open_sharded(&mut self, index: &Path) -> Result<(), ModelError> {
        let text = adept_files::read_text(index)?;
        let parsed: Index = serde_json::from_str(&text).map_err(|source| ModelError::Json {
            path: index.to_path_buf(),
            source,
        })?;
        let mut opened: BTreeMap<&str, usize> = BTreeMap::new();
        for (tensor, shard) in &parsed.weight_map {
            let number = match opened.get(shard.as_str()) {
                Some(&number) => number,
                None => {
                    // A name with a path in it could lead outside of the checkpoint.
                    let plain = Path::new(shard).file_name().is_some_and(|name| name == shard.as_str());
                    let path = self.dir.join(shard);
                    if !plain || !adept_files::is_named(&path) {
                        return Err(ModelError::MissingShard {
                            index: index.to_path_buf(),
                            shard: shard.clone(),
                        });
                    }
                    self.shards.push(Shard::open(path)?);
                    opened.insert(shard, self.shards.len() - 1);
                    self.shards.len() - 1
                }
            };
            if self.shards[number].metadata.info(tensor).is_none() {
                return Err(ModelError::NotInShard {
                    index: index.to_path_buf(),
                    tensor: tensor.clone(),
                    shard: shard.clone(),
                });
            }
            self.place(tensor.clone(), number);
        }
        Ok(())
    }

    fn place(&mut self, name: String, shard: usize) {
        let stored = name.clone();
        self.tensors.insert(name, Place { shard, stored });
    }

    /// Adds a prefix to the names of all tensors if none has it, except names that begin with one of `apart`. Models
    /// saved without their head, or by older code, are stored that way.
    pub(crate) fn add_prefix(&mut self, prefix: &str, apart: &[&str]) {
        let is_apart = |name: &str| apart.iter().any(|begin| name.starts_with(begin));
        if self.names().any(|name| name.starts_with(prefix)) {
            return;
        }
        let tensors = std::mem::take(&mut self.tensors).into_iter();
        self.tensors = tensors
            .map(|(name, place)| match is_apart(&name) {
                true => (name, place),
                false => (format!("{prefix}{name}"), place),
            })
            .collect();
    }

    /// Addresses a matrix with several names by the first of them, whichever the file uses, and ignores the copies.
    /// Names that are not in the files are skipped.
    ///
    /// # Errors
    /// [`ModelError::Untied`] if two of them hold different values.
    pub(crate) fn tie(&mut self, names: &[&str]) -> Result<(), ModelError> {
        let Some(found) = names.iter().find(|name| self.contains(name)) else {
            return Ok(());
        };
        for alias in names.iter().filter(|alias| *alias != found) {
            if self.contains(alias) {
                self.same(alias, found)?;
                self.ignore(alias);
            }
        }
        if let Some(place) = self.tensors.remove(*found) {
            self.tensors.insert(names[0].to_owned(), place);
        }
        Ok(())
    }

    /// The folder it was opened from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Names of all tensors, sorted, ignored ones included.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let place = self.tensors.get(name)?;
        let info = self.shards[place.shard].metadata.info(&place.stored)?;
        Some(info.shape.as_slice())
    }

    /// Element type and raw bytes of a tensor, unconverted.
    pub fn raw(&self, name: &str) -> Option<(Dtype, &[u8])> {
        let place = self.tensors.get(name)?;
        let shard = &self.shards[place.shard];
        let info = shard.metadata.info(&place.stored)?;
        let (begin, end) = info.data_offsets;
        Some((info.dtype, &shard.map[shard.start + begin..shard.start + end]))
    }

    /// Excludes a tensor from [`Self::check_no_others`] and from the fingerprint.
    pub fn ignore(&mut self, name: &str) {
        self.ignored.insert(name.to_owned());
    }

    /// Like [`ignore`](Self::ignore), for all tensors whose names match.
    pub(crate) fn ignore_where(&mut self, fits: impl Fn(&str) -> bool) {
        let names: Vec<String> = self.names().filter(|name| fits(name)).map(str::to_owned).collect();
        self.ignored.extend(names);
    }

    /// Element types of the tensors in use, without duplicates, those with the most values first, by their safetensors
    /// names (`F32`, `BF16`).
    pub fn element_types(&self) -> Vec<String> {
        let mut values: BTreeMap<String, usize> = BTreeMap::new();
        for name in self.taking_part() {
            if let (Some((dtype, _)), Some(shape)) = (self.raw(name), self.shape(name)) {
                *values.entry(format!("{dtype:?}")).or_default() += shape.iter().product::<usize>();
            }
        }
        let mut types: Vec<(String, usize)> = values.into_iter().collect();
        types.sort_by_key(|(_, values)| std::cmp::Reverse(*values));
        types.into_iter().map(|(name, _)| name).collect()
    }

    /// Names of the tensors in use.
    fn taking_part(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| !self.ignored.contains(*name))
    }

    /// Values of a tensor of the given shape, converted to f32 from f32, f16 or bf16.
    pub fn read(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, ModelError> {
        let (dtype, bytes) = self.expect(name, expected)?;
        let mut values = vec![0.0; expected.iter().product()];
        self.widen(name, dtype, bytes, &mut values)?;
        self.check_finite(name, &values, 0)?;
        Ok(values)
    }

    /// Like [`read`](Self::read) for a matrix `[rows, columns]`, with its values transposed to `[columns, rows]`.
    /// Avoids a second copy of the matrix by converting bands of rows one at a time.
    pub fn read_transposed(&self, name: &str, [rows, columns]: [usize; 2]) -> Result<Vec<f32>, ModelError> {
        /// Rows converted at a time: as many values as fit into a cache line of the output.
        const BAND: usize = 16;
        let (dtype, bytes) = self.expect(name, &[rows, columns])?;
        let mut values = vec![0.0; rows * columns];
        let mut band = vec![0.0; BAND.min(rows) * columns];
        let size = bytes.len() / rows.max(1);
        for first in (0..rows).step_by(BAND) {
            let count = BAND.min(rows - first);
            let band = &mut band[..count * columns];
            self.widen(name, dtype, &bytes[first * size..][..count * size], band)?;
            self.check_finite(name, band, first * columns)?;
            for column in 0..columns {
                for (row, value) in values[column * rows + first..][..count].iter_mut().enumerate() {
                    *value = band[row * columns + column];
                }
            }
        }
        Ok(values)
    }

    /// Element type and bytes of a tensor, after checking its shape.
    fn expect(&self, name: &str, expected: &[usize]) -> Result<(Dtype, &[u8]), ModelError> {
        let (Some(found), Some((dtype, bytes))) = (self.shape(name), self.raw(name)) else {
            return Err(ModelError::MissingTensor {
                file: self.file_of(name),
                tensor: name.to_owned(),
                expected: expected.to_vec(),
            });
        };
        if found != expected {
            return Err(ModelError::Shape {
                file: self.file_of(name),
                tensor: self.stored(name).to_owned(),
                expected: expected.to_vec(),
                found: found.to_vec(),
            });
        }
        Ok((dtype, bytes))
    }

    /// Converts stored values to f32.
    fn widen(&self, name: &str, dtype: Dtype, bytes: &[u8], out: &mut [f32]) -> Result<(), ModelError> {
        let pairs = || bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
        match dtype {
            Dtype::F32 => {
                let fours = bytes
                    .chunks_exact(4)
                    .map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]]));
                out.iter_mut().zip(fours).for_each(|(out, value)| *out = value);
            }
            Dtype::F16 => {
                let values = pairs().map(|x| f16::from_le_bytes(x).to_f32());
                out.iter_mut().zip(values).for_each(|(out, value)| *out = value);
            }
            Dtype::BF16 => {
                let values = pairs().map(|x| bf16::from_le_bytes(x).to_f32());
                out.iter_mut().zip(values).for_each(|(out, value)| *out = value);
            }
            other => {
                return Err(ModelError::Dtype {
                    file: self.file_of(name),
                    tensor: name.to_owned(),
                    expected: "F32, F16 or BF16",
                    found: format!("{other:?}"),
                });
            }
        }
        Ok(())
    }

    /// Refuses NaN and infinities among a tensor's values from index `first` on: such a model would only produce noise.
    fn check_finite(&self, name: &str, values: &[f32], first: usize) -> Result<(), ModelError> {
        const EXPONENT: u32 = 0x7f80_0000;
        // No branch per value: the compiler vectorises this loop, so it costs next to nothing compared with reading.
        let is_off = |value: &f32| value.to_bits() & EXPONENT == EXPONENT;
        if !values.iter().fold(false, |off, value| off | is_off(value)) {
            return Ok(());
        }
        let place = values.iter().position(is_off).unwrap_or_default();
        let mut rest = first + place;
        let mut index: Vec<usize> = (self.shape(name).unwrap_or_default().iter().rev())
            .map(|&size| {
                let at = rest % size;
                rest /= size;
                at
            })
            .collect();
        index.reverse();
        Err(ModelError::NotFinite {
            file: self.file_of(name),
            tensor: self.stored(name).to_owned(),
            index,
            found: values[place],
        })
    }

    /// A tensor's name in its file.
    fn stored<'a>(&'a self, name: &'a str) -> &'a str {
        self.tensors.get(name).map_or(name, |place| &place.stored)
    }

    /// Checks that an alias has the same values as its target.
    pub(crate) fn same(&self, alias: &str, target: &str) -> Result<(), ModelError> {
        if self.shape(alias) == self.shape(target) && self.raw(alias) == self.raw(target) {
            return Ok(());
        }
        Err(ModelError::Untied {
            file: self.file_of(alias),
            tensor: self.stored(alias).to_owned(),
            target: self.stored(target).to_owned(),
        })
    }

    /// Refuses tensors that are neither in `used` nor ignored.
    pub fn check_no_others(&self, used: &BTreeSet<String>) -> Result<(), ModelError> {
        match self
            .names()
            .find(|name| !used.contains(*name) && !self.ignored.contains(*name))
        {
            None => Ok(()),
            Some(name) => Err(ModelError::UnexpectedTensor {
                file: self.file_of(name),
                tensor: self.stored(name).to_owned(),
                found: self.shape(name).unwrap_or_default().to_vec(),
            }),
        }
    }

    /// Hash of all tensors in use: independent of sharding, but not of the element type.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut builder = FingerprintBuilder::new();
        for name in self.taking_part() {
            if let (Some(shape), Some((dtype, bytes))) = (self.shape(name), self.raw(name)) {
                builder.tensor(name, &format!("{dtype:?}"), shape, bytes);
            }
        }
        builder.finish()
    }

    /// Number of values in all tensors in use.
    pub fn parameters(&self) -> usize {
        self.taking_part()
            .filter_map(|name| self.shape(name))
            .map(|shape| shape.iter().product::<usize>())
            .sum()
    }

    /// The file that holds a tensor; the folder if there are several files and none holds it.
    pub fn file_of(&self, name: &str) -> PathBuf {
        match (self.tensors.get(name), self.shards.as_slice()) {
            (Some(place), shards) => shards[place.shard].path.clone(),
            (None, [only]) => only.path.clone(),
            (None, _) => self.dir.clone(),
        }
    }
}

impl Shard {
    fn open(path: PathBuf) -> Result<Self, ModelError> {
        adept_files::check(&path)?;
        let io = |source| ModelError::Io {
            path: path.clone(),
            source,
        };
        let file = File::open(&path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        if found < 8 {
            return Err(ModelError::Size {
                file: path,
                expected: 8,
                found,
            });
        }
        // SAFETY: the map is read-only and private to this struct. The only hazard is another process truncating the
        // file while it is mapped; the module documentation states this limit, and no reader of checkpoints can rule it
        // out.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        match SafeTensors::read_metadata(&map) {
            Ok((header, metadata)) => Ok(Self {
                path,
                map,
                metadata,
                start: 8 + header,
            }),
            Err(source) => Err(match (&source, expected_size(&map)) {
                (SafeTensorError::MetadataIncompleteBuffer | SafeTensorError::InvalidHeaderLength, Some(expected)) => {
                    ModelError::Size {
                        file: path,
                        expected,
                        found,
                    }
                }
                _ => ModelError::Header { file: path, source },
            }),
        }
    }
}

/// Expected file size according to its header; if the header itself is cut, its length.
fn expected_size(bytes: &[u8]) -> Option<u64> {
    let header = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let data = 8u64.checked_add(header)?;
    let Some(text) = bytes.get(8..usize::try_from(data).ok()?) else {
        return Some(data);
    };
    /// The part of an entry that is needed; the file's metadata does not have it.
    #[derive(Deserialize)]
    struct Entry {
        data_offsets: Option<(u64, u64)>,
    }
    let entries: BTreeMap<String, Entry> = serde_json::from_slice(text).ok()?;
    let ends = entries
        .values()
        .filter_map(|entry| entry.data_offsets.map(|(_, end)| end));
    data.checked_add(ends.max().unwrap_or(0))
}

/// Writes `config.json` and [`WEIGHTS`] into a folder such that a half-written checkpoint can never be taken for a
/// complete one.
///
/// A new folder is written next to its final location and renamed; in an existing folder each file that this crate
/// wrote is replaced by a rename, and other files are left alone.
///
/// # Errors
/// [`ModelError::Foreign`] if the folder holds another program's model, [`ModelError::Write`] if writing fails.
pub fn write<V: View>(dir: &Path, config: &str, tensors: Vec<(String, V)>) -> Result<(), ModelError> {
    refuse_foreign(dir)?;
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| ModelError::Write { path, source }
    };
    std::fs::create_dir_all(&parent).map_err(io(&parent))?;
    // On the same file system as the target, so that renames are atomic; removed on every early return. The prefix is
    // shared by all temporary entries of the program.
    let staging = tempfile::Builder::new()
        .prefix(".adept-")
        .suffix(".tmp")
        .tempdir_in(&parent)
        .map_err(io(&parent))?;
    let inner = staging.path().join("checkpoint");
    std::fs::create_dir(&inner).map_err(io(&inner))?;

    let weights = inner.join(WEIGHTS);
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(about), &weights).map_err(|error| match error {
        SafeTensorError::IoError(source) => ModelError::Write {
            path: dir.join(WEIGHTS),
            source,
        },
        source => ModelError::Header {
            file: dir.join(WEIGHTS),
            source,
        },
    })?;
    let settings = inner.join(SETTINGS);
    std::fs::write(&settings, signed(dir, config)?).map_err(io(&dir.join(SETTINGS)))?;
    // Give the weights the same permissions as the configuration (decided by the umask); the safetensors library
    // creates them readable by the owner only.
    let readers = std::fs::metadata(&settings).map_err(io(&settings))?.permissions();
    std::fs::set_permissions(&weights, readers).map_err(io(&weights))?;
    for path in [&weights, &settings] {
        File::open(path).and_then(|file| file.sync_all()).map_err(io(path))?;
    }
    if dir.exists() {
        for name in [WEIGHTS, SETTINGS] {
            std::fs::rename(inner.join(name), dir.join(name)).map_err(io(&dir.join(name)))?;
        }
        File::open(dir).and_then(|folder| folder.sync_all()).map_err(io(dir))?;
    } else {
        std::fs::rename(&inner, dir).map_err(io(dir))?;
    }
    File::open(&parent)
        .and_then(|folder| folder.sync_all())
        .map_err(io(&parent))
}

const SETTINGS: &str = "config.json";

/// Refuses a folder with a model that this project did not write.
fn refuse_foreign(dir: &Path) -> Result<(), ModelError> {
    let there = [SETTINGS, WEIGHTS, INDEX]
        .into_iter()
        .find(|name| dir.join(name).exists());
    match there {
        Some(found) if !adept_files::is_signed(&dir.join(SETTINGS)) => Err(ModelError::Foreign {
            dir: dir.to_path_buf(),
            found,
        }),
        _ => Ok(()),
    }
}

/// The configuration with the version of this program added.
fn signed(dir: &Path, config: &str) -> Result<String, ModelError> {
    let json = |source| ModelError::Json {
        path: dir.join(SETTINGS),
        source,
    };
    let mut config = adept_files::json_object(config.as_bytes()).map_err(json)?;
    adept_files::sign(&mut config);
    let mut text = serde_json::to_string_pretty(&config).map_err(json)?;
    text.push('\n');
    Ok(text)
}
