//! One pass through a stack: its slots, and what each of them sees.

use adept_kernels::{AttentionBias, RotaryAngles, Segments};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor};

use super::cache::CausalCache;
use super::wanted::{Choice, Wanted};

/// What the attentions of a stack ask of a pass.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sight {
    /// Number of query heads.
    pub heads: usize,
    /// Slots that the attentions with a sliding window see, their own included.
    pub window: Option<usize>,
    /// Whether scores are capped.
    pub is_capped: bool,
}

/// What some slots of a pass see.
#[derive(Debug, Clone)]
pub(super) enum Seen<B: Backend> {
    /// For the fused kernel.
    Bias(AttentionBias<B>),
    /// `[b, 1, n, k]`, or broadcastable to it: 0 for visible slots, the smallest finite float for hidden ones.
    Added(Tensor<B, 4>),
}

/// What slots see, in blocks of either kind.
#[derive(Debug, Clone)]
pub(super) struct View<B: Backend> {
    every: Seen<B>,
    /// What they see through a window; `None` if all slots fit into it.
    windowed: Option<Seen<B>>,
}

impl<B: Backend> View<B> {
    pub fn of(&self, is_windowed: bool) -> &Seen<B> {
        match &self.windowed {
            Some(windowed) if is_windowed => windowed,
            _ => &self.every,
        }
    }

    /// Several slots behind `past` others, of a mask `[b, past + n]`.
    fn slots(mask: &Tensor<B, 2, Bool>, [past, n]: [usize; 2], sight: Sight) -> Self {
        let seen = |window| slots(mask.clone(), [past, n], window, sight);
        Self {
            every: seen(None),
            windowed: narrower(sight.window, past + n).map(|window| seen(Some(window))),
        }
    }
}

/// The first slots of a batch whose rows all begin with the same, such as a soft prompt: computed once, with all rows
/// behind them.
#[derive(Debug, Clone)]
pub(super) struct Shared<B: Backend> {
    /// How many, m.
    slots: usize,
    /// Rows, and the slots of each behind the shared ones.
    rows: [usize; 2],
    /// What they see themselves.
    pub view: View<B>,
}

impl<B: Backend> Shared<B> {
    fn new(mask: &Tensor<B, 2, Bool>, slots: usize, sight: Sight) -> Self {
        let [b, n] = mask.dims();
        let own = mask.clone().narrow(0, 0, 1).narrow(1, 0, slots);
        Self {
            slots,
            rows: [b, n - slots],
            view: View::slots(&own, [0, slots], sight),
        }
    }

    /// `[b, m + n, d]` to `[1, m + b·n, d]`.
    fn once(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let ([b, n], [.., d]) = (self.rows, x.dims());
        let first = x.clone().narrow(0, 0, 1).narrow(1, 0, self.slots);
        let rows = x.narrow(1, self.slots, n).reshape([1, b * n, d]);
        Tensor::cat(vec![first, rows], 1)
    }

    /// The shared ones `[1, m, d]` of `[1, m + b·n, d]`.
    pub fn first(&self, x: &Tensor<B, 3>) -> Tensor<B, 3> {
        x.clone().narrow(1, 0, self.slots)
    }

    /// Where a slot of a row lies in `[1, m + b·n, d]`.
    fn place(&self, row: usize, slot: usize) -> usize {
        match slot.checked_sub(self.slots) {
            Some(own) => self.slots + row * self.rows[1] + own,
            None => slot,
        }
    }

    /// Those of the rows, `[b, n, d]`.
    pub fn own(&self, x: &Tensor<B, 3>) -> Tensor<B, 3> {
        let ([b, n], [.., d]) = (self.rows, x.dims());
        x.clone().narrow(1, self.slots, b * n).reshape([b, n, d])
    }

    /// The shared ones in front of each row's, `[b, m + n, d]`.
    pub fn whole(&self, x: &Tensor<B, 3>) -> Tensor<B, 3> {
        let (b, [.., d]) = (self.rows[0], x.dims());
        Tensor::cat(vec![self.first(x).expand([b, self.slots, d]), self.own(x)], 1)
    }

    /// Shared ones `[1, m, d]`, followed by those of the rows `[b, n, d]`: `[1, m + b·n, d]`.
    pub fn joined(&self, first: Tensor<B, 3>, own: Tensor<B, 3>) -> Tensor<B, 3> {
        let [b, n, d] = own.dims();
        Tensor::cat(vec![first, own.reshape([1, b * n, d])], 1)
    }
}

