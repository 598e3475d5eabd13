//! Readers for the fixtures written by `tests/generators/t5_reference.py`.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use adept_models::{DecoderConfig, ModelError};
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use burn_flex::Flex;
use safetensors::{Dtype, SafeTensors};

pub type B = Flex;
pub type AB = Autodiff<Flex>;

/// T5 v1.0 and v1.1.
pub const FAMILIES: [&str; 2] = ["t5_relu", "t5_gated"];

/// A small decoder; `own` is what its family's `config.json` says beyond the sizes.
pub fn decoder_config(own: &str) -> DecoderConfig {
    read_decoder(own).unwrap()
}

/// The same, which may be refused.
pub fn read_decoder(own: &str) -> Result<DecoderConfig, ModelError> {
    let config = format!(
        r#"{{"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3, "eos_token_id": 1,
        "pad_token_id": 1, "max_position_embeddings": 64, {own}}}"#
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    DecoderConfig::from_dir(folder.path())
}

/// What decoders say beyond the sizes: whole attention, a window, capped scores, learned positions, parallel sublayers.
pub const FAMILIES_OF_DECODERS: [&str; 5] = [
    r#""model_type": "llama""#,
    r#""model_type": "qwen3", "head_dim": 8, "use_sliding_window": true, "sliding_window": 6,
       "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]"#,
    r#""model_type": "gemma2", "head_dim": 8, "sliding_window": 7, "attn_logit_softcapping": 1.0"#,
    r#""model_type": "gpt2", "n_embd": 16, "n_layer": 3, "n_head": 4, "n_positions": 64, "n_inner": 24"#,
    r#""model_type": "gpt_neox", "use_parallel_residual": true, "rotary_pct": 0.5"#,
];

/// Reproducible numbers between −1 and 1.
pub fn numbers<T: Backend, const D: usize>(shape: [usize; D], seed: f32) -> Tensor<T, D> {
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|at: usize| (at as f32 * 1.7 + seed).sin())
        .collect();
    Tensor::from_data(TensorData::new(values, shape), &Default::default())
}

pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The named tensors of one safetensors file.
pub struct Values(Vec<u8>);

impl Values {
    pub fn open(path: &str) -> Self {
        Self(std::fs::read(fixtures().join(path)).unwrap())
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.file().tensor(name).unwrap().shape().to_vec()
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        let file = self.file();
        let tensor = file.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
        tensor
            .data()
            .chunks_exact(4)
            .map(|x| f32::from_le_bytes(x.try_into().unwrap()))
            .collect()
    }

    pub fn ints(&self, name: &str) -> Vec<i64> {
        let file = self.file();
        let tensor = file.tensor(name).unwrap();
        let bytes = tensor.data();
        match tensor.dtype() {
            Dtype::I64 => bytes
                .chunks_exact(8)
                .map(|x| i64::from_le_bytes(x.try_into().unwrap()))
                .collect(),
            Dtype::I16 => bytes
                .chunks_exact(2)
                .map(|x| i64::from(i16::from_le_bytes(x.try_into().unwrap())))
                .collect(),
            Dtype::U8 => bytes.iter().map(|&x| i64::from(x)).collect(),
            other => panic!("{name}: {other:?}"),
        }
    }

    pub fn tensor<T: Backend, const D: usize>(&self, name: &str) -> Tensor<T, D> {
        Tensor::from_data(
            TensorData::new(self.floats(name), self.shape(name)),
            &Default::default(),
        )
    }

    pub fn ids<T: Backend, const D: usize>(&self, name: &str) -> Tensor<T, D, Int> {
        let values: Vec<i32> = self.ints(name).into_iter().map(|x| x as i32).collect();
        Tensor::from_data(TensorData::new(values, self.shape(name)), &Default::default())
    }

    pub fn mask<T: Backend>(&self) -> Tensor<T, 2, Bool> {
        self.ids::<T, 2>("attention_mask").greater_elem(0)
    }

    pub fn names(&self) -> Vec<String> {
        self.file().names().into_iter().map(str::to_owned).collect()
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }
}

/// Asserts that two lists agree within `limit`; the message states their difference.
#[track_caller]
pub fn close(what: &str, found: &[f32], expected: &[f32], limit: f32) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    let mut worst = (0.0, 0);
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(a.is_finite(), "{what}[{place}] is {a}");
        if (a - b).abs() > worst.0 {
            worst = ((a - b).abs(), place);
        }
    }
    let (difference, place) = worst;
    assert!(
        difference <= limit,
        "{what}: differs by {difference:e} at {place}, limit {limit:e}"
    );
}

pub fn vec<T: Backend, const D: usize>(tensor: Tensor<T, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().unwrap()
}

/// Held by a test that seeds or draws the device's random numbers, of which there is one stream in a process.
pub fn draws_alone() -> std::sync::MutexGuard<'static, ()> {
    static STREAM: std::sync::Mutex<()> = std::sync::Mutex::new(());
    STREAM.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
