//! The forward pass and its gradients, compared with PyTorch's and checked for their properties.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::common::{configs, fixture, prompt, random, sites, tensors, trained};
use adept_core::{
    Adapter, AdapterConfig, AdeptConfig, CoreError, DeptConfig, FoldError, FoldedPrompt, Intervention, LoraConfig,
    Method, Offset, Unchanged, fold,
};
use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Distribution, Int, Tensor, TensorData, Tolerance};
use burn_flex::Flex;

type B = Flex;
type Ad = Autodiff<Flex>;

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().to_vec().unwrap()
}

fn embeddings<B: Backend>(batch: usize, seq: usize, d: usize) -> Tensor<B, 3> {
    Tensor::random([batch, seq, d], Distribution::Normal(0.0, 3.0), &Default::default())
}

fn all_attended<B: Backend>(batch: usize, seq: usize) -> Tensor<B, 2, Bool> {
    Tensor::full([batch, seq], true, &Default::default())
}

/// The fixture stores the mask as floats.
fn mask_of<B: Backend>(data: TensorData) -> Tensor<B, 2, Bool> {
    Tensor::<B, 2>::from_data(data, &Default::default()).greater_elem(0.5)
}

/// Output and gradients equal PyTorch's. Sums here have at most 60 terms of magnitude below 20, added in another order
/// than PyTorch's: f32 rounding (6e-8 each) stays well below 1e-5, while a wrong factor or a lost bias exceeds 1e-2.
#[test]
fn forward_and_gradients_equal_pytorch() {
    let device = Default::default();
    let file = tensors(&fixture("forward.safetensors"));
    for config in configs() {
        let method = config.method();
        let named = |(name, _): (String, Vec<usize>)| {
            let values = file[&format!("{method}.{name}")].clone();
            (name, values)
        };
        let shapes = config.tensor_shapes(&sites(&config)).unwrap();
        let given: BTreeMap<_, _> = shapes.into_iter().map(named).collect();
        let adapter = Adapter::<Ad>::from_tensors(&config, &sites(&config), given, &device).unwrap();

        let embeddings = Tensor::<Ad, 3>::from_data(file["embeddings"].clone(), &device);
        let adapted = adapter.forward(embeddings, mask_of(file["mask"].clone()));
        let tolerance = Tolerance::<f32>::absolute(1e-5);
        adapted
            .embeddings
            .to_data()
            .assert_approx_eq(&file[&format!("{method}.out")], tolerance);

        let weights = Tensor::<Ad, 3>::from_data(file["weights"].clone(), &device);
        let gradients = (adapted.embeddings * weights).sum().backward();
        let check = |name: &str, found: TensorData| {
            found.assert_approx_eq(&file[&format!("{method}.grad.{name}")], tolerance);
        };
        let parts = prompt(&adapter);
        let soft = parts.prompt.as_ref().unwrap();
        check("prompt_embeddings", soft.weight.grad(&gradients).unwrap().into_data());
        match parts.offset.as_ref() {
            None => assert_eq!(method, Method::Pt),
            Some(Offset::Adaptive(offset)) => {
                check("lora_embedding_A", offset.w_down.grad(&gradients).unwrap().into_data());
                check("lora_embedding_a", offset.b1.grad(&gradients).unwrap().into_data());
                check("lora_embedding_B", offset.w_up.grad(&gradients).unwrap().into_data());
                check("lora_embedding_b", offset.b2.grad(&gradients).unwrap().into_data());
            }
            Some(Offset::Positional(offset)) => {
                check("lora_embedding_A", offset.a.grad(&gradients).unwrap().into_data());
                check("lora_embedding_B", offset.b.grad(&gradients).unwrap().into_data());
            }
        }
        // The plain backend gives the same numbers.
        let inner = adapter.valid();
        let embeddings = Tensor::<B, 3>::from_data(file["embeddings"].clone(), &device);
        let adapted = inner.forward(embeddings, mask_of(file["mask"].clone()));
        adapted
            .embeddings
            .into_data()
            .assert_approx_eq(&file[&format!("{method}.out")], tolerance);
    }
}

