//! Streams a tensor's values in the order of Hugging Face's checkpoint.

use std::fs::File;

use crate::architecture::{Change, RowOrder, Wanted};
use crate::container::Tensor;
use crate::dequantize::dequantize;
use crate::error::GgufError;

/// Bytes read at a time.
const CHUNK: usize = 1 << 18;

/// Passes a tensor's values to `take`, chunk by chunk.
pub(super) fn values(
    tensor: Tensor<'_>,
    wanted: &Wanted,
    mut take: impl FnMut(&[f32]) -> Result<(), GgufError>,
) -> Result<(), GgufError> {
    let mut file = tensor.open()?;
    match wanted.change {
        Change::None => in_order(tensor, &mut file, take),
        Change::MinusOne => in_order(tensor, &mut file, |values| {
            let values: Vec<f32> = values.iter().map(|value| value - 1.0).collect();
            take(&values)
        }),
        Change::Rows(order) if wanted.shape.len() > 1 => rows(tensor, &mut file, order, take),
        Change::Rows(order) => {
            let bias = whole(tensor, &mut file)?;
            let sorted: Vec<f32> = (0..bias.len()).map(|row| bias[order.source(row)]).collect();
            take(&sorted)
        }
        Change::Transpose => {
            let stored = whole(tensor, &mut file)?;
            let columns = tensor.info.columns() as usize;
            let mut row = Vec::with_capacity(stored.len() / columns);
            for column in 0..columns {
                row.clear();
                row.extend(stored.iter().skip(column).step_by(columns));
                take(&row)?;
            }
            Ok(())
        }
    }
}

fn in_order(
    tensor: Tensor<'_>,
    file: &mut File,
    mut take: impl FnMut(&[f32]) -> Result<(), GgufError>,
) -> Result<(), GgufError> {
    let kind = tensor.info.kind;
    let most = CHUNK / kind.block_bytes() * kind.block_bytes();
    let mut bytes = vec![0; most];
    let mut values = vec![0.0; most / kind.block_bytes() * kind.block()];
    let mut left = tensor.info.bytes;
    while left > 0 {
        let size = left.min(most as u64) as usize;
        let count = size / kind.block_bytes() * kind.block();
        tensor.read(file, &mut bytes[..size])?;
        dequantize(kind, &bytes[..size], &mut values[..count]);
        take(&values[..count])?;
        left -= size as u64;
    }
    Ok(())
}

/// Reads a matrix row by row in another order.
fn rows(
    tensor: Tensor<'_>,
    file: &mut File,
    order: RowOrder,
    mut take: impl FnMut(&[f32]) -> Result<(), GgufError>,
) -> Result<(), GgufError> {
    let (kind, columns) = (tensor.info.kind, tensor.info.columns() as usize);
    let size = columns / kind.block() * kind.block_bytes();
    let (mut bytes, mut values) = (vec![0; size], vec![0.0; columns]);
    for row in 0..tensor.info.bytes as usize / size {
        tensor.read_at(file, (order.source(row) * size) as u64, &mut bytes)?;
        dequantize(kind, &bytes, &mut values);
        take(&values)?;
    }
    Ok(())
}

fn whole(tensor: Tensor<'_>, file: &mut File) -> Result<Vec<f32>, GgufError> {
    let mut all = Vec::new();
    in_order(tensor, file, |values| {
        all.extend_from_slice(values);
        Ok(())
    })?;
    Ok(all)
}
