//! Products of packed weights against float64 sums of rounded operands, on every kernel that the processor has.

use burn::tensor::{Int, Tensor, TensorData};
use burn_flex::Flex;

use super::{Composed, Fused, leaf, numbers, values, weighed};
use crate::flex::{Kernel, PackedWeight, Route};
use crate::sublayer::{KeysValues, Settings, linear_prepared};
use crate::{AttentionBias, Map, Precision, Prepared, embedding, head_log_probabilities, head_logits, head_loss};

/// Nearest number of eight significant bits, in float64 arithmetic.
fn nearest(x: f32) -> f64 {
    let x = f64::from(x);
    if x == 0.0 {
        return x;
    }
    let unit = (x.abs().log2().floor() - 7.0).exp2();
    (x / unit).round_ties_even() * unit
}

/// Rows, inputs, outputs: remainders of rows, steps and panels; several tasks of rows and of panels.
const SHAPES: [[usize; 3]; 12] = [
    [1, 1, 1],
    [13, 32, 32],
    [12, 33, 31],
    [5, 31, 65],
    [97, 70, 300],
    [200, 128, 48],
    [3, 257, 17],
    [17, 64, 513],
    [16, 96, 32],
    [31, 64, 64],
    [33, 40, 1100],
    [530, 1030, 70],
];

fn kernels() -> Vec<Kernel> {
    let available = Kernel::ALL.into_iter().filter(|kernel| kernel.is_available());
    available.collect()
}

/// Those that multiply parts of numbers.
fn splitting() -> Vec<Kernel> {
    kernels()
        .into_iter()
        .filter(|kernel| *kernel != Kernel::Rounded)
        .collect()
}

/// Products of rows `[n, k]` and a weight, whose elements are rounded to one part each, or to two.
struct Expected {
    parts: usize,
    rows: Vec<[f64; 2]>,
    columns: Vec<[f64; 2]>,
    k: usize,
}

impl Expected {
    fn of(parts: usize, rows: &[f32], weight: impl Fn(usize, usize) -> f32, [_, k, m]: [usize; 3]) -> Self {
        let columns = (0..m).flat_map(|j| (0..k).map(move |at| (at, j)));
        Self {
            parts,
            rows: rows.iter().map(|x| in_parts(*x)).collect(),
            columns: columns.map(|(at, j)| in_parts(weight(at, j))).collect(),
            k,
        }
    }

    /// Sums of n products: float32's relative error is at most n units of 6e-8 of the sum of magnitudes.
    fn check(&self, kernel: Kernel, found: &[f32], [n, k, m]: [usize; 3]) {
        assert_eq!(found.len(), n * m);
        for (at, found) in found.iter().enumerate() {
            let (i, j) = (at / m, at % m);
            let pairs = self.rows[i * self.k..]
                .iter()
                .zip(&self.columns[j * self.k..])
                .take(self.k);
            let (mut sum, mut size) = (0.0, 0.0);
            for ([x, y], [w, v]) in pairs {
                sum += x * w;
                size += (x * w).abs();
                if self.parts == 2 {
                    sum += y * w + x * v;
                    size += (y * w).abs() + (x * v).abs();
                }
            }
            let limit = size * (2 * self.parts - 1) as f64 * k as f64 * 6e-8 + 1e-30;
            assert!(
                (f64::from(*found) - sum).abs() <= limit,
                "{kernel:?} [{n}, {k}, {m}] in {} parts at ({i}, {j}): {found} for {sum}",
                self.parts
            );
        }
    }
}

/// A number in two bfloat16 parts: what is left after the second is at most a 2¹⁸th of it.
fn in_parts(x: f32) -> [f64; 2] {
    let first = nearest(x);
    [first, nearest((f64::from(x) - first) as f32)]
}

/// A kernel's products with a weight, there and back.
fn check(kernel: Kernel, parts: usize, [n, k, m]: [usize; 3]) {
    let (rows, weight, grads) = (numbers(n * k, 1), numbers(k * m, 2), numbers(n * m, 3));
    let packed = PackedWeight::new(kernel, parts, &weight, [k, m]);
    let there = Expected::of(parts, &rows, |i, j| weight[i * m + j], [n, k, m]);
    there.check(kernel, &packed.product(&rows, Route::Plain), [n, k, m]);
    let back = Expected::of(parts, &grads, |i, j| weight[j * m + i], [n, m, k]);
    back.check(kernel, &packed.transposed_product(&grads), [n, m, k]);
}

#[test]
fn packed_products_are_sums_of_rounded_operands() {
    for kernel in kernels() {
        SHAPES.into_iter().for_each(|shape| check(kernel, 1, shape));
    }
}