/// How the slots of a pass lie in its states.
#[derive(Debug, Clone)]
pub(super) enum Slots<B: Backend> {
    /// `[b, n, d]`.
    Rows,
    /// The visible ones alone, `[1, t, d]`.
    Visible(Segments),
    /// `[1, m + b·n, d]`.
    Shared(Shared<B>),
}

/// One pass through a stack: what its slots see, and the cache it reads and extends, if any.
pub(crate) struct Reading<'a, B: Backend> {
    pub(super) view: View<B>,
    pub(super) slots: Slots<B>,
    pub(super) cache: Option<&'a mut CausalCache<B>>,
    /// Whether a prefix stands in front of the slots of this pass.
    pub(super) opens: bool,
    dropout: f64,
}

impl<'a, B: Backend> Reading<'a, B> {
    /// A pass over whole rows with mask `[b, n]`, whose first `shared` slots are the same in every row. A prefix of
    /// `prefix` slots comes first.
    pub fn whole(mask: Tensor<B, 2, Bool>, shared: usize, prefix: usize, dropout: f64, sight: Sight) -> Self {
        let [b, width] = mask.dims();
        // Dropout draws for each row, and a prefix is one to each.
        if prefix > 0 || dropout > 0.0 {
            return Self::new(mask, None, prefix, dropout, sight);
        }
        let this = |view, slots| Self {
            view,
            slots,
            cache: None,
            opens: false,
            dropout,
        };
        let window = narrower(sight.window, width);
        // Behind shared slots, distances within a row are others without its padding.
        let alike = if window.is_none() { shared } else { 0 };
        if !sight.is_capped
            && let Some(segments) = Segments::of(&mask, alike)
        {
            let windowed = window.map(|window| {
                let hidden = hidden_slots(0, width, window, &mask.device());
                AttentionBias::of_segments(every_head(hidden, sight.heads), segments.clone())
            });
            let view = View {
                every: Seen::Bias(AttentionBias::causal_segments(segments.clone())),
                windowed: windowed.map(Seen::Bias),
            };
            return this(view, Slots::Visible(segments));
        }
        if shared > 0 && shared < width && b > 1 {
            let view = View::slots(&mask, [shared, width - shared], sight);
            return this(view, Slots::Shared(Shared::new(&mask, shared, sight)));
        }
        Self::new(mask, None, 0, 0.0, sight)
    }

    /// A pass over slots with mask `[b, n]`, following those in the cache. If there are none, a prefix of `prefix`
    /// slots comes first.
    pub fn new(
        mask: Tensor<B, 2, Bool>,
        mut cache: Option<&'a mut CausalCache<B>>,
        prefix: usize,
        dropout: f64,
        sight: Sight,
    ) -> Self {
        let [b, n] = mask.dims();
        let earlier = cache.as_deref().map_or(0, CausalCache::slots);
        let opens = prefix > 0 && earlier == 0;
        let (past, mask) = match opens {
            true => {
                let visible = Tensor::full([b, prefix], true, &mask.device());
                (prefix, Tensor::cat(vec![visible, mask], 1))
            }
            false => (earlier, mask),
        };
        let mask = match &mut cache {
            Some(cache) => cache.admit(mask),
            None => mask,
        };
        // A single slot sees all previous ones, and of the unused capacity nothing.
        let view = match n == 1 && !opens {
            true => View {
                every: step(mask.clone(), past, None, sight.is_capped),
                windowed: narrower(sight.window, past + n)
                    .map(|window| step(mask.clone(), past, Some(window), sight.is_capped)),
            },
            false => View::slots(&mask.narrow(1, 0, past + n), [past, n], sight),
        };
        Self {
            view,
            slots: Slots::Rows,
            cache,
            opens,
            dropout,
        }
    }

