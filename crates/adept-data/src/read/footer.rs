//! Checks the schema in a parquet file's footer before the decoder reads it. The decoder allocates room for as many
//! columns as a group claims to have, 16 GiB for the largest possible number, and the process aborts if there is not
//! enough memory. A group cannot have more columns than the schema has elements.
//!
//! The footer is a struct in Thrift's compact protocol. Anything that does not parse as such is left for the decoder to
//! report.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use parquet::errors::{ParquetError, Result};

use super::pages::variable;

/// Bytes after the footer: its length and `PAR1`.
const TAIL: u64 = 8;
/// Maximum nesting depth of structs.
const DEPTH: u8 = 32;

/// Type codes of the protocol.
const BOOLEANS: [u8; 2] = [1, 2];
const BYTE: u8 = 3;
const INTEGERS: [u8; 3] = [4, 5, 6];
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LISTS: [u8; 2] = [9, 10];
const STRUCT: u8 = 12;

/// Rejects a file of `bytes` bytes whose schema has a group with more columns than the schema has elements.
pub(super) fn check(mut file: &File, bytes: u64) -> Result<()> {
    let mut tail = [0; TAIL as usize];
    if bytes < TAIL {
        return Ok(());
    }
    file.seek(SeekFrom::Start(bytes - TAIL))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, ..] = tail;
    let Some(start) = (bytes - TAIL).checked_sub(u32::from_le_bytes([a, b, c, d]).into()) else {
        return Ok(());
    };
    let mut footer = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(bytes - TAIL - start).read_to_end(&mut footer)?;
    match excess(&footer) {
        None => Ok(()),
        Some((columns, elements)) => Err(ParquetError::General(format!(
            "a group of {columns} columns in a schema of {elements} elements"
        ))),
    }
}

/// The offending group's column count and the number of schema elements, if any group is invalid.
fn excess(mut footer: &[u8]) -> Option<(i64, u64)> {
    let mut found = None;
    // Field 2 of the footer is the list of schema elements; field 5 of an element is its number of columns.
    fields(&mut footer, &mut |id, kind, bytes| {
        if id != 2 || kind != LISTS[0] {
            return skip(bytes, kind, DEPTH);
        }
        let (elements, kind) = list(bytes)?;
        for _ in 0..elements {
            if kind != STRUCT {
                return None;
            }
            fields(bytes, &mut |id, kind, bytes| {
                if id != 5 || !INTEGERS.contains(&kind) {
                    return skip(bytes, kind, DEPTH);
                }
                // The decoder uses the low 32 bits only.
                let columns = i64::from(integer(bytes)? as i32);
                if u64::try_from(columns).is_ok_and(|columns| columns > elements) {
                    found = Some((columns, elements));
                }
                Some(())
            })?;
        }
        // Nothing after the schema matters here.
        None
    });
    found
}

/// Called with a field's id and type and the bytes from its value on; consumes the value.
type Visit<'v> = dyn FnMut(i64, u8, &mut &[u8]) -> Option<()> + 'v;

/// Visits the fields of a struct.
fn fields(bytes: &mut &[u8], visit: &mut Visit<'_>) -> Option<()> {
    let mut id = 0_i64;
    loop {
        let head = byte(bytes)?;
        let (step, kind) = (head >> 4, head & 0x0f);
        if kind == 0 {
            return Some(());
        }
        id = if step == 0 {
            integer(bytes)?
        } else {
            id.checked_add(step.into())?
        };
        visit(id, kind, bytes)?;
    }
}

/// Skips a field's value.
fn skip(bytes: &mut &[u8], kind: u8, depth: u8) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    let length = match kind {
        kind if BOOLEANS.contains(&kind) => 0,
        kind if INTEGERS.contains(&kind) => return variable(bytes).map(drop),
        BYTE => 1,
        DOUBLE => 8,
        BINARY => usize::try_from(variable(bytes)?).ok()?,
        STRUCT => return fields(bytes, &mut |_, kind, bytes| skip(bytes, kind, depth)),
        kind if LISTS.contains(&kind) => {
            let (items, kind) = list(bytes)?;
            for _ in 0..items {
                // A boolean in a list takes one byte.
                skip(bytes, if BOOLEANS.contains(&kind) { BYTE } else { kind }, depth)?;
            }
            0
        }
        _ => return None,
    };
    *bytes = bytes.get(length..)?;
    Some(())
}

/// Reads a list's length and the type of its items.
fn list(bytes: &mut &[u8]) -> Option<(u64, u8)> {
    let head = byte(bytes)?;
    let length = match head >> 4 {
        15 => variable(bytes)?,
        short => short.into(),
    };
    Some((length, head & 0x0f))
}

/// Reads a zigzag-encoded integer.
fn integer(bytes: &mut &[u8]) -> Option<i64> {
    let number = variable(bytes)?;
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
}

fn byte(bytes: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(first)
}
