//! Adapters as the published code saved them, and malicious files.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::common::{fixture, tensors};
use adept_core::file::{self, CONFIG_FILE, PICKLE_FILE};
use adept_core::{
    Adapter, AdapterConfig, AdapterMetadata, AdeptConfig, CoreError, DeptConfig, ModelSites, PickleProblem,
};
use burn_flex::Flex;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

type B = Flex;

fn load(dir: &Path) -> Result<(Adapter<B>, AdapterMetadata), CoreError> {
    file::load::<B>(dir, &ModelSites::embeddings(6), &Default::default())
}

/// A folder with the configuration of a published adapter and the given `.bin`.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(published: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(
            fixture(&format!("published/{published}")).join(CONFIG_FILE),
            dir.path().join(CONFIG_FILE),
        )
        .unwrap();
        Self(dir)
    }

    fn load(&self, bytes: &[u8]) -> Result<(Adapter<B>, AdapterMetadata), CoreError> {
        fs::write(self.0.path().join(PICKLE_FILE), bytes).unwrap();
        load(self.0.path())
    }
}

#[test]
fn published_adapters_are_read() {
    let scale = 8.0 / 2f64.sqrt();
    let cases = [
        ("pt", AdapterConfig::pt(6, 3)),
        ("pt_bf16", AdapterConfig::pt(6, 3)),
        (
            "dept",
            AdapterConfig::from(DeptConfig {
                scale,
                ..DeptConfig::new(6, 3, 2, 5)
            }),
        ),
        (
            "adept",
            AdapterConfig::from(AdeptConfig {
                max_source_length: 5,
                ..AdeptConfig::new(6, 3, 2)
            }),
        ),
    ];
    for (name, config) in cases {
        let dir = fixture(&format!("published/{name}"));
        let (adapter, meta) = load(&dir).unwrap();
        assert_eq!(meta.config, config, "{name}");
        assert_eq!((meta.base_model.as_str(), meta.fingerprint.as_ref()), ("t5-base", None));
        assert_eq!(meta.extra["prompt_tuning_init"], "TEXT", "{name}: other keys are kept");

        let expected = tensors(&dir.join("expected.safetensors"));
        let found: Vec<_> = adapter.tensors();
        assert_eq!(found.len(), expected.len());
        for (tensor, data) in found {
            assert_eq!(data, expected[&tensor], "{name}: {tensor}");
        }

        // They can be saved in the current format.
        let again = tempfile::tempdir().unwrap();
        file::save(again.path(), &adapter, &meta).unwrap();
        assert_eq!(load(again.path()).unwrap().1, meta, "{name}");
    }
}

#[test]
fn a_pickle_that_runs_commands_is_refused_by_name() {
    let bytes = fs::read(fixture("hostile/command.bin")).unwrap();
    let error = Folder::new("pt").load(&bytes).unwrap_err();
    // os.system is pickled under the name of the module that implements it.
    assert!(
        error
            .to_string()
            .ends_with("it names posix.system, which no adapter needs"),
        "{error}"
    );
    assert!(!Path::new("executed").exists());
}

#[test]
fn hostile_files_are_refused() {
    let folder = Folder::new("pt");
    let check = |name: &str, expected: &str| {
        let bytes = fs::read(fixture(&format!("hostile/{name}.bin"))).unwrap();
        let text = folder.load(&bytes).unwrap_err().to_string();
        assert!(text.contains(PICKLE_FILE) && text.contains(expected), "{name}: {text}");
    };
    check("legacy", "before version 1.6");
    check(
        "integers",
        "tensor prompt_embeddings: expected f32, f16 or bf16 values, found i64",
    );
    check("nan", "tensor prompt_embeddings: the value at [1, 4] is NaN");
    check("shape", "tensor prompt_embeddings: expected shape [3, 6], found [2, 6]");
    check(
        "outside",
        "tensor prompt_embeddings reaches element 19 of a storage of 18",
    );

    let error = folder.load(b"not an archive").unwrap_err();
    assert!(matches!(error, CoreError::Archive { .. }), "{error}");
}

