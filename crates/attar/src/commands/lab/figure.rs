//! Figures of a laboratory, and the tables behind them.

use attar_report::{Axis, Block, Dash, Lines, Panel, Series, Table};
use serde_json::{Value, json};

/// A curve with a dot at each value.
pub(super) fn dotted(name: impl Into<String>, colour: usize, points: &[(f64, f64)]) -> Series {
    Series { markers: true, ..line(name, colour, Dash::Solid, points) }
}

/// A curve without dots.
pub(super) fn line(name: impl Into<String>, colour: usize, dash: Dash, points: &[(f64, f64)]) -> Series {
    let (x, y) = points.iter().copied().unzip();
    Series { name: name.into(), x, y, colour, dash, ..Series::default() }
}

pub(super) fn panel(title: impl Into<String>, series: Vec<Series>) -> Panel {
    Panel { title: title.into(), series }
}

pub(super) fn lines(title: &str, caption: &str, [x, y]: [Axis; 2], panels: Vec<Panel>) -> Block {
    Block::Lines(Lines { title: title.into(), caption: caption.into(), x, y, panels })
}

pub(super) fn table(title: &str, caption: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Block {
    let columns = columns.iter().map(|&column| column.to_owned()).collect();
    Block::Table(Table { title: title.into(), caption: caption.into(), columns, rows })
}

/// What the figures draw, as numbers.
pub(super) fn tables(figures: &[Block]) -> Value {
    let series = |series: &Series| json!({ "name": series.name, "x": series.x, "y": series.y });
    let panel =
        |panel: &Panel| json!({ "panel": panel.title, "series": panel.series.iter().map(series).collect::<Vec<_>>() });
    let figure = |block: &Block| match block {
        Block::Lines(lines) => Some(json!({
            "title": lines.title, "x": lines.x.title, "y": lines.y.title,
            "panels": lines.panels.iter().map(panel).collect::<Vec<_>>(),
        })),
        Block::Table(table) => Some(json!({ "title": table.title, "columns": table.columns, "rows": table.rows })),
        _ => None,
    };
    figures.iter().filter_map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_hold_what_is_drawn() {
        let curve = dotted("loss", 0, &[(1.0, 4.0), (2.0, 3.0)]);
        let axes = [Axis::linear("step"), Axis::log("loss")];
        let figures =
            [lines("Loss", "", axes, vec![panel("p", vec![curve])]), table("T", "", &["a"], vec![vec!["1".into()]])];
        let tables = tables(&figures);
        assert_eq!(tables[0]["panels"][0]["series"][0]["y"], json!([4.0, 3.0]));
        assert_eq!(tables[1]["rows"], json!([["1"]]));
    }
}
