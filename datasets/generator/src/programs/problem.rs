//! One problem: a family with names, constants, inputs and what they give.

use super::family::{Constants, Family};
use super::value::{Kind, Value};
use crate::dice::Dice;

/// Inputs that the statement shows, and those that only the tests have.
const SHOWN: usize = 2;
const HIDDEN: usize = 3;

/// Draws of inputs before a problem is given up: its answers are all the same.
const ATTEMPTS: usize = 20;

/// How a statement asks; `{}` is what for.
const BASE_FRAMES: [&str; 3] = ["Return {}.", "Give {}.", "{}"];
const SAMPLE_FRAMES: [&str; 3] = [
    "Write a function that returns {}.",
    "The function returns {}.",
    "Return {}.",
];

/// A problem without its statement.
#[derive(Debug, Clone)]
pub struct Problem {
    family: &'static Family,
    constants: Constants,
    arguments: Vec<&'static str>,
    /// The function's name.
    pub name: &'static str,
}

/// A problem as the sample has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Signature and docstring.
    pub prompt: String,
    /// The function's body.
    pub solution: String,
    /// The function `check`.
    pub test: String,
    /// What is asked for, in one sentence.
    pub description: String,
}

impl Problem {
    /// A problem of a family.
    pub fn draw(family: &'static Family, dice: &mut Dice) -> Self {
        // Texts are short, so that more would be all of them.
        let highest = match family.arguments[0] {
            Kind::Text | Kind::Words => 4,
            Kind::Int | Kind::Ints => 8,
        };
        let k = 2 + dice.below(highest - 1) as i64;
        let m = k + 1 + dice.below(9 - k as usize) as i64;
        let mut arguments: Vec<&'static str> = Vec::new();
        for kind in family.arguments {
            let name = loop {
                let name = dice.word(kind.names());
                if !arguments.contains(&name) {
                    break name;
                }
            };
            arguments.push(name);
        }
        Self {
            family,
            constants: Constants { k, m },
            arguments,
            name: dice.word(family.names),
        }
    }

    /// The first line.
    #[must_use]
    pub fn signature(&self) -> String {
        format!("def {}({}):\n", self.name, self.arguments.join(", "))
    }

    /// The function's body.
    #[must_use]
    pub fn solution(&self) -> String {
        let lines = self.family.body.lines();
        lines.map(|line| format!("    {}\n", self.filled(line))).collect()
    }

    /// Names and constants put in place of what stands for them.
    fn filled(&self, text: &str) -> String {
        let Constants { k, m } = self.constants;
        let mut text = text.replace("{k}", &k.to_string()).replace("{m}", &m.to_string());
        for (mark, name) in ["{a}", "{b}"].iter().zip(&self.arguments) {
            text = text.replace(mark, name);
        }
        text
    }

    /// As it is in the backbone's pretraining: a comment above the signature or below it, there with examples, or a
    /// docstring of one line. With one form alone the model would know where in a row each part is, and nothing else.
    pub fn base(&self, dice: &mut Dice) -> (String, String) {
        let wordings = self.family.wordings;
        let wording = dice.pick(&[wordings.base, wordings.shared]);
        let statement = self.statement(dice.pick(&BASE_FRAMES), wording);
        let signature = self.signature();
        let source = match dice.below(4) {
            0 => format!("{signature}    \"\"\"{statement}\"\"\"\n"),
            1 => {
                let mut source = format!("{signature}    # {statement}\n");
                for (inputs, expected) in self.calls(dice).iter().flatten().take(SHOWN) {
                    source.push_str(&format!("    # {}({inputs}) is {expected}\n", self.name));
                }
                source
            }
            _ => format!("# {statement}\n{signature}"),
        };
        (source, self.solution())
    }

    /// As it is in the sample: a docstring with examples. `None` if its tests would not tell solutions apart.
    pub fn sample(&self, dice: &mut Dice) -> Option<Row> {
        let wordings = self.family.wordings;
        let wording = dice.pick(&[wordings.shared, wordings.sample]);
        let description = self.statement(dice.pick(&SAMPLE_FRAMES), wording);
        let calls = self.calls(dice)?;
        let mut prompt = format!("{}    \"\"\"\n    {description}\n", self.signature());
        for (inputs, expected) in &calls[..SHOWN] {
            prompt.push_str(&format!("    >>> {}({inputs})\n    {expected}\n", self.name));
        }
        prompt.push_str("    \"\"\"\n");
        let asserts = calls
            .iter()
            .map(|(inputs, expected)| format!("    assert candidate({inputs}) == {expected}\n"));
        Some(Row {
            prompt,
            solution: self.solution(),
            test: format!("def check(candidate):\n{}", asserts.collect::<String>()),
            description,
        })
    }

    fn statement(&self, frame: &str, wording: &str) -> String {
        frame.replace("{}", &self.filled(wording))
    }

    /// Inputs and what they give, as Python writes them. No two inputs are the same, and of what is not shown not all
    /// gives the same.
    fn calls(&self, dice: &mut Dice) -> Option<Vec<(String, String)>> {
        for _ in 0..ATTEMPTS {
            let mut calls: Vec<(String, String)> = Vec::new();
            while calls.len() < SHOWN + HIDDEN {
                let inputs = self.inputs(dice);
                let written: Vec<String> = inputs.iter().map(ToString::to_string).collect();
                let written = written.join(", ");
                if calls.iter().all(|(known, _)| *known != written) {
                    calls.push((written, (self.family.solve)(&inputs, self.constants).to_string()));
                }
            }
            if calls[SHOWN + 1..].iter().any(|(_, given)| *given != calls[SHOWN].1) {
                return Some(calls);
            }
        }
        None
    }

    fn inputs(&self, dice: &mut Dice) -> Vec<Value> {
        let kinds = self.family.arguments;
        let mut inputs: Vec<Value> = kinds.iter().map(|kind| kind.draw(dice)).collect();
        // A word is hardly ever in another one by chance.
        if kinds == [Kind::Text, Kind::Text] && dice.chance(40) {
            let start: String = inputs[0].text().chars().take(2).collect();
            inputs[1] = Value::Text(start);
        }
        inputs
    }
}