/// A zip archive with one pickle.
fn archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", options).unwrap();
    zip.write_all(pickle).unwrap();
    for (key, bytes) in storages {
        zip.start_file(format!("archive/data/{key}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn refusal(pickle: &[u8]) -> PickleProblem {
    match Folder::new("pt").load(&archive(pickle, &[])).unwrap_err() {
        CoreError::Pickle { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn every_way_to_name_a_function_is_refused() {
    let forbidden = |module: &str, name: &str| PickleProblem::ForbiddenGlobal {
        module: module.to_string(),
        name: name.to_string(),
    };
    assert_eq!(refusal(b"cos\nsystem\n."), forbidden("os", "system"));
    assert_eq!(
        refusal(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93."),
        forbidden("builtins", "eval")
    );
    assert_eq!(refusal(b"ctorch\nload\n."), forbidden("torch", "load"));
    // INST, OBJ, NEWOBJ, NEWOBJ_EX, EXT1, PERSID, and REDUCE without a function.
    for opcode in [b'i', b'o', 0x81, 0x92, 0x82, b'P'] {
        assert_eq!(
            refusal(&[b'(', b'N', opcode, b'.']),
            PickleProblem::ForbiddenOpcode { opcode }
        );
    }
    let problem = refusal(b"X\x02\x00\x00\x00os)R.");
    assert_eq!(problem.to_string(), "expected a function, found a str");
}

#[test]
fn malformed_pickles_are_refused() {
    for (pickle, expected) in [
        (&b""[..], "the pickle is truncated"),
        (b"}", "the pickle is truncated"),
        (b".", "expected a value, found an empty stack"),
        (b"N.", "expected a dict of tensors, found None"),
        (b"t.", "expected a mark, found none"),
        (b"}(Nu.", "expected pairs of key and value, found a key without value"),
        (b"}NNs.", "expected a tensor, found None"),
        (b"NNNs.", "expected a dict, found None"),
        (b"h\x07.", "expected a remembered value, found none"),
        (b"X\xff\xff\xff\xff.", "the pickle is truncated"),
        (b"\x8a\x09123456789.", "expected an integer of at most 8 bytes, found 9"),
        (
            b"X\x01\x00\x00\x00\xff.",
            "expected UTF-8 text, found invalid utf-8 sequence of 1 bytes from index 0",
        ),
    ] {
        let text = refusal(pickle).to_string();
        let shown = String::from_utf8_lossy(pickle);
        assert_eq!(text, expected, "{shown}");
    }
}

/// Doubling by memo: each tuple contains the previous one twice. Python would need 2^40 steps to walk it.
#[test]
fn nested_sharing_costs_nothing() {
    let mut pickle = b"(t".to_vec();
    for _ in 0..40 {
        pickle.extend_from_slice(b"q\x00h\x00\x86");
    }
    pickle.push(b'.');
    assert_eq!(
        refusal(&pickle).to_string(),
        "expected a dict of tensors, found a tuple"
    );
}

/// One byte of a pickle can create a value of many bytes, so the number of values and the decompressed size of a pickle
/// are limited.
#[test]
fn a_small_file_cannot_make_a_large_pickle() {
    let limit = |what| PickleProblem::Limit { what, limit: 2048 };
    for opcode in [b'N', b')', b'}', b']', 0x88] {
        let pickle = [vec![opcode; 2049], b".".to_vec()].concat();
        assert_eq!(refusal(&pickle), limit("the number of values"));
    }
    let remembered = [b"N".to_vec(), vec![0x94; 2049], b".".to_vec()].concat();
    assert_eq!(refusal(&remembered), limit("the number of remembered values"));

    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("archive/data.pkl", zip::write::SimpleFileOptions::default())
        .unwrap();
    zip.write_all(&[b'('; (1 << 16) + 1]).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    assert!(bytes.len() < 1000, "it is compressed: {} bytes", bytes.len());
    let error = Folder::new("pt").load(&bytes).unwrap_err().to_string();
    assert!(
        error.ends_with("archive/data.pkl is larger than 65536 bytes"),
        "{error}"
    );
}

/// The zip library would allocate memory for all claimed files.
#[test]
fn a_directory_claims_no_more_files_than_it_has_room_for() {
    let mut bytes = archive(b"N.", &[("0", &[0; 4000])]);
    let end = bytes.len() - 22;
    assert_eq!(bytes[end..end + 4], *b"PK\x05\x06");
    // Files on this disk, files in total, and the length of the directory.
    bytes[end + 8..end + 10].copy_from_slice(&4000u16.to_le_bytes());
    bytes[end + 10..end + 12].copy_from_slice(&4000u16.to_le_bytes());
    bytes[end + 12..end + 16].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = Folder::new("pt").load(&bytes).unwrap_err().to_string();
    assert!(
        error.ends_with("its directory claims 4000 files, but has room for 2"),
        "{error}"
    );
}

/// The pickle of one f32 tensor named prompt_embeddings with a storage `0` of `length` elements.
fn tensor_pickle(length: u8, offset: u8, shape: [u8; 2], strides: [u8; 2]) -> Vec<u8> {
    let mut pickle = b"}X\x11\x00\x00\x00prompt_embeddingsctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    pickle.extend_from_slice(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu");
    pickle.extend_from_slice(&[b'K', length, b't', b'Q', b'K', offset]);
    for [a, b] in [shape, strides] {
        pickle.extend_from_slice(&[b'K', a, b'K', b, 0x86]);
    }
    pickle.extend_from_slice(b"\x89}tRs.");
    pickle
}

#[test]
fn storages_are_checked() {
    let folder = Folder::new("pt");
    let values: Vec<u8> = (0..20).flat_map(|value| (value as f32).to_le_bytes()).collect();
    let load = |pickle: Vec<u8>, bytes: &[u8]| folder.load(&archive(&pickle, &[("0", bytes)]));
    let read = |pickle: Vec<u8>| {
        let adapter = load(pickle, &values).unwrap().0;
        adapter.tensors().remove(0).1.to_vec::<f32>().unwrap()
    };
    let counted: Vec<f32> = (2..20).map(|value| value as f32).collect();
    assert_eq!(read(tensor_pickle(20, 2, [3, 6], [6, 1])), counted);
    let transposed: Vec<f32> = (0..18).map(|place| (place % 6 * 3 + place / 6) as f32).collect();
    assert_eq!(read(tensor_pickle(20, 0, [3, 6], [1, 3])), transposed);

    let check = |result: Result<_, CoreError>, expected: &str| {
        let text = Result::<(Adapter<B>, AdapterMetadata), _>::unwrap_err(result).to_string();
        assert!(text.contains(expected), "{text}");
    };
    check(
        load(tensor_pickle(20, 3, [3, 6], [6, 1]), &values),
        "reaches element 20 of a storage of 20",
    );
    // A tensor that repeats one value: harmless here, but a way to exhaust memory from a small file.
    check(
        load(tensor_pickle(1, 0, [3, 6], [0, 0]), &values[..4]),
        "reaches element 17 of a storage of 1",
    );
    check(
        load(tensor_pickle(21, 0, [3, 6], [6, 1]), &values),
        "holds 80 bytes, expected 21 values of 4 bytes",
    );
    let missing = folder.load(&archive(&tensor_pickle(20, 0, [3, 6], [6, 1]), &[("1", &values)]));
    check(missing, "its values (archive/data/0) are missing");
}

/// Every prefix of every published file gives an error, never a panic.
#[test]
fn truncated_files_are_refused_at_every_length() {
    for name in ["pt", "pt_bf16", "dept", "adept"] {
        let bytes = fs::read(fixture(&format!("published/{name}")).join(PICKLE_FILE)).unwrap();
        let folder = Folder::new(name);
        for length in 0..bytes.len() {
            assert!(
                folder.load(&bytes[..length]).is_err(),
                "{name}: {length} of {} bytes",
                bytes.len()
            );
        }
    }
}

/// Random damage: up to four bytes changed, in the archive or in the pickle alone (which has no checksum). Nothing
/// panics and nothing takes long, whatever the result.
#[test]
fn damaged_files_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut damage = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        for _ in 0..=rng.next_u32() % 4 {
            let place = rng.next_u32() as usize % bytes.len();
            bytes[place] = rng.next_u32() as u8;
        }
        bytes
    };
    let mut refused = 0;
    for name in ["pt_bf16", "adept"] {
        let bytes = fs::read(fixture(&format!("published/{name}")).join(PICKLE_FILE)).unwrap();
        let folder = Folder::new(name);
        for _ in 0..1000 {
            refused += usize::from(folder.load(&damage(&bytes)).is_err());
        }
    }
    let folder = Folder::new("pt");
    let values = [0u8; 80];
    let pickle = tensor_pickle(20, 0, [3, 6], [6, 1]);
    assert!(folder.load(&archive(&pickle, &[("0", &values)])).is_ok());
    for _ in 0..1000 {
        refused += usize::from(folder.load(&archive(&damage(&pickle), &[("0", &values)])).is_err());
    }
    assert!(refused > 1500, "most damage is noticed: {refused} of 3000");
}