#[test]
fn split_products_are_those_of_the_parts_but_the_least() {
    for kernel in splitting() {
        SHAPES.into_iter().for_each(|shape| check(kernel, 2, shape));
    }
}

/// A thousandth of what rounding leaves; that of float32 is not far below.
#[test]
fn split_products_are_float32_in_effect() {
    let [n, k, m] = [40, 700, 90];
    let (rows, weight) = (numbers(n * k, 1), numbers(k * m, 2));
    let error = |found: &[f32]| {
        let (mut wrong, mut size) = (0.0, 0.0);
        for i in 0..n {
            for j in 0..m {
                let terms = (0..k).map(|at| f64::from(rows[i * k + at]) * f64::from(weight[at * m + j]));
                let sum: f64 = terms.sum();
                wrong += (f64::from(found[i * m + j]) - sum).powi(2);
                size += sum * sum;
            }
        }
        (wrong / size).sqrt()
    };
    for kernel in splitting() {
        let [once, twice] =
            [1, 2].map(|parts| error(&PackedWeight::new(kernel, parts, &weight, [k, m]).product(&rows, Route::Plain)));
        assert!(once > 1e-3 && twice < 1e-5, "{kernel:?}: {once:e}, {twice:e}");
    }
}

#[test]
fn a_packed_weight_gives_its_rounded_elements_back() {
    for kernel in kernels() {
        for [_, k, m] in SHAPES {
            let weight = numbers(k * m, 2);
            let packed = PackedWeight::new(kernel, 1, &weight, [k, m]);
            let expected: Vec<f32> = weight.iter().map(|x| nearest(*x) as f32).collect();
            assert_eq!(packed.values(), expected, "{kernel:?} [{k}, {m}]");
            if kernel != Kernel::Rounded {
                let packed = PackedWeight::new(kernel, 2, &weight, [k, m]);
                let expected: Vec<f32> = weight.iter().map(|x| in_parts(*x).iter().sum::<f64>() as f32).collect();
                assert_eq!(packed.values(), expected, "{kernel:?} [{k}, {m}] in two parts");
            }
        }
    }
    fn is_rounded<B: burn::tensor::backend::Backend>() {
        let weight = Tensor::<B, 2>::from_data(TensorData::new(numbers(40 * 50, 2), [40, 50]), &B::Device::default());
        let (prepared, kept) = Prepared::new(weight.clone(), Precision::Bf16);
        assert_eq!(kept.dims(), [40, 50]);
        let found = values(prepared.expect("not float32").weight(kept));
        for (found, x) in found.iter().zip(values(weight)) {
            assert!(*found == x || f64::from(*found) == nearest(x), "{found} for {x}");
        }
    }
    is_rounded::<Flex>();
    is_rounded::<Fused>();
    is_rounded::<Composed>();
}

/// Halfway between two neighbours, to the even one; just beside it, to the nearer one; the largest carries over.
#[test]
fn operands_are_rounded_to_the_nearest_and_ties_to_even() {
    let half = 1.0 + 2f32.powi(-8);
    let mut rows = [
        half,
        1.0 + 3.0 * 2f32.powi(-8),
        half.next_up(),
        half.next_down(),
        1.999_999_9,
        -half,
        0.0,
    ];
    rows[6] = 2f32.powi(-100) * half;
    let (n, expected) = (rows.len(), rows.map(|x| nearest(x) as f32));
    assert_eq!(expected[..3], [1.0, 1.015_625, 1.007_812_5]);
    let identity: Vec<f32> = (0..n * n).map(|at| f32::from(u8::from(at % n == at / n))).collect();
    for kernel in kernels() {
        let packed = PackedWeight::new(kernel, 1, &identity, [n, n]);
        // Numbers as rows and, each in turn, as the weight.
        let diagonal: Vec<f32> = (0..n * n)
            .map(|at| if at % n == at / n { rows[at / n] } else { 0.0 })
            .collect();
        for (i, row) in packed.product(&diagonal, Route::Plain).chunks_exact(n).enumerate() {
            assert_eq!(row[i], expected[i], "{kernel:?}");
        }
        let packed = PackedWeight::new(kernel, 1, &diagonal, [n, n]);
        for (i, row) in packed.product(&identity, Route::Plain).chunks_exact(n).enumerate() {
            assert_eq!(row[i], expected[i], "{kernel:?}");
        }
    }
}

