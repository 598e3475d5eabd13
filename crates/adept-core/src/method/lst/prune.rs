//! The initial weights of a side network: those of the model, of which a part of the channels is kept (in the paper,
//! "structural weight initialization based on network pruning").
//!
//! A channel's importance is the sum of what judges the weights that lead to it: their squared gradients, summed over
//! training examples one by one (the paper's "Fisher information"), or their absolute values, which need no data.
//! Channels are chosen in the order in which the network computes them, and each choice decides which inputs of the
//! next map remain:
//!
//! - the residual stream begins with the channels whose columns of the embedding matrix are the most important;
//! - queries, keys and values keep the same rows, by the product of their importances; if several queries share a key,
//!   their importances are summed, and each keeps the row that belongs to the key's;
//! - a gated feed-forward layer keeps inner channels by the product of the importances of gate and projection;
//! - each sublayer's output keeps its own most important channels, though the stream is shared, and the norms after it
//!   follow them. Both are as in the published code, and so is that rows are chosen over all heads and then cut into
//!   heads anew;
//! - keys and values of a cross-attention read the channels that the encoder ends with;
//! - a table of relative positions is copied.

use std::collections::BTreeMap;
use std::ops::Range;

use super::layout::Layout;
use crate::side::{ReadWeights, SidePart, WeightValues};
use crate::site::{
    KeyHeads, LinearMap, LinearPart, LinearSite, ModelSites, NormSite, Stack, SublayerPart, SublayerSite,
};
use crate::{CoreError, Method};

/// The roles of a sublayer's maps.
struct Roles {
    query: LinearPart,
    key: LinearPart,
    value: LinearPart,
    output: LinearPart,
}

const SELF_ATTENTION: Roles = Roles {
    query: LinearPart::Query,
    key: LinearPart::Key,
    value: LinearPart::Value,
    output: LinearPart::Output,
};
const CROSS_ATTENTION: Roles = Roles {
    query: LinearPart::CrossQuery,
    key: LinearPart::CrossKey,
    value: LinearPart::CrossValue,
    output: LinearPart::CrossOutput,
};

/// Weights of a side network by part, `[in, out]`.
pub(super) type Pruned = BTreeMap<SidePart, WeightValues>;

/// Weights of every linear map, norm and table of the layout's blocks; `judge` holds what tells how important they are,
/// in the same places.
///
/// # Errors
/// [`CoreError::NoWeights`] for a place that cannot be read.
pub(super) fn pruned(
    layout: &Layout,
    sites: &ModelSites,
    weights: &dyn ReadWeights,
    judge: &dyn ReadWeights,
) -> Result<Pruned, CoreError> {
    let mut chain = Chain {
        sites,
        weights,
        judge,
        reduction: layout.config.reduction,
        parts: Pruned::new(),
    };
    let d = sites.d_model;
    let embedding = judge.embedding().ok_or_else(|| missing("the embedding matrix"))?;
    let mut importance = vec![0.0; d];
    for row in embedding.chunks(d) {
        add_absolute(&mut importance, row);
    }
    drop(embedding);
    let begun = most_important(&importance, d / chain.reduction);
    let mut encoded = Vec::new();
    for stack in [Stack::Encoder, Stack::Decoder] {
        if sites.blocks(stack) > 0 {
            encoded = chain.stack(stack, begun.clone(), &encoded)?;
        }
    }
    let is_kept = |part: &SidePart| layout.places.iter().any(|place| place.part == *part);
    chain.parts.retain(|part, _| is_kept(part));
    Ok(chain.parts)
}

fn missing(place: &str) -> CoreError {
    CoreError::NoWeights {
        method: Method::Lst,
        place: place.to_owned(),
    }
}

fn add_absolute(sums: &mut [f64], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += f64::from(value.abs());
    }
}

/// The indices of the `count` largest values, ascending; of equal ones the first.
fn most_important(importance: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..importance.len()).collect();
    order.sort_by(|&a, &b| importance[b].total_cmp(&importance[a]).then(a.cmp(&b)));
    order.truncate(count);
    order.sort_unstable();
    order
}

/// The weights of `inputs` and `outputs`.
fn picked(values: &WeightValues, width: usize, inputs: &[usize], outputs: &[usize]) -> WeightValues {
    let weight = inputs
        .iter()
        .flat_map(|input| outputs.iter().map(move |output| values.weight[input * width + output]))
        .collect();
    let bias = values.bias.as_ref();
    WeightValues {
        weight,
        bias: bias.map(|bias| outputs.iter().map(|output| bias[*output]).collect()),
    }
}

/// Follows the choices through a network.
struct Chain<'a> {
    sites: &'a ModelSites,
    weights: &'a dyn ReadWeights,
    judge: &'a dyn ReadWeights,
    reduction: usize,
    parts: Pruned,
}

