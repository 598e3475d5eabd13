//! The official files of the tasks with classes: names and columns as their authors publish them.

use serde::Serialize;

use super::winogrande::Gap;
use crate::tasks::Row;

#[derive(Serialize)]
struct GapLine<'a> {
    #[serde(rename = "qID")]
    id: String,
    sentence: &'a str,
    option1: &'a str,
    option2: &'a str,
    answer: &'a str,
}

/// JSON lines; twins have a number in common.
pub(super) fn winogrande(rows: &[Gap]) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let line = GapLine {
            id: format!("{:05}-{}", index / 2, index % 2 + 1),
            sentence: &row.sentence,
            option1: &row.options[0],
            option2: &row.options[1],
            answer: row.answer,
        };
        text += &serde_json::to_string(&line)?;
        text.push('\n');
    }
    Ok(text)
}

/// Yelp's table of quoted values, whose classes count from one; SciTail's without a header; PAWS' with one.
pub(super) fn table(folder: &str, rows: &[Row]) -> String {
    let header = if folder == "PAWS" {
        "id\tsentence1\tsentence2\tlabel\n"
    } else {
        ""
    };
    let lines = rows.iter().enumerate().map(|(index, Row { texts, label, .. })| {
        let (first, second) = (&texts[0], texts.get(1).map_or("", String::as_str));
        match folder {
            "Yelp" => {
                let class = if label == "1" { "2" } else { "1" };
                format!("\"{class}\",\"{}\"\n", first.replace('"', "\"\""))
            }
            "SciTail" => format!("{first}\t{second}\t{label}\n"),
            _ => format!("{}\t{first}\t{second}\t{label}\n", index + 1),
        }
    });
    header.to_string() + &lines.collect::<String>()
}
