//! Ladder side-tuning: which tensors a side network has, where they come from, and which sizes are refused.
#![allow(clippy::unwrap_used)]

use std::rc::Rc;

use adept_core::{
    Adapter, AdapterConfig, AdapterInit, CoreError, Fused, Intervention as _, KeyHeads, LadderStart, LinearMap,
    LinearPart, LinearSite, LstConfig, ModelSites, Norm, NormSite, PositionTable, ReadWeights, SidePart, SideSites,
    Stack, Sublayer, SublayerPart, SublayerSite, WeightValues,
};
use burn_flex::Flex;

type B = Flex;

const D: usize = 4;
const INNER: usize = 6;

/// A decoder of `blocks` blocks: an attention of two heads with fused queries, keys and values, and a feed-forward layer.
fn sites(blocks: usize) -> ModelSites {
    let mut sites = ModelSites::embeddings(D);
    for block in 0..blocks {
        let map = |part, name: &str, input, output| {
            let site = LinearSite::new(Stack::Decoder, block, part);
            LinearMap::new(site, format!("h.{block}.{name}"), input, output)
        };
        sites.linears.push(LinearMap {
            fused: Some(Fused {
                parts: vec![
                    (LinearPart::Query, 0..4),
                    (LinearPart::Key, 4..8),
                    (LinearPart::Value, 8..12),
                ],
                // The checkpoint has the values in front of the keys.
                order: Some((0..4).chain(8..12).chain(4..8).collect::<Vec<usize>>().into()),
            }),
            ..map(LinearPart::QueryKeyValue, "qkv", D, 3 * D)
        });
        sites.linears.push(map(LinearPart::Output, "out", D, D));
        sites.linears.push(LinearMap {
            has_bias: true,
            ..map(LinearPart::Up, "in", D, INNER)
        });
        sites.linears.push(map(LinearPart::Down, "down", INNER, D));
        for (part, name, heads) in [
            (
                SublayerPart::Attention,
                "attn",
                Some(KeyHeads { heads: 2, channels: 2 }),
            ),
            (SublayerPart::FeedForward, "mlp", None),
        ] {
            let site = SublayerSite::new(Stack::Decoder, block, part);
            sites
                .norms
                .push(norm(NormSite::Before(site), format!("h.{block}.{name}.norm")));
            sites.sublayers.push(Sublayer {
                site,
                name: format!("h.{block}.{name}"),
                heads,
            });
        }
    }
    sites
        .norms
        .push(norm(NormSite::Final(Stack::Decoder), "norm".to_owned()));
    sites.side = Some(SideSites {
        positions: vec![PositionTable {
            stack: Stack::Decoder,
            name: "h.0.positions".to_owned(),
            shape: [3, 2],
        }],
        rotated: 0,
    });
    sites
}

fn norm(site: NormSite, name: String) -> Norm {
    Norm {
        site,
        name,
        width: D,
        has_bias: false,
    }
}

/// Weight `[in, out]` is `row + column / 100`, plus 10 in block 1; so the last channels are the most important, but for
/// the embedding's, of which these are the first.
#[derive(Debug)]
struct Numbered;

fn numbered(rows: usize, columns: usize, more: f32) -> Vec<f32> {
    let place = |index: usize| (index / columns) as f32 + (index % columns) as f32 / 100.0 + more;
    (0..rows * columns).map(place).collect()
}

impl ReadWeights for Numbered {
    fn linear(&self, site: LinearSite) -> Option<WeightValues> {
        let map = sites(2).linears.into_iter().find(|map| map.site == site)?;
        Some(WeightValues {
            weight: numbered(map.input, map.output, 10.0 * site.block as f32),
            bias: map.has_bias.then(|| numbered(1, map.output, 0.0)),
        })
    }

    fn norm(&self, _: NormSite) -> Option<WeightValues> {
        let weight = numbered(1, D, 0.0);
        Some(WeightValues { weight, bias: None })
    }

    fn embedding(&self) -> Option<Vec<f32>> {
        Some(vec![3.0, 2.0, 1.0, 0.0, -3.0, -2.0, -1.0, 0.0])
    }

    fn positions(&self, _: Stack) -> Option<Vec<f32>> {
        Some(numbered(3, 2, 0.0))
    }
}

fn config(reduction: usize, skip_every: usize) -> LstConfig {
    LstConfig {
        reduction,
        skip_every,
        ..LstConfig::default()
    }
}

fn started(config: LstConfig, sites: &ModelSites) -> Result<Adapter<B>, CoreError> {
    let start = AdapterInit {
        weights: Some(Rc::new(Numbered)),
        sources: None,
        ..AdapterInit::random(3)
    };
    Adapter::new(&config.into(), sites, start, &Default::default())
}

fn close(found: impl Iterator<Item = f32>, expected: &[f32], what: &str) {
    let found: Vec<f32> = found.collect();
    assert_eq!(found.len(), expected.len(), "{what}: {found:?}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5, "{what}: {found:?} for {expected:?}");
    }
}

