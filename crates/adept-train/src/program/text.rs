//! End of a generated program, and clean-up of its text (Jain et al. 2024, followed by the paper).
//!
//! A completion continues a prompt that consists of a signature with a docstring: it is the function's body, and a new
//! statement at the left margin is no longer part of it. The task's card defines what begins one.

/// End of the completion: the byte offset of the first line break followed by one of `stops`; `None` if there is none
/// yet.
pub fn end_of(completion: &str, stops: &[String]) -> Option<usize> {
    completion
        .match_indices('\n')
        .map(|(at, _)| at)
        .find(|at| stops.iter().any(|stop| completion[at + 1..].starts_with(stop.as_str())))
}

/// The completion, cut at its end.
pub fn truncated<'a>(completion: &'a str, stops: &[String]) -> &'a str {
    &completion[..end_of(completion, stops).unwrap_or(completion.len())]
}

/// Beginnings of stray lines, which Llama generates between a docstring and a body.
const STRAY: [&str; 3] = [":", "//", "."];

/// A completion without stray lines, indented like the last line of its prompt; applied to completions of Llama.
///
/// The first line determines the completion's own indentation; deeper lines keep their relative indentation.
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
        // A line left of the first one can only belong at the body's indentation.
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
        // The first match counts; the very beginning is not the start of a later line.
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
