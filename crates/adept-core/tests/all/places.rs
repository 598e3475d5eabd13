//! Methods that change norms, sublayers, the embedding matrix or the head: where, and by how much.
#![allow(clippy::unwrap_used)]

use adept_core::{
    Adapter, AdapterConfig, AdapterDropConfig, AdapterInit, AdapterMetadata, BitFitConfig, Bottleneck, CoreError,
    HoulsbyConfig, Intervention as _, KeyHeads, LinearMap, LinearPart, LinearSite, ModelSites, Norm, NormSite, Prefix,
    PrefixConfig, PromptEmbeddingConfig, Stack, Sublayer, SublayerPart, SublayerSite, TokenMatrix, file,
};
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;

type B = Flex;

const WIDTH: usize = 6;

/// A decoder of `blocks` blocks, each of one map, a norm and two sublayers; `has_bias`: of the maps and of the head.
fn model(blocks: usize, has_bias: bool) -> ModelSites {
    let mut sites = ModelSites::embeddings(WIDTH);
    for block in 0..blocks {
        let name = |part: &str| format!("h.{block}.{part}");
        sites.linears.push(LinearMap {
            has_bias,
            ..LinearMap::new(
                LinearSite::new(Stack::Decoder, block, LinearPart::Up),
                name("up"),
                WIDTH,
                8,
            )
        });
        for part in [SublayerPart::Attention, SublayerPart::FeedForward] {
            let heads = KeyHeads { heads: 2, channels: 3 };
            sites.sublayers.push(Sublayer {
                site: SublayerSite::new(Stack::Decoder, block, part),
                name: name(if part == SublayerPart::Attention { "attn" } else { "mlp" }),
                heads: (part == SublayerPart::Attention).then_some(heads),
            });
        }
        sites.norms.push(norm(NormSite::Before(attention(block)), name("norm")));
    }
    sites
        .norms
        .push(norm(NormSite::Final(Stack::Decoder), "norm".to_owned()));
    let matrix = |name: &str, has_bias| TokenMatrix {
        name: name.to_owned(),
        rows: 10,
        has_bias,
    };
    sites.embedding = Some(matrix("embed", false));
    sites.head = Some(matrix("head", has_bias));
    sites
}

fn norm(site: NormSite, name: String) -> Norm {
    Norm {
        site,
        name,
        width: WIDTH,
        has_bias: false,
    }
}

fn attention(block: usize) -> SublayerSite {
    SublayerSite::new(Stack::Decoder, block, SublayerPart::Attention)
}

fn started(config: impl Into<AdapterConfig>, sites: &ModelSites) -> Result<Adapter<B>, CoreError> {
    Adapter::new(&config.into(), sites, AdapterInit::random(3), &Default::default())
}

fn names(adapter: &Adapter<B>) -> Vec<String> {
    adapter.tensors().into_iter().map(|(name, _)| name).collect()
}

fn numbers<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Default::default())
}

#[test]
fn bitfit_trains_the_biases_there_are_and_adds_some_where_there_is_none() {
    let own = started(BitFitConfig::default(), &model(2, true)).unwrap();
    let of = |module: &str| format!("base_model.model.{module}.bias");
    assert_eq!(names(&own), ["h.0.up", "h.1.up", "head"].map(of));
    let added = started(BitFitConfig::default(), &model(2, false)).unwrap();
    let expected = ["h.0.up", "h.1.up", "h.0.norm", "h.1.norm", "head"];
    assert_eq!(names(&added), expected.map(of), "not the final norm");
    let bias = added.norm(NormSite::Before(attention(1))).unwrap();
    assert!(bias.weight.is_none() && bias.bias.unwrap().dims() == [WIDTH]);
    assert!(added.norm(NormSite::Final(Stack::Decoder)).is_none());
    assert_eq!(added.head_bias().unwrap().dims(), [10]);
}

