//! The table of fields in `docs/pretraining.md`, made from the schema.

use std::fmt::Write;

use super::config::{PRETRAIN, defaults};
use crate::config::document::{heading, kind, value};
use crate::config::fields::{Field, Kind};

/// Begins and ends the generated part of the page.
const MARKS: [&str; 2] = ["<!-- fields -->\n", "<!-- end of fields -->\n"];

/// The generated part of the page.
fn tables() -> String {
    let defaults = defaults();
    let mut page = String::new();
    let mut section = None;
    let columns = "| key | type | default | meaning |\n|---|---|---|---|\n";
    for field in &PRETRAIN.fields {
        if section != Some(field.section()) {
            let _ = write!(page, "\n{}{columns}", heading("###", field.section(), &PRETRAIN));
            section = Some(field.section());
        }
        line(&mut page, field, &value(&defaults[&field.key]));
    }
    for field in &PRETRAIN.fields {
        let Kind::Tables(table) = &field.kind else { continue };
        let _ = write!(page, "\n### `[[{}]]`\n\n{columns}", field.key);
        for field in &table.fields {
            line(&mut page, field, "");
        }
    }
    page.push('\n');
    page
}

fn line(page: &mut String, field: &Field, default: &str) {
    let free = if field.decides { "" } else { " *Free.*" };
    let kind = match &field.kind {
        Kind::Choice(_) => kind(&field.kind),
        other => other.describe(),
    };
    let default = if default == "(must be given)" {
        "`\"\"`"
    } else {
        default
    };
    let _ = writeln!(
        page,
        "| `{}` | {kind} | {default} | {}{free} |",
        field.key, field.meaning
    );
}

/// A page with its generated part renewed; `None` where it has not the marks of one.
pub fn page(text: &str) -> Option<String> {
    let begin = text.find(MARKS[0])? + MARKS[0].len();
    let end = begin + text[begin..].find(MARKS[1])?;
    Some(format!("{}{}{}", &text[..begin], tables(), &text[end..]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Run with `ADEPT_RENEW_DOCS=1` to write the tables anew.
    #[test]
    fn page_is_in_step_with_the_code() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pretraining.md");
        let found = std::fs::read_to_string(&path).unwrap();
        let expected = page(&found).expect("the page has the marks of its generated part");
        if std::env::var_os("ADEPT_RENEW_DOCS").is_some() {
            std::fs::write(&path, &expected).unwrap();
            return;
        }
        assert!(
            found == expected,
            "docs/pretraining.md is stale: run `ADEPT_RENEW_DOCS=1 cargo test -p adept-train page_is`"
        );
    }
}
