//! pass@k from samples: the unbiased estimator of Chen et al. 2021 (section 2.1).

/// The probability that at least one of `k` samples drawn from `samples` without replacement is among the `passed`
/// ones: `1 - C(samples - passed, k) / C(samples, k)`, computed as a product to avoid overflow.
///
/// `None` if there are fewer than `k` samples, or more passed than there are.
pub fn pass_at_k(samples: usize, passed: usize, k: usize) -> Option<f64> {
    if k == 0 || k > samples || passed > samples {
        return None;
    }
    let failed = samples - passed;
    if failed < k {
        return Some(1.0);
    }
    // C(failed, k) / C(samples, k): all k draws miss.
    let all_miss: f64 = (0..k)
        .map(|drawn| (failed - drawn) as f64 / (samples - drawn) as f64)
        .product();
    Some(1.0 - all_miss)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts all subsets.
    fn counted(samples: usize, passed: usize, k: usize) -> f64 {
        let (mut all, mut hit) = (0_u32, 0_u32);
        for subset in 0..1_u32 << samples {
            if subset.count_ones() as usize == k {
                all += 1;
                hit += u32::from(subset & ((1 << passed) - 1) != 0);
            }
        }
        f64::from(hit) / f64::from(all)
    }

    #[test]
    fn it_is_the_share_of_subsets_with_a_pass() {
        for samples in 1..=9 {
            for passed in 0..=samples {
                for k in 1..=samples {
                    let found = pass_at_k(samples, passed, k).expect("enough samples");
                    assert!(
                        (found - counted(samples, passed, k)).abs() < 1e-12,
                        "{samples} {passed} {k}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_estimated_is_none() {
        assert_eq!(pass_at_k(3, 1, 4), None);
        assert_eq!(pass_at_k(3, 4, 1), None);
        assert_eq!(pass_at_k(3, 1, 0), None);
    }
}