#[test]
fn numbers_without_a_value_stay_so() {
    for kernel in kernels() {
        let packed = PackedWeight::new(kernel, 1, &[1.0; 40], [40, 1]);
        let mut rows = [1.0; 40];
        rows[39] = f32::NAN;
        assert!(packed.product(&rows, Route::Plain)[0].is_nan(), "{kernel:?}");
        rows[39] = f32::INFINITY;
        assert_eq!(packed.product(&rows, Route::Plain)[0], f32::INFINITY, "{kernel:?}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit_of_a_packed_product() {
    let (rows, weight) = (numbers(300 * 128, 1), numbers(128 * 600, 2));
    let alone = kernels().into_iter().map(|kernel| (kernel, 1));
    for (kernel, parts) in alone.chain(splitting().into_iter().map(|kernel| (kernel, 2))) {
        let product = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads can be made").install(|| {
                let packed = PackedWeight::new(kernel, parts, &weight, [128, 600]);
                packed.product(&rows, Route::Plain)
            })
        };
        assert_eq!(product(1), product(3), "{kernel:?}, {parts} parts");
    }
}

/// The fused product, its composition on another backend, and their gradients. Gradients are rounded only in the fused
/// form: a relative 2⁻⁹ each.
#[test]
fn a_prepared_product_is_differentiated() {
    fn figures<B: burn::tensor::backend::AutodiffBackend>() -> [Vec<f32>; 2] {
        let x = leaf::<B, 2>([30, 70], 1);
        let weight = Tensor::<B, 2>::from_data(TensorData::new(numbers(70 * 90, 2), [70, 90]), &B::Device::default());
        let (prepared, kept) = Prepared::new(weight, Precision::Bf16);
        let prepared = prepared.expect("not float32");
        let out = prepared.product(x.clone(), kept);
        let grads = weighed(out.clone()).backward();
        [values(out), values(x.grad(&grads).expect("x is tracked"))]
    }
    let (fused, composed) = (figures::<Fused>(), figures::<Composed>());
    for (name, tolerance, at) in [("output", 1e-5, 0), ("gradient", 4e-3, 1)] {
        let scale = composed[at].iter().fold(0f32, |top, x| top.max(x.abs()));
        for (f, c) in fused[at].iter().zip(&composed[at]) {
            assert!((f - c).abs() <= tolerance * scale, "{name}: {f}, expected {c}");
        }
    }
    let weight = Tensor::<Flex, 2>::ones([2, 2], &Default::default());
    let (split, kept) = Prepared::new(weight, Precision::Bf16x3);
    assert_eq!(split.is_some(), Kernel::chosen() != Kernel::Rounded);
    assert!(split.is_none_or(|split| split.precision() == Precision::Bf16x3 && split.weight(kept).dims() == [2, 2]));
    // Other backends compute in float32 then.
    let weight = Tensor::<Composed, 2>::ones([2, 2], &Default::default());
    assert!(Prepared::new(weight, Precision::Bf16x3).0.is_none());
}

/// Attention to states that are not projected, with packed maps and with their rounded elements.
#[test]
fn absorbed_maps_may_be_packed() {
    let settings = Settings {
        heads: 2,
        epsilon: 1e-6,
        dropout: 0.0,
    };
    let figures = |packed: bool| {
        let (query, states) = (leaf::<Fused, 3>([3, 2, 10], 1), leaf::<Fused, 3>([3, 40, 14], 2));
        let maps = [3, 4].map(|seed| {
            let weight = TensorData::new(numbers(14 * 10, seed), [14, 10]);
            let weight = Tensor::<Fused, 2>::from_data(weight, &Default::default());
            let (prepared, kept) = Prepared::new(weight, Precision::Bf16);
            let map = Map { kept, prepared };
            match packed {
                true => map,
                false => Map {
                    kept: map.weight(),
                    prepared: None,
                },
            }
        });
        let memory = KeysValues::absorbed(&states, maps, 2, settings).expect("it is cheaper");
        let out = memory.attend(query.clone(), &AttentionBias::none(), settings);
        let grads = weighed(out.clone()).backward();
        [&query, &states]
            .map(|x| values(x.grad(&grads).expect("tracked")))
            .into_iter()
            .chain([values(out)])
            .collect::<Vec<_>>()
    };
    assert_eq!(figures(true), figures(false));
}

