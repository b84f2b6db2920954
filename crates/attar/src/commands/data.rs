//! `attar data`: what there is, what it holds, and fetching it.

use std::path::Path;

use attar_data::fetch::{MNIST_FILES, MNIST_MIRRORS, fetch};
use attar_data::{Dataset, Entry, Labels, Location, ReadOptions, cache_folder, catalogue, open};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::{Common, DataCommand, read_options};
use crate::error::CliError;
use crate::nearest::nearest;
use crate::output::{print_columns, print_json};

/// Runs one of the commands about data.
pub(crate) fn run(command: &DataCommand, common: &Common) -> Result<(), CliError> {
    match command {
        DataCommand::List => list(common),
        DataCommand::Info { source, reading, categorical } => {
            let options = ReadOptions { categorical: *categorical, ..read_options(reading, common) };
            info(&open(source, &options)?, common.json)
        }
        DataCommand::Fetch { name } => fetch_named(name, common),
    }
}

fn list(common: &Common) -> Result<(), CliError> {
    let entries = catalogue(common.data_dir.as_deref());
    if common.json {
        return print_json(&entries);
    }
    let heads = ["name", "rows", "features", "classes", "where", "licence", "what"].map(str::to_owned).to_vec();
    let row = |entry: &Entry| {
        let numbers = [entry.samples, entry.features, entry.classes].map(|number| number.to_string());
        let texts = [place(&entry.location), entry.licence.to_owned(), entry.description.to_owned()];
        [vec![entry.name.to_owned()], numbers.to_vec(), texts.to_vec()].concat()
    };
    print_columns(&std::iter::once(heads).chain(entries.iter().map(row)).collect::<Vec<_>>())
}

fn place(location: &Location) -> String {
    match location {
        Location::Bundled => "in the program".to_owned(),
        Location::Computed => "drawn when used".to_owned(),
        Location::Folder(folder) => folder.display().to_string(),
        Location::Absent(_) => "to be fetched".to_owned(),
    }
}

fn info(data: &Dataset, as_json: bool) -> Result<(), CliError> {
    let facts = facts(data);
    if as_json {
        return print_json(&facts.into_iter().collect::<serde_json::Map<_, _>>());
    }
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    print_columns(&facts.into_iter().map(|(key, value)| vec![key, text(value)]).collect::<Vec<_>>())
}

/// What is known about a data set, in the order of interest.
fn facts(data: &Dataset) -> Vec<(String, Value)> {
    let mut facts = vec![
        ("name", json!(data.name)),
        ("kind", json!(data.schema.layout.to_string())),
        ("rows", json!(data.samples())),
        ("features", json!(data.features())),
        ("columns", json!(columns(data))),
        ("labels", json!(labels(data.labels.as_ref()))),
        ("ids", json!(if data.ids.is_some() { "one a row" } else { "none" })),
    ];
    if let Some(rows) = &data.test_rows {
        facts.push(("test rows", json!(format!("{} to {}, set aside by the source", rows.start, rows.end - 1))));
    }
    facts.push(("fingerprint", json!(data.fingerprint())));
    facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The first and the last features by name.
fn columns(data: &Dataset) -> String {
    let names: Vec<String> = data.schema.columns.iter().map(ToString::to_string).collect();
    match &names[..] {
        [first, .., last] if names.len() > 8 => format!("{first} ... {last}"),
        names => names.join(", "),
    }
}

fn labels(labels: Option<&Labels>) -> String {
    match labels {
        None => "none".to_owned(),
        Some(Labels::Numbers(numbers)) => {
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("numbers from {low} to {high}")
        }
        Some(Labels::Classes { names, of }) => {
            let count = |class: usize| of.iter().filter(|&&of| of as usize == class).count();
            let counts = names.iter().enumerate().map(|(class, name)| format!("{name} ({})", count(class)));
            format!("{} classes: {}", names.len(), counts.collect::<Vec<_>>().join(", "))
        }
    }
}

fn fetch_named(name: &str, common: &Common) -> Result<(), CliError> {
    let entries = catalogue(common.data_dir.as_deref());
    let Some(entry) = entries.iter().find(|entry| entry.name == name) else {
        let error = CliError::input(format!("there is no data set `{name}`"));
        return Err(match nearest(name, entries.iter().map(|entry| entry.name)) {
            Some(near) => error.with_help(format!("did you mean `{near}`?")),
            None => error.with_help("`attar data list` names those there are"),
        });
    };
    match &entry.location {
        Location::Bundled | Location::Computed => done(name, "nothing to fetch: it needs no file", None, common),
        Location::Folder(folder) => done(name, &format!("already in {}", folder.display()), Some(folder), common),
        Location::Absent(_) => {
            let folder = common.data_dir.clone().unwrap_or_else(cache_folder).join(name);
            fetch_mnist(&folder)?;
            done(name, &format!("fetched into {}", folder.display()), Some(&folder), common)
        }
    }
}

fn done(name: &str, words: &str, folder: Option<&Path>, common: &Common) -> Result<(), CliError> {
    eprintln!("{name}: {words}");
    match common.json {
        true => print_json(&json!({ "name": name, "folder": folder })),
        false => Ok(()),
    }
}

fn fetch_mnist(folder: &Path) -> Result<(), CliError> {
    for file in MNIST_FILES {
        let bar = ProgressBar::no_length().with_prefix(file.name).with_style(style());
        let mut progress = |done: u64, all: Option<u64>| {
            all.into_iter().for_each(|all| bar.set_length(all));
            bar.set_position(done);
        };
        fetch(file, &MNIST_MIRRORS, folder, &mut progress).map_err(|error| missing(error, folder))?;
        bar.finish();
    }
    Ok(())
}

fn style() -> ProgressStyle {
    let template = "{prefix:28} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The same error that reading the data set gives: it says where the files may be put by hand.
fn missing(error: attar_data::Error, folder: &Path) -> CliError {
    match error {
        attar_data::Error::Download { reason, .. } => attar_data::Error::NoMnist {
            reason,
            files: MNIST_FILES.map(|file| file.name).join(", "),
            folder: folder.to_owned(),
        }
        .into(),
        other => other.into(),
    }
}