/// Equation 3 worked out by hand: d = 2, r = 1, e = (1, -2).
#[test]
fn adaptive_offset_by_hand() {
    let device = Default::default();
    let tensors = [
        ("lora_embedding_A", TensorData::from([[3.0f32], [1.0]])),
        ("lora_embedding_a", TensorData::from([0.5f32])),
        ("lora_embedding_B", TensorData::from([[2.0f32, -4.0]])),
        ("lora_embedding_b", TensorData::from([10.0f32, 20.0])),
    ];
    let tensors = tensors
        .into_iter()
        .map(|(name, data)| (name.to_string(), data))
        .collect();
    let config = AdapterConfig::adept(2, 0, 1);
    let adapter = Adapter::<B>::from_tensors(&config, &sites(&config), tensors, &device).unwrap();
    // (1, -2): 3 - 2 + 0.5 = 1.5, so + (3, -6) + (10, 20). (-1, 0): relu(-2.5) = 0, so + (10, 20) alone.
    let input = Tensor::<B, 3>::from_data([[[1.0, -2.0], [-1.0, 0.0]]], &device);
    assert_eq!(values(adapter.offset(input, 0)), [14.0, 12.0, 9.0, 20.0]);
    assert_eq!(adapter.virtual_tokens(), 0);
}

#[test]
fn the_mask_grows_by_the_prompt_in_front() {
    let adapter = random::<B>(&AdapterConfig::pt(4, 2), 0);
    // Left padding: [P; pads; tokens].
    let mask = Tensor::<B, 2, Int>::from_data([[0, 0, 1], [1, 1, 0]], &Default::default()).bool();
    let adapted = adapter.forward(embeddings(2, 3, 4), mask);
    assert_eq!(adapted.embeddings.dims(), [2, 5, 4]);
    let found: Vec<i32> = adapted.mask.int().into_data().convert::<i32>().to_vec().unwrap();
    assert_eq!(found, [1, 1, 0, 0, 1, 1, 1, 1, 1, 0]);
}

#[test]
fn identity_changes_nothing() {
    let input = embeddings::<B>(2, 3, 4);
    let adapted = Unchanged.forward(input.clone(), all_attended(2, 3));
    assert_eq!(values(adapted.embeddings), values(input));
    assert_eq!(adapted.mask.dims(), [2, 3]);
    assert!(Intervention::<B>::check_width(&Unchanged, 1 << 40).is_ok());
}

#[test]
fn every_method_starts_as_plain_prompt_tuning() {
    let input = embeddings::<B>(2, 5, 6);
    let [pt, dept, adept] = configs().map(|config| {
        let adapted = random::<B>(&config, 11).forward(input.clone(), all_attended(2, 5));
        values(adapted.embeddings)
    });
    assert_eq!(pt, dept);
    assert_eq!(pt, adept);
}

#[test]
fn the_seed_decides_the_start() {
    for config in configs() {
        let start = |seed| random::<B>(&config, seed).tensors();
        assert_eq!(start(1), start(1), "{}", config.method());
        assert_ne!(start(1), start(2), "{}", config.method());
        // The autodiff backend draws the same.
        assert_eq!(start(1), random::<Ad>(&config, 1).tensors(), "{}", config.method());
        let count: usize = start(1).iter().map(|(_, data)| data.num_elements()).sum();
        assert_eq!(count, config.trainable_parameters(&sites(&config)).unwrap());
        assert_eq!(random::<B>(&config, 1).num_params(), count);
    }
}

#[test]
fn gradients_reach_the_adapter_alone() {
    let device = Default::default();
    let adapter = trained::<Ad>(&AdapterConfig::adept(6, 3, 2), 4);
    // A frozen embedding table in front and a frozen head behind.
    let table = Tensor::<Ad, 2>::random([10, 6], Distribution::Default, &device);
    let head = Tensor::<Ad, 2>::random([6, 2], Distribution::Default, &device);
    let ids = Tensor::<Ad, 1, Int>::from_data([1, 4, 4, 7], &device);
    let embeddings = table.clone().select(0, ids).reshape([2, 2, 6]);
    let adapted = adapter.forward(embeddings.clone(), all_attended(2, 2));
    let gradients = adapted.embeddings.matmul(head.clone().unsqueeze()).sum().backward();
    for (name, gradient) in [("table", table.grad(&gradients)), ("head", head.grad(&gradients))] {
        assert!(gradient.is_none(), "{name}");
    }
    assert!(embeddings.grad(&gradients).is_none());
    assert!(
        prompt(&adapter)
            .prompt
            .as_ref()
            .unwrap()
            .weight
            .grad(&gradients)
            .is_some()
    );
}