/// Weights in two bytes give the same bits as in four: few rows and many, with and without gradients, and gradients.
#[test]
fn a_float32_product_reads_a_weight_of_two_bytes_as_it_is() {
    type Figures = [Vec<f32>; 2];
    const SHAPE: [usize; 2] = [520, 600];
    let product = |n: usize, (prepared, kept): (Option<&Prepared>, &Tensor<Flex, 2>)| {
        let x = Tensor::<Flex, 2>::from_data(TensorData::new(numbers(n * 520, 1), [n, 520]), &Default::default());
        values(linear_prepared(x.unsqueeze(), kept.clone(), prepared))
    };
    let tracked = |n: usize, (prepared, kept): (Option<&Prepared>, &Tensor<Flex, 2>)| -> Figures {
        let x = leaf::<Fused, 2>([n, 520], 1);
        let kept = Tensor::<Fused, 2>::from_inner(kept.clone());
        let out = linear_prepared(x.clone().unsqueeze(), kept, prepared);
        let grads = weighed(out.clone()).backward();
        [values(out), values(x.grad(&grads).expect("x is tracked"))]
    };
    for narrow in [
        |x: f32| f32::from_bits(x.to_bits() & 0xffff_0000),
        |x: f32| half::f16::from_f32(x).to_f32(),
    ] {
        let weight: Vec<f32> = numbers(SHAPE.iter().product(), 2).into_iter().map(narrow).collect();
        let weight = Tensor::<Flex, 2>::from_data(TensorData::new(weight, SHAPE), &Default::default());
        let (prepared, kept) = Prepared::new(weight.clone(), Precision::F32);
        let prepared = prepared.expect("a large weight of two bytes");
        assert_eq!(prepared.precision(), Precision::F32);
        assert!(
            kept.clone().slice([0..1, 0..1]).into_scalar().is_nan(),
            "the weight is kept twice"
        );
        assert_eq!(values(prepared.weight(kept.clone())), values(weight.clone()));
        for n in [1, 5, 16, 17, 70] {
            let (two, four) = ((Some(&prepared), &kept), (None, &weight));
            assert_eq!(product(n, two), product(n, four), "{n} rows");
            assert_eq!(tracked(n, two), tracked(n, four), "{n} rows, with gradients");
        }
    }
    // One number that needs more, a small weight, another backend.
    let mut more = vec![1.0; SHAPE.iter().product()];
    more[77] = 0.1;
    let left_alone = |values: Vec<f32>, shape: [usize; 2]| {
        let weight = Tensor::<Flex, 2>::from_data(TensorData::new(values, shape), &Default::default());
        Prepared::new(weight, Precision::F32).0.is_none()
    };
    assert!(left_alone(more, SHAPE) && left_alone(vec![1.0; 64], [8, 8]));
    let weight = Tensor::<Composed, 2>::ones(SHAPE, &Default::default());
    assert!(Prepared::new(weight, Precision::F32).0.is_none());
}

/// A table of embeddings in two bytes an element, and as the tied head.
#[test]
fn a_table_of_two_bytes_is_read_as_it_is() {
    let table: Vec<f32> = numbers(1030 * 260, 2);
    let table = table
        .into_iter()
        .map(|x| f32::from_bits(x.to_bits() & 0xffff_0000))
        .collect();
    let table = Tensor::<Flex, 2>::from_data(TensorData::new::<f32, _>(table, [1030, 260]), &Default::default());
    let (prepared, kept) = Prepared::new(table.clone(), Precision::F32);
    assert!(prepared.is_some());
    let held = Map { kept, prepared };
    fn tracked(map: &Map<Flex>) -> Map<Fused> {
        Map {
            kept: Tensor::from_inner(map.kept.clone()),
            prepared: map.prepared.clone(),
        }
    }
    fn figures(table: &Map<Flex>) -> Vec<Vec<f32>> {
        let device = Default::default();
        let ids = Tensor::<Flex, 2, Int>::from_data([[0, 1029, 7], [512, 7, 3]], &device);
        // More rows than those of one step of generation.
        let states = leaf::<Fused, 2>([40, 260], 1);
        let labels: Vec<i64> = (0..40).map(|row| row * 25 - i64::from(row % 7 == 0)).collect();
        let labels = Tensor::<Flex, 1, Int>::from_data(TensorData::new(labels, [40]), &device);
        let loss = head_loss(states.clone(), tracked(table), 0.3, Tensor::from_inner(labels.clone()));
        let gradient = states.grad(&loss.backward()).expect("tracked");
        let states = states.inner();
        vec![
            values(embedding(table.clone(), ids.clone())),
            values(embedding(tracked(table), Tensor::from_inner(ids))),
            values(loss),
            values(gradient),
            values(head_loss(states.clone(), table.clone(), 0.3, labels.clone())),
            values(head_log_probabilities(states.clone(), table.clone(), 0.3, labels)),
            values(head_logits(states.clone(), table.clone())),
            values(head_logits(states.narrow(0, 0, 5), table.clone())),
        ]
    }
    let found = figures(&held);
    assert!(found.iter().flatten().all(|x| x.is_finite()));
    assert_eq!(found, figures(&table.into()));
}
