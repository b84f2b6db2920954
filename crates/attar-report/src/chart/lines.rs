//! Curves with their spread, in one panel or several side by side.

use serde_json::{Value, json};

use super::{Axis, Drawing, Plot, colour, plain, symbol, translucent};
use crate::html::number;

/// Curves over a common axis.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// The figure's title.
    pub title: String,
    /// A line under the figure; may be empty.
    pub caption: String,
    /// Common to all panels.
    pub x: Axis,
    /// Common to all panels, with the same range.
    pub y: Axis,
    /// Side by side where there is room, else one below the other.
    pub panels: Vec<Panel>,
}

/// One plot of a figure.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    /// What sets it apart from the others; may be empty.
    pub title: String,
    /// The curves; of one with more than 100 points the table under the chart shows some.
    pub series: Vec<Series>,
}

/// One curve.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// As the legend names it.
    pub name: String,
    /// Where, in rising order.
    pub x: Vec<f64>,
    /// The (mean) value at each `x`; one that is not finite leaves a gap.
    pub y: Vec<f64>,
    /// Around the value.
    pub spread: Spread,
    /// Whether each value gets a dot.
    pub markers: bool,
    /// An index into the palette of ten; it also sets the shape of the dots.
    pub colour: usize,
    /// Of the line.
    pub dash: Dash,
}

/// What surrounds a curve; `low` and `high` are values of y, one for each x.
#[derive(Debug, Clone, Default)]
pub enum Spread {
    /// Nothing.
    #[default]
    None,
    /// A translucent band, as of minimum and maximum over repeats.
    Band {
        /// The lower edge.
        low: Vec<f64>,
        /// The upper edge.
        high: Vec<f64>,
    },
    /// A bar at each value, as of an interval.
    Bars {
        /// The lower ends.
        low: Vec<f64>,
        /// The upper ends.
        high: Vec<f64>,
    },
}

/// The dash of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dash {
    /// Unbroken.
    #[default]
    Solid,
    /// Dashes.
    Dashed,
    /// Dots.
    Dotted,
    /// Both in turn.
    DashDot,
}

impl Dash {
    fn name(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dash",
            Self::Dotted => "dot",
            Self::DashDot => "dashdot",
        }
    }
}

impl Spread {
    fn edges(&self) -> (&[f64], &[f64]) {
        match self {
            Self::None => (&[], &[]),
            Self::Band { low, high } | Self::Bars { low, high } => (low, high),
        }
    }
}

/// The most rows that one curve gets in the table under the chart.
const MOST_ROWS: usize = 100;

impl Series {
    /// Which points the table shows: all, or evenly spaced ones with the first and the last.
    fn shown(&self) -> impl Iterator<Item = usize> {
        let count = self.x.len();
        let stride = count.div_ceil(MOST_ROWS).max(1);
        (0..count).filter(move |i| i.is_multiple_of(stride) || i + 1 == count)
    }
}

impl Lines {
    pub(crate) fn draw(&self) -> Drawing {
        let range = self.y_range();
        let mut columns = vec!["series".to_owned(), self.x.name().to_owned(), self.y.name().to_owned()];
        let series = || self.panels.iter().flat_map(|panel| &panel.series);
        if series().any(|s| !s.spread.edges().0.is_empty()) {
            columns.extend(["low".to_owned(), "high".to_owned()]);
        }
        let rows = self.panels.iter().flat_map(|panel| rows(panel, columns.len())).collect();
        let plots = self.panels.iter().map(|panel| self.plot(panel, &range)).collect();
        Drawing { kind: "Line chart", plots, columns, rows, key: "" }
    }

    fn plot(&self, panel: &Panel, range: &Value) -> Plot {
        let mut y = self.y.layout();
        y["range"] = range.clone();
        let bands = panel.series.iter().filter_map(|series| self.band(series));
        let curves = panel.series.iter().map(curve);
        let names: Vec<&str> = panel.series.iter().map(|series| series.name.as_str()).collect();
        Plot {
            title: panel.title.clone(),
            description: format!("{} against {}: {}", self.y.name(), self.x.name(), names.join(", ")),
            traces: bands.chain(curves).collect(),
            layout: json!({ "xaxis": self.x.layout(), "yaxis": y, "showlegend": names.iter().any(|n| !n.is_empty()) }),
            pictures: Vec::new(),
        }
    }

    /// The band as a closed outline: along the upper edge and back along the lower.
    fn band(&self, series: &Series) -> Option<Value> {
        let Spread::Band { low, high } = &series.spread else { return None };
        let points: Vec<(f64, f64, f64)> = series
            .x
            .iter()
            .zip(low.iter().zip(high))
            .map(|(&x, (&low, &high))| (x, low, high))
            .filter(|&(x, low, high)| self.x.takes(x) && self.y.takes(low) && self.y.takes(high))
            .collect();
        let back = || points.iter().rev();
        let x: Vec<f64> = points.iter().map(|p| p.0).chain(back().map(|p| p.0)).collect();
        let y: Vec<f64> = points.iter().map(|p| p.2).chain(back().map(|p| p.1)).collect();
        Some(json!({
            "type": "scatter", "mode": "lines", "x": x, "y": y,
            "fill": "toself", "fillcolor": translucent(series.colour), "line": { "width": 0 },
            "hoverinfo": "skip", "showlegend": false, "legendgroup": plain(&series.name),
        }))
    }

