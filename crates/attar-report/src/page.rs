//! The page: a report as one HTML file.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use flate2::read::GzDecoder;

use crate::block::{block, sign};
use crate::html::{element, escape, fill};
use crate::{Block, Error, Report, Section, Statement};

const PAGE: &str = include_str!("../assets/page.html");
const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = include_str!("../assets/page.js");
const PLOTLY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/plotly.html.gz"));

/// The report as a page that needs nothing else. With charts it is about 4.7 MB, of which 4.65 MB are plotly.js.
pub fn render(report: &Report) -> String {
    let mut figures = 0;
    let sections = report.sections.iter().enumerate().map(|(i, section)| section_html(i + 1, section, &mut figures));
    fill(
        PAGE,
        &[
            ("title", &escape(&report.title)),
            ("style", STYLE),
            ("subtitle", &element("p class=\"subtitle\"", &report.subtitle)),
            ("verdict", &verdict(&report.verdict)),
            ("contents", &contents(&report.sections)),
            ("sections", &sections.collect::<String>()),
            ("scripts", &scripts(report)),
        ],
    )
}

/// Renders the report into `path`: written aside, synced, renamed, so that a reader finds the old page or the new one.
///
/// # Errors
/// [`Error::Io`]; what stood at `path` is then untouched.
pub fn write(report: &Report, path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    let mut aside = path.as_os_str().to_owned();
    aside.push(".part");
    let save = || {
        let mut file = File::create(&aside)?;
        file.write_all(render(report).as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    save().map_err(|source| {
        // Best effort: the first error is the one to tell.
        let _ = fs::remove_file(&aside);
        Error::Io { path: path.into(), source }
    })
}

fn section_html(number: usize, section: &Section, figures: &mut usize) -> String {
    let text: String = section.text.iter().map(|paragraph| element("p", paragraph)).collect();
    let blocks: String = section.blocks.iter().map(|content| block(content, figures)).collect();
    format!("<section id=\"section-{number}\">\n{}{text}{blocks}</section>\n", element("h2", &section.title))
}

fn verdict(statements: &[Statement]) -> String {
    if statements.is_empty() {
        return String::new();
    }
    let item = |statement: &Statement| {
        let (class, sign, word) = sign(statement.verdict);
        let text = escape(&statement.text);
        format!(
            "<li class=\"{class}\"><span class=\"sign\" role=\"img\" aria-label=\"{word}\">{sign}</span>{text}</li>\n"
        )
    };
    format!("<ul class=\"verdict\">\n{}</ul>\n", statements.iter().map(item).collect::<String>())
}

/// Links to the sections, where there are enough of them to get lost.
fn contents(sections: &[Section]) -> String {
    if sections.len() < 3 {
        return String::new();
    }
    let link =
        |(i, section): (usize, &Section)| format!("<a href=\"#section-{}\">{}</a>\n", i + 1, escape(&section.title));
    let links: String = sections.iter().enumerate().map(link).collect();
    format!("<nav aria-label=\"Sections\">\n{links}</nav>\n")
}

/// The library and what drives it, for a page with charts.
fn scripts(report: &Report) -> String {
    let is_chart = |block: &Block| matches!(block, Block::Lines(_) | Block::Bars(_) | Block::Scatter(_));
    if !report.sections.iter().flat_map(|section| &section.blocks).any(is_chart) {
        return String::new();
    }
    format!("{}\n<script>\n{SCRIPT}</script>\n", plotly_script())
}

/// The script element with plotly.js, as the build has packed it.
fn plotly_script() -> String {
    let mut script = String::new();
    #[expect(
        clippy::expect_used,
        reason = "the bytes are a constant of the build, which every page with a chart tests"
    )]
    GzDecoder::new(PLOTLY).read_to_string(&mut script).expect("plotly.js as it was packed");
    script
}
