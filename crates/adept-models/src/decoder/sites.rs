//! A decoder's places for methods: their sites, names in checkpoints, and sizes.

use adept_core::{
    Fused, KeyHeads, LinearMap, LinearPart, LinearSite, ModelSites, Norm, NormSite, SideSites, Stack, Sublayer,
    SublayerPart, SublayerSite, TokenMatrix,
};

use super::config::{DecoderConfig, FeedForwardKind, FusedOrder, ProjectionKind, Residual};
use super::norm::NormKind;

/// A linear map of a block.
#[derive(Debug)]
pub(super) struct Map {
    pub part: LinearPart,
    /// Its name behind the block's.
    pub name: &'static str,
    pub input: usize,
    pub output: usize,
    pub has_bias: bool,
    pub fused: Option<Fused>,
}

/// A norm of a block.
#[derive(Debug)]
pub(super) struct BlockNorm {
    /// Its site in a block of that number.
    pub site: fn(usize) -> NormSite,
    /// Its name behind the block's.
    pub name: &'static str,
    pub width: usize,
}

impl DecoderConfig {
    /// A block's name in checkpoints.
    pub(super) fn block_name(&self, block: usize) -> String {
        format!("{}.{block}", self.names.blocks)
    }

    /// The linear maps of each block, in order.
    pub(super) fn maps(&self) -> Vec<Map> {
        let (names, biases) = (self.names, self.biases);
        let (d, inner) = (self.hidden_size, self.intermediate_size);
        let [wide, narrow] = self.widths();
        let map = |part, name, input, output, has_bias| Map {
            part,
            name,
            input,
            output,
            has_bias,
            fused: None,
        };
        let projection = |part, name, output| map(part, name, d, output, biases.projections);
        let mut maps = match self.projections {
            ProjectionKind::Apart => vec![
                projection(LinearPart::Query, names.query, wide),
                projection(LinearPart::Key, names.key, narrow),
                projection(LinearPart::Value, names.value, narrow),
            ],
            ProjectionKind::Fused(order) => vec![Map {
                fused: Some(self.fused(order)),
                ..projection(LinearPart::QueryKeyValue, names.query_key_value, wide + 2 * narrow)
            }],
        };
        maps.push(map(LinearPart::Output, names.output, wide, d, biases.output));
        let entering = |part, name, output| map(part, name, d, output, biases.feed_forward);
        match self.feed_forward {
            FeedForwardKind::Plain => maps.push(entering(LinearPart::Up, names.up, inner)),
            FeedForwardKind::Gated => maps.extend([
                entering(LinearPart::Gate, names.gate, inner),
                entering(LinearPart::Up, names.up, inner),
            ]),
            FeedForwardKind::GatedFused => maps.push(Map {
                fused: Some(Fused {
                    parts: vec![(LinearPart::Gate, 0..inner), (LinearPart::Up, inner..2 * inner)],
                    order: None,
                }),
                ..entering(LinearPart::GateUp, names.gate_up, 2 * inner)
            }),
        }
        maps.push(map(LinearPart::Down, names.down, inner, d, biases.feed_forward));
        maps
    }

    /// The parts of a fused projection and their order in files.
    fn fused(&self, order: FusedOrder) -> Fused {
        let [wide, narrow] = self.widths();
        let order = match order {
            FusedOrder::Plain => None,
            // Heads of equal numbers: a part holds one kind of each of its heads behind the other.
            FusedOrder::ByHead => Some(parted_order(wide, self.heads, [0, 1, 2])),
            FusedOrder::Parts(parts) => Some(parted_order(wide, parts, [0, 2, 1])),
        };
        Fused {
            parts: vec![
                (LinearPart::Query, 0..wide),
                (LinearPart::Key, wide..wide + narrow),
                (LinearPart::Value, wide + narrow..wide + 2 * narrow),
            ],
            order: order.map(Into::into),
        }
    }

