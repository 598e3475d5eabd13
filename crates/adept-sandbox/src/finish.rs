//! Determines the result of a run: a verdict if the judge gave one, an outcome if it is known how the player ended,
//! else an error.

use nix::sys::signal::Signal;

use crate::layers::LEFT_OUT;
use crate::plan::Report;
use crate::text::shown;
use crate::{Layer, Limits, Outcome, SandboxError, Trial, Verdict};

/// The kernel may kill a process for its processor time limit up to this many seconds below the limit, as accounted.
const TICK: f64 = 0.1;

/// A finished run.
pub(crate) struct Ended {
    pub messages: Vec<u8>,
    pub output: Vec<u8>,
    pub judge_report: Vec<u8>,
    pub player_report: Vec<u8>,
    /// Whether both interpreters had started.
    pub was_ready: bool,
    pub out_of_time: bool,
    /// Whether the watchdog ended it.
    pub out_of_memory: bool,
    /// Whether the kernel killed processes of one of its control groups for lack of memory.
    pub ran_out: bool,
    /// Whether the kernel killed any process on the machine for lack of memory during the run.
    pub machine_ran_out: bool,
    pub seconds: f64,
}

/// The complete messages of the judge: a length, a letter, a text.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let Some((frame, rest)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else {
            break;
        };
        frames.push(frame);
        bytes = rest;
    }
    frames
}

/// The state of the layers, as reported by both sandboxes.
pub(crate) fn trials(ended: &Ended, left_out: impl Iterator<Item = Layer>) -> Vec<Trial> {
    let reports = [&ended.judge_report, &ended.player_report]
        .into_iter()
        .flat_map(|bytes| reports(bytes));
    let tried = reports.filter_map(|report| match report {
        Report::Layer { layer, held, detail } => Some(Trial::new(layer, held, detail)),
        _ => None,
    });
    let left_out = left_out.map(|layer| Trial {
        layer,
        held: false,
        detail: LEFT_OUT.to_owned(),
        remedy: String::new(),
    });
    tried.chain(left_out).collect()
}

impl Ended {
    pub(crate) fn verdict(&self, limits: &Limits) -> Result<Verdict, SandboxError> {
        Ok(Verdict {
            outcome: self.outcome(limits)?,
            seconds: self.seconds,
            output: String::from_utf8_lossy(&self.output).into_owned(),
        })
    }

    fn outcome(&self, limits: &Limits) -> Result<Outcome, SandboxError> {
        if !self.was_ready {
            return Err(self.no_start());
        }
        if self.out_of_memory {
            return Ok(Outcome::Memory);
        }
        if self.out_of_time {
            return Ok(Outcome::Timeout { limit: limits.wall });
        }
        let frames = frames(&self.messages);
        let Some((kind, text)) = frames.last().and_then(|frame| frame.split_first()) else {
            return self.no_verdict();
        };
        let message = shown(&String::from_utf8_lossy(text));
        match kind {
            b'P' => Ok(Outcome::Pass),
            b'F' => Ok(Outcome::Fail { message }),
            b'M' => Ok(Outcome::Memory),
            b'S' => Ok(Outcome::SyntaxError { message }),
            b'T' => Err(SandboxError::Tests { message }),
            b'U' => Err(SandboxError::Unsupported { message }),
            b'X' => Err(SandboxError::Judge { message }),
            b'G' => self.lost_player(limits),
            _ => self.no_verdict(),
        }
    }

    /// The player ended before the tests, by itself or because of a limit.
    fn lost_player(&self, limits: &Limits) -> Result<Outcome, SandboxError> {
        let early = |how: String| Outcome::Fail {
            message: format!("the program ended before its tests: {how}"),
        };
        // A failed stage has its own exit code, which is not the program's.
        if !errors(&self.player_report).is_empty() {
            return Err(self.no_start());
        }
        match end(&self.player_report) {
            Some(end) if end.is_by(&[Signal::SIGXCPU, Signal::SIGKILL]) && end.used_up(limits) => {
                Ok(Outcome::Timeout { limit: limits.wall })
            }
            Some(end) if end.is_by(&[Signal::SIGKILL]) && (self.ran_out || self.machine_ran_out) => Ok(Outcome::Memory),
            Some(End {
                signal: Some(signal), ..
            }) => Ok(early(named(signal))),
            Some(End { code: Some(code), .. }) => Ok(early(format!("exit code {code}"))),
            // A control group kills the stages as well, so they cannot report.
            None if self.ran_out => Ok(Outcome::Memory),
            // It closed its socket and kept running: nothing further can be learnt.
            _ => Ok(early("it no longer answers".to_owned())),
        }
    }

    fn no_start(&self) -> SandboxError {
        let mut said = errors(&self.player_report);
        said.extend(errors(&self.judge_report));
        let spoken = [&self.output, &self.judge_report].map(|bytes| other_lines(bytes));
        said.extend(spoken.into_iter().filter(|text| !text.is_empty()));
        if said.is_empty() {
            said.push("the interpreters do not answer".to_owned());
        }
        SandboxError::Start {
            message: shown(&said.join("; ")),
        }
    }