    /// The same pass without its cache, for a block that is computed again.
    pub fn apart(&self) -> Reading<'static, B> {
        Reading {
            view: self.view.clone(),
            slots: self.slots.clone(),
            cache: None,
            opens: self.opens,
            dropout: self.dropout,
        }
    }

    /// The slots `[b, n, d]` as the pass has them.
    pub fn begin(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.slots {
            Slots::Rows => x,
            Slots::Visible(segments) => segments.compact(x),
            Slots::Shared(shared) => shared.once(x),
        }
    }

    /// Angles of the slots as the pass has them.
    pub fn angles(&self, angles: RotaryAngles<B>) -> RotaryAngles<B> {
        RotaryAngles {
            cos: self.begin(angles.cos),
            sin: self.begin(angles.sin),
        }
    }

    /// What the pass makes of its slots, for all of them: `[b, n, d]`. Hidden slots are unspecified.
    pub fn end(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.slots {
            Slots::Rows => x,
            Slots::Visible(segments) => segments.padded(x),
            Slots::Shared(shared) => shared.whole(&x),
        }
    }

    /// Where wanted slots of rows of `n` lie in the states of the pass; `None` if they are to be taken of what it makes
    /// of all.
    pub fn choice(&self, wanted: Wanted<'_>, n: usize, device: &B::Device) -> Option<Choice<B>> {
        let slots = match wanted {
            // No kernel need know what a product of no rows is.
            Wanted::All | Wanted::Slots([]) => return None,
            Wanted::Last => return (n > 1 && matches!(self.slots, Slots::Rows)).then_some(Choice::Last),
            Wanted::Slots(slots) => slots,
        };
        let place = |&slot: &usize| match &self.slots {
            Slots::Rows => slot,
            Slots::Visible(segments) => segments.place(slot / n, slot % n),
            Slots::Shared(shared) => shared.place(slot / n, slot % n),
        };
        Some(Choice::places(slots.iter().map(place).collect(), device))
    }

    /// The dropout rate.
    pub fn dropout(&self) -> f64 {
        self.dropout
    }
}

/// A window that hides something of `slots` slots.
fn narrower(window: Option<usize>, slots: usize) -> Option<usize> {
    window.filter(|window| *window < slots)
}

/// What a single slot sees, behind `past` others: those of a mask `[b, capacity]`, the last ones if there is a window.
fn step<B: Backend>(mask: Tensor<B, 2, Bool>, past: usize, window: Option<usize>, is_capped: bool) -> Seen<B> {
    let mask = match window {
        Some(window) => {
            let (capacity, device) = (mask.dims()[1], mask.device());
            let places = Tensor::<B, 1, Int>::arange(0..capacity as i64, &device).reshape([1, capacity]);
            let old = places.lower_elem((past + 1 - window) as i64).expand(mask.dims());
            mask.mask_fill(old, false)
        }
        None => mask,
    };
    match is_capped {
        true => Seen::Added(additive(mask)),
        false => Seen::Bias(AttentionBias::new(None, Some(mask))),
    }
}

/// What several slots see, behind `past` others: earlier ones of a mask `[b, past + n]`, at most `window`.
fn slots<B: Backend>(mask: Tensor<B, 2, Bool>, [past, n]: [usize; 2], window: Option<usize>, sight: Sight) -> Seen<B> {
    if window.is_none() && !sight.is_capped {
        return Seen::Bias(AttentionBias::causal(past, n, mask));
    }
    let hidden = hidden_slots(past, n, window.unwrap_or(past + n), &mask.device());
    match sight.is_capped {
        true => Seen::Added((hidden + additive(mask)).clamp_min(f32::MIN)),
        false => Seen::Bias(AttentionBias::new(Some(every_head(hidden, sight.heads)), Some(mask))),
    }
}

/// `[b, 1, 1, k]`: 0 where a mask `[b, k]` is true, else the smallest finite float.
fn additive<B: Backend>(mask: Tensor<B, 2, Bool>) -> Tensor<B, 4> {
    let [b, k] = mask.dims();
    let zeros = Tensor::<B, 2>::zeros([b, k], &mask.device());
    zeros.mask_fill(mask.bool_not(), f32::MIN).reshape([b, 1, 1, k])
}

/// `[1, 1, n, past + n]`: 0 for a slot's own place and the `window - 1` before it, else the smallest finite float.
fn hidden_slots<B: Backend>(past: usize, n: usize, window: usize, device: &B::Device) -> Tensor<B, 4> {
    let shape = [n, past + n];
    let later = Tensor::<B, 2, Bool>::tril_mask(shape, past as i64, device);
    let older = Tensor::<B, 2, Bool>::triu_mask(shape, past as i64 - window as i64 + 1, device);
    Tensor::<B, 2>::zeros(shape, device)
        .mask_fill(later, f32::MIN)
        .mask_fill(older, f32::MIN)
        .reshape([1, 1, n, past + n])
}

/// The fused kernel reads a bias of each head.
fn every_head<B: Backend>(bias: Tensor<B, 4>, heads: usize) -> Tensor<B, 4> {
    bias.repeat_dim(1, heads)
}