impl Chain<'_> {
    /// From the channels that enter a stack to those that leave it; `encoded` are those that left the encoder.
    fn stack(&mut self, stack: Stack, begun: Vec<usize>, encoded: &[usize]) -> Result<Vec<usize>, CoreError> {
        let mut last = begun;
        for block in 0..self.sites.blocks(stack) {
            let mut entering = last.clone();
            for part in [
                SublayerPart::Attention,
                SublayerPart::CrossAttention,
                SublayerPart::FeedForward,
            ] {
                let site = SublayerSite::new(stack, block, part);
                let Some(layer) = self.sites.sublayers.iter().find(|layer| layer.site == site) else {
                    continue;
                };
                // Of two sublayers that read the same norm, the second reads what entered the first.
                let norm = NormSite::Before(site);
                if self.sites.norms.iter().any(|known| known.site == norm) {
                    entering.clone_from(&last);
                    self.norm(norm, &entering)?;
                }
                last = match (part, layer.heads) {
                    (SublayerPart::FeedForward, _) | (_, None) => self.feed_forward(site, &entering)?,
                    (SublayerPart::Attention, Some(heads)) => self.attention(site, heads, &entering, &entering)?,
                    (SublayerPart::CrossAttention, Some(heads)) => self.attention(site, heads, &entering, encoded)?,
                };
            }
        }
        self.norm(NormSite::Final(stack), &last)?;
        if let Some(weight) = self.weights.positions(stack) {
            let values = WeightValues { weight, bias: None };
            self.parts.insert(SidePart::Positions(stack), values);
        }
        Ok(last)
    }

    fn norm(&mut self, site: NormSite, channels: &[usize]) -> Result<(), CoreError> {
        let values = self.weights.norm(site).ok_or_else(|| missing("a norm"))?;
        let of_channels = |all: &[f32]| channels.iter().map(|channel| all[*channel]).collect();
        let own = WeightValues {
            weight: of_channels(&values.weight),
            bias: values.bias.as_deref().map(of_channels),
        };
        self.parts.insert(SidePart::Norm(site), own);
        Ok(())
    }

    /// A map of a block with its values, or the fused one that it is part of.
    fn map(&self, site: LinearSite) -> Result<(&LinearMap, Range<usize>), CoreError> {
        for map in &self.sites.linears {
            if map.site == site {
                return Ok((map, 0..map.output));
            }
            let fused = map.fused.iter().flat_map(|fused| &fused.parts);
            let is_block = (map.site.stack, map.site.block) == (site.stack, site.block);
            if let Some((_, range)) = fused.filter(|_| is_block).find(|(part, _)| *part == site.part) {
                return Ok((map, range.clone()));
            }
        }
        Err(missing(&format!("a map for {:?}", site.part)))
    }

    fn read(&self, map: &LinearMap) -> Result<WeightValues, CoreError> {
        self.weights.linear(map.site).ok_or_else(|| missing(&map.name))
    }

    /// Importance of the outputs `columns` of a map, over the inputs that remain.
    fn importance(&self, map: &LinearMap, columns: Range<usize>, inputs: &[usize]) -> Result<Vec<f64>, CoreError> {
        let judged = self.judge.linear(map.site).ok_or_else(|| missing(&map.name))?;
        let mut sums = vec![0.0; columns.len()];
        for input in inputs {
            let row = &judged.weight[input * map.output..][..map.output];
            add_absolute(&mut sums, &row[columns.clone()]);
        }
        Ok(sums)
    }

    /// Chooses the rows of an attention, and returns the channels of its output.
    fn attention(
        &mut self,
        site: SublayerSite,
        heads: KeyHeads,
        entering: &[usize],
        remembered: &[usize],
    ) -> Result<Vec<usize>, CoreError> {
        let roles = match site.part {
            SublayerPart::CrossAttention => CROSS_ATTENTION,
            _ => SELF_ATTENTION,
        };
        let at = |part| LinearSite::new(site.stack, site.block, part);
        let parts = [
            (roles.query, entering),
            (roles.key, remembered),
            (roles.value, remembered),
        ];
        let mut importances = Vec::new();
        for (part, inputs) in parts {
            let (map, columns) = self.map(at(part))?;
            importances.push(self.importance(map, columns, inputs)?);
        }
        let [queries, keys] = chosen_rows(&importances, heads, self.reduction);
        // Rows of the fused map in the order of its parts.
        let mut rows: BTreeMap<LinearSite, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for ((part, inputs), own) in parts.into_iter().zip([&queries, &keys, &keys]) {
            let (map, columns) = self.map(at(part))?;
            let (_, all) = rows.entry(map.site).or_insert_with(|| (inputs.to_vec(), Vec::new()));
            all.extend(own.iter().map(|row| columns.start + row));
        }
        for (site, (inputs, mut outputs)) in rows {
            let (map, _) = self.map(site)?;
            if map.fused.is_some() {
                // Parts lie behind one another, and each kept its own order.
                let ordered = in_parts(map, &outputs);
                outputs = ordered;
            }
            let own = picked(&self.read(map)?, map.output, &inputs, &outputs);
            self.parts.insert(SidePart::Linear(site), own);
        }
        self.output(at(roles.output), &queries)
    }

    /// Chooses the inner channels of a feed-forward layer, and returns the channels of its output.
    fn feed_forward(&mut self, site: SublayerSite, entering: &[usize]) -> Result<Vec<usize>, CoreError> {
        let at = |part| LinearSite::new(site.stack, site.block, part);
        let has_gate = self.sites.linears.iter().any(|map| map.site == at(LinearPart::Gate));
        let into: &[LinearPart] = match has_gate {
            true => &[LinearPart::Gate, LinearPart::Up],
            false => &[LinearPart::Up],
        };
        let mut importance: Vec<f64> = Vec::new();
        for part in into {
            let (map, columns) = self.map(at(*part))?;
            let own = self.importance(map, columns, entering)?;
            importance = match importance.is_empty() {
                true => own,
                false => importance.iter().zip(&own).map(|(a, b)| a * b).collect(),
            };
        }
        let inner = most_important(&importance, importance.len() / self.reduction);
        for part in into {
            let (map, _) = self.map(at(*part))?;
            let own = picked(&self.read(map)?, map.output, entering, &inner);
            self.parts.insert(SidePart::Linear(map.site), own);
        }
        self.output(at(LinearPart::Down), &inner)
    }

    /// Chooses the outputs of a map back to the stream, of whose inputs `inner` remain.
    fn output(&mut self, site: LinearSite, inner: &[usize]) -> Result<Vec<usize>, CoreError> {
        let (map, columns) = self.map(site)?;
        let outputs = most_important(&self.importance(map, columns, inner)?, map.output / self.reduction);
        let own = picked(&self.read(map)?, map.output, inner, &outputs);
        self.parts.insert(SidePart::Linear(site), own);
        Ok(outputs)
    }
}