#[test]
fn parameter_paths_tell_prompt_and_offset_apart() {
    #[derive(Default)]
    struct Paths {
        stack: Vec<String>,
        found: Vec<String>,
    }
    impl<B: Backend> ModuleVisitor<B> for Paths {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.stack.push(name.to_string());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.stack.pop();
        }
        fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<B, D>>) {
            self.found.push(self.stack.join("."));
        }
    }
    let expected: [&[&str]; 3] = [
        &["Pt.prompt.weight"],
        &[
            "Dept.prompt.weight",
            "Dept.offset.Positional.a",
            "Dept.offset.Positional.b",
        ],
        &[
            "Adept.prompt.weight",
            "Adept.offset.Adaptive.w_down",
            "Adept.offset.Adaptive.b1",
            "Adept.offset.Adaptive.w_up",
            "Adept.offset.Adaptive.b2",
        ],
    ];
    for (config, expected) in configs().iter().zip(expected) {
        let mut paths = Paths::default();
        random::<B>(config, 0).visit(&mut paths);
        assert_eq!(paths.found, expected);
        // Each parameter belongs to one of the method's groups.
        let prefixes: Vec<String> = config
            .method()
            .info()
            .groups
            .iter()
            .map(|group| config.method().group_prefix(group) + ".")
            .collect();
        assert!(
            paths
                .found
                .iter()
                .all(|path| prefixes.iter().any(|prefix| path.starts_with(prefix)))
        );
    }
}

#[test]
fn dropout_acts_in_training_only() {
    let config = AdeptConfig {
        dropout: 0.5,
        ..AdeptConfig::new(6, 0, 32)
    };
    let adapter = trained::<Ad>(&config.into(), 2);
    let input = embeddings::<Ad>(1, 4, 6);
    let outputs = [0, 1].map(|_| values(adapter.offset(input.clone(), 0)));
    assert_ne!(outputs[0], outputs[1], "two training passes");

    let inner = adapter.valid();
    let outputs = [0, 1].map(|_| values(inner.offset(input.clone().inner(), 0)));
    assert_eq!(outputs[0], outputs[1], "two evaluation passes");
    let without = trained::<B>(&AdapterConfig::adept(6, 0, 32), 2);
    assert_eq!(outputs[0], values(without.offset(input.inner(), 0)));
}

#[test]
fn dept_goes_by_position() {
    let adapter = trained::<B>(&configs()[1], 3);
    let input = embeddings::<B>(2, 5, 6);
    let whole = adapter.offset(input.clone(), 0);
    // Tokens 3.., passed with their position, get the same offsets as in the whole input; a shorter input gets the
    // first rows.
    let tail = adapter.offset(input.clone().slice([0..2, 3..5]), 3);
    assert_eq!(values(tail), values(whole.clone().slice([0..2, 3..5])));
    let head = adapter.offset(input.slice([0..2, 0..3]), 0);
    assert_eq!(values(head), values(whole.slice([0..2, 0..3])));
}

#[test]
fn adept_goes_by_token() {
    let adapter = trained::<B>(&configs()[2], 3);
    let input = embeddings::<B>(1, 1, 6);
    let alone = values(adapter.offset(input.clone(), 0));
    let many = adapter.offset(input.expand([4, 7, 6]), 99);
    assert!(values(many).chunks(6).all(|token| token == alone));
}

#[test]
fn inputs_beyond_depts_table_are_refused() {
    let adapter = random::<B>(&configs()[1], 0);
    assert!(adapter.check_width(5).is_ok());
    let error = adapter.check_width(6).unwrap_err();
    assert!(matches!(error, CoreError::InputTooLong { found: 6, limit: 5 }));
    assert_eq!(
        error.to_string(),
        "the input is 6 tokens wide, but this DePT adapter has offsets for 5 positions only: \
         shorten the input or train with a larger max_source_length"
    );
    for config in [&configs()[0], &configs()[2]] {
        assert!(random::<B>(config, 0).check_width(100_000).is_ok());
    }
}

