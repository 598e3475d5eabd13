//! Watches the total memory of a run. The kernel limits the address space of each process; only a control group limits
//! the total, and few machines let an ordinary user create one.

use std::time::{Duration, Instant};

use crate::family::{self, Lookup};

/// Sampling interval.
pub(crate) const LISTS: Duration = Duration::from_millis(20);
/// Sampling interval if each sample scans all processes of the machine.
const SCAN: Duration = Duration::from_millis(200);
/// Interval after a sample above the limit, however long that sample took.
const SOON: Duration = Duration::from_millis(5);
/// Accumulated weight at which a run is ended. Between `vfork` and `exec` a process shares its parent's memory, which
/// is then counted twice: a sample that this could explain has weight one, any other sample above the limit two, and a
/// sample below it subtracts one.
const ENOUGH: u32 = 3;

/// State of watching one sandbox's processes.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// Process id of the outside stage.
    top: u32,
    /// Whether its child is the inside stage; otherwise it is the interpreter.
    has_stage: bool,
    limit: u64,
    lookup: Lookup,
    next: Instant,
    /// Accumulated weight of the samples so far.
    found: u32,
}

impl Watchdog {
    pub(crate) fn new(top: u32, has_stage: bool, limit: u64, lookup: Lookup) -> Self {
        Self {
            top,
            has_stage,
            limit,
            lookup,
            next: Instant::now() + interval(lookup),
            found: 0,
        }
    }

    /// Time of the next sample.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Takes a sample if it is due. Returns whether the processes exceed the limit.
    pub(crate) fn is_over(&mut self) -> bool {
        let begin = Instant::now();
        if begin < self.next {
            return false;
        }
        let found = self.look();
        self.found = if found == 0 {
            self.found.saturating_sub(1)
        } else {
            self.found + found
        };
        let end = Instant::now();
        self.next = if found > 0 {
            end + SOON
        } else {
            // Expensive samples are taken less often, so that they do not dominate the processor.
            end + interval(self.lookup).max(4 * (end - begin))
        };
        self.found >= ENOUGH
    }

    /// Takes a sample, cheapest check first: most programs are a single process, whose address space is limited.
    fn look(&self) -> u32 {
        // The first descendant is the child of the outside stage.
        let inside = self.lookup.descendants(self.top);
        let each: Vec<(u32, u64, u64)> = inside
            .iter()
            .skip(usize::from(self.has_stage))
            .filter_map(|process| family::size(*process).map(|(space, own)| (*process, space, own)))
            .collect();
        let exceeds = |part: &dyn Fn(&(u32, u64, u64)) -> u64| each.iter().map(part).sum::<u64>() > self.limit;
        if !exceeds(&|(_, space, _)| *space) || !exceeds(&|(_, _, own)| *own) {
            return 0;
        }
        let shares = each
            .iter()
            .map(|(process, _, own)| family::share(*process).unwrap_or(*own));
        weight(&shares.collect::<Vec<_>>(), self.limit)
    }
}

/// Weight of a sample with these shares.
fn weight(shares: &[u64], limit: u64) -> u32 {
    let sum: u64 = shares.iter().sum();
    let largest = shares.iter().copied().max().unwrap_or(0);
    match (sum > limit, sum - largest > limit) {
        (false, _) => 0,
        // The largest process might be counted twice.
        (true, false) => 1,
        (true, true) => 2,
    }
}

fn interval(lookup: Lookup) -> Duration {
    match lookup {
        Lookup::Lists => LISTS,
        Lookup::Scan => SCAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_counted_twice_needs_more_looks() {
        assert_eq!(
            (weight(&[], 100), weight(&[100], 100), weight(&[60, 40], 100)),
            (0, 0, 0)
        );
        assert_eq!((weight(&[90, 90], 100), weight(&[90, 90, 10], 100)), (1, 1));
        assert_eq!((weight(&[90, 90, 11], 100), weight(&[30; 5], 100)), (2, 2));
    }
}
