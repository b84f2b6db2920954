//! Points in the plane, with pictures on hover.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Axis, Drawing, Plot, colour, plain, symbol};
use crate::Image;
use crate::html::number;

/// Points in the plane; some thousands at most, since each is drawn by itself.
#[derive(Debug, Clone, Default)]
pub struct Scatter {
    /// The figure's title.
    pub title: String,
    /// A line under the figure; may be empty.
    pub caption: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// `[x, y]` of each point.
    pub points: Vec<[f64; 2]>,
    /// How the points are told apart.
    pub colouring: Colouring,
    /// What is said of each point on hover; may be empty.
    pub names: Vec<String>,
    /// What is shown of each point on hover; may be empty.
    pub thumbnails: Vec<Image>,
}

/// How points are told apart.
#[derive(Debug, Clone, Default)]
pub enum Colouring {
    /// Not at all.
    #[default]
    None,
    /// By class: colour and shape.
    Classes {
        /// As the legend names them.
        names: Vec<String>,
        /// The class of each point, an index into `names`.
        of: Vec<usize>,
    },
    /// By a number: a scale of colours.
    Values {
        /// What the number is.
        name: String,
        /// Of each point.
        of: Vec<f64>,
    },
}

/// From blue to yellow, told apart by all; the page's style has it lighter in the dark.
const SCALE: [(f64, &str); 3] = [(0.0, "var(--low)"), (0.5, "var(--middle)"), (1.0, "var(--high)")];

impl Scatter {
    pub(crate) fn draw(&self) -> Drawing {
        let traces = match &self.colouring {
            Colouring::Classes { names, .. } => self
                .members()
                .iter()
                .map(|(&class, members)| class_trace(self, class, names.get(class), members))
                .collect(),
            Colouring::Values { name, of } => vec![self.value_trace(name, of)],
            Colouring::None => vec![self.trace(&self.everyone(), json!({ "color": colour(0), "size": 6 }))],
        };
        let plot = Plot {
            title: String::new(),
            description: format!("{} points, {} against {}", self.points.len(), self.y.name(), self.x.name()),
            layout: json!({
                "xaxis": self.x.layout(), "yaxis": self.y.layout(),
                "showlegend": traces.len() > 1,
            }),
            traces,
            pictures: self.thumbnails.iter().map(Image::data_uri).collect(),
        };
        let columns = ["class", "points", "mean x", "mean y"].map(str::to_owned).to_vec();
        Drawing { kind: "Scatter plot", plots: vec![plot], columns, rows: self.rows(), key: "" }
    }

    fn everyone(&self) -> Vec<usize> {
        (0..self.points.len()).collect()
    }

    /// The points of each class, in order of class.
    fn members(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut members = BTreeMap::<usize, Vec<usize>>::new();
        match &self.colouring {
            Colouring::Classes { of, .. } => {
                for (point, &class) in of.iter().enumerate().take(self.points.len()) {
                    members.entry(class).or_default().push(point);
                }
            }
            _ => {
                members.insert(0, self.everyone());
            }
        }
        members
    }

    fn trace(&self, members: &[usize], marker: Value) -> Value {
        let at = |axis: usize| members.iter().map(|&i| self.points[i][axis]).collect::<Vec<f64>>();
        let names: Vec<String> = members.iter().filter_map(|&i| self.names.get(i)).map(|name| plain(name)).collect();
        let hover = if names.is_empty() { "(%{x:.3g}, %{y:.3g})" } else { "%{text}<extra></extra>" };
        json!({
            "type": "scatter", "mode": "markers", "x": at(0), "y": at(1),
            "text": names, "customdata": members, "hovertemplate": hover, "marker": marker,
        })
    }

    fn value_trace(&self, name: &str, of: &[f64]) -> Value {
        let title = json!({ "text": plain(name), "side": "right" });
        let bar = json!({ "title": title, "thickness": 12, "outlinewidth": 0 });
        let mut trace = self.trace(
            &self.everyone(),
            json!({ "color": of, "colorscale": SCALE, "showscale": true, "size": 7, "colorbar": bar }),
        );
        trace["name"] = json!(plain(name));
        trace
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let mean = |members: &[usize], axis: usize| {
            number(members.iter().map(|&i| self.points[i][axis]).sum::<f64>() / members.len() as f64)
        };
        let name = |class: usize| match &self.colouring {
            Colouring::Classes { names, .. } => names.get(class).cloned().unwrap_or_else(|| class.to_string()),
            _ => "all".to_owned(),
        };
        self.members()
            .iter()
            .filter(|(_, members)| !members.is_empty())
            .map(|(&class, members)| vec![name(class), members.len().to_string(), mean(members, 0), mean(members, 1)])
            .collect()
    }
}

fn class_trace(scatter: &Scatter, class: usize, name: Option<&String>, members: &[usize]) -> Value {
    let marker = json!({ "color": colour(class), "symbol": symbol(class), "size": 7, "opacity": 0.8 });
    let mut trace = scatter.trace(members, marker);
    trace["name"] = json!(name.map_or_else(|| class.to_string(), |name| plain(name)));
    trace
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_traces_that_know_their_points() {
        let colouring = Colouring::Classes { names: vec!["cat".into(), "dog".into()], of: vec![1, 0, 1, 5] };
        let points = vec![[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [7.0, 70.0]];
        let drawing = Scatter { points, colouring, ..Scatter::default() }.draw();
        let [cat, dog, other] = &drawing.plots[0].traces[..] else { panic!("expected three traces") };
        assert_eq!((&cat["name"], &dog["name"], &other["name"]), (&json!("cat"), &json!("dog"), &json!("5")));
        assert_eq!(
            (&dog["x"], &dog["y"], &dog["customdata"]),
            (&json!([1.0, 4.0]), &json!([10.0, 40.0]), &json!([0, 2]))
        );
        assert_eq!(drawing.rows[1], ["dog", "2", "2.500", "25"]);
    }
}
