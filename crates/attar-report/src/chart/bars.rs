//! Grouped bars with intervals; baselines are hatched.

use serde_json::{Value, json};

use super::lines::error_bars;
use super::{Axis, Drawing, Plot, colour, plain, translucent};
use crate::html::number;

/// Bars in groups.
#[derive(Debug, Clone, Default)]
pub struct Bars {
    /// The figure's title.
    pub title: String,
    /// A line under the figure; may be empty.
    pub caption: String,
    /// Of the bars' lengths.
    pub y: Axis,
    /// The groups, from left to right.
    pub groups: Vec<String>,
    /// The bars within each group, from left to right.
    pub series: Vec<BarSeries>,
}

/// The bars of one name, one in each group.
#[derive(Debug, Clone, Default)]
pub struct BarSeries {
    /// As the legend names it.
    pub name: String,
    /// One for each group; one that is not finite is left out.
    pub values: Vec<f64>,
    /// The lower ends of the intervals, one for each group; empty where there are none.
    pub low: Vec<f64>,
    /// The upper ends.
    pub high: Vec<f64>,
    /// Whether it is there to be compared with: hatched, not filled.
    pub baseline: bool,
    /// An index into the palette of ten.
    pub colour: usize,
}

impl Bars {
    pub(crate) fn draw(&self) -> Drawing {
        let baselines = self.series.iter().any(|series| series.baseline);
        let names: Vec<&str> = self.series.iter().map(|series| series.name.as_str()).collect();
        let plot = Plot {
            title: String::new(),
            description: format!("{} by {}: {}", self.y.name(), self.groups.join(", "), names.join(", ")),
            traces: self.series.iter().map(|series| self.trace(series)).collect(),
            layout: json!({
                "xaxis": { "type": "category", "automargin": true }, "yaxis": self.y.layout(),
                "barmode": "group", "bargap": 0.25, "bargroupgap": 0.08, "showlegend": true,
            }),
            pictures: Vec::new(),
        };
        let columns = ["group", "series", self.y.name(), "low", "high"].map(str::to_owned).to_vec();
        let key = if baselines { "Hatched bars are baselines." } else { "" };
        Drawing { kind: "Bar chart", plots: vec![plot], columns, rows: self.rows(), key }
    }

    fn trace(&self, series: &BarSeries) -> Value {
        let pattern = if series.baseline { hatch(series.colour) } else { json!({}) };
        let fill = if series.baseline { translucent(series.colour) } else { colour(series.colour) };
        let groups: Vec<String> = self.groups.iter().map(|group| wrapped(group)).collect();
        let mut trace = json!({
            "type": "bar", "name": plain(&series.name), "x": groups, "y": series.values,
            "marker": {
                "color": fill, "pattern": pattern,
                "line": { "color": colour(series.colour), "width": 1.5 },
            },
        });
        if !series.low.is_empty() {
            trace["error_y"] = error_bars(&series.values, &series.low, &series.high);
            trace["error_y"]["color"] = json!("var(--ink)");
        }
        trace
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let at = |values: &[f64], group: usize| values.get(group).map_or(String::new(), |&value| number(value));
        let of_group = |(group, name): (usize, &String)| {
            let name = name.clone();
            self.series.iter().map(move |series| {
                vec![
                    name.clone(),
                    series.name.clone(),
                    at(&series.values, group),
                    at(&series.low, group),
                    at(&series.high, group),
                ]
            })
        };
        self.groups.iter().enumerate().flat_map(of_group).collect()
    }
}

/// A group's name on lines of some ten characters, so that it stands level on a phone.
fn wrapped(name: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in name.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < 10 => *line = format!("{line} {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("<br>")
}

fn hatch(index: usize) -> Value {
    const SHAPES: [&str; 6] = ["/", "\\", "x", ".", "-", "|"];
    json!({ "shape": SHAPES[index % SHAPES.len()], "fgcolor": colour(index), "fillmode": "overlay", "size": 7 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_are_hatched_and_said_to_be() {
        let series = |baseline| BarSeries {
            name: "s".into(),
            values: vec![0.5, f64::NAN],
            low: vec![0.25, f64::NAN],
            high: vec![1.5, f64::NAN],
            baseline,
            colour: 1,
        };
        let groups = vec!["k nearest <neighbours>".to_owned(), "ridge".to_owned()];
        let bars = Bars { groups, series: vec![series(false), series(true)], ..Bars::default() };
        let drawing = bars.draw();
        let [learned, baseline] = &drawing.plots[0].traces[..] else { panic!("expected two traces") };
        assert_eq!(learned["x"], json!(["k nearest<br>&lt;neighbours&gt;", "ridge"]));
        assert_eq!(learned["error_y"]["array"], json!([1.0, null]));
        assert_eq!(learned["error_y"]["arrayminus"], json!([0.25, null]));
        assert!(learned["marker"]["pattern"]["shape"].is_null() && !baseline["marker"]["pattern"]["shape"].is_null());
        assert!(!drawing.key.is_empty());
        assert_eq!(drawing.rows[1], ["k nearest <neighbours>", "s", "0.5000", "0.2500", "1.500"]);
    }
}
