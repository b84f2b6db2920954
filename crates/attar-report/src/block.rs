//! Each kind of block as HTML.

use std::fmt::Write;

use serde_json::json;

use crate::chart::{Drawing, Plot};
use crate::html::{element, escape, script_json, table};
use crate::{Block, Claims, Images, KeyValues, Verdict};

/// `block` as HTML; `number` counts the figures of the page, and makes their ids.
pub(crate) fn block(block: &Block, number: &mut usize) -> String {
    let (class, title, content) = match block {
        Block::Lines(lines) => ("chart", &lines.title, chart(lines.draw(), &lines.title, &lines.caption)),
        Block::Bars(bars) => ("chart", &bars.title, chart(bars.draw(), &bars.title, &bars.caption)),
        Block::Scatter(map) => ("chart map", &map.title, chart(map.draw(), &map.title, &map.caption)),
        Block::Images(images) => ("pictures", &images.title, pictures(images) + &caption(&images.caption)),
        Block::Table(list) => {
            let class = if list.rows.len() > 20 { "long" } else { "" };
            (class, &list.title, table(&list.columns, &list.rows) + &caption(&list.caption))
        }
        Block::KeyValues(values) => ("", &values.title, pairs(values)),
        Block::Claims(list) => ("claims", &list.title, claims(list)),
        Block::Note(text) => return format!("<p class=\"note\">{}</p>\n", escape(text)),
        Block::Warning(text) => return warning(text),
    };
    *number += 1;
    figure(*number, class, title, &content)
}

/// A sign and a word, for those who see and those who hear.
pub(crate) fn sign(verdict: Verdict) -> (&'static str, &'static str, &'static str) {
    match verdict {
        Verdict::Good => ("good", "✓", "holds"),
        Verdict::Bad => ("bad", "✗", "fails"),
        Verdict::Neutral => ("neutral", "•", "open"),
    }
}

fn figure(number: usize, class: &str, title: &str, content: &str) -> String {
    let title = if title.is_empty() { format!("Figure {number}") } else { escape(title) };
    format!(
        "<figure id=\"figure-{number}\" class=\"{class}\" aria-labelledby=\"figure-{number}-title\">\n\
         <h3 id=\"figure-{number}-title\">{title}</h3>\n{content}</figure>\n"
    )
}

fn caption(text: &str) -> String {
    element("p class=\"caption\"", text)
}

fn warning(text: &str) -> String {
    format!("<p class=\"warning\"><strong>Warning:</strong> {}</p>\n", escape(text))
}

fn chart(drawing: Drawing, title: &str, text: &str) -> String {
    let many = if drawing.plots.len() > 1 { " many" } else { "" };
    let panels: String = drawing.plots.iter().map(|plot| panel(drawing.kind, title, plot)).collect();
    let caption = caption(format!("{text} {}", drawing.key).trim());
    let numbers = table(&drawing.columns, &drawing.rows);
    format!(
        "<div class=\"panels{many}\">\n{panels}</div>\n{caption}\
         <details><summary>The numbers</summary>\n{numbers}</details>\n"
    )
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