    fn no_verdict(&self) -> Result<Outcome, SandboxError> {
        let how = match end(&self.judge_report) {
            // The control group took the judge down along with the player.
            None if self.ran_out => return Ok(Outcome::Memory),
            Some(End {
                signal: Some(signal), ..
            }) => named(signal),
            Some(End { code: Some(code), .. }) => format!("exit code {code}"),
            _ => "unknown".to_owned(),
        };
        let said = other_lines(&self.judge_report);
        Err(SandboxError::Judge {
            message: shown([how, said].join(" ").trim()),
        })
    }
}

/// How an interpreter ended.
#[derive(Debug, Clone, Copy)]
struct End {
    code: Option<i32>,
    signal: Option<i32>,
    cpu_seconds: f64,
}

impl End {
    fn is_by(&self, signals: &[Signal]) -> bool {
        signals.iter().any(|signal| self.signal == Some(*signal as i32))
    }

    /// Whether it exhausted its processor time, so that the signal came from the kernel rather than from itself.
    fn used_up(&self, limits: &Limits) -> bool {
        self.cpu_seconds + TICK >= limits.cpu_seconds() as f64
    }
}

fn named(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.as_str().to_owned())
}

fn reports(bytes: &[u8]) -> impl Iterator<Item = Report> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
}

/// How the interpreter ended: the first report on it is from the stage that started it.
fn end(report: &[u8]) -> Option<End> {
    reports(report).find_map(|report| match report {
        Report::End {
            code,
            signal,
            cpu_seconds,
        } => Some(End {
            code,
            signal,
            cpu_seconds,
        }),
        _ => None,
    })
}

fn errors(report: &[u8]) -> Vec<String> {
    let error = |report| match report {
        Report::Error { message } => Some(message),
        _ => None,
    };
    reports(report).filter_map(error).collect()
}

