//! Checkpoints: every supported form, every kind of damage that is refused, and the round trip through a saved
//! checkpoint.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::{B, FAMILIES, Values, close, fixtures, vec};
use adept_models::StoredType;
use adept_models::t5::{FeedForwardKind, open};
use adept_models::{Backbone, Loaded, ModelError, Seq2SeqBackbone, T5, T5Config};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::View};
use tempfile::TempDir;

/// A tensor as bytes, for writing arbitrary files.
#[derive(Clone)]
pub struct Raw(pub Dtype, pub Vec<usize>, pub Vec<u8>);

impl View for Raw {
    fn dtype(&self) -> Dtype {
        self.0
    }
    fn shape(&self) -> &[usize] {
        &self.1
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.2)
    }
    fn data_len(&self) -> usize {
        self.2.len()
    }
}

pub type Tensors = BTreeMap<String, Raw>;

fn weights(family: &str) -> Tensors {
    weights_in(&fixtures().join(family))
}

pub fn weights_in(folder: &Path) -> Tensors {
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.iter()
        .map(|(name, t)| (name.to_owned(), Raw(t.dtype(), t.shape().to_vec(), t.data().to_vec())))
        .collect()
}

/// A folder with a family's configuration and the given weights in one file.
fn folder(family: &str, tensors: &Tensors) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(
        fixtures().join(family).join("config.json"),
        dir.path().join("config.json"),
    )
    .unwrap();
    write(&dir.path().join("model.safetensors"), tensors);
    dir
}

pub fn write(path: &Path, tensors: &Tensors) {
    fs::write(path, safetensors::serialize(tensors.clone(), None).unwrap()).unwrap();
}

fn load(dir: &Path) -> Result<Loaded<T5<B>>, ModelError> {
    T5::load(dir, &Default::default())
}

fn logits(model: &T5<B>, family: &str) -> Vec<f32> {
    let reference = Values::open(&format!("{family}/reference.safetensors"));
    let encoded = model.encode(reference.tensor("inputs_embeds"), reference.mask(), 0.0);
    vec(model.decode(reference.ids("decoder_input_ids"), encoded, reference.mask(), 0.0))
}

fn narrowed(tensors: &Tensors, dtype: Dtype, cut: impl Fn(f32) -> [u8; 2]) -> Tensors {
    let cut = |raw: &Raw| {
        let floats = raw.2.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap()));
        Raw(dtype, raw.1.clone(), floats.flat_map(&cut).collect())
    };
    tensors.iter().map(|(name, raw)| (name.clone(), cut(raw))).collect()
}

#[test]
fn half_precision_widens_exactly() {
    for family in FAMILIES {
        let whole = weights(family);
        let expected = load(&fixtures().join(family)).unwrap();
        for (dtype, cut, limit) in [
            (
                Dtype::F16,
                (|x| f16::from_f32(x).to_le_bytes()) as fn(f32) -> [u8; 2],
                4e-3,
            ),
            (Dtype::BF16, |x| bf16::from_f32(x).to_le_bytes(), 3e-2),
        ] {
            let narrow = narrowed(&whole, dtype, cut);
            let loaded = load(folder(family, &narrow).path()).unwrap();
            let shared = &narrow["shared.weight"].2;
            let widened: Vec<f32> = shared
                .chunks_exact(2)
                .map(|x| [x[0], x[1]])
                .map(|x| {
                    if dtype == Dtype::F16 {
                        f16::from_le_bytes(x).to_f32()
                    } else {
                        bf16::from_le_bytes(x).to_f32()
                    }
                })
                .collect();
            assert_eq!(vec(loaded.model.embedding_weight()), widened);
            let exact = logits(&expected.model, family);
            let largest = exact.iter().fold(0f32, |a, x| a.max(x.abs()));
            close(
                &format!("{family} {dtype:?}"),
                &logits(&loaded.model, family),
                &exact,
                limit * largest,
            );
            assert_ne!(
                loaded.fingerprint, expected.fingerprint,
                "rounded weights are other weights"
            );
        }
    }
}

