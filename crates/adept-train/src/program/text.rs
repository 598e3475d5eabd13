//! Where a generated program ends, and what is left of it (Jain et al. 2024, as the paper follows them).
//!
//! A completion goes on where its prompt ends, which is a signature with a docstring: it is the function's body, and what
//! begins a new statement at the left margin is no part of it. The task's card says what does.

/// Where the completion ends: the byte of the first line break that something follows which ends it (one of `stops`); none
/// where nothing does yet.
pub fn end_of(completion: &str, stops: &[String]) -> Option<usize> {
    completion
        .match_indices('\n')
        .map(|(at, _)| at)
        .find(|at| stops.iter().any(|stop| completion[at + 1..].starts_with(stop.as_str())))
}

/// The completion up to where it ends.
pub fn truncated<'a>(completion: &'a str, stops: &[String]) -> &'a str {
    &completion[..end_of(completion, stops).unwrap_or(completion.len())]
}

/// What begins a stray line: Llama writes such lines between a docstring and a body.
const STRAY: [&str; 3] = [":", "//", "."];

/// A completion without stray lines, indented as its prompt's last line is: what is done to the completions of Llama.
///
/// The first line decides what the completion's own indent is; deeper lines stay as much deeper.
pub fn tidied(prompt: &str, completion: &str) -> String {
    let indent = |line: &str| -> usize { line.len() - line.trim_start().len() };
    let lines: Vec<&str> = completion
        .split('\n')
        .filter(|line| !STRAY.iter().any(|stray| line.trim_start().starts_with(stray)))
        .collect();
    let last = prompt.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
    let wanted = &last[..indent(last)];
    let Some(own) = lines
        .iter()
        .find(|line| !line.trim().is_empty())
        .map(|line| indent(line))
    else {
        return String::new();
    };
    let line = |line: &&str| {
        if line.trim().is_empty() {
            return String::new();
        }
        // A line further left than the first one stands at the body's own indent: it can stand nowhere else.
        format!("{wanted}{}", &line[own.min(indent(line))..])
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(completion: &str, expected: &str) {
        assert_eq!(
            truncated(completion, &adept_data::task::STATEMENTS.map(str::to_owned)),
            expected
        );
    }

    #[test]
    fn a_completion_ends_where_another_statement_begins() {
        check("\treturn a + b", "\treturn a + b");
        check("\treturn a\n\ndef other():\n\tpass", "\treturn a\n");
        check(
            "\tx = 1\n\tif x:\n\t\treturn x\nprint(x)",
            "\tx = 1\n\tif x:\n\t\treturn x",
        );
        // Inside a line, or indented, nothing ends it.
        check(
            "\tdefault = 'class'\n\tassert default",
            "\tdefault = 'class'\n\tassert default",
        );
        for stop in adept_data::task::STATEMENTS {
            check(&format!("\tpass\n{stop} x"), "\tpass");
        }
        // The first of them counts, and at the very beginning there is no line before.
        check("\ta\nassert 1\ndef f", "\ta");
        check("def f():\n\tpass", "def f():\n\tpass");
        check("", "");
        check("é\nif", "é");
    }

    #[test]
    fn stray_lines_go_and_the_body_is_indented_as_its_prompt() {
        let prompt = "def f(a):\n    \"\"\"\n    Adds.\n    \"\"\"\n";
        assert_eq!(
            tidied(prompt, ": x\n  b = a\n  if b:\n      b += 1\n  return b"),
            "    b = a\n    if b:\n        b += 1\n    return b"
        );
        assert_eq!(tidied(prompt, "\n// note\n    return a\n"), "\n    return a\n");
        assert_eq!(tidied(prompt, "    b = a\n  return b"), "    b = a\n    return b");
        assert_eq!(tidied(prompt, ".\n:\n"), "");
        assert_eq!(
            tidied("\n\ndef f(a):\n\t\"\"\"\n\t\"\"\"\n", "    return a"),
            "\treturn a"
        );
    }
}
