//! Looks after the memory of a run as a sum. The kernel limits the address space of each process; nothing but a control
//! group limits what all of them hold together, and few machines let an ordinary user make one.

use std::time::{Duration, Instant};

use crate::family::{self, Lookup};

/// Time between two looks.
pub(crate) const LISTS: Duration = Duration::from_millis(20);
/// The same where each look goes through all processes of the machine.
const SCAN: Duration = Duration::from_millis(200);
/// Time to the next look after one that found too much, however long that one took.
const SOON: Duration = Duration::from_millis(5);
/// What looks must add up to before a run is ended. Between `vfork` and `exec` a process has its parent's memory, which
/// is counted twice then: a look that this could explain counts as one, another that finds too much as two, and one
/// that does not takes one back.
const ENOUGH: u32 = 3;

/// What is known of one sandbox's processes.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// The stage outside.
    top: u32,
    /// The stage inside is its child; else the interpreter is.
    has_stage: bool,
    limit: u64,
    lookup: Lookup,
    next: Instant,
    /// What the looks so far add up to.
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

    /// When it will look next.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Looks if it is time to. Whether the processes hold more than the limit.
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
            // What takes long is done less often: looking must not be what the processor is busy with.
            end + interval(self.lookup).max(4 * (end - begin))
        };
        self.found >= ENOUGH
    }

    /// Asks the cheapest question first: most programs are one process, whose address space is limited.
    fn look(&self) -> u32 {
        // The first is the child of the stage outside.
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

/// How much a look counts that found these shares.
fn weight(shares: &[u64], limit: u64) -> u32 {
    let sum: u64 = shares.iter().sum();
    let largest = shares.iter().copied().max().unwrap_or(0);
    match (sum > limit, sum - largest > limit) {
        (false, _) => 0,
        // The largest could be counted twice.
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
