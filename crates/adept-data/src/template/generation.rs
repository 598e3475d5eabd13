//! transformers' own tags, `{% generation %}` and `{% endgeneration %}`, which enclose what an assistant has generated.
//!
//! They do not change the text, and the engine does not know them: they are replaced with no-op tags on the same line,
//! with the same white-space control, and where their places are wanted with a mark between two such tags.

/// Variable that holds the text of a mark.
pub(super) const MARK: &str = "generation_mark";

/// Whether a template has the tags.
pub(super) fn has_generation_tags(template: &str) -> bool {
    without_tags(template) != template
}

/// The template without the tags.
pub(super) fn without_tags(template: &str) -> String {
    replaced(template, |before, after, is_start| {
        let plain = if is_start { "if true" } else { "endif" };
        format!("{{%{before} {plain} {after}%}}")
    })
}

/// The template with the text of [`MARK`] in place of the tags.
pub(super) fn with_marks(template: &str) -> String {
    // Of the two tags the first ends where white-space control before the mark ends, and the second begins where the
    // control behind it begins.
    replaced(template, |before, after, is_start| match is_start {
        true => format!("{{%{before} if true %}}{{{{ {MARK} }}}}{{% if true {after}%}}"),
        false => format!("{{%{before} endif %}}{{{{ {MARK} }}}}{{% endif {after}%}}"),
    })
}

/// Replaces each tag with what `write` makes of its white-space control on either side and of whether it is the first
/// of its pair.
fn replaced(template: &str, write: impl Fn(&str, &str, bool) -> String) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(place) = rest.find("{%") {
        let (before, tag) = rest.split_at(place);
        out.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let inside = &tag[2..end];
        let control = |side: Option<char>| match side {
            Some('-') => "-",
            Some('+') => "+",
            _ => "",
        };
        let sides = (control(inside.chars().next()), control(inside.chars().next_back()));
        match inside.trim_matches(['-', '+']).trim() {
            "generation" => out.push_str(&write(sides.0, sides.1, true)),
            "endgeneration" => out.push_str(&write(sides.0, sides.1, false)),
            _ => out.push_str(&tag[..end + 2]),
        }
        rest = &tag[end + 2..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_replaced_with_their_white_space_control() {
        let template = "a {%- generation +%}b{% endgeneration -%} c {% if x %}";
        assert!(has_generation_tags(template) && !has_generation_tags("a {% if generation %}"));
        assert_eq!(without_tags(template), "a {%- if true +%}b{% endif -%} c {% if x %}");
        let marked = "a {%- if true %}{{ generation_mark }}{% if true +%}b{% endif %}{{ generation_mark }}{% endif -%} c {% if x %}";
        assert_eq!(with_marks(template), marked);
        assert_eq!(without_tags("{% generation"), "{% generation");
    }
}