    /// The norms of each block, in order.
    pub(super) fn block_norms(&self) -> Vec<BlockNorm> {
        const fn attention(block: usize) -> SublayerSite {
            SublayerSite::new(Stack::Decoder, block, SublayerPart::Attention)
        }
        const fn feed_forward(block: usize) -> SublayerSite {
            SublayerSite::new(Stack::Decoder, block, SublayerPart::FeedForward)
        }
        let (names, d) = (self.names, self.hidden_size);
        let norm = |site, name, width| BlockNorm { site, name, width };
        let mut norms = vec![norm(
            |block| NormSite::Before(attention(block)),
            names.before_attention,
            d,
        )];
        if self.has_head_norms {
            let c = self.head_dim;
            norms.push(norm(|block| NormSite::Queries(attention(block)), names.query_norm, c));
            norms.push(norm(|block| NormSite::Keys(attention(block)), names.key_norm, c));
        }
        if self.has_output_norms {
            norms.push(norm(
                |block| NormSite::After(attention(block)),
                names.after_attention,
                d,
            ));
        }
        // Where both sublayers of a block read the same norm, it is the attention's.
        if self.residual != Residual::ParallelShared {
            norms.push(norm(
                |block| NormSite::Before(feed_forward(block)),
                names.before_feed_forward,
                d,
            ));
        }
        if self.has_output_norms {
            norms.push(norm(
                |block| NormSite::After(feed_forward(block)),
                names.after_feed_forward,
                d,
            ));
        }
        norms
    }

    /// Whether a side network can run beside it: not beside blocks that have parts which its ladder does not copy.
    fn runs_side_network(&self) -> bool {
        let is_fused = self.feed_forward == FeedForwardKind::GatedFused;
        !(self.has_head_norms || self.has_output_norms || is_fused)
    }

    /// Every place of the model.
    pub fn sites(&self) -> ModelSites {
        let (names, maps, block_norms) = (self.names, self.maps(), self.block_norms());
        let linears = (0..self.blocks).flat_map(|block| {
            let begin = self.block_name(block);
            maps.iter().map(move |map| LinearMap {
                site: LinearSite::new(Stack::Decoder, block, map.part),
                name: format!("{begin}.{}", map.name),
                input: map.input,
                output: map.output,
                has_bias: map.has_bias,
                fused: map.fused.clone(),
            })
        });
        let layers = [
            (SublayerPart::Attention, names.attention),
            (SublayerPart::FeedForward, names.feed_forward),
        ];
        let sublayers = (0..self.blocks).flat_map(|block| {
            layers.map(|(part, layer)| Sublayer {
                site: SublayerSite::new(Stack::Decoder, block, part),
                name: format!("{}.{layer}", self.block_name(block)),
                heads: (part == SublayerPart::Attention).then_some(KeyHeads {
                    heads: self.key_heads,
                    channels: self.head_dim,
                }),
            })
        });
        let norm = |site, name, width| Norm {
            site,
            name,
            width,
            has_bias: self.norm == NormKind::Layer,
        };
        let norms = (0..self.blocks).flat_map(|block| {
            let begin = self.block_name(block);
            let of_block = block_norms.iter();
            of_block.map(move |own| norm((own.site)(block), format!("{begin}.{}", own.name), own.width))
        });
        let last = norm(
            NormSite::Final(Stack::Decoder),
            names.final_norm.to_owned(),
            self.hidden_size,
        );
        let matrix = |name: &str, has_bias: bool| TokenMatrix {
            name: name.to_owned(),
            rows: self.vocab_size,
            has_bias,
        };
        ModelSites {
            linears: linears.collect(),
            norms: norms.chain([last]).collect(),
            sublayers: sublayers.collect(),
            embedding: Some(matrix(names.embedding, false)),
            head: Some(matrix(names.head, self.biases.head)),
            side: self.runs_side_network().then(|| SideSites {
                rotated: self.rope.as_ref().map_or(0, |rope| rope.channels),
                ..SideSites::default()
            }),
            ..ModelSites::embeddings(self.hidden_size)
        }
    }
}

/// For each output channel of the model, its row in a file whose rows come in `parts`, each with a share of queries,
/// keys and values; `places` are theirs within a part. `width` is that of each kind.
fn parted_order(width: usize, parts: usize, places: [usize; 3]) -> Vec<usize> {
    let piece = width / parts;
    let rows = |kind: usize, part: usize| {
        let first = (3 * part + places[kind]) * piece;
        first..first + piece
    };
    (0..3)
        .flat_map(|kind| (0..parts).flat_map(move |part| rows(kind, part)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_queries_keys_and_values_of_all_heads() {
        // One row per piece: part p holds query 10p, value 10p + 1, key 10p + 2.
        let rows: Vec<usize> = (0..4)
            .flat_map(|part| (0..3).map(move |place| 10 * part + place))
            .collect();
        let order = parted_order(4, 4, [0, 2, 1]);
        let order: Vec<usize> = order.into_iter().map(|row| rows[row]).collect();
        assert_eq!(order, [0, 10, 20, 30, 2, 12, 22, 32, 1, 11, 21, 31]);
        // Two heads of two channels.
        assert_eq!(parted_order(4, 2, [0, 1, 2]), [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
    }
}