/// Every tensor of the side network's one block, from the choices that lead to it.
#[test]
fn a_side_network_starts_from_the_important_channels() {
    let sites = sites(2);
    let adapter = started(config(2, 2), &sites).unwrap();
    let tensors: std::collections::BTreeMap<_, _> = adapter.tensors().into_iter().collect();
    let check = |name: &str, expected: &[f32]| {
        close(tensors[name].iter::<f32>(), expected, name);
    };
    // Block 0 ends with channels 2 and 3, whose weights are the largest: these enter block 1. Files hold [out, in].
    check("side.h.1.attn.norm.weight", &[0.02, 0.03]);
    // Of queries, keys and values the last two rows each; values before keys in the file.
    let rows = |first: usize| {
        [first + 2, first + 3].map(|row| [2.0 + 10.0 + row as f32 / 100.0, 3.0 + 10.0 + row as f32 / 100.0])
    };
    let qkv: Vec<f32> = [rows(0), rows(8), rows(4)].concat().concat();
    check("side.h.1.qkv.weight", &qkv);
    check("side.h.1.out.weight", &[12.02, 13.02, 12.03, 13.03]);
    check("side.h.1.in.weight", &[12.03, 13.03, 12.04, 13.04, 12.05, 13.05]);
    check("side.h.1.in.bias", &[0.03, 0.04, 0.05]);
    check("side.h.1.down.weight", &[13.02, 14.02, 15.02, 13.03, 14.03, 15.03]);
    check("side.norm.weight", &[0.02, 0.03]);
    check("side.h.0.positions.weight", &numbered(3, 2, 0.0));
    check("side.decoder.gate", &[0.0; 2]);
    check("side.decoder.down.first.bias", &[0.0; 2]);
    check("side.up.bias", &[0.0; D]);
    assert!(!tensors.contains_key("side.h.0.qkv.weight") && !tensors.contains_key("side.decoder.down.0.weight"));
    let up: Vec<f32> = tensors["side.up.weight"].iter().collect();
    assert!(up.iter().all(|value| *value != 0.0 && value.abs() < 0.05), "{up:?}");

    // Without a block in front of it, a block's input is the embedding's important channels, 0 and 1.
    let whole = started(config(2, 0), &sites).unwrap();
    let tensors: std::collections::BTreeMap<_, _> = whole.tensors().into_iter().collect();
    close(tensors["side.h.0.attn.norm.weight"].iter(), &[0.0, 0.01], "first norm");
    let expected = numbered(1, 2, 0.0);
    close(
        tensors["side.h.0.out.weight"].iter().take(2),
        &[2.02, 3.02],
        "first output",
    );
    assert_eq!(expected.len(), 2);
}

#[test]
fn with_a_reduction_of_one_the_side_network_is_a_copy() {
    let sites = sites(2);
    let adapter = started(config(1, 0), &sites).unwrap();
    let side = adapter.side().unwrap();
    assert_eq!(side.kept(Stack::Decoder), [0, 1]);
    for map in &sites.linears {
        let own = side.matrix(SidePart::Linear(map.site)).into_data();
        let model = Numbered.linear(map.site).unwrap();
        close(own.iter::<f32>(), &model.weight, &map.name);
        let bias = side.bias(SidePart::Linear(map.site)).map(|bias| bias.into_data());
        let bias: Option<Vec<f32>> = bias.map(|bias| bias.iter::<f32>().collect());
        assert_eq!(bias, model.bias, "{}", map.name);
    }
}

#[test]
fn tensors_go_through_files_unchanged() {
    let sites = sites(2);
    let adapter = started(config(2, 2), &sites).unwrap();
    let folder = std::env::temp_dir().join(format!("adept-core-ladder-{}", std::process::id()));
    let config: AdapterConfig = config(2, 2).into();
    let about = adept_core::AdapterMetadata::new(config.clone(), "m");
    adept_core::file::save(&folder, &adapter, &about).unwrap();
    let (read, found) = adept_core::file::load::<B>(&folder, &sites, &Default::default()).unwrap();
    assert_eq!((read.tensors(), &found.config), (adapter.tensors(), &config));
    std::fs::remove_dir_all(&folder).unwrap();
    let count: usize = adapter.tensors().iter().map(|(_, data)| data.num_elements()).sum();
    assert_eq!(config.trainable_parameters(&sites).unwrap(), count);
    // A description of another ladder is refused.
    let other = adept_core::AdapterMetadata::new(
        LstConfig {
            temperature: 1.0,
            ..LstConfig::default()
        }
        .into(),
        "m",
    );
    assert!(adept_core::file::save(&folder, &adapter, &other).is_err());
}

