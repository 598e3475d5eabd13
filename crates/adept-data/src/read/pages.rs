//! Validates the pages of a parquet file before they reach the decoder. The decoder trusts the file: it allocates room
//! for as many values as a page claims to have, and skips as many items as a page header claims, even beyond the end of
//! the file. The process aborts if there is not enough memory. So a page that claims more than its file can hold is
//! rejected here, and reading beyond the end of the file is an error.
//!
//! The remaining exposure to a corrupt file is the decompressed size of one page, a 32-bit number: 2 GiB for a moment.
//! The gzip and brotli decoders yield only what is actually there, whatever size is claimed.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnDescPtr;

/// Values that a column may have however small its file is: runs of equal values take almost no space.
const ALWAYS: u64 = 1 << 20;

/// A file that cannot be read beyond its end.
pub(super) struct Within(pub(super) File);

impl Length for Within {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for Within {
    type T = Strict;

    fn get_read(&self, start: u64) -> Result<Strict> {
        self.0.get_read(start).map(Strict)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.0.get_bytes(start, length)
    }
}

/// A reader for which reaching the end is an error.
pub(super) struct Strict(BufReader<File>);

impl Read for Strict {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 if !buffer.is_empty() => Err(ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

/// The pages of one column chunk, each validated before it is passed on.
pub(super) struct Bounded {
    pages: Box<dyn PageReader>,
    column: ColumnDescPtr,
    /// Values that the remaining pages may claim.
    left: u64,
}

impl Bounded {
    /// For a file of `bytes` bytes: one value per byte, plus [`ALWAYS`].
    pub(super) fn new(pages: Box<dyn PageReader>, column: ColumnDescPtr, bytes: u64) -> Self {
        let left = bytes.saturating_add(ALWAYS);
        Self { pages, column, left }
    }

    fn check(&mut self, page: &Page) -> Result<()> {
        let (values, size) = (u64::from(page.num_values()), page.buffer().len());
        if page.is_dictionary_page() {
            // Dictionary values are stored consecutively, at least one byte each.
            return enough(values <= size as u64, || {
                format!("a dictionary of {values} values in {size} bytes")
            });
        }
        let left = self.left.checked_sub(values);
        enough(left.is_some(), || {
            format!("a page of {values} values where at most {} are possible", self.left)
        })?;
        self.left = left.unwrap_or_default();
        let lists = match page.encoding() {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
            Encoding::DELTA_BYTE_ARRAY => 2,
            _ => return Ok(()),
        };
        let mut numbers = self.values(page).unwrap_or_default();
        for _ in 0..lists {
            let rest = after_numbers(numbers, values);
            enough(rest.is_some(), || format!("lengths of {values} values in {size} bytes"))?;
            numbers = rest.unwrap_or_default();
        }
        Ok(())
    }

    /// The part of a data page after its levels.
    fn values<'p>(&self, page: &'p Page) -> Option<&'p [u8]> {
        match page {
            Page::DataPage { buf, .. } => {
                let mut rest = &buf[..];
                for level in [self.column.max_rep_level(), self.column.max_def_level()] {
                    if level > 0 {
                        let (length, levels) = rest.split_first_chunk()?;
                        rest = levels.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)?;
                    }
                }
                Some(rest)
            }
            Page::DataPageV2 {
                buf,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => buf.get(usize::try_from(def_levels_byte_len.checked_add(*rep_levels_byte_len)?).ok()?..),
            Page::DictionaryPage { .. } => None,
        }
    }
}

impl PageReader for Bounded {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.iter().try_for_each(|page| self.check(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for Bounded {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

fn enough(is_enough: bool, found: impl FnOnce() -> String) -> Result<()> {
    if is_enough {
        Ok(())
    } else {
        Err(ParquetError::General(found()))
    }
}

/// The bytes after a list of numbers in Parquet's delta encoding (`DELTA_BINARY_PACKED` in the specification); `None`
/// if there are more than `most` numbers or they do not end within the bytes.
fn after_numbers(mut bytes: &[u8], most: u64) -> Option<&[u8]> {
    let block = variable(&mut bytes)?;
    let parts = usize::try_from(variable(&mut bytes)?).ok()?;
    let count = variable(&mut bytes).filter(|&count| count <= most)?;
    variable(&mut bytes)?;
    // The first number is in the header.
    let mut left = count.saturating_sub(1);
    let of_part = block.checked_div(parts as u64)?;
    while left > 0 {
        variable(&mut bytes)?;
        let (widths, rest) = bytes.split_at_checked(parts)?;
        bytes = rest;
        // Widths of miniblocks after the last number are meaningless.
        for &width in widths {
            if left == 0 {
                break;
            }
            let size = of_part.checked_mul(u64::from(width))? / 8;
            bytes = bytes.get(usize::try_from(size).ok()?..)?;
            left = left.saturating_sub(of_part);
        }
    }
    Some(bytes)
}

/// Consumes a variable-length integer (seven bits per byte) from the front.
pub(super) fn variable(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers_end_where_they_say() {
        // Blocks of 128 in four miniblocks; the first number is in the header, and widths after the last are
        // meaningless.
        let list = |count: &[u8], blocks: &[u8]| [&[0x80, 1, 4], count, &[0], blocks, b"rest"].concat();
        let one = list(&[1], &[]);
        let two = list(&[2], &[0, 3, 9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(after_numbers(&one, 1), Some(&b"rest"[..]));
        assert_eq!(after_numbers(&two, 2), Some(&b"rest"[..]));
        // More values than the page has, more than there are bytes, not a number at all.
        assert_eq!(after_numbers(&two, 1), None);
        assert_eq!(
            after_numbers(&list(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x40], &[]), 1 << 20),
            None
        );
        assert_eq!(after_numbers(&list(&[100], &[0, 64, 64, 64, 64]), 100), None);
        assert_eq!(after_numbers(&[0xff; 20], u64::MAX), None);
        assert_eq!(after_numbers(&[], 1), None);
    }
}
