//! The tensors of a ladder for a model: which there are, their names in files, their shapes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::LstConfig;
use crate::method::Shape;
use crate::method::weights::{transposed, values};
use crate::side::SidePart;
use crate::site::{Fused, LinearMap, ModelSites, Norm, NormSite, Stack};
use crate::{CoreError, Method, SideSites};
use burn::tensor::TensorData;

/// What a tensor of the ladder is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    /// A linear map's weight: `[in, out]`, of which files hold the transpose, rows in the checkpoint's order.
    Linear(Option<Fused>),
    /// A table: the same in files.
    Table,
    /// A norm's weight, or gates.
    Vector,
    /// The bias of a linear map or a norm.
    Bias(Option<Fused>),
}

/// A tensor of the ladder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub part: SidePart,
    pub form: Form,
    /// Name in files.
    pub name: String,
    /// Shape in files.
    pub shape: Vec<usize>,
}

impl Place {
    pub(super) fn is_matrix(&self) -> bool {
        matches!(self.form, Form::Linear(_) | Form::Table)
    }

    /// Shape in memory.
    pub(super) fn own_shape(&self) -> Vec<usize> {
        match self.form {
            Form::Linear(_) => self.shape.iter().rev().copied().collect(),
            _ => self.shape.clone(),
        }
    }

    /// Values in memory of those in a file.
    pub(super) fn read(&self, data: TensorData) -> TensorData {
        let found = values(data);
        let found = match &self.form {
            Form::Linear(fused) => {
                let [outputs, inputs] = self.matrix();
                let rows = fused.as_ref().map(|fused| fused.from_checkpoint(&found, inputs));
                transposed(rows.as_ref().unwrap_or(&found), [outputs, inputs])
            }
            Form::Bias(Some(fused)) => fused.from_checkpoint(&found, 1),
            _ => found,
        };
        TensorData::new(found, self.own_shape())
    }

    /// Inverse of [`Place::read`].
    pub(super) fn write(&self, data: TensorData) -> TensorData {
        let own = values(data);
        let own = match &self.form {
            Form::Linear(fused) => {
                let [outputs, inputs] = self.matrix();
                let rows = transposed(&own, [inputs, outputs]);
                match fused {
                    Some(fused) => fused.to_checkpoint(&rows, inputs),
                    None => rows,
                }
            }
            Form::Bias(Some(fused)) => fused.to_checkpoint(&own, 1),
            _ => own,
        };
        TensorData::new(own, self.shape.clone())
    }

    fn matrix(&self) -> [usize; 2] {
        [self.shape[0], self.shape[1]]
    }
}

/// All tensors of a ladder, in file order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    pub config: LstConfig,
    pub kept: BTreeMap<Stack, Vec<usize>>,
    pub places: Vec<Place>,
}

impl Layout {
    /// The ladder of that configuration beside that model.
    ///
    /// # Errors
    /// A model beside which no side network runs, a reduction that does not divide its sizes, or no kept block.
    pub(super) fn new(config: &LstConfig, sites: &ModelSites) -> Result<Self, CoreError> {
        let Some(side) = &sites.side else {
            return Err(CoreError::NoSideNetwork { method: Method::Lst });
        };
        check_reduction(config.reduction, sites, side)?;
        let mut layout = Self {
            config: config.clone(),
            kept: BTreeMap::new(),
            places: Vec::new(),
        };
        for stack in [Stack::Encoder, Stack::Decoder] {
            let blocks = sites.blocks(stack);
            if blocks > 0 {
                let kept = config.kept(blocks);
                if kept.is_empty() {
                    return Err(CoreError::NoSideBlocks {
                        method: Method::Lst,
                        skip_every: config.skip_every,
                        blocks,
                    });
                }
                layout.kept.insert(stack, kept);
                layout.stack(stack, blocks, sites, side);
            }
        }
        let d = sites.d_model;
        layout.linear(SidePart::Up, "side.up", [d / config.reduction, d], true, None);
        Ok(layout)
    }

    fn stack(&mut self, stack: Stack, blocks: usize, sites: &ModelSites, side: &SideSites) {
        let (d, r) = (sites.d_model, self.config.reduction);
        let name = stack_name(stack);
        let kept = self.kept[&stack].clone();
        self.push(
            SidePart::Gates(stack),
            Form::Vector,
            format!("side.{name}.gate"),
            vec![blocks],
        );
        let first = format!("side.{name}.down.first");
        self.linear(SidePart::First(stack), &first, [d, d / r], true, None);
        for table in side.positions.iter().filter(|table| table.stack == stack) {
            let part = SidePart::Positions(stack);
            let name = format!("side.{}.weight", table.name);
            self.push(part, Form::Table, name, table.shape.to_vec());
        }
        for block in kept {
            let down = format!("side.{name}.down.{block}");
            self.linear(SidePart::Down(stack, block), &down, [d, d / r], true, None);
            let own = |site: NormSite| match site {
                NormSite::Before(site) => (site.stack, site.block) == (stack, block),
                // No side network runs beside a model with norms in other places.
                NormSite::After(_) | NormSite::Queries(_) | NormSite::Keys(_) | NormSite::Final(_) => false,
            };
            let maps = sites.linears.iter();
            for map in maps.filter(|map| (map.site.stack, map.site.block) == (stack, block)) {
                let LinearMap { input, output, .. } = map;
                let fused = map.fused.as_ref().map(|fused| narrowed(fused, r));
                let part = SidePart::Linear(map.site);
                let sizes = [input / r, output / r];
                self.linear(part, &format!("side.{}", map.name), sizes, map.has_bias, fused);
            }
            for norm in sites.norms.iter().filter(|norm| own(norm.site)) {
                self.norm(norm);
            }
        }
        for norm in sites.norms.iter().filter(|norm| norm.site == NormSite::Final(stack)) {
            self.norm(norm);
        }
    }

