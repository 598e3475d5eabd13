//! Looks after the memory of a run as a sum. The kernel limits the address space of each process; nothing but a control
//! group limits what all of them hold together, and few machines let an ordinary user make one.

use std::time::{Duration, Instant};

use crate::family::{self, Lookup};

/// Time between two looks.
pub(crate) const LISTS: Duration = Duration::from_millis(20);
/// The same where each look goes through all processes of the machine.
const SCAN: Duration = Duration::from_millis(200);
/// Looks that must find too much before a run is ended: between `vfork` and `exec` a process has its parent's memory,
/// which is counted twice then.
pub(crate) const LOOKS: u32 = 3;

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
    /// Looks that found too much, less those that did not.
    over: u32,
}

impl Watchdog {
    pub(crate) fn new(top: u32, has_stage: bool, limit: u64, lookup: Lookup) -> Self {
        Self {
            top,
            has_stage,
            limit,
            lookup,
            next: Instant::now() + interval(lookup),
            over: 0,
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
        let is_over = self.looks_over();
        self.over = if is_over {
            self.over + 1
        } else {
            self.over.saturating_sub(1)
        };
        // What takes long is done less often: looking must not be what the processor is busy with.
        let end = Instant::now();
        self.next = end + interval(self.lookup).max(4 * (end - begin));
        self.over >= LOOKS
    }

    /// Asks the cheapest question first: most programs are one process, whose address space is limited.
    fn looks_over(&self) -> bool {
        // The first is the child of the stage outside.
        let inside = self.lookup.descendants(self.top);
        let each: Vec<(u32, u64, u64)> = inside
            .iter()
            .skip(usize::from(self.has_stage))
            .filter_map(|process| family::size(*process).map(|(space, own)| (*process, space, own)))
            .collect();
        let exceeds = |part: &dyn Fn(&(u32, u64, u64)) -> u64| each.iter().map(part).sum::<u64>() > self.limit;
        exceeds(&|(_, space, _)| *space)
            && exceeds(&|(_, _, own)| *own)
            && exceeds(&|(process, _, own)| family::share(*process).unwrap_or(*own))
    }
}

fn interval(lookup: Lookup) -> Duration {
    match lookup {
        Lookup::Lists => LISTS,
        Lookup::Scan => SCAN,
    }
}