/// The rows that queries keep, and those that keys and values keep, of importances of queries, keys and values.
fn chosen_rows(importances: &[Vec<f64>], heads: KeyHeads, reduction: usize) -> [Vec<usize>; 2] {
    let (channels, width) = (heads.channels, heads.width());
    let [queries, keys, values] = [0, 1, 2].map(|which: usize| &importances[which]);
    let shared = queries.len() / width;
    let query_row = |row: usize, which: usize| ((row / channels) * shared + which) * channels + row % channels;
    let importance: Vec<f64> = (0..width)
        .map(|row| {
            let asking: f64 = (0..shared).map(|which| queries[query_row(row, which)]).sum();
            asking * keys[row] * values[row]
        })
        .collect();
    let kept = most_important(&importance, width / reduction);
    let narrow = channels / reduction;
    // Query head i reads key head i / shared: its channels are those that belong to the key's.
    let of_head = |head: usize| {
        let own = kept[head / shared * narrow..][..narrow].iter();
        own.map(move |row| query_row(*row, head % shared)).collect::<Vec<_>>()
    };
    let asking = (0..heads.heads * shared).flat_map(of_head).collect();
    [asking, kept]
}

/// Rows of a fused map, ordered by its parts.
fn in_parts(map: &LinearMap, rows: &[usize]) -> Vec<usize> {
    let parts = map.fused.iter().flat_map(|fused| &fused.parts);
    parts
        .flat_map(|(_, range)| {
            rows.iter()
                .copied()
                .filter(|row| range.contains(row))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_important_come_in_their_own_order() {
        assert_eq!(most_important(&[0.1, 3.0, 0.5, 3.0, 2.0], 3), [1, 3, 4]);
        assert_eq!(most_important(&[1.0; 4], 2), [0, 1]);
    }

    #[test]
    fn queries_keep_the_rows_of_their_keys() {
        let heads = KeyHeads { heads: 2, channels: 2 };
        // Each key has its own query: the product decides.
        let importances = [vec![1.0, 2.0, 3.0, 4.0], vec![9.0, 1.0, 1.0, 1.0], vec![1.0; 4]];
        assert_eq!(chosen_rows(&importances, heads, 2), [[0, 3], [0, 3]]);
        // Two queries for each key: rows 0, 1 and 2, 3 read the first key, 4, 5 and 6, 7 the second.
        let queries = vec![1.0, 0.0, 2.0, 0.0, 1.0, 4.0, 0.0, 4.0];
        let importances = [queries, vec![1.0; 4], vec![1.0; 4]];
        // Sums are 3, 0, 1, 8: keys 0 and 3, each a head of one channel now.
        assert_eq!(chosen_rows(&importances, heads, 2), [vec![0, 2, 5, 7], vec![0, 3]]);
    }

    #[test]
    fn what_is_picked_are_the_crossings() {
        let values = WeightValues {
            weight: vec![0.0, 1.0, 2.0, 10.0, 11.0, 12.0],
            bias: Some(vec![5.0, 6.0, 7.0]),
        };
        let found = picked(&values, 3, &[1], &[0, 2]);
        assert_eq!((found.weight, found.bias), (vec![10.0, 12.0], Some(vec![5.0, 7.0])));
    }
}