/// Saving in bf16 rounds every value to the nearest and halves the size; saving the result again changes nothing.
#[test]
fn bf16_is_written_rounded_and_reads_back() {
    for family in FAMILIES {
        let exact = load(&fixtures().join(family)).unwrap().model;
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("first"), root.path().join("second"));
        exact.save_pretrained_as(&first, StoredType::Bf16).unwrap();
        let rounded = load(&first).unwrap();
        rounded.model.save_pretrained_as(&second, StoredType::Bf16).unwrap();
        assert_eq!(load(&second).unwrap().fingerprint, rounded.fingerprint);
        let bytes = fs::read(first.join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        for (name, Raw(_, _, values)) in weights(family) {
            let Ok(view) = file.tensor(&name) else { continue };
            assert_eq!(view.dtype(), Dtype::BF16);
            let expected: Vec<u8> = values
                .chunks_exact(4)
                .map(|x| f32::from_le_bytes(x.try_into().unwrap()))
                .flat_map(|value| bf16::from_f32(value).to_le_bytes())
                .collect();
            assert!(view.data() == expected, "{family}: {name}");
        }
        let config = fs::read_to_string(first.join("config.json")).unwrap();
        assert!(config.contains("\"torch_dtype\": \"bfloat16\""), "{config}");
    }
}

pub fn shard(dir: &Path, tensors: &Tensors) -> [String; 2] {
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"].map(str::to_owned);
    let mut parts = [Tensors::new(), Tensors::new()];
    let mut map = serde_json::Map::new();
    for (place, (name, raw)) in tensors.iter().enumerate() {
        parts[place % 2].insert(name.clone(), raw.clone());
        map.insert(name.clone(), names[place % 2].clone().into());
    }
    for (name, part) in names.iter().zip(&parts) {
        write(&dir.join(name), part);
    }
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
    fs::write(dir.join("model.safetensors.index.json"), index.to_string()).unwrap();
    names
}

#[test]
fn shards_are_the_same_model() {
    for family in FAMILIES {
        let tensors = weights(family);
        let dir = folder(family, &tensors);
        fs::remove_file(dir.path().join("model.safetensors")).unwrap();
        shard(dir.path(), &tensors);
        let sharded = load(dir.path()).unwrap();
        let whole = load(&fixtures().join(family)).unwrap();
        assert_eq!(sharded.fingerprint, whole.fingerprint);
        assert_eq!(logits(&sharded.model, family), logits(&whole.model, family));
    }
}

#[test]
fn aliases_and_leftovers_are_accepted_where_they_agree() {
    let mut tensors = weights("t5_relu");
    let shared = tensors["shared.weight"].clone();
    let plain = load(&fixtures().join("t5_relu")).unwrap();
    for alias in [
        "encoder.embed_tokens.weight",
        "decoder.embed_tokens.weight",
        "lm_head.weight",
    ] {
        tensors.insert(alias.to_owned(), shared.clone());
    }
    let leftover = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
    tensors.insert(leftover.to_owned(), Raw(Dtype::F32, vec![32, 2], vec![1; 256]));
    let loaded = load(folder("t5_relu", &tensors).path()).unwrap();
    assert_eq!(logits(&loaded.model, "t5_relu"), logits(&plain.model, "t5_relu"));
    assert_eq!(loaded.fingerprint, plain.fingerprint);

    // A single alias suffices for the shared embedding.
    let mut renamed = weights("t5_relu");
    renamed.remove("shared.weight");
    renamed.insert("encoder.embed_tokens.weight".to_owned(), shared);
    let loaded = load(folder("t5_relu", &renamed).path()).unwrap();
    assert_eq!(logits(&loaded.model, "t5_relu"), logits(&plain.model, "t5_relu"));
}

#[test]
fn the_head_of_a_config_by_transformers_5_is_told_by_the_weights() {
    let dir = folder("t5_gated", &weights("t5_gated"));
    let path = dir.path().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    let five = text.replace(
        "\"tie_word_embeddings\": false",
        "\"tie_word_embeddings\": true, \"scale_decoder_outputs\": false, \"dtype\": \"float32\"",
    );
    assert_ne!(five, text);
    fs::write(&path, five).unwrap();
    let loaded = load(dir.path()).unwrap();
    assert!(loaded.model.lm_head.is_some());
    let plain = load(&fixtures().join("t5_gated")).unwrap();
    assert_eq!(logits(&loaded.model, "t5_gated"), logits(&plain.model, "t5_gated"));
}

