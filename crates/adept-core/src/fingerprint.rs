//! The fingerprint of a backbone: a hash over all its tensors, stored in every adapter trained on it.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The textual form, `sha256:<hex>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_digest(digest: &[u8]) -> Self {
        let mut text = String::from("sha256:");
        for byte in digest {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        }
        Self(text)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// A string that is not a valid fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a fingerprint: expected sha256: and 64 lower-case hexadecimal digits, found `{found}`")]
pub struct MalformedFingerprint {
    /// The string given.
    pub found: String,
}

impl FromStr for Fingerprint {
    type Err = MalformedFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("sha256:").unwrap_or_default();
        if digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_string()))
        } else {
            Err(MalformedFingerprint {
                found: text.to_string(),
            })
        }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = MalformedFingerprint;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.0
    }
}

/// Builds a fingerprint from the tensors of a checkpoint, added in any order.
///
/// Each tensor is hashed as it is added, so a large backbone never has to be in memory at once. The fingerprint is the
/// SHA-256 of the records sorted by name; a record consists of name, type, number of dimensions, dimensions and the
/// hash of the bytes, with each string prefixed by its length. No two different sets of tensors give the same records.
/// If a name is added twice, the last tensor counts.
#[derive(Debug, Clone, Default)]
pub struct FingerprintBuilder {
    records: BTreeMap<String, Vec<u8>>,
}

impl FingerprintBuilder {
    /// A builder without tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor exactly as stored: `dtype` is its safetensors name (`F32`, `BF16`, ..), `bytes` are little-endian
    /// in row-major order.
    pub fn tensor(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: &[u8]) -> &mut Self {
        let mut record = Vec::new();
        put_text(&mut record, name);
        put_text(&mut record, dtype);
        put_number(&mut record, shape.len());
        for &dimension in shape {
            put_number(&mut record, dimension);
        }
        record.extend_from_slice(&Sha256::digest(bytes));
        self.records.insert(name.to_string(), record);
        self
    }

    /// The fingerprint of all tensors added so far.
    pub fn finish(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update((self.records.len() as u64).to_le_bytes());
        for record in self.records.values() {
            hash.update(record);
        }
        Fingerprint::from_digest(&hash.finalize())
    }
}

fn put_number(record: &mut Vec<u8>, number: usize) {
    record.extend_from_slice(&(number as u64).to_le_bytes());
}

fn put_text(record: &mut Vec<u8>, text: &str) {
    put_number(record, text.len());
    record.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    type Entry<'a> = (&'a str, &'a str, &'a [usize], &'a [u8]);

    fn of(tensors: &[Entry<'_>]) -> Fingerprint {
        let mut builder = FingerprintBuilder::new();
        for (name, dtype, shape, bytes) in tensors {
            builder.tensor(name, dtype, shape, bytes);
        }
        builder.finish()
    }

    #[test]
    fn order_does_not_matter() {
        let a: Entry<'_> = ("a", "F32", &[1], &[0, 0, 0, 1]);
        let b: Entry<'_> = ("b", "F16", &[2], &[0, 0, 0, 2]);
        assert_eq!(of(&[a, b]), of(&[b, a]));
    }

    #[test]
    fn everything_else_matters() {
        let variants: [&[Entry<'_>]; 9] = [
            &[],
            &[("ab", "F32", &[2], &[1, 2])],
            &[("a", "bF32", &[2], &[1, 2])],
            &[("ab", "F16", &[2], &[1, 2])],
            &[("ab", "F32", &[2, 1], &[1, 2])],
            &[("ab", "F32", &[1, 2], &[1, 2])],
            &[("ab", "F32", &[2], &[1, 3])],
            &[("ab", "F32", &[2], &[1]), ("c", "F32", &[1], &[2])],
            &[("ab", "F32", &[2], &[1, 2]), ("c", "F32", &[0], &[])],
        ];
        let fingerprints: std::collections::HashSet<_> = variants.iter().map(|tensors| of(tensors)).collect();
        assert_eq!(fingerprints.len(), variants.len());
    }

    #[test]
    fn encoding_is_pinned() {
        // Computed with Python's hashlib and struct from the description above; pins the encoding.
        let expected = "sha256:b8d78a49983ed5a4d42c2a56c27afbd7646111318fbb8c7f2ae08fd967805f19";
        assert_eq!(
            of(&[("w", "F32", &[1, 2], &[0, 0, 128, 63, 0, 0, 0, 64])]).as_str(),
            expected
        );
    }

    #[test]
    fn only_fingerprints_parse() {
        let good = of(&[]);
        assert_eq!(good.as_str().parse::<Fingerprint>(), Ok(good.clone()));
        for bad in [
            "",
            "sha256:",
            "sha256:zz",
            &good.as_str().to_uppercase(),
            &good.as_str()[7..],
        ] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