    fn linear(
        &mut self,
        part: SidePart,
        name: &str,
        [input, output]: [usize; 2],
        has_bias: bool,
        fused: Option<Fused>,
    ) {
        let bias = has_bias.then(|| fused.clone());
        self.push(part, Form::Linear(fused), format!("{name}.weight"), vec![output, input]);
        if let Some(fused) = bias {
            self.push(part, Form::Bias(fused), format!("{name}.bias"), vec![output]);
        }
    }

    fn norm(&mut self, norm: &Norm) {
        let (part, width) = (SidePart::Norm(norm.site), norm.width / self.config.reduction);
        self.push(part, Form::Vector, format!("side.{}.weight", norm.name), vec![width]);
        if norm.has_bias {
            self.push(part, Form::Bias(None), format!("side.{}.bias", norm.name), vec![width]);
        }
    }

    fn push(&mut self, part: SidePart, form: Form, name: String, shape: Vec<usize>) {
        self.places.push(Place {
            part,
            form,
            name,
            shape,
        });
    }

    pub(super) fn shapes(&self) -> Vec<Shape> {
        let shape = |place: &Place| (place.name.clone(), place.shape.clone());
        self.places.iter().map(shape).collect()
    }
}

fn stack_name(stack: Stack) -> &'static str {
    match stack {
        Stack::Encoder => "encoder",
        Stack::Decoder => "decoder",
    }
}

/// Checks that the reduction divides every size of the model.
fn check_reduction(reduction: usize, sites: &ModelSites, side: &SideSites) -> Result<(), CoreError> {
    let mut sizes = vec![("its width".to_owned(), sites.d_model)];
    for map in &sites.linears {
        sizes.push((format!("the input of {}", map.name), map.input));
        sizes.push((format!("the output of {}", map.name), map.output));
        if let Some(fused) = &map.fused {
            sizes.push((format!("the parts of {}", map.name), granule(fused)));
        }
    }
    for layer in &sites.sublayers {
        if let Some(heads) = layer.heads {
            sizes.push((format!("the channels of a head of {}", layer.name), heads.channels));
        }
    }
    if side.rotated > 0 {
        sizes.push(("the rotated pairs of a head".to_owned(), side.rotated / 2));
    }
    let Some((size, found)) = sizes.iter().find(|(_, size)| !size.is_multiple_of(reduction)) else {
        return Ok(());
    };
    let common = sizes.iter().fold(0, |common, (_, size)| gcd(common, *size));
    let allowed: Vec<String> = (1..=common)
        .filter(|divisor| common.is_multiple_of(*divisor))
        .map(|divisor| divisor.to_string())
        .collect();
    Err(CoreError::Reduction {
        method: Method::Lst,
        reduction,
        size: size.clone(),
        found: *found,
        allowed: allowed.join(", "),
    })
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The largest number by which the parts of a fused map, and the pieces that its order moves, can be divided.
fn granule(fused: &Fused) -> usize {
    let parts = fused.parts.iter();
    let parts = parts.fold(0, |common, (_, range)| gcd(gcd(common, range.start), range.end));
    let Some(order) = &fused.order else {
        return parts;
    };
    let begins = |at: &usize| *at == 0 || order[*at] != order[*at - 1] + 1;
    let pieces = (0..order.len()).filter(begins);
    pieces.fold(parts, |common, at| gcd(gcd(common, at), order[at]))
}

/// A fused map of `r` times fewer channels, divided and ordered in the same way.
fn narrowed(fused: &Fused, r: usize) -> Fused {
    let part = |(part, range): &(_, std::ops::Range<usize>)| (*part, range.start / r..range.end / r);
    let order = |order: &Arc<[usize]>| order.iter().step_by(r).map(|theirs| theirs / r).collect();
    Fused {
        parts: fused.parts.iter().map(part).collect(),
        order: fused.order.as_ref().map(order),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::LinearPart;

    #[test]
    fn a_fused_map_is_narrowed_piece_by_piece() {
        // Two parts of six channels each, which the checkpoint holds in pieces of four and two.
        let order: Vec<usize> = [4..8, 0..2, 8..12, 2..4].into_iter().flatten().collect();
        let fused = Fused {
            parts: vec![(LinearPart::Key, 0..6), (LinearPart::Value, 6..12)],
            order: Some(order.into()),
        };
        assert_eq!(granule(&fused), 2);
        let narrow = narrowed(&fused, 2);
        assert_eq!(narrow.parts, [(LinearPart::Key, 0..3), (LinearPart::Value, 3..6)]);
        assert_eq!(narrow.order.as_deref(), Some(&[2, 3, 0, 4, 5, 1][..]));
    }
}
