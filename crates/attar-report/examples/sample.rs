//! A report with one of every block, from made-up numbers: `cargo run -p attar-report --example sample [PATH]`.

use attar_report::{
    Axis, BarSeries, Bars, Block, Claim, Claims, Colouring, Dash, Error, Image, ImageRow, Images, KeyValues, Lines,
    Panel, Report, Scatter, Section, Series, Spread, Statement, Table, Verdict,
};

/// Writes the sample to the path given, or beside the caller.
fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "sample.html".to_owned());
    attar_report::write(&sample()?, &path)?;
    println!("{path}");
    Ok(())
}

/// The report.
pub(crate) fn sample() -> Result<Report, Error> {
    Ok(Report {
        title: "Digits: what the code is worth".into(),
        subtitle: "A sample with made-up numbers <script>alert(1)</script> & \"quotes\"".into(),
        verdict: vec![
            statement(
                "The learned code beats PCA, raw pixels and a random encoder at 200 labels: 91.3 % against 84.0 %.",
                Verdict::Good,
            ),
            statement("With all labels it does not beat raw pixels: 97.1 % against 97.4 %.", Verdict::Bad),
            statement("5,000 images for training, 1,000 for testing.", Verdict::Neutral),
        ],
        sections: vec![curves(), probes(), pictures()?, map()?, facts()],
    })
}