#[test]
#[should_panic(expected = "the input is 6 tokens wide")]
fn forward_beyond_depts_table_panics_with_the_same_message() {
    random::<B>(&configs()[1], 0).forward(embeddings(1, 6, 6), all_attended(1, 6));
}

#[test]
fn folding_equals_looking_up_first() {
    let adapter = trained::<B>(&configs()[2], 8);
    let table = Tensor::<B, 2>::random([11, 6], Distribution::Normal(0.0, 2.0), &Default::default());
    let before = values(table.clone());
    let expected = values(adapter.offset(table.clone().unsqueeze::<3>(), 0));
    for chunk in [0, 1, 4, 11, 1000] {
        let folded = values(fold(&adapter, table.clone(), chunk).unwrap());
        // Products with another number of rows may sum in another order.
        let close = folded.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close, "chunk {chunk}");
    }
    assert_eq!(values(table.clone()), before, "the backbone's matrix is left alone");
    assert_ne!(expected, before);

    let looked_up = FoldedPrompt::new(&adapter, table.clone()).unwrap();
    assert_eq!(values(looked_up.prompt().unwrap()), values(adapter.prompt().unwrap()));
    assert_eq!(
        values(looked_up.vocabulary().unwrap()),
        values(fold(&adapter, table.clone(), 11).unwrap())
    );
    let rows = table.clone().unsqueeze::<3>();
    assert_eq!(
        values(looked_up.offset(rows.clone(), 0)),
        values(rows),
        "no offset is left to add"
    );

    let pt = random::<B>(&configs()[0], 0);
    assert_eq!(values(fold(&pt, table.clone(), 4).unwrap()), before);
    let dept = random::<B>(&configs()[1], 0);
    assert_eq!(fold(&dept, table, 4).unwrap_err(), FoldError::Positional);
    let narrow = Tensor::<B, 2>::zeros([3, 4], &Default::default());
    assert_eq!(
        fold(&adapter, narrow, 4).unwrap_err(),
        FoldError::Width { expected: 6, found: 4 }
    );
}

#[test]
fn senseless_configurations_are_refused() {
    let check = |config: AdapterConfig, expected: &str| {
        let error = config.validate().unwrap_err();
        assert!(
            matches!(&error, CoreError::InvalidConfig { field, .. } if *field == expected),
            "{error}"
        );
    };
    assert!(AdapterConfig::adept(6, 3, 2).validate().is_ok());
    assert!(AdapterConfig::adept(6, 0, 2).validate().is_ok());
    check(AdapterConfig::adept(0, 3, 2), "d_model");
    check(AdapterConfig::adept(6, 3, 0), "rank");
    let dropout = AdeptConfig {
        dropout: 1.0,
        ..AdeptConfig::new(6, 3, 2)
    };
    check(dropout.into(), "dropout");
    let scale = DeptConfig {
        scale: f64::NAN,
        ..DeptConfig::new(6, 3, 2, 5)
    };
    check(scale.into(), "scale");
    check(AdapterConfig::adept(6, usize::MAX, 2), "d_model");
    check(AdapterConfig::pt(6, 0), "virtual_tokens");
    check(AdapterConfig::dept(6, 3, 2, 0), "max_source_length");
    check(AdapterConfig::from(LoraConfig::new(0, 1.0)), "rank");
    check(AdapterConfig::from(LoraConfig::new(2, f64::NAN)), "alpha");
}

#[test]
fn method_names_go_there_and_back() {
    for &method in Method::ALL {
        assert_eq!(method.to_string().parse::<Method>(), Ok(method));
        assert_eq!(serde_json::to_value(method).unwrap(), method.name());
    }
    let error = "loha".parse::<Method>().unwrap_err();
    let expected = format!("unknown method `loha`: expected one of {}", Method::names());
    assert_eq!(error.to_string(), expected);
    assert!(expected.contains("pt, dept, adept, lora"), "{expected}");
}
