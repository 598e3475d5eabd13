//! The largest offset that fits a parameter budget (paper, section 3.3 and Table 13).
//!
//! The paper compares methods at equal size: the budget is `l·d` values, the size of a plain prompt of `l` tokens. A
//! shorter prompt leaves room for the offset.

/// The largest bottleneck r with `m·d + 2·r·d + r + d <= budget`, or `None` if not even r = 1 fits.
///
/// ```
/// # use adept_core::budget::adept_bottleneck;
/// assert_eq!(adept_bottleneck(768, 100 * 768, 60), Some(19));
/// ```
pub fn adept_bottleneck(d_model: usize, budget: usize, virtual_tokens: usize) -> Option<usize> {
    let fixed = virtual_tokens.checked_mul(d_model)?.checked_add(d_model)?;
    let per_rank = d_model.checked_mul(2)?.checked_add(1)?;
    largest_rank(budget, fixed, per_rank)
}

/// The largest rank r with `m·d + r·(max_source_length + d) <= budget`, or `None` if not even r = 1 fits.
///
/// ```
/// # use adept_core::budget::dept_rank;
/// assert_eq!(dept_rank(768, 100 * 768, 40, 256), Some(45));
/// ```
pub fn dept_rank(d_model: usize, budget: usize, virtual_tokens: usize, max_source_length: usize) -> Option<usize> {
    let fixed = virtual_tokens.checked_mul(d_model)?;
    let per_rank = max_source_length.checked_add(d_model)?;
    largest_rank(budget, fixed, per_rank)
}

fn largest_rank(budget: usize, fixed: usize, per_rank: usize) -> Option<usize> {
    let rank = budget.checked_sub(fixed)?.checked_div(per_rank)?;
    (rank > 0).then_some(rank)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{AdapterConfig, ModelSites};

    fn size(config: &AdapterConfig) -> usize {
        let sites = ModelSites::embeddings(config.d_model().unwrap());
        config.trainable_parameters(&sites).unwrap()
    }

    const D: usize = 768;
    const BUDGET: usize = 100 * D;

    #[test]
    fn bottlenecks_of_the_paper() {
        // (m, r) from protocol.md; m = 0 is Table 14.
        for (m, r) in [(0, 49), (20, 39), (40, 29), (60, 19), (80, 9)] {
            assert_eq!(adept_bottleneck(D, BUDGET, m), Some(r), "m = {m}");
            let of_rank = |r| size(&AdapterConfig::adept(D, m, r));
            assert!(
                of_rank(r) <= BUDGET && of_rank(r + 1) > BUDGET,
                "r = {r} is the largest for m = {m}"
            );
        }
        assert_eq!(size(&AdapterConfig::adept(D, 60, 19)), 76_051);
    }

    #[test]
    fn ranks_of_dept() {
        for (m, r) in [(40, 45), (60, 30)] {
            assert_eq!(dept_rank(D, BUDGET, m, 256), Some(r), "m = {m}");
            assert_eq!(size(&AdapterConfig::dept(D, m, r, 256)), 76_800);
        }
    }

    #[test]
    fn decoder_only_settings() {
        // CodeGen-350M is 1,024 wide; the budget is PT's 10 virtual tokens, ADePT takes 7 and r = 1.
        assert_eq!(
            adept_bottleneck(1024, 10 * 1024, 7),
            None,
            "the paper's r = 1 is one value over at m = 7"
        );
        assert_eq!(size(&AdapterConfig::adept(1024, 7, 1)), 10 * 1024 + 1);
    }

    #[test]
    fn too_small_a_budget_is_none() {
        assert_eq!(adept_bottleneck(D, BUDGET, 99), None);
        assert_eq!(adept_bottleneck(D, BUDGET, 1000), None);
        assert_eq!(adept_bottleneck(usize::MAX, BUDGET, 2), None);
        assert_eq!(dept_rank(D, BUDGET, 100, 256), None);
        assert_eq!(dept_rank(0, BUDGET, 100, 0), None);
    }
}
