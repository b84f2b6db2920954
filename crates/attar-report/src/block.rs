//! Each kind of block as HTML.

use std::fmt::Write;

use serde_json::json;

use crate::chart::{Drawing, Plot};
use crate::html::{element, escape, script_json, table};
use crate::{Block, Claims, Images, KeyValues, Table, Verdict};

/// `block` as HTML; `number` counts the figures of the page, and makes their ids.
pub(crate) fn block(block: &Block, number: &mut usize) -> String {
    let mut figure = |class: &str, title: &str, content: String, caption: &str| {
        *number += 1;
        figure(*number, class, title, &content, caption)
    };
    match block {
        Block::Lines(lines) => chart(lines.draw(), &lines.title, &lines.caption, figure),
        Block::Bars(bars) => chart(bars.draw(), &bars.title, &bars.caption, figure),
        Block::Scatter(scatter) => chart(scatter.draw(), &scatter.title, &scatter.caption, figure),
        Block::Images(images) => figure("pictures", &images.title, pictures(images), &images.caption),
        Block::Table(Table { title, caption, columns, rows }) => {
            let class = if rows.len() > 20 { "long" } else { "" };
            figure(class, title, table(columns, rows), caption)
        }
        Block::KeyValues(values) => figure("", &values.title, pairs(values), ""),
        Block::Claims(list) => figure("claims", &list.title, claims(list), ""),
        Block::Note(text) => format!("<p class=\"note\">{}</p>\n", escape(text)),
        Block::Warning(text) => {
            format!("<p class=\"warning\" role=\"alert\"><strong>Warning:</strong> {}</p>\n", escape(text))
        }
    }
}

/// A sign and a word, for those who see and those who hear.
pub(crate) fn sign(verdict: Verdict) -> (&'static str, &'static str, &'static str) {
    match verdict {
        Verdict::Good => ("good", "✓", "holds"),
        Verdict::Bad => ("bad", "✗", "fails"),
        Verdict::Neutral => ("neutral", "•", "open"),
    }
}

fn figure(number: usize, class: &str, title: &str, content: &str, caption: &str) -> String {
    let title = if title.is_empty() { format!("Figure {number}") } else { escape(title) };
    let caption = element("p class=\"caption\"", caption);
    format!(
        "<figure id=\"figure-{number}\" class=\"{class}\" aria-labelledby=\"figure-{number}-title\">\n\
         <h3 id=\"figure-{number}-title\">{title}</h3>\n{content}{caption}</figure>\n"
    )
}

fn chart(
    drawing: Drawing,
    title: &str,
    caption: &str,
    mut figure: impl FnMut(&str, &str, String, &str) -> String,
) -> String {
    let many = if drawing.plots.len() > 1 { " many" } else { "" };
    let panels: String = drawing.plots.iter().map(|plot| panel(drawing.kind, title, plot)).collect();
    let caption = element("p class=\"caption\"", format!("{caption} {}", drawing.key).trim());
    let numbers = table(&drawing.columns, &drawing.rows);
    let content = format!(
        "<div class=\"panels{many}\">\n{panels}</div>\n{caption}\
         <details><summary>The numbers</summary>\n{numbers}</details>\n"
    );
    figure(drawing.class, title, content, "")
}

fn panel(kind: &str, title: &str, plot: &Plot) -> String {
    let data = json!({ "traces": plot.traces, "layout": plot.layout, "pictures": plot.pictures });
    let label = [title, &plot.title, &plot.description].map(escape);
    let label = label.iter().filter(|part| !part.is_empty()).fold(kind.to_owned(), |all, part| all + ". " + part);
    format!(
        "<div class=\"panel\">\n{}<div class=\"plot\" role=\"img\" aria-label=\"{label}\"></div>\
         <script type=\"application/json\">{}</script>\n</div>\n",
        element("h4", &plot.title),
        script_json(&data)
    )
}

fn pictures(images: &Images) -> String {
    let mut html = String::from("<div class=\"scroll\" tabindex=\"0\"><table>\n");
    if !images.columns.is_empty() {
        let heads = images.columns.iter().map(|name| format!("<th scope=\"col\">{}</th>", escape(name)));
        let _ = writeln!(html, "<thead><tr><th></th>{}</tr></thead>", heads.collect::<String>());
    }
    html.push_str("<tbody>\n");
    for row in &images.rows {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(&row.name));
        for (column, image) in row.images.iter().enumerate() {
            let example = images.columns.get(column).cloned().unwrap_or_else(|| (column + 1).to_string());
            let alt = escape(&format!("{}, {example}", row.name));
            let (width, height) = image.size();
            let source = image.data_uri();
            let _ = write!(html, "<td><img alt=\"{alt}\" width=\"{width}\" height=\"{height}\" src=\"{source}\"></td>");
        }
        html.push_str("</tr>\n");
    }
    html + "</tbody></table></div>\n"
}

fn pairs(values: &KeyValues) -> String {
    let pair = |(key, value): &(String, String)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(key), escape(value));
    format!("<dl>\n{}</dl>\n", values.pairs.iter().map(pair).collect::<String>())
}

fn claims(list: &Claims) -> String {
    let mut html = String::from(
        "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr><th scope=\"col\">Claim</th>\
         <th scope=\"col\">Measured</th><th scope=\"col\">Tolerance</th><th scope=\"col\">Verdict</th></tr></thead>\n\
         <tbody>\n",
    );
    for claim in &list.claims {
        let (class, sign, word) = sign(claim.verdict);
        let [sentence, measured, tolerance] = [&claim.sentence, &claim.measured, &claim.tolerance].map(|t| escape(t));
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{sentence}</th><td>{measured}</td><td>{tolerance}</td>\
             <td class=\"{class}\">{sign} {word}</td></tr>"
        );
    }
    html + "</tbody></table></div>\n"
}
