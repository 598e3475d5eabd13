//! The Python programs of the two interpreters.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::SandboxError;
use crate::plan::Role;

/// Shared by both: encoding and decoding of messages, and what counts as data.
const WIRE: &str = include_str!("wire.py");
const KINDS: &str = include_str!("kinds.py");
const REMOTE: &str = include_str!("remote.py");
const JUDGE: &str = include_str!("judge.py");
const PLAYER: &str = include_str!("player.py");

/// Reads a program from standard input, as a length and bytecode, and runs it.
pub(crate) const BOOT: &str = "import marshal, os
def take(count):
    body = b''
    while len(body) < count:
        part = os.read(0, count - len(body))
        if not part:
            os._exit(1)
        body += part
    return body
exec(marshal.loads(take(int.from_bytes(take(4), 'little'))))
";

/// Prints a text's bytecode.
const COMPILE: &str = "import marshal, sys
code = compile(sys.argv[1], '<sandbox>', 'exec', dont_inherit=True, optimize=2)
sys.stdout.buffer.write(marshal.dumps(code))
";

/// Bytecode of both programs, compiled once, because that takes as long as starting an interpreter.
#[derive(Debug)]
pub(crate) struct Programs {
    judge: Vec<u8>,
    player: Vec<u8>,
}

impl Programs {
    /// Compiles both with the interpreter that will run them.
    pub(crate) fn compile(python: &Path) -> Result<Self, SandboxError> {
        Ok(Self {
            judge: compiled(python, &[WIRE, KINDS, REMOTE, JUDGE].join("\n"))?,
            player: compiled(python, &[WIRE, KINDS, PLAYER].join("\n"))?,
        })
    }

    pub(crate) fn code(&self, role: Role) -> &[u8] {
        match role {
            Role::Judge => &self.judge,
            Role::Player => &self.player,
        }
    }
}

fn compiled(python: &Path, text: &str) -> Result<Vec<u8>, SandboxError> {
    let failed = |message: String| SandboxError::Python {
        python: python.to_owned(),
        message,
    };
    let answer = Command::new(python)
        .args(["-I", "-S", "-B", "-c", COMPILE, text])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr);
        return Err(failed(format!("{}: {}", answer.status, said.trim())));
    }
    Ok(answer.stdout)
}
