//! Golden folders, and copies of them for tests to modify.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::thorough::thorough;
use adept_lab::verify::{VerifyError, VerifyReport, verify};
use burn::backend::Autodiff;
use burn_flex::Flex;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// The families or methods that a change is tried on: where tests do not take their time, the first.
pub fn some_of(all: &'static [&'static str]) -> &'static [&'static str] {
    &all[..if thorough() { all.len() } else { 1 }]
}

pub fn golden(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(family)
}

pub fn run(backbone: &Path, golden: &Path) -> Result<VerifyReport, VerifyError> {
    verify::<Autodiff<Flex>>(backbone, golden, &Default::default())
}

/// The file that the groups of a family's own checks are in.
pub const GOLDEN: &str = "golden.safetensors";

/// A modifiable copy of a golden folder.
pub struct Copy {
    dir: tempfile::TempDir,
}

impl Copy {
    pub fn of(family: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_folder(&golden(family), dir.path());
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Rewrites a safetensors file of the folder; `change` receives every tensor's type, shape and bytes.
    pub fn rewrite(&self, file: &str, change: impl FnOnce(&mut BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>)) {
        let path = self.path().join(file);
        let bytes = std::fs::read(&path).unwrap();
        let mut tensors: BTreeMap<_, _> = SafeTensors::deserialize(&bytes)
            .unwrap()
            .tensors()
            .into_iter()
            .map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
            .collect();
        change(&mut tensors);
        let views = tensors
            .iter()
            .map(|(name, (dtype, shape, data))| (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    }

    /// Adds `by` to the second value of a tensor in the golden file (or changes an integer by one).
    pub fn shift(&self, name: &str, by: f64) {
        self.shift_in(GOLDEN, name, by);
    }

    /// Like [`Copy::shift`], in any of the folder's files.
    pub fn shift_in(&self, file: &str, name: &str, by: f64) {
        self.rewrite(file, |tensors| {
            let (dtype, _, data) = tensors.get_mut(name).unwrap_or_else(|| panic!("{name} is in {file}"));
            let index = usize::from(data.len() > dtype.bitsize() / 8);
            match dtype {
                Dtype::F32 => change::<4>(data, index, |word| (f32::from_le_bytes(word) + by as f32).to_le_bytes()),
                Dtype::F64 => change::<8>(data, index, |word| (f64::from_le_bytes(word) + by).to_le_bytes()),
                Dtype::I64 => change::<8>(data, index, |word| (i64::from_le_bytes(word) ^ 1).to_le_bytes()),
                other => panic!("{name} is {other:?}"),
            }
        });
    }

    pub fn remove(&self, name: &str) {
        self.rewrite(GOLDEN, |tensors| {
            tensors
                .remove(name)
                .unwrap_or_else(|| panic!("{name} is in the golden file"));
        });
    }

    pub fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} does not hold {from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    pub fn verify(&self) -> Result<VerifyReport, VerifyError> {
        run(self.path(), self.path())
    }
}

pub fn change<const N: usize>(data: &mut [u8], index: usize, f: impl Fn([u8; N]) -> [u8; N]) {
    let word = &mut data[index * N..(index + 1) * N];
    let new = f((&*word).try_into().unwrap());
    word.copy_from_slice(&new);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

pub fn failed(report: &VerifyReport) -> Vec<&str> {
    report.failed().map(|row| row.group.as_str()).collect()
}

/// A tensor to shift by so much, and the group that it belongs to.
#[derive(Clone, Debug)]
pub struct Shift {
    pub file: &'static str,
    pub tensor: String,
    pub by: f64,
    pub group: String,
}

impl Shift {
    /// In the golden file.
    pub fn golden(tensor: impl Into<String>, by: f64, group: impl Into<String>) -> Self {
        Self {
            file: GOLDEN,
            tensor: tensor.into(),
            by,
            group: group.into(),
        }
    }
}

/// Divides cases that a report tells apart into those that are changed together, since a verification takes a second;
/// no two of the same `group`, and neighbours, which are often alike, in different ones of `sets`. Where tests take
/// their time, there is for any two cases a set with the first and without the second.
pub fn together<T: Clone, G: PartialEq>(
    sets: usize,
    cases: impl IntoIterator<Item = T>,
    group: impl Fn(&T) -> G,
) -> Vec<Vec<T>> {
    let sets = if thorough() { 1 } else { sets };
    let mut found: Vec<Vec<T>> = (0..sets).map(|_| Vec::new()).collect();
    for (number, case) in cases.into_iter().enumerate() {
        let holds = |set: &[T]| set.iter().any(|other| group(other) == group(&case));
        match (number % sets..found.len()).find(|place| !holds(&found[*place])) {
            Some(place) => found[place].push(case),
            None => found.push(vec![case]),
        }
    }
    if thorough() {
        found = found.iter().flat_map(|set| separated(set)).collect();
    }
    found
}

/// Sets so that for any two cases there is one with the first and without the second: those of the bits of their codes,
/// none of which contains another (Sperner's theorem).
fn separated<T: Clone>(cases: &[T]) -> Vec<Vec<T>> {
    let codes = |bits: u32| (0..1_u32 << bits).filter(move |code| code.count_ones() == bits.div_ceil(2));
    let bits = (1..).find(|bits| codes(*bits).count() >= cases.len()).unwrap();
    let of_bit = |bit: u32| {
        let coded = cases.iter().zip(codes(bits));
        coded
            .filter(move |(_, code)| code >> bit & 1 == 1)
            .map(|(case, _)| case.clone())
            .collect()
    };
    (0..bits).map(of_bit).collect()
}

/// Shifts tensors and expects exactly their groups to fail.
#[track_caller]
pub fn each_fails_its_group(family: &str, cases: impl IntoIterator<Item = Shift>) {
    for run in together(2, cases, |case| case.group.clone()) {
        let copy = Copy::of(family);
        for Shift { file, tensor, by, .. } in &run {
            copy.shift_in(file, tensor, *by);
        }
        let report = copy.verify().unwrap();
        let mut failed = failed(&report);
        let mut expected: Vec<&str> = run.iter().map(|case| case.group.as_str()).collect();
        failed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(failed, expected, "{run:?}\n{report}");
    }
}