#[test]
fn every_damage_is_named() {
    let q = "encoder.block.0.layer.0.SelfAttention.q.weight";
    let file = "model.safetensors";
    type Damage = fn(&mut Tensors, &Path);
    let cases: [(&str, Damage, &[&str]); 12] = [
        (
            "missing tensor",
            |t, _| _ = t.remove("encoder.final_layer_norm.weight"),
            &["encoder.final_layer_norm.weight", "missing", "[16]"],
        ),
        (
            "unexpected tensor",
            |t, _| _ = t.insert("extra.weight".into(), Raw(Dtype::F32, vec![2], vec![0; 8])),
            &["extra.weight", "[2]"],
        ),
        (
            "a block too many",
            |t, _| {
                _ = t.insert(
                    "encoder.block.2.layer.0.layer_norm.weight".into(),
                    Raw(Dtype::F32, vec![16], vec![0; 64]),
                )
            },
            &["encoder.block.2"],
        ),
        (
            "shape",
            |t, _| t.get_mut("shared.weight").unwrap().1 = vec![16, 59],
            &["shared.weight", "[59, 16]", "[16, 59]"],
        ),
        (
            "dtype",
            |t, _| _ = t.insert("shared.weight".into(), Raw(Dtype::I32, vec![59, 16], vec![0; 59 * 64])),
            &["shared.weight", "BF16", "I32"],
        ),
        (
            "untied alias",
            |t, _| _ = t.insert("lm_head.weight".into(), Raw(Dtype::F32, vec![59, 16], vec![0; 59 * 64])),
            &["lm_head.weight", "shared.weight"],
        ),
        (
            "truncated data",
            |_, f| truncate(f, -1),
            &["expected", "found", "truncated"],
        ),
        (
            "truncated header",
            |_, f| truncate(f, 100),
            &["expected", "100", "truncated"],
        ),
        ("truncated length", |_, f| truncate(f, 5), &["expected 8", "found 5"]),
        ("empty", |_, f| truncate(f, 0), &["an empty file", "adept fetch"]),
        ("garbage", |_, f| fs::write(f, [b'x'; 64]).unwrap(), &["safetensors"]),
        (
            "trailing bytes",
            |_, f| {
                let mut b = fs::read(f).unwrap();
                b.push(0);
                fs::write(f, b).unwrap()
            },
            &["expected", "found"],
        ),
    ];
    for (what, damage, needles) in cases {
        let dir = folder("t5_relu", &weights("t5_relu"));
        let path = dir.path().join(file);
        let mut tensors = weights("t5_relu");
        let before = fs::read(&path).unwrap();
        damage(&mut tensors, &path);
        if fs::read(&path).unwrap() == before {
            write(&path, &tensors);
        }
        let error = load(dir.path()).unwrap_err().to_string();
        for needle in needles.iter().chain([&file]) {
            assert!(error.contains(needle), "{what}: `{needle}` is not in `{error}`");
        }
    }
    // The configuration does not fit the weights.
    let dir = folder("t5_relu", &weights("t5_relu"));
    let config = fs::read_to_string(dir.path().join("config.json"))
        .unwrap()
        .replace("\"d_kv\": 6", "\"d_kv\": 8");
    fs::write(dir.path().join("config.json"), config).unwrap();
    let error = load(dir.path()).unwrap_err();
    assert!(
        matches!(&error, ModelError::Shape { tensor, expected, found, .. }
            if tensor == q && expected == &[16, 16] && found == &[12, 16]),
        "{error}"
    );
}

fn truncate(path: &Path, length: i64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let whole = file.metadata().unwrap().len() as i64;
    file.set_len(if length < 0 { whole + length } else { length } as u64)
        .unwrap();
}

