//! The page: nothing escapes, nothing is fetched, everything is drawn.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use attar_report::{Axis, Block, Error, Image, KeyValues, Lines, Panel, Report, Section, Series, render, write};
use tempfile::TempDir;

#[expect(dead_code, reason = "its main is the example's")]
#[path = "../examples/sample.rs"]
mod sample;

/// The page without the library, whose text is inert.
fn own_text(page: &str) -> String {
    let start = page.find("plotly.js v").unwrap();
    let end = start + page[start..].find("</script>").unwrap();
    page[..start].to_owned() + &page[end..]
}

#[test]
fn nothing_on_the_page_names_another_place() {
    let page = render(&sample::sample().unwrap());
    let own = own_text(&page);
    assert!(!own.contains("http://") && !own.contains("https://") && !own.contains("//cdn"));
    for attribute in ["src=\"", "href=\"", "url("] {
        for target in own.split(attribute).skip(1) {
            assert!(
                target.starts_with("data:") || target.starts_with('#'),
                "{attribute}{}",
                &target[..40.min(target.len())]
            );
        }
    }
    assert!(own.contains("default-src 'none'"));
    assert!(!page.contains("MathJax.js") && !page.contains("tex-svg"));
}

#[test]
fn text_stays_text() {
    let evil = "</script><script>alert('x')</script><!-- & \"{{style}}\" <b>";
    let text = || evil.to_owned();
    let series = Series { name: text(), x: vec![1.0], y: vec![f64::NAN], ..Series::default() };
    let lines = Lines {
        title: text(),
        caption: text(),
        x: Axis::linear(evil),
        y: Axis::linear(evil),
        panels: vec![Panel { title: text(), series: vec![series] }],
    };
    let values = KeyValues { title: text(), pairs: vec![(text(), text())] };
    let blocks = vec![Block::Lines(lines), Block::KeyValues(values), Block::Note(text()), Block::Warning(text())];
    let section = Section { title: text(), text: vec![text()], blocks };
    let page = render(&Report { title: text(), subtitle: text(), verdict: vec![], sections: vec![section] });
    let own = own_text(&page);
    assert!(!own.contains("<!--") && !own.contains("<b>"));
    // The data of the plot, plotly and what drives it: no script more, none less.
    assert_eq!((page.matches("<script").count(), page.matches("</script>").count()), (3, 3));
    assert!(own.contains("{{style}}"), "a hole in a value must not be filled");
}

#[test]
fn a_page_without_charts_needs_no_library() {
    let page = render(&Report { title: "Plain".into(), ..Report::default() });
    assert!(page.len() < 20_000 && !page.contains("<script"));
}

#[test]
fn pixels_must_fit() {
    for (width, height, length) in [(2, 3, 5), (2, 3, 12), (0, 3, 0), (2, 0, 0), (2, 3, 0)] {
        let made = Image::new(width, height, &vec![0; length]);
        assert!(matches!(made, Err(Error::Pixels { found, .. }) if found == length), "{width} x {height}: {length}");
    }
    assert_eq!(Image::new(2, 3, &[7; 18]).unwrap().size(), (2, 3));
    let unit = Image::from_unit(3, 1, &[-1.0, 0.5, 2.0]).unwrap();
    assert_eq!(unit, Image::new(3, 1, &[0, 128, 255]).unwrap());
}

#[test]
fn a_page_is_written_whole_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("report.html");
    let report = Report { title: "One".into(), ..Report::default() };
    write(&report, &path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), render(&report));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = write(&report, folder.path().join("absent/report.html")).unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
}

/// Watches the page from within: what it fails at, what it asks for, what it draws.
const WATCH: &str = include_str!("watch.html");

#[test]
fn chromium_draws_every_figure_and_asks_for_nothing() {
    let Some(chromium) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| runs(name)) else {
        // Not `eprintln!`, which the test harness swallows.
        writeln!(std::io::stderr(), "SKIPPED: no Chromium on this machine, so no figure was drawn").unwrap();
        return;
    };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sample.html");
    let page = render(&sample::sample().unwrap()).replacen(
        "<meta name=\"viewport\"",
        &format!("{WATCH}<meta name=\"viewport\""),
        1,
    );
    fs::write(&path, page).unwrap();
    let seen = look(chromium, folder.path(), &path);
    for list in ["errors", "refused", "asked"] {
        assert_eq!(seen[list], serde_json::json!([]), "{list}");
    }
    assert_eq!((seen["plots"].as_u64(), seen["drawn"].as_u64()), (Some(8), Some(8)), "{seen}");
    assert_eq!(seen["broken"], 0);
    assert_eq!(seen["thumbnail"], true, "a point under the mouse shows its picture");
    assert_eq!((&seen["printed"], &seen["restored"]), (&true.into(), &true.into()), "{seen}");
    assert!(seen["wide"].as_i64().unwrap() <= 0, "the page scrolls sideways: {seen}");
}

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn look(chromium: &str, folder: &Path, page: &Path) -> serde_json::Value {
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--virtual-time-budget=20000"])
        .args(["--window-size=500,900", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let seen = dom.split("data-seen=\"").nth(1).and_then(|rest| rest.split('"').next());
    assert!(seen.is_some(), "the page never loaded: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&decode(seen.unwrap())).unwrap()
}

/// Undoes `encodeURIComponent`.
fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}