    /// One range for all panels, so that they can be compared; left to plotly when there is one panel.
    fn y_range(&self) -> Value {
        if self.panels.len() < 2 {
            return Value::Null;
        }
        let scale = |value: f64| if self.y.log { value.log10() } else { value };
        let values = self.panels.iter().flat_map(|panel| &panel.series).flat_map(|series| {
            let (low, high) = series.spread.edges();
            series.y.iter().chain(low).chain(high)
        });
        let values = values.copied().filter(|&value| self.y.takes(value)).map(scale);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let margin = 0.05 * (high - low).max(f64::MIN_POSITIVE);
        if low <= high { json!([low - margin, high + margin]) } else { Value::Null }
    }
}

fn curve(series: &Series) -> Value {
    let mut trace = json!({
        "type": "scatter",
        "mode": if series.markers { "lines+markers" } else { "lines" },
        "name": plain(&series.name), "legendgroup": plain(&series.name),
        "x": series.x, "y": series.y,
        "line": { "color": colour(series.colour), "width": 2, "dash": series.dash.name() },
        "marker": { "color": colour(series.colour), "size": 7, "symbol": symbol(series.colour) },
    });
    if let Spread::Bars { low, high } = &series.spread {
        trace["error_y"] = error_bars(&series.y, low, high);
        trace["error_y"]["color"] = json!(colour(series.colour));
    }
    trace
}

/// Bars from `low` to `high` around `mean`, as plotly takes them: lengths up and down.
pub(super) fn error_bars(mean: &[f64], low: &[f64], high: &[f64]) -> Value {
    let up: Vec<f64> = high.iter().zip(mean).map(|(high, mean)| high - mean).collect();
    let down: Vec<f64> = low.iter().zip(mean).map(|(low, mean)| mean - low).collect();
    json!({ "type": "data", "symmetric": false, "array": up, "arrayminus": down, "thickness": 1.5, "width": 4 })
}

fn rows(panel: &Panel, columns: usize) -> Vec<Vec<String>> {
    let name = |series: &Series| match panel.title.as_str() {
        "" => series.name.clone(),
        title => format!("{title}, {}", series.name),
    };
    let rows = panel.series.iter().flat_map(|series| {
        let (low, high) = series.spread.edges();
        series.shown().map(move |i| {
            let at = |values: &[f64]| values.get(i).map_or(String::new(), |&value| number(value));
            let mut row = vec![name(series), at(&series.x), at(&series.y), at(low), at(high)];
            row.truncate(columns);
            row
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(spread: Spread, y: Axis, panels: usize) -> Lines {
        let series =
            Series { name: "a<b".into(), x: vec![0.0, 1.0, 2.0], y: vec![4.0, 2.0, 1.0], spread, ..Series::default() };
        let panel = Panel { title: "p".into(), series: vec![series] };
        Lines { y, panels: vec![panel; panels], ..Lines::default() }
    }

    #[test]
    fn a_band_goes_out_above_and_back_below() {
        let spread = Spread::Band { low: vec![3.0, 1.0, 0.0], high: vec![6.0, 3.0, 2.0] };
        let band = &lines(spread.clone(), Axis::linear("y"), 1).draw().plots[0].traces[0];
        assert_eq!(band["x"], json!([0.0, 1.0, 2.0, 2.0, 1.0, 0.0]));
        assert_eq!(band["y"], json!([6.0, 3.0, 2.0, 0.0, 1.0, 3.0]));
        // A logarithmic axis has no place for the last point's lower edge.
        let band = &lines(spread, Axis::log("y"), 1).draw().plots[0].traces[0];
        assert_eq!(band["y"], json!([6.0, 3.0, 1.0, 3.0]));
    }

    #[test]
    fn intervals_are_told_as_lengths() {
        let spread = Spread::Bars { low: vec![3.5, 1.0, 0.0], high: vec![4.25, 2.5, 3.0] };
        let curve = &lines(spread, Axis::linear("y"), 1).draw().plots[0].traces[0];
        assert_eq!(curve["error_y"]["array"], json!([0.25, 0.5, 2.0]));
        assert_eq!(curve["error_y"]["arrayminus"], json!([0.5, 1.0, 1.0]));
        assert_eq!(curve["name"], "a&lt;b");
    }

    #[test]
    fn panels_share_one_range() {
        let plots = lines(Spread::None, Axis::linear("y"), 2).draw().plots;
        for plot in &plots {
            assert_eq!(plot.layout["yaxis"]["range"], json!([0.85, 4.15]));
        }
        assert_eq!(lines(Spread::None, Axis::linear("y"), 1).draw().plots[0].layout["yaxis"]["range"], Value::Null);
    }

    #[test]
    fn the_table_has_the_numbers_and_not_too_many() {
        let drawing = lines(Spread::None, Axis::log("loss"), 1).draw();
        assert_eq!(drawing.columns, ["series", "value", "loss"]);
        assert_eq!(drawing.rows[1], ["p, a<b", "1", "2"]);
        for count in [0, 1, 99, 100, 101, 250, 50_001] {
            let series = Series { x: vec![0.0; count], ..Series::default() };
            let shown: Vec<usize> = series.shown().collect();
            assert!(
                shown.len() <= MOST_ROWS + 1 && shown.len() >= count.min(MOST_ROWS / 2),
                "{count}: {}",
                shown.len()
            );
            assert_eq!(
                (shown.first().copied(), shown.last().copied()),
                ((count > 0).then_some(0), count.checked_sub(1))
            );
        }
    }
}