/// What an interpreter itself wrote to the report pipe.
fn other_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text
        .lines()
        .filter(|line| serde_json::from_str::<Report>(line).is_err());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ended(messages: &[u8], player_report: &str) -> Ended {
        Ended {
            messages: messages.to_vec(),
            output: Vec::new(),
            judge_report: Vec::new(),
            player_report: player_report.as_bytes().to_vec(),
            was_ready: true,
            out_of_time: false,
            out_of_memory: false,
            ran_out: false,
            machine_ran_out: false,
            seconds: 0.0,
        }
    }

    #[test]
    fn a_message_that_is_cut_off_is_not_one() {
        assert_eq!(frames(b"\x01\0\0\0R\x02\0\0\0P"), [b"R"]);
        assert!(frames(b"\xff\xff\xff\xffP").is_empty());
    }

    #[test]
    fn only_the_judge_makes_a_pass() {
        let limits = Limits::default();
        let passes = |run: &Ended| run.outcome(&limits).unwrap().is_pass();
        assert!(passes(&ended(b"\x01\0\0\0R\x01\0\0\0P", "")));
        let gone = b"\x01\0\0\0R\x01\0\0\0G";
        assert!(!passes(&ended(gone, r#"{"End":{"code":0,"signal":null}}"#)));
        assert!(!passes(&ended(gone, "")));
    }

    #[test]
    fn what_the_sandbox_could_not_do_is_an_error() {
        let limits = Limits::default();
        let failed = |run: Ended| run.outcome(&limits).unwrap_err();
        assert!(matches!(failed(ended(b"", "")), SandboxError::Judge { .. }));
        assert!(matches!(failed(ended(b"\x01\0\0\0R", "")), SandboxError::Judge { .. }));
        let stage = r#"{"Error":{"message":"seccomp: no"}}"#;
        assert!(matches!(
            failed(ended(b"\x01\0\0\0G", stage)),
            SandboxError::Start { .. }
        ));
        let never_up = Ended {
            was_ready: false,
            ..ended(b"\x01\0\0\0P", "")
        };
        assert!(matches!(failed(never_up), SandboxError::Start { .. }));
    }

    /// A finished run with this last message from the judge.
    fn judged(message: &str) -> Result<Outcome, SandboxError> {
        let mut bytes = b"\x01\0\0\0R".to_vec();
        bytes.extend((message.len() as u32).to_le_bytes());
        bytes.extend(message.bytes());
        ended(&bytes, "").outcome(&Limits::default())
    }

    #[test]
    fn each_message_of_the_judge_has_its_class() {
        let message = "why".to_owned();
        assert_eq!(judged("P").unwrap(), Outcome::Pass);
        assert_eq!(judged("M").unwrap(), Outcome::Memory);
        assert_eq!(
            judged("Fwhy").unwrap(),
            Outcome::Fail {
                message: message.clone()
            }
        );
        assert_eq!(judged("Swhy").unwrap(), Outcome::SyntaxError { message });
        assert!(matches!(judged("Twhy"), Err(SandboxError::Tests { message }) if message == "why"));
        assert!(matches!(judged("Uwhy"), Err(SandboxError::Unsupported { message }) if message == "why"));
        assert!(matches!(judged("Xwhy"), Err(SandboxError::Judge { message }) if message == "why"));
        assert!(matches!(judged("?"), Err(SandboxError::Judge { .. })));
        assert!(matches!(judged(""), Err(SandboxError::Judge { .. })));
    }

    #[test]
    fn memory_that_is_used_up_together_is_an_end_of_memory() {
        let limits = Limits::default();
        let watched = Ended {
            out_of_memory: true,
            ..ended(b"\x01\0\0\0R", "")
        };
        assert_eq!(watched.outcome(&limits).unwrap(), Outcome::Memory);
        // A control group kills the stages as well.
        for messages in [b"\x01\0\0\0R\x01\0\0\0G".as_slice(), b"\x01\0\0\0R"] {
            let group = Ended {
                ran_out: true,
                ..ended(messages, "")
            };
            assert_eq!(group.outcome(&limits).unwrap(), Outcome::Memory);
        }
        // If the machine as a whole ran out of memory, unknown about this program.
        let elsewhere = |messages: &[u8]| Ended {
            machine_ran_out: true,
            ..ended(messages, "")
        };
        assert!(elsewhere(b"\x01\0\0\0R\x01\0\0\0P").outcome(&limits).unwrap().is_pass());
        assert!(elsewhere(b"\x01\0\0\0R").outcome(&limits).is_err());
    }

    #[test]
    fn messages_cannot_write_on_a_terminal() {
        assert_eq!(
            judged("F\u{1b}[2J\n9 of 9 pass").unwrap().to_string(),
            "fail: \\u{1b}[2J\\n9 of 9 pass"
        );
        assert!(judged("S\u{7}").unwrap().to_string().ends_with("\\u{7}"));
        assert!(judged("U\u{9b}").unwrap_err().to_string().ends_with("\\u{9b}"));
    }

    #[test]
    fn time_that_is_up_is_a_time_out_whatever_came_of_the_program() {
        let limits = Limits::default();
        let late = Ended {
            out_of_time: true,
            ..ended(b"\x01\0\0\0R", r#"{"End":{"code":0,"signal":null}}"#)
        };
        assert_eq!(late.outcome(&limits).unwrap(), Outcome::Timeout { limit: limits.wall });
    }

    #[test]
    fn a_stage_that_failed_is_no_program_that_ended() {
        let report = "{\"Error\":{\"message\":\"wait: no\"}}\n{\"End\":{\"code\":1,\"signal\":null}}\n";
        let error = ended(b"\x01\0\0\0R\x01\0\0\0G", report).outcome(&Limits::default());
        assert_eq!(error.unwrap_err().to_string(), "the sandbox did not start: wait: no");
    }

    #[test]
    fn the_layers_of_both_sandboxes_and_those_left_out_are_told() {
        let held = r#"{"Layer":{"layer":"Net","held":true,"detail":""}}"#;
        let failed = r#"{"Layer":{"layer":"Net","held":false,"detail":"EPERM"}}"#;
        let run = Ended {
            judge_report: held.as_bytes().to_vec(),
            ..ended(b"", &format!("noise\n{failed}\n"))
        };
        let trials = trials(&run, [Layer::Uts].into_iter());
        let told: Vec<_> = trials.iter().map(|trial| (trial.layer, trial.held)).collect();
        assert_eq!(told, [(Layer::Net, true), (Layer::Net, false), (Layer::Uts, false)]);
    }

    #[test]
    fn the_kernels_signals_are_told_apart() {
        let limits = Limits::default();
        let died = |signal: i32, cpu_seconds: f64, machine_ran_out| {
            let report = format!(r#"{{"End":{{"code":null,"signal":{signal},"cpu_seconds":{cpu_seconds}}}}}"#);
            let run = Ended {
                machine_ran_out,
                ..ended(b"\x01\0\0\0R\x01\0\0\0G", &report)
            };
            run.outcome(&limits).unwrap()
        };
        let fails = |name: &str| Outcome::Fail {
            message: format!("the program ended before its tests: {name}"),
        };
        let late = Outcome::Timeout { limit: limits.wall };
        assert_eq!(died(9, 0.1, true), Outcome::Memory);
        assert_eq!((died(24, 3.0, false), died(9, 4.0, false)), (late.clone(), late));
        // A signal that a program sends itself is its own failure.
        assert_eq!(
            (died(9, 0.1, false), died(24, 0.1, false)),
            (fails("SIGKILL"), fails("SIGXCPU"))
        );
        assert_eq!(
            (died(11, 0.1, true), died(15, 9.0, false)),
            (fails("SIGSEGV"), fails("SIGTERM"))
        );
    }
}
