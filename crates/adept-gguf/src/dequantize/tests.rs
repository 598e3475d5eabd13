//! Every type against the `gguf` Python package: random blocks and their values, written by
//! tests/generators/gguf_fixtures.py. No tolerance: both perform the same f32 operations.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

use super::dequantize;
use crate::container::Gguf;

#[test]
fn every_type_gives_the_reference_bits() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let gguf = Gguf::open(&fixtures.join("types.gguf")).unwrap();
    let expected = fs::read(fixtures.join("types.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&expected).unwrap();
    assert_eq!(expected.len(), 15);
    for (name, expected) in expected.iter() {
        let tensor = gguf.tensor(name).unwrap();
        assert_eq!(tensor.info.kind.to_string(), name);
        let mut bytes = vec![0; tensor.info.bytes as usize];
        tensor.read(&mut tensor.open().unwrap(), &mut bytes).unwrap();
        let mut values = vec![0.0; 2 * 512];
        dequantize(tensor.info.kind, &bytes, &mut values);
        let expected = expected
            .data()
            .chunks_exact(4)
            .map(|x| u32::from_le_bytes(x.try_into().unwrap()));
        for (at, (value, expected)) in values.iter().zip(expected).enumerate() {
            assert_eq!(value.to_bits(), expected, "{name}, value {at}: {value}");
        }
    }
}
