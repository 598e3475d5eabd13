//! Runs one program: two interpreters, watched until there is a verdict, the time is up, or one of them ends.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::finish::Ended;
use crate::plan::{Plan, Role};
use crate::python::Programs;
use crate::sandbox::MemoryBounds;
use crate::watchdog::Watchdog;
use crate::{Limits, Program, SandboxError, spawn};

/// Maximum time for both interpreters to start. A busy machine is slow, and no program code runs yet.
const START: Duration = Duration::from_secs(60);
/// Maximum time for the report on the player's end to arrive, once the judge has lost it.
const AFTERMATH: Duration = Duration::from_secs(5);
/// Maximum length of a report in bytes.
const REPORT: usize = 64 << 10;

/// Runs a program and ends everything that it started.
pub(crate) fn run(
    helper: &Path,
    programs: &Programs,
    plan: impl Fn(Role) -> Plan,
    bounds: &MemoryBounds,
    program: &Program<'_>,
    limits: &Limits,
) -> Result<Ended, SandboxError> {
    let killed_before = out_of_memory_kills();
    let pair = || UnixStream::pair().map_err(SandboxError::io("making a pair of sockets"));
    let (mut parent, judge_parent) = pair()?;
    let (mut judge_player, player_judge) = pair()?;
    let (output, output_end) = std::io::pipe().map_err(SandboxError::io("making a pipe"))?;
    let start = |role, first, second| spawn::start(helper, plan(role), bounds.groups.as_ref(), first, second);
    let (mut player, player_report) = start(Role::Player, player_judge.into(), output_end.into())?;
    // Its bytecode is sent through the socket that later carries the judge's requests, before there is a judge.
    let code = programs.code(Role::Player);
    write(&mut judge_player, &[code])?;
    let (mut judge, judge_report) = start(Role::Judge, judge_parent.into(), judge_player.into())?;
    let dogs = bounds
        .watch
        .map(|lookup| [&player, &judge].map(|one| Watchdog::new(one.top(), one.has_stage(), limits.memory, lookup)));

    let names = program.names.join("\n");
    let texts = [program.solution, program.tests, &names].map(str::as_bytes);
    let [solution, tests, names] = texts;
    write(&mut parent, &[programs.code(Role::Judge), solution, tests, names])?;
    let mut streams = [
        Stream::new(Source::Judge(parent), REPORT),
        Stream::new(Source::Pipe(output), limits.output),
        Stream::new(Source::Pipe(judge_report), REPORT),
        Stream::new(Source::Pipe(player_report), REPORT),
    ];
    let watched = watch(&mut streams, dogs, limits.wall);
    // Both are ended whatever happened, before any error is returned.
    let ends = [player.end(), judge.end()];
    let watched = watched?;
    let ran_out = [&player, &judge].into_iter().any(spawn::Box::ran_out);
    ends.into_iter().collect::<Result<(), _>>()?;
    for stream in &mut streams {
        stream.read()?;
    }
    let [messages, output, judge_report, player_report] = streams.map(|stream| stream.kept);
    Ok(Ended {
        messages,
        output,
        judge_report,
        player_report,
        was_ready: watched.was_ready,
        out_of_time: watched.end == End::Time,
        out_of_memory: watched.end == End::Memory,
        ran_out,
        machine_ran_out: out_of_memory_kills() > killed_before,
        seconds: watched.seconds,
    })
}

/// How many processes on this machine the kernel has killed for lack of memory. `None` if the kernel does not count.
fn out_of_memory_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?
        .trim()
        .parse()
        .ok()
}

/// Writes texts to an interpreter. One that does not accept them has ended or fails to start; its report tells why.
fn write(to: &mut UnixStream, texts: &[&[u8]]) -> Result<(), SandboxError> {
    let set_up = |stream: &UnixStream, limit| {
        let set = stream.set_write_timeout(limit);
        set.map_err(SandboxError::io("setting up a socket"))
    };
    set_up(to, Some(START))?;
    for text in texts {
        if send(to, text).is_err() {
            break;
        }
    }
    set_up(to, None)
}

fn send(to: &mut UnixStream, text: &[u8]) -> std::io::Result<()> {
    let size = u32::try_from(text.len()).map_err(std::io::Error::other)?;
    to.write_all(&size.to_le_bytes())?;
    to.write_all(text)
}

struct Watched {
    was_ready: bool,
    end: End,
    seconds: f64,
}

/// Why a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// A verdict, or the end of one of the interpreters.
    Word,
    Time,
    Memory,
}

