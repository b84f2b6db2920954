//! Text into HTML: escaping, templates with holes, small pieces of markup.

use std::fmt::Write;

/// `text` as it may stand between tags and within quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// `value` as it may stand within a script element: no tag can begin in it.
pub(crate) fn script_json(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

/// `template` with each `{{name}}` replaced by its value; values are not searched for holes.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len() + values.iter().map(|(_, v)| v.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(before);
        page.push_str(values.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value));
        rest = after;
    }
    page + rest
}

/// `<tag attributes>text</tag>` with the text escaped; nothing at all when there is no text.
pub(crate) fn element(opening: &str, text: &str) -> String {
    let tag = opening.split(' ').next().unwrap_or(opening);
    if text.is_empty() { String::new() } else { format!("<{opening}>{}</{tag}>\n", escape(text)) }
}

/// A table that scrolls within itself. The first column heads its row; columns of numbers are aligned as numbers.
pub(crate) fn table(columns: &[String], rows: &[Vec<String>]) -> String {
    let numeric: Vec<&str> = (0..columns.len()).map(|column| class_of(column, rows)).collect();
    let mut html = String::from("<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>");
    for (name, class) in columns.iter().zip(&numeric) {
        let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", escape(name));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let tag = if column == 0 { "th scope=\"row\"" } else { "td" };
            let class = numeric.get(column).copied().unwrap_or_default();
            let _ = write!(html, "<{tag}{class}>{}</{}>", escape(cell), &tag[..2]);
        }
        html.push_str("</tr>\n");
    }
    html + "</tbody></table></div>\n"
}

fn class_of(column: usize, rows: &[Vec<String>]) -> &'static str {
    let is_number = |text: &String| text.starts_with(|c: char| c.is_ascii_digit() || "-+−<≈".contains(c));
    let mut cells = rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty()).peekable();
    if cells.peek().is_some() && cells.all(is_number) { " class=\"number\"" } else { "" }
}

/// A number for a table: whole ones whole, others with four significant digits.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => value.to_string(),
        _ if value.fract() == 0.0 && size < 1e9 => format!("{value:.0}"),
        _ if (1e-3..1e6).contains(&size) => {
            let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.decimals$}")
        }
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_significant_digits() {
        let cases = [
            (0.0, "0"),
            (-12.0, "-12"),
            (231.04, "231.0"),
            (0.0058312, "0.005831"),
            (0.91349, "0.9135"),
            (5e-4, "5.000e-4"),
            (-1234567.8, "-1.235e6"),
            (f64::NAN, "NaN"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn holes_are_filled_once() {
        assert_eq!(fill("a{{x}}b{{y}}c{{z}}", &[("x", "{{y}}"), ("y", "2")]), "a{{y}}b2c");
    }

    #[test]
    fn only_columns_of_numbers_are_aligned_as_numbers() {
        let rows = [["1a", "2.5", "x"], ["b", "", "3"], ["c", "-7 %", "4"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!([0, 1, 2].map(|column| class_of(column, &rows)), ["", " class=\"number\"", ""]);
    }
}