fn statement(text: &str, verdict: Verdict) -> Statement {
    Statement { text: text.into(), verdict }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A number in [0, 1) that looks random, the same each time.
fn noise(index: usize) -> f64 {
    (index as f64 * 12.9898).sin().mul_add(43758.5453, 0.0).rem_euclid(1.0)
}

fn curves() -> Section {
    let panel = |(objective, floor): (&str, f64)| Panel {
        title: objective.into(),
        series: [5, 20, 100, 500].iter().enumerate().map(|(i, size)| loss(i, *size, floor)).collect(),
    };
    Section {
        title: "Training".into(),
        text: vec!["The dot is the mean of three repeats, the band their minimum and maximum.".into()],
        blocks: vec![
            Block::Lines(Lines {
                title: "Validation loss of the sweep".into(),
                caption: "Squared error, summed over features and averaged over samples.".into(),
                x: Axis::linear("epoch"),
                y: Axis::log("validation loss"),
                panels: [("vanilla", 0.05), ("denoising", 4.0), ("masked", 20.0)].map(panel).to_vec(),
            }),
            Block::Lines(Lines {
                title: "Training and validation loss".into(),
                x: Axis::linear("epoch"),
                y: Axis::linear("loss"),
                panels: vec![Panel { title: String::new(), series: vec![train(), loss(0, 60, 9.0)] }],
                ..Lines::default()
            }),
            Block::Note("The curve of latent 500 hides that of latent 100 where they agree.".into()),
            Block::Warning("The code has collapsed: its effective rank is 1.2 of 32.".into()),
        ],
    }
}

fn loss(index: usize, size: usize, floor: f64) -> Series {
    let x: Vec<f64> = (0..=10).map(f64::from).collect();
    let end = floor + 230.0 / (size as f64 / 5.0).powi(2);
    let y: Vec<f64> = x.iter().map(|epoch| end + (280.0 - end) * (-0.7 * epoch).exp()).collect();
    let edge =
        |sign: f64| y.iter().enumerate().map(|(i, v)| v * (1.0 + sign * (0.03 + 0.12 * noise(i + index)))).collect();
    Series {
        name: format!("latent {size}"),
        spread: Spread::Band { low: edge(-1.0), high: edge(1.0) },
        x,
        y,
        markers: true,
        colour: index,
        dash: Dash::Solid,
    }
}

fn train() -> Series {
    let x: Vec<f64> = (0..=100).map(|step| f64::from(step) / 10.0).collect();
    let y = x.iter().enumerate().map(|(i, epoch)| 12.0 + 260.0 * (-0.6 * epoch).exp() * (0.9 + 0.2 * noise(i)));
    Series { name: "training".into(), y: y.collect(), x, colour: 7, dash: Dash::Dotted, ..Series::default() }
}

const CONTENDERS: [(&str, f64, bool); 4] =
    [("learned code", 0.913, false), ("PCA", 0.84, true), ("raw pixels", 0.809, true), ("random encoder", 0.722, true)];

fn probes() -> Section {
    let series = |(i, &(name, best, baseline)): (usize, &(&str, f64, bool))| {
        let values = vec![best, best - 0.02, best - 0.035];
        let edge = |by: f64| values.iter().map(|value| value + by).collect();
        BarSeries { name: name.into(), low: edge(-0.012), high: edge(0.01), values, baseline, colour: i }
    };
    let budget = |(i, &(name, best, baseline)): (usize, &(&str, f64, bool))| {
        let x = vec![10.0, 50.0, 100.0, 200.0, 1000.0, 5000.0];
        let y: Vec<f64> = x.iter().map(|n: &f64| best - 0.45 / (n / 8.0).sqrt() + 0.008 * n.ln()).collect();
        let edge = |by: f64| y.iter().zip(&x).map(|(value, n)| value + by / n.sqrt()).collect();
        let spread = Spread::Bars { low: edge(-0.2), high: edge(0.2) };
        let dash = if baseline { Dash::Dashed } else { Dash::Solid };
        Series { name: name.into(), x, y, spread, markers: true, colour: i, dash }
    };
    Section {
        title: "Probes".into(),
        text: vec!["Every contender meets the same probe. Intervals are 95 %.".into()],
        blocks: vec![
            Block::Bars(Bars {
                title: "Probe accuracy at 200 labels".into(),
                caption: "Mean of 20 draws.".into(),
                y: Axis::linear("accuracy"),
                groups: words(&["logistic", "k nearest neighbours", "course"]),
                series: CONTENDERS.iter().enumerate().map(series).collect(),
            }),
            Block::Lines(Lines {
                title: "Accuracy against label budget".into(),
                x: Axis::log("labels"),
                y: Axis::linear("accuracy"),
                panels: vec![Panel {
                    title: String::new(),
                    series: CONTENDERS.iter().enumerate().map(budget).collect(),
                }],
                ..Lines::default()
            }),
            Block::Table(Table {
                title: "Probe accuracy".into(),
                caption: "Test split, 1,000 images.".into(),
                columns: words(&[
                    "representation",
                    "logistic, 200 labels",
                    "all labels",
                    "reconstruction",
                    "effective rank",
                ]),
                rows: vec![
                    words(&["learned code", "91.3 %", "97.1 %", "0.0058", "24.1"]),
                    words(&["PCA", "84.0 %", "93.2 %", "0.0177", "21.9"]),
                    words(&["raw pixels", "80.9 %", "97.4 %", "", "153.0"]),
                ],
            }),
        ],
    }
}

/// A ring or a cross of 28 x 28 pixels, as a stand-in for a digit.
fn drawing(kind: usize, wobble: f64, noisy: bool) -> Result<Image, Error> {
    let pixels: Vec<f32> = (0..784)
        .map(|i| {
            let (x, y) = ((i % 28) as f64 - 13.5 - wobble, (i / 28) as f64 - 13.5);
            let ring = 1.0 - ((x * x + y * y).sqrt() - 4.0 - kind as f64).abs() / 2.0;
            let cross = 1.0 - (x * (kind as f64).cos() - y * (kind as f64).sin()).abs() / 2.5;
            let value = if kind.is_multiple_of(2) { ring } else { cross };
            let speck = if noisy { noise(i + kind) - 0.5 } else { 0.0 };
            (value.max(0.0) + speck) as f32
        })
        .map(|value| value.clamp(0.0, 1.0))
        .collect();
    Image::from_unit(28, 28, &pixels)
}

fn pictures() -> Result<Section, Error> {
    let row = |name: &str, wobble: f64, noisy: bool| {
        let images = (0..10).map(|kind| drawing(kind, wobble, noisy)).collect::<Result<Vec<_>, _>>()?;
        Ok(ImageRow { name: name.into(), images })
    };
    let images = Images {
        title: "Reconstructions".into(),
        caption: "Ten images of the test split, one of each class.".into(),
        columns: (0..10).map(|label| label.to_string()).collect(),
        rows: vec![
            row("input", 0.0, false)?,
            row("corrupted", 0.0, true)?,
            row("output", 0.6, false)?,
            row("PCA", 2.0, true)?,
        ],
    };
    Ok(Section { title: "Reconstruction".into(), text: vec![], blocks: vec![Block::Images(images)] })
}

fn map() -> Result<Section, Error> {
    let count = 1000;
    let class = |i: usize| i % 10;
    let point = |i: usize| {
        let angle = class(i) as f64 * 0.63;
        let away = |index: usize| (noise(index) + noise(index + 7) + noise(index + 13) - 1.5) * 1.4;
        [3.0 * angle.cos() + away(i), 3.0 * angle.sin() + away(i + 5000)]
    };
    let classes = Scatter {
        title: "The code in two dimensions".into(),
        caption: "The first two principal components of the codes, 1,000 images of the test split.".into(),
        x: Axis::linear("first component"),
        y: Axis::linear("second component"),
        points: (0..count).map(point).collect(),
        colouring: Colouring::Classes {
            names: (0..10).map(|label| label.to_string()).collect(),
            of: (0..count).map(class).collect(),
        },
        names: (0..count).map(|i| format!("sample {i}, label {}", class(i))).collect(),
        thumbnails: (0..count).map(|i| drawing(class(i), noise(i) * 4.0 - 2.0, false)).collect::<Result<_, _>>()?,
    };
    let values = Scatter {
        title: "The same, by a number".into(),
        colouring: Colouring::Values {
            name: "price".into(),
            of: (0..count).map(|i| point(i)[0] + point(i)[1]).collect(),
        },
        names: vec![],
        thumbnails: vec![],
        caption: String::new(),
        ..classes.clone()
    };
    let blocks = vec![Block::Scatter(classes), Block::Scatter(values)];
    Ok(Section { title: "The map".into(), text: vec![], blocks })
}

fn facts() -> Section {
    let claim = |sentence: &str, measured: &str, tolerance: &str, verdict| Claim {
        sentence: sentence.into(),
        measured: measured.into(),
        tolerance: tolerance.into(),
        verdict,
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Section {
        title: "The run".into(),
        text: vec![],
        blocks: vec![
            Block::Claims(Claims {
                title: "Claims".into(),
                claims: vec![
                    claim("The validation loss of latent 5 is that of PyTorch.", "230.7", "231.0 ± 3 %", Verdict::Good),
                    claim(
                        "Probe accuracy grows with the latent size.",
                        "98.5 %, then 98.1 %",
                        "never falls",
                        Verdict::Bad,
                    ),
                    claim("The masked objective is the better one.", "not measured", "", Verdict::Neutral),
                ],
            }),
            Block::KeyValues(KeyValues {
                title: "Configuration".into(),
                pairs: vec![
                    pair("data", "digits (5,000 train, 1,000 test)"),
                    pair("widths", "784, 256, 64"),
                    pair("optimizer", "Adam, learning rate 0.001"),
                    pair("fingerprint", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
                    pair("machine", "2 cores"),
                ],
            }),
        ],
    }
}
