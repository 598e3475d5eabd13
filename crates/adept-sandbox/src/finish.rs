//! What a run comes to: a verdict where the judge gave one, an outcome where the player's end is known, else an error.

use crate::plan::Report;
use crate::{Layer, Limits, Outcome, SandboxError, Trial, Verdict};

/// Signals that a program can die of, by number: they are the same on every Linux.
const SIGNALS: [(i32, &str); 8] = [
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (11, "SIGSEGV"),
    (14, "SIGALRM"),
    (31, "SIGSYS"),
];
/// What the kernel sends where memory runs out.
const KILLED: i32 = 9;
/// What the kernel sends where processor time runs out.
const OUT_OF_CPU: i32 = 24;

/// A run that is over.
pub(crate) struct Ended {
    pub messages: Vec<u8>,
    pub output: Vec<u8>,
    pub judge_report: Vec<u8>,
    pub player_report: Vec<u8>,
    /// Whether both interpreters were up.
    pub was_ready: bool,
    pub out_of_time: bool,
    pub seconds: f64,
}

/// The whole messages of the judge: a length, a letter, a text.
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

/// What became of the layers, in the words of both sandboxes.
pub(crate) fn trials(ended: &Ended, left_out: impl Iterator<Item = Layer>) -> Vec<Trial> {
    let reports = [&ended.judge_report, &ended.player_report]
        .into_iter()
        .flat_map(|bytes| reports(bytes));
    let tried = reports.filter_map(|report| match report {
        Report::Layer { layer, held, detail } => Some(Trial { layer, held, detail }),
        _ => None,
    });
    let left_out = left_out.map(|layer| Trial {
        layer,
        held: false,
        detail: "left out by the settings".to_owned(),
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
        if self.out_of_time {
            return Ok(Outcome::Timeout { limit: limits.wall });
        }
        let frames = frames(&self.messages);
        let Some((kind, text)) = frames.last().and_then(|frame| frame.split_first()) else {
            return Err(self.no_verdict());
        };
        let message = String::from_utf8_lossy(text).into_owned();
        match kind {
            b'P' => Ok(Outcome::Pass),
            b'F' => Ok(Outcome::Fail { message }),
            b'M' => Ok(Outcome::Memory),
            b'S' => Ok(Outcome::SyntaxError { message }),
            b'T' => Err(SandboxError::Tests { message }),
            b'U' => Err(SandboxError::Unsupported { message }),
            b'X' => Err(SandboxError::Judge { message }),
            b'G' => self.lost_player(limits),
            _ => Err(self.no_verdict()),
        }
    }

    /// The player ended before the tests did: of itself, or because of a limit.
    fn lost_player(&self, limits: &Limits) -> Result<Outcome, SandboxError> {
        let early = |how: String| Outcome::Fail {
            message: format!("the program ended before its tests: {how}"),
        };
        // A stage that failed ends with a code of its own, which is not the program's.
        if !errors(&self.player_report).is_empty() {
            return Err(self.no_start());
        }
        match end(&self.player_report) {
            Some((_, Some(KILLED))) => Ok(Outcome::Memory),
            Some((_, Some(OUT_OF_CPU))) => Ok(Outcome::Timeout { limit: limits.wall }),
            Some((_, Some(signal))) => Ok(early(named(signal))),
            Some((Some(code), None)) => Ok(early(format!("exit code {code}"))),
            // It closed its socket and went on: nothing else can be heard of it.
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
            message: said.join("; "),
        }
    }

    fn no_verdict(&self) -> SandboxError {
        let how = match end(&self.judge_report) {
            Some((_, Some(signal))) => named(signal),
            Some((Some(code), _)) => format!("exit code {code}"),
            _ => "nothing is known".to_owned(),
        };
        let said = other_lines(&self.judge_report);
        SandboxError::Judge {
            message: [how, said].join(" ").trim().to_owned(),
        }
    }
}

fn named(signal: i32) -> String {
    let name = SIGNALS
        .iter()
        .find(|(number, _)| *number == signal)
        .map(|(_, name)| *name);
    name.map_or_else(|| format!("signal {signal}"), str::to_owned)
}

fn reports(bytes: &[u8]) -> impl Iterator<Item = Report> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
}

/// How the interpreter ended: the first word on it is that of the stage that started it.
fn end(report: &[u8]) -> Option<(Option<i32>, Option<i32>)> {
    reports(report).find_map(|report| match report {
        Report::End { code, signal } => Some((code, signal)),
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

/// What an interpreter itself said where reports are written.
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

    /// A run that is over with this last message of the judge.
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
        let died = |signal: i32| {
            let report = format!(r#"{{"End":{{"code":null,"signal":{signal}}}}}"#);
            ended(b"\x01\0\0\0R\x01\0\0\0G", &report).outcome(&limits).unwrap()
        };
        assert_eq!(died(9), Outcome::Memory);
        assert_eq!(died(24), Outcome::Timeout { limit: limits.wall });
        assert_eq!(
            died(11).to_string(),
            "fail: the program ended before its tests: SIGSEGV"
        );
    }
}
