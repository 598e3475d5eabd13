//! What chat templates expect from Python's Jinja as configured by transformers, beyond what the engine provides.

use jiff::Zoned;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, ErrorKind, Value};
use serde::Serialize as _;
use serde_json::ser::Formatter;

/// Limit on rendering steps and on output (in pieces of 64 bytes): far more than any conversation needs, and an endless
/// template is stopped within a second or so.
const FUEL: u64 = 5_000_000;

/// An environment equivalent to that of `apply_chat_template`: blocks consume the following line break and the
/// preceding indentation, loops support `break` and `continue`, strings and dictionaries have Python's methods.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
    environment.set_fuel(Some(FUEL));
    // Errors name what is undefined, in releases too; the engine's default is to do so in debug builds only.
    environment.set_debug(true);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    environment
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The local time, formatted as by `datetime.now().strftime`.
fn strftime_now(format: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, &Zoned::now()).map_err(|cause| {
        let message = format!("strftime_now: {format:?}: {cause}");
        Error::new(ErrorKind::InvalidOperation, message)
    })
}

/// `json.dumps`: unlike Jinja's own filter, it does not escape HTML characters.
fn tojson(value: &Value, arguments: Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let given = |place: usize, name: &str| -> Result<Option<Value>, Error> {
        match arguments.get(place) {
            Some(value) => Ok(Some(value.clone())),
            None => named.get(name),
        }
    };
    let [ascii, indent, separators, sorted] = [
        given(0, "ensure_ascii")?,
        given(1, "indent")?,
        given(2, "separators")?,
        given(3, "sort_keys")?,
    ];
    named.assert_all_used()?;
    let indent = match indent.filter(|indent| !indent.is_none()) {
        None => None,
        Some(indent) => Some(match indent.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(usize::try_from(indent)?.min(64)),
        }),
    };
    let (mut item, mut key) = (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned());
    if let Some(separators) = separators.filter(|separators| !separators.is_none()) {
        let mut texts = separators.try_iter()?.map(|text| text.to_string());
        (item, key) = texts.next().zip(texts.next()).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                "tojson: expected two separators, found fewer",
            )
        })?;
    }
    let style = PythonStyle {
        indent,
        item,
        key,
        ascii: ascii.is_some_and(|ascii| ascii.is_true()),
        depth: 0,
        is_empty: true,
    };
    let failed =
        |cause| Error::new(ErrorKind::InvalidOperation, "tojson: the value is not valid JSON").with_source(cause);
    let mut value = serde_json::to_value(value).map_err(failed)?;
    if sorted.is_some_and(|sorted| sorted.is_true()) {
        value.sort_all_objects();
    }
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, style);
    value.serialize(&mut serializer).map_err(failed)?;
    Ok(String::from_utf8(bytes).expect("JSON is UTF-8"))
}

/// Formats JSON like Python's `json`.
struct PythonStyle {
    /// Indentation of one level; `None` writes everything on one line.
    indent: Option<String>,
    item: String,
    key: String,
    /// Whether non-ASCII characters are escaped.
    ascii: bool,
    depth: usize,
    /// Whether the current list or object is still empty.
    is_empty: bool,
}

type Written = std::io::Result<()>;

impl PythonStyle {
    fn open<W: std::io::Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> Written {
        self.depth += 1;
        self.is_empty = true;
        out.write_all(bracket)
    }

    fn close<W: std::io::Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> Written {
        self.depth -= 1;
        if !self.is_empty {
            self.line(out)?;
        }
        self.is_empty = false;
        out.write_all(bracket)
    }

    fn begin<W: std::io::Write + ?Sized>(&mut self, out: &mut W, first: bool) -> Written {
        if !first {
            out.write_all(self.item.as_bytes())?;
        }
        self.is_empty = false;
        self.line(out)
    }

    fn line<W: std::io::Write + ?Sized>(&self, out: &mut W) -> Written {
        match &self.indent {
            Some(indent) => out.write_all(format!("\n{}", indent.repeat(self.depth)).as_bytes()),
            None => Ok(()),
        }
    }
}

impl Formatter for PythonStyle {
    fn begin_array<W: std::io::Write + ?Sized>(&mut self, out: &mut W) -> Written {
        self.open(out, b"[")
    }

    fn end_array<W: std::io::Write + ?Sized>(&mut self, out: &mut W) -> Written {
        self.close(out, b"]")
    }

    fn begin_array_value<W: std::io::Write + ?Sized>(&mut self, out: &mut W, first: bool) -> Written {
        self.begin(out, first)
    }

    fn begin_object<W: std::io::Write + ?Sized>(&mut self, out: &mut W) -> Written {
        self.open(out, b"{")
    }

    fn end_object<W: std::io::Write + ?Sized>(&mut self, out: &mut W) -> Written {
        self.close(out, b"}")
    }

    fn begin_object_key<W: std::io::Write + ?Sized>(&mut self, out: &mut W, first: bool) -> Written {
        self.begin(out, first)
    }

    fn begin_object_value<W: std::io::Write + ?Sized>(&mut self, out: &mut W) -> Written {
        out.write_all(self.key.as_bytes())
    }

    fn write_string_fragment<W: std::io::Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> Written {
        for character in fragment.chars() {
            match character {
                _ if self.ascii && !character.is_ascii() => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        write!(out, "\\u{unit:04x}")?;
                    }
                }
                _ => write!(out, "{character}")?,
            }
        }
        Ok(())
    }
}
