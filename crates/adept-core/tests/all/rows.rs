//! Virtual tokens from files of PyTorch, NumPy and safetensors, and files that are not that. The fixtures are made by
//! tests/generators/prompt_files.py.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use adept_core::file::read_rows;
use adept_core::{CoreError, PickleProblem};
use proptest::prelude::*;

use crate::common::fixture;

fn read(name: &str) -> Result<(Vec<usize>, Vec<f32>), String> {
    read_path(&fixture("rows").join(name)).map_err(|error| error.to_string())
}

fn read_path(path: &Path) -> Result<(Vec<usize>, Vec<f32>), CoreError> {
    read_rows(path).map(|rows| (rows.shape.to_vec(), rows.to_vec().unwrap()))
}

#[test]
fn every_published_form_holds_the_same_rows() {
    let expected: Vec<f32> = (0..12).map(|value| value as f32 / 8.0).collect();
    for name in [
        "tensor.pt",
        "parameter.pt",
        "slice.pt",
        "state.pt",
        "array.npy",
        "columns.npy",
        "columns_of_one.npy",
        "half.npy",
        "version_2.npy",
        "alone.safetensors",
    ] {
        assert_eq!(read(name), Ok((vec![3, 4], expected.clone())), "{name}");
    }
}

#[test]
fn what_is_no_prompt_is_refused_with_its_tensor() {
    for (name, expected) in [
        (
            "two.pt",
            "expected one tensor, or one called prompt_embeddings, found one, other",
        ),
        (
            "flat.npy",
            "the array: expected two dimensions, virtual tokens and the model's width, found shape [12]",
        ),
        ("big_endian.npy", "expected f32, f16 or bf16 values, found >f4"),
        ("whole.pt", "expected f32, f16 or bf16 values, found i64"),
        ("missing.npy", "missing.npy"),
    ] {
        let error = read(name).unwrap_err();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
}

#[test]
fn a_file_that_calls_a_function_is_refused() {
    let error = read_path(&fixture("rows").join("hostile.pt")).unwrap_err();
    let CoreError::Pickle { problem, .. } = error else {
        panic!("{error}")
    };
    let expected = PickleProblem::ForbiddenGlobal {
        module: "posix".to_owned(),
        name: "system".to_owned(),
    };
    assert_eq!(problem, expected);
}

#[test]
fn arrays_cut_short_or_with_other_headers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("array.npy");
    let whole = fs::read(fixture("rows").join("array.npy")).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read_path(&path).unwrap_err().to_string()
    };
    for length in 0..whole.len() {
        refused(&whole[..length]);
    }
    let cut = refused(&whole[..whole.len() - 1]);
    assert!(
        cut.ends_with("shape [3, 4] of 4 bytes a value, found 47 bytes of values"),
        "{cut}"
    );
    let text = String::from_utf8_lossy(&whole).into_owned();
    let at = text.find("(3, 4)").unwrap();
    let edited = |shape: &str| {
        let mut bytes = whole.clone();
        // The replacement character of lossy text is longer than the byte that it stands for.
        let at = at - ("\u{fffd}".len() - 1);
        bytes[at..at + shape.len()].copy_from_slice(shape.as_bytes());
        bytes
    };
    assert!(refused(&edited("(3, 5)")).contains("shape [3, 5]"));
    assert!(refused(&edited("(3,-4)")).contains("expected a header such as"));
    let mut version = whole.clone();
    version[6] = 9;
    assert!(refused(&version).contains("expected version 1, 2 or 3 of the format, found 9"));
    let mut long = whole;
    long[8..10].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(refused(&long).contains("ends within its header"));
}

proptest! {
    /// Nothing in a file brings the reader down or makes it keep more than the file has.
    #[test]
    fn changed_bytes_are_read_or_refused(
        name in prop::sample::select(vec!["array.npy", "tensor.pt", "alone.safetensors", "columns.npy"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = fs::read(fixture("rows").join(name)).unwrap();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        if let Ok((shape, values)) = read_path(&path) {
            prop_assert_eq!(shape.iter().product::<usize>(), values.len());
            prop_assert!(values.len() * 2 <= bytes.len());
        }
    }
}