/// Reads all streams until the run is over.
fn watch(streams: &mut [Stream; 4], mut dogs: Option<[Watchdog; 2]>, wall: Duration) -> Result<Watched, SandboxError> {
    let begin = Instant::now();
    let mut ready: Option<Instant> = None;
    let mut until = begin + START;
    let mut verdict: Option<Instant> = None;
    loop {
        let now = Instant::now();
        let seconds = |end: Instant| end.duration_since(ready.unwrap_or(begin)).as_secs_f64();
        let over = |end| Watched {
            was_ready: ready.is_some(),
            end,
            seconds: seconds(verdict.unwrap_or(now)),
        };
        if now >= until {
            let end = if verdict.is_none() { End::Time } else { End::Word };
            return Ok(over(end));
        }
        // No program code runs before both are ready.
        let watching = dogs.as_mut().filter(|_| ready.is_some());
        let mut next = until;
        if let Some(dogs) = watching {
            if dogs.iter_mut().any(Watchdog::is_over) {
                return Ok(over(End::Memory));
            }
            next = dogs.iter().map(Watchdog::next).fold(until, Instant::min);
        }
        wait(streams, next.saturating_duration_since(now))?;
        for stream in streams.iter_mut() {
            stream.read()?;
        }
        let now = Instant::now();
        let frames = crate::finish::frames(&streams[0].kept);
        if ready.is_none() && frames.first().is_some_and(|frame| frame.first() == Some(&b'R')) {
            ready = Some(now);
            until = now + wall;
        }
        let last = frames.last().and_then(|frame| frame.first()).copied();
        let has_lost = last == Some(b'G');
        if streams[0].is_at_end || last.is_some_and(|kind| kind != b'R') {
            let first = *verdict.get_or_insert(now);
            // The cause of a lost player's end is in its own report, which is complete once its stream ends. The same
            // holds for a judge that has died.
            let waits_for = if has_lost { &streams[3] } else { &streams[2] };
            if (has_lost || last.is_none_or(|kind| kind == b'R')) && !waits_for.is_at_end {
                until = first + AFTERMATH;
            } else {
                until = now;
            }
        }
    }
}

/// Waits until one of the streams is readable, or for at most `at_most`.
fn wait(streams: &[Stream; 4], at_most: Duration) -> Result<(), SandboxError> {
    let open = streams.iter().filter(|stream| !stream.is_at_end);
    let mut handles: Vec<PollFd<'_>> = open
        .map(|stream| PollFd::new(stream.handle(), PollFlags::POLLIN))
        .collect();
    // Rounded up, to avoid busy-waiting in the last millisecond.
    let milliseconds = u16::try_from(at_most.as_millis() + 1).unwrap_or(u16::MAX);
    match poll(&mut handles, PollTimeout::from(milliseconds)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(SandboxError::io("waiting for the sandbox")(error)),
    }
}

/// The underlying handle of a stream.
enum Source {
    Judge(UnixStream),
    Pipe(std::io::PipeReader),
}

/// A stream of which only the beginning is kept.
struct Stream {
    source: Source,
    kept: Vec<u8>,
    at_most: usize,
    is_at_end: bool,
}

impl Stream {
    fn new(source: Source, at_most: usize) -> Self {
        Self {
            source,
            kept: Vec::new(),
            at_most,
            is_at_end: false,
        }
    }

    fn handle(&self) -> std::os::fd::BorrowedFd<'_> {
        match &self.source {
            Source::Judge(socket) => socket.as_fd(),
            Source::Pipe(pipe) => pipe.as_fd(),
        }
    }

    /// Reads what is available, in a single piece, so that a program that prints endlessly cannot hold up the clock.
    fn read(&mut self) -> Result<(), SandboxError> {
        if self.is_at_end {
            return Ok(());
        }
        let mut handles = [PollFd::new(self.handle(), PollFlags::POLLIN)];
        match poll(&mut handles, PollTimeout::ZERO) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(SandboxError::io("looking at a stream")(error)),
        }
        let mut piece = [0; 64 << 10];
        let count = match &mut self.source {
            Source::Judge(socket) => socket.read(&mut piece),
            Source::Pipe(pipe) => pipe.read(&mut piece),
        };
        match count {
            Ok(0) => self.is_at_end = true,
            Ok(count) => {
                let room = self.at_most.saturating_sub(self.kept.len());
                self.kept.extend_from_slice(&piece[..count.min(room)]);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.is_at_end = true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(SandboxError::io("reading from the sandbox")(error)),
        }
        Ok(())
    }
}