#[test]
fn sizes_that_leave_no_network_are_refused() {
    let sites = sites(2);
    let refused = |config: LstConfig, sites: &ModelSites| started(config, sites).unwrap_err().to_string();
    assert_eq!(
        refused(config(8, 4), &sites),
        "lst: reduction is 8, which does not divide a size of the model: its width (4); expected one of 1, 2"
    );
    let found = refused(config(4, 4), &sites);
    assert!(found.contains("the output of h.0.in (6)"), "{found}");
    let mut rotated = sites.clone();
    rotated.side.as_mut().unwrap().rotated = 2;
    let found = refused(config(2, 4), &rotated);
    assert!(
        found.contains("the rotated pairs of a head (1); expected one of 1"),
        "{found}"
    );
    assert_eq!(
        refused(config(2, 1), &sites),
        "lst: skip_every is 1, which leaves none of the 2 blocks of a stack of the model a side block: expected a larger \
         number, or 0 to leave out none"
    );
    let bare = ModelSites {
        side: None,
        ..sites.clone()
    };
    assert!(refused(config(2, 4), &bare).contains("runs no side network"));
    let without = Adapter::<B>::new(
        &config(2, 4).into(),
        &sites,
        AdapterInit::random(1),
        &Default::default(),
    );
    let found = without.unwrap_err().to_string();
    assert!(
        found.contains("init is pruned, which needs the model's weights"),
        "{found}"
    );
    let random = LstConfig {
        start: LadderStart::Random,
        ..config(2, 4)
    };
    let random = Adapter::<B>::new(&random.into(), &sites, AdapterInit::random(1), &Default::default()).unwrap();
    assert!(random.side().is_some());
    for (config, field) in [
        (config(0, 4), "reduction"),
        (config(2, 70_000), "skip_every"),
        (
            LstConfig {
                temperature: 0.0,
                ..config(2, 4)
            },
            "temperature",
        ),
    ] {
        let found = AdapterConfig::from(config).validate().unwrap_err().to_string();
        assert!(found.contains(field), "{found}");
    }
}

/// Squared gradients that fall where the weights rise, so that the first channels are the most important.
#[derive(Debug)]
struct Falling;

impl ReadWeights for Falling {
    fn linear(&self, site: LinearSite) -> Option<WeightValues> {
        let values = Numbered.linear(site)?;
        Some(WeightValues {
            weight: values.weight.iter().map(|weight| 100.0 - weight).collect(),
            ..values
        })
    }

    fn norm(&self, site: NormSite) -> Option<WeightValues> {
        Numbered.norm(site)
    }

    fn embedding(&self) -> Option<Vec<f32>> {
        Some(vec![0.0, 1.0, 2.0, 3.0])
    }

    fn positions(&self, stack: Stack) -> Option<Vec<f32>> {
        Numbered.positions(stack)
    }
}

#[derive(Debug)]
struct Judged;

impl ReadWeights for Judged {
    fn linear(&self, site: LinearSite) -> Option<WeightValues> {
        Numbered.linear(site)
    }

    fn norm(&self, site: NormSite) -> Option<WeightValues> {
        Numbered.norm(site)
    }

    fn embedding(&self) -> Option<Vec<f32>> {
        Numbered.embedding()
    }

    fn positions(&self, stack: Stack) -> Option<Vec<f32>> {
        Numbered.positions(stack)
    }

    fn squared_gradients(&self) -> Option<&dyn ReadWeights> {
        Some(&Falling)
    }
}

/// The channels are those of the gradients, the values those of the weights.
#[test]
fn a_side_network_starts_from_the_channels_with_the_largest_gradients() {
    let sites = sites(2);
    let of = |weights: Rc<dyn ReadWeights>, start| {
        let config: AdapterConfig = LstConfig { start, ..config(2, 0) }.into();
        let init = AdapterInit {
            weights: Some(weights),
            ..AdapterInit::random(3)
        };
        Adapter::<B>::new(&config, &sites, init, &Default::default())
    };
    let judged = of(Rc::new(Judged), LadderStart::Gradients).unwrap();
    let tensors: std::collections::BTreeMap<_, _> = judged.tensors().into_iter().collect();
    // The embedding keeps channels 2 and 3; every map its first rows.
    close(tensors["side.h.0.attn.norm.weight"].iter(), &[0.02, 0.03], "first norm");
    close(tensors["side.h.1.attn.norm.weight"].iter(), &[0.0, 0.01], "second norm");
    close(
        tensors["side.h.1.in.weight"].iter().take(2),
        &[10.0, 11.0],
        "a feed-forward layer",
    );
    // They are not used unless asked for, and missed where they are.
    let [asked, not] = [LadderStart::Weights, LadderStart::Gradients]
        .map(|start| of(Rc::new(Numbered), start).map(|adapter| adapter.tensors()));
    let ignored = of(Rc::new(Judged), LadderStart::Weights).unwrap().tensors();
    assert_eq!(asked.unwrap(), ignored);
    assert!(matches!(
        not.unwrap_err(),
        CoreError::NoGradients { examples: 1024, .. }
    ));
}

#[test]
fn the_published_blocks_are_kept() {
    assert_eq!(LstConfig::default().kept(12), [1, 2, 3, 5, 6, 7, 9, 10, 11]);
    assert_eq!(config(8, 0).kept(3), [0, 1, 2]);
}