#[test]
fn folders_that_are_no_checkpoint() {
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(load(empty.path()), Err(ModelError::Io { path, .. }) if path.ends_with("config.json")));
    fs::copy(fixtures().join("t5_relu/config.json"), empty.path().join("config.json")).unwrap();
    assert!(matches!(load(empty.path()), Err(ModelError::NoWeights { .. })));

    let tensors = weights("t5_relu");
    let names = shard(empty.path(), &tensors);
    fs::remove_file(empty.path().join(&names[1])).unwrap();
    assert!(matches!(load(empty.path()), Err(ModelError::MissingShard { shard, .. }) if shard == names[1]));
    fs::copy(empty.path().join(&names[0]), empty.path().join(&names[1])).unwrap();
    assert!(matches!(load(empty.path()), Err(ModelError::NotInShard { shard, .. }) if shard == names[1]));
    let index = empty.path().join("model.safetensors.index.json");
    fs::write(&index, r#"{"weight_map": {"shared.weight": "../model.safetensors"}}"#).unwrap();
    assert!(matches!(load(empty.path()), Err(ModelError::MissingShard { .. })));
    fs::write(&index, r#"{"weight_map": ["shared.weight"]}"#).unwrap();
    assert!(matches!(load(empty.path()), Err(ModelError::Json { path, .. }) if path == index));
}

/// All values of a model, in visiting order.
fn values(model: &T5<B>) -> Vec<Vec<u32>> {
    struct Collect(Vec<Vec<u32>>);
    impl ModuleVisitor<B> for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.push(vec(param.val()).into_iter().map(f32::to_bits).collect());
        }
    }
    let mut visitor = Collect(Vec::new());
    model.visit(&mut visitor);
    visitor.0
}

#[test]
fn a_saved_model_reads_back_bit_for_bit() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("deeper/saved");
    for (seed, kind) in [(1, FeedForwardKind::Relu), (2, FeedForwardKind::GatedGelu)] {
        let tied = kind == FeedForwardKind::Relu;
        let config = T5Config {
            vocab_size: 41,
            d_model: 12,
            d_kv: 5,
            d_ff: 18,
            num_layers: 1,
            num_decoder_layers: 2,
            num_heads: 3,
            feed_forward_proj: kind,
            tie_word_embeddings: tied,
            scale_decoder_outputs: tied,
            ..T5Config::t5_small()
        };
        let model = T5::<B>::random(&config, seed, &Default::default());
        // The second round replaces the first one's files.
        model.save_pretrained(&dir).unwrap();
        let loaded = load(&dir).unwrap();
        assert_eq!(loaded.model.config(), &config);
        assert_eq!(values(&loaded.model), values(&model));
        let bytes = fs::read(dir.join("model.safetensors")).unwrap();
        model.save_pretrained(&dir).unwrap();
        assert_eq!(
            fs::read(dir.join("model.safetensors")).unwrap(),
            bytes,
            "saving is not deterministic"
        );
    }
    let left: Vec<_> = fs::read_dir(root.path().join("deeper"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["saved"], "staging folders are left behind");
}

#[test]
fn a_fixture_saved_again_holds_the_same_tensors() {
    for family in FAMILIES {
        let root = tempfile::tempdir().unwrap();
        let loaded = load(&fixtures().join(family)).unwrap();
        loaded.model.save_pretrained(&root.path().join("again")).unwrap();
        let (config, checkpoint) = open(&root.path().join("again")).unwrap();
        assert_eq!(&config, loaded.model.config());
        assert_eq!(checkpoint.fingerprint(), loaded.fingerprint, "{family}");
    }
}

#[test]
fn saving_into_a_place_that_cannot_be_names_it() {
    let root = tempfile::tempdir().unwrap();
    let blocked = root.path().join("file");
    fs::write(&blocked, "x").unwrap();
    let model = load(&fixtures().join("t5_relu")).unwrap().model;
    let error = model.save_pretrained(&blocked.join("model")).unwrap_err();
    assert!(
        matches!(&error, ModelError::Write { path, .. } if path == &blocked),
        "{error}"
    );
}

/// Saving never replaces a model of another program, whichever of its files is present.
#[test]
fn a_model_from_elsewhere_is_not_replaced() {
    let model = load(&fixtures().join("t5_relu")).unwrap().model;
    for name in ["config.json", "model.safetensors", "model.safetensors.index.json"] {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(name), "{\"model_type\": \"t5\"}").unwrap();
        let error = model.save_pretrained(root.path()).unwrap_err();
        assert!(
            matches!(&error, ModelError::Foreign { found, .. } if *found == name),
            "{error}"
        );
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "{name}");
    }
    // Unrelated files are left alone.
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("tokenizer.json"), "{}").unwrap();
    model.save_pretrained(root.path()).unwrap();
    model.save_pretrained(root.path()).unwrap();
    assert_eq!(fs::read(root.path().join("tokenizer.json")).unwrap(), b"{}");
}