#[test]
fn adapters_stand_behind_both_sublayers_and_adapter_drop_leaves_out_the_lowest_blocks() {
    let sites = model(3, false);
    let all = started(HoulsbyConfig::new(2), &sites).unwrap();
    let dropped = started(AdapterDropConfig::new(2, 2), &sites).unwrap();
    for block in 0..3 {
        assert!(all.after(attention(block)).is_some());
        assert_eq!(dropped.after(attention(block)).is_some(), block == 2);
    }
    assert_eq!(names(&all).len(), 6 * 4 + 4);
    assert_eq!(names(&dropped).len(), 2 * 4 + 4, "every norm is trained all the same");
    let error = started(AdapterDropConfig::new(2, 3), &sites).unwrap_err().to_string();
    let expected = "adapter_drop: skip_blocks is 3, but a stack of the model has 3 blocks: expected fewer";
    assert_eq!(error, expected);
    let pfeiffer = HoulsbyConfig {
        is_pfeiffer: true,
        train_norms: false,
        ..HoulsbyConfig::new(2)
    };
    assert_eq!(names(&started(pfeiffer, &sites).unwrap()).len(), 3 * 4);
}

/// By hand: y = (1, -1), W_down = (1, 2)ᵀ, b = 0.5, so the inner value is -0.5, of which gelu (tanh) is -0.154286.
#[test]
fn a_bottleneck_adds_to_what_it_reads() {
    let bottleneck = Bottleneck {
        down: numbers(&[1.0, 2.0], [2, 1]),
        down_bias: numbers(&[0.5], [1]),
        up: numbers(&[3.0, -1.0], [1, 2]),
        up_bias: numbers(&[0.0, 0.25], [2]),
        norm: None,
    };
    let found = bottleneck.forward(numbers(&[1.0, -1.0], [1, 1, 2])).into_data();
    let inner = -0.154_286;
    for (found, expected) in found.iter::<f32>().zip([1.0 + 3.0 * inner, -1.0 - inner + 0.25]) {
        assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
    }
}

#[test]
fn a_prefix_stands_in_front_of_every_row() {
    let prefix = Prefix {
        keys: numbers(&[1.0, 2.0], [2, 1]),
        values: numbers(&[3.0, 4.0], [2, 1]),
    };
    let own = numbers(&[5.0, 6.0], [2, 1, 1]);
    let (keys, values) = prefix.before(own.clone(), own);
    let list = |tensor: Tensor<B, 3>| -> Vec<f32> { tensor.into_data().iter::<f32>().collect() };
    assert_eq!(list(keys), [1.0, 2.0, 5.0, 1.0, 2.0, 6.0]);
    assert_eq!(list(values), [3.0, 4.0, 5.0, 3.0, 4.0, 6.0]);
}

/// Block i reads columns 2i (keys) and 2i + 1 (values), as in PEFT.
#[test]
fn a_prefix_has_keys_and_values_of_each_block_in_turn() {
    let sites = model(2, false);
    let config = PrefixConfig::new(&sites, 1, 0).unwrap();
    let values: Vec<f32> = (0..4 * WIDTH).map(|value| value as f32).collect();
    let data = TensorData::new(values, [1, 4 * WIDTH]);
    let tensors = [("prompt_embeddings".to_owned(), data)].into();
    let adapter = Adapter::<B>::from_tensors(&config.into(), &sites, tensors, &Default::default()).unwrap();
    let prefix = adapter.prefix(attention(1)).unwrap();
    let first = |tensor: Tensor<B, 2>| tensor.into_data().iter::<f32>().next().unwrap();
    assert_eq!((first(prefix.keys), first(prefix.values)), (12.0, 18.0));
    let beside = SublayerSite::new(Stack::Decoder, 1, SublayerPart::FeedForward);
    assert!(adapter.prefix(beside).is_none());
    assert_eq!(adapter.virtual_tokens(), 1);

    let error = adapter_for_another_model(&sites).to_string();
    assert!(
        error.contains("for 2 blocks with 2 key heads of 3 channels, the model's decoder has 3 blocks"),
        "{error}"
    );
}

fn adapter_for_another_model(sites: &ModelSites) -> CoreError {
    let config = PrefixConfig::new(sites, 1, 0).unwrap();
    started(config, &model(3, false)).unwrap_err()
}

/// An encoder of `encoder` blocks in front of a decoder of two with cross-attention.
fn encoder_decoder(encoder: usize) -> ModelSites {
    let mut sites = model(2, false);
    let mut add = |stack, block, part| {
        sites.sublayers.push(Sublayer {
            site: SublayerSite::new(stack, block, part),
            name: format!("{stack:?}.{block}.{part:?}"),
            heads: Some(KeyHeads { heads: 2, channels: 3 }),
        });
    };
    for block in 0..encoder {
        add(Stack::Encoder, block, SublayerPart::Attention);
    }
    for block in 0..2 {
        add(Stack::Decoder, block, SublayerPart::CrossAttention);
    }
    sites
}

