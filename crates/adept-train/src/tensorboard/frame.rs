//! The stream of records around events (TensorFlow's TFRecord): the length as u64, its checksum, the data, its
//! checksum, all little-endian.

use crc::{CRC_32_ISCSI, Crc};

/// CRC-32C (Castagnoli).
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
/// Added to a rotated checksum.
const MASK: u32 = 0xa282_ead8;

/// One record of the stream.
pub(super) fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let sums = [masked(&length).to_le_bytes(), masked(data).to_le_bytes()];
    [&length[..], &sums[0], data, &sums[1]].concat()
}

/// The checksum in the form it is stored in: a checksum of data that contain checksums would be weak.
fn masked(bytes: &[u8]) -> u32 {
    CHECKSUM.checksum(bytes).rotate_right(15).wrapping_add(MASK)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    /// The data of each record, its checksums verified bit by bit.
    pub fn unframed(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at(12);
            let length = u64::from_le_bytes(head[..8].try_into().unwrap()) as usize;
            let (data, rest) = rest.split_at(length);
            let (sum, rest) = rest.split_at(4);
            for (bytes, stored) in [(&head[..8], &head[8..]), (data, sum)] {
                assert_eq!(u32::from_le_bytes(stored.try_into().unwrap()), by_bits(bytes));
            }
            found.push(data.to_vec());
            bytes = rest;
        }
        found
    }

    /// The masked checksum by its definition: division by the reflected polynomial 0x82f63b78.
    fn by_bits(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
            }
        }
        let crc = !crc;
        crc.rotate_right(15).wrapping_add(0xa282_ead8)
    }

    /// Bytes from lower-case hex.
    pub fn bytes_of(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        // The check value of CRC-32C in RFC 3720's catalogue entry.
        assert_eq!(CHECKSUM.checksum(b"123456789"), 0xe306_9283);
        assert_eq!(
            unframed(&[frame(b"one"), frame(b"")].concat()),
            [b"one".to_vec(), Vec::new()]
        );
    }
}