#[test]
fn a_prefix_of_every_attention_has_one_of_its_own_for_each() {
    let sites = encoder_decoder(3);
    for (hidden, tensors) in [(0, 1), (4, 5)] {
        let config = PrefixConfig::all(&sites, 2, hidden).unwrap();
        let adapter = started(config.clone(), &sites).unwrap();
        let names = names(&adapter);
        assert_eq!(names.len(), 3 * tensors);
        for (place, names) in ["encoder.", "decoder.", "cross."].iter().zip(names.chunks(tensors)) {
            assert!(names.iter().all(|name| name.starts_with(place)), "{names:?}");
        }
        let mut seen: Vec<Vec<f32>> = Vec::new();
        for layer in &sites.sublayers {
            let prefix = adapter.prefix(layer.site);
            assert_eq!(prefix.is_some(), layer.heads.is_some(), "{}", layer.name);
            let both = prefix.into_iter().flat_map(|prefix| [prefix.keys, prefix.values]);
            seen.extend(both.map(|tensor| tensor.into_data().iter::<f32>().collect()));
        }
        assert_eq!(seen.len(), 2 * (3 + 2 + 2));
        assert!((1..seen.len()).all(|last| !seen[..last].contains(&seen[last])));
        // The decoder's own prefix starts as it does alone.
        let alone = started(PrefixConfig::new(&sites, 2, hidden).unwrap(), &sites).unwrap();
        let first = |adapter: &Adapter<B>| adapter.prefix(attention(1)).unwrap().values.into_data();
        assert_eq!(first(&adapter), first(&alone));

        let folder = tempfile::tempdir().unwrap();
        let meta = AdapterMetadata::new(config.clone().into(), "t5-base");
        file::save(folder.path(), &adapter, &meta).unwrap();
        let (loaded, about) = file::load::<B>(folder.path(), &sites, &Default::default()).unwrap();
        assert_eq!((loaded.tensors(), &about), (adapter.tensors(), &meta));
        let folded = loaded.folded();
        for layer in sites.sublayers.iter().filter(|layer| layer.heads.is_some()) {
            let keys = |adapter: &Adapter<B>| adapter.prefix(layer.site).unwrap().keys.into_data();
            assert_eq!(keys(&folded), keys(&adapter), "{}", layer.name);
        }

        let error = started(config, &encoder_decoder(4)).unwrap_err().to_string();
        assert!(
            error.contains("for 3 blocks with 2 key heads of 3 channels, the model's encoder has 4 blocks"),
            "{error}"
        );
        let path = folder.path().join(file::CONFIG_FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"peft_type\": \"PREFIX_TUNING_ALL\""), "{text}");
        std::fs::write(&path, text.replace("PREFIX_TUNING_ALL", "PREFIX_TUNING")).unwrap();
        let error = file::read(folder.path()).unwrap_err().to_string();
        let expected = "field peft_type: expected PREFIX_TUNING_ALL, found \"PREFIX_TUNING\"";
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_decoder_alone_has_no_prefix_of_every_attention() {
    let error = PrefixConfig::all(&model(2, false), 1, 0).unwrap_err().to_string();
    let expected = "prefix adapter: sites is all, expected decoder: the model has no encoder and cross-attention";
    assert_eq!(error, expected);
}

#[test]
fn models_without_the_places_are_refused() {
    let sites = ModelSites::embeddings(WIDTH);
    let configs: [(AdapterConfig, &str); 3] = [
        (
            BitFitConfig::default().into(),
            "bitfit: expected a model with linear maps, norms or output head",
        ),
        (HoulsbyConfig::new(2).into(), "adapter: expected a model with sublayers"),
        (
            PromptEmbeddingConfig::new(WIDTH, 2).into(),
            "prompt_embedding: expected a model with an embedding matrix",
        ),
    ];
    for (config, expected) in configs {
        let error = started(config, &sites).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let error = PrefixConfig::new(&sites, 2, 0).unwrap_err().to_string();
    assert!(
        error.starts_with("prefix: expected a model with self-attentions"),
        "{error}"
    );
}
