//! Help texts as they stand, the manual, completions, and a reader that goes away.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::{attar, fail, succeed};

const COMMANDS: [&str; 24] = [
    "",
    "train",
    "embed",
    "pca",
    "attend",
    "certify",
    "doctor",
    "doctor accumulation",
    "doctor ranks",
    "doctor depth",
    "reconstruct",
    "probe",
    "report",
    "data",
    "data list",
    "data info",
    "data fetch",
    "lab",
    "lab autoencoders",
    "lab linear",
    "lab attention",
    "lab debugging",
    "completions",
    "man",
];

/// The help texts are kept beside this test; `ATTAR_BLESS=1` takes the present ones as right.
#[test]
fn help_texts_are_as_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/help");
    for command in COMMANDS {
        let help = succeed(Path::new("."), &format!("{command} --help"));
        let file = format!("attar {command}").trim_end().replace(' ', "-");
        check_kept(&help, folder.join(file).with_extension("txt"));
    }
}

fn check_kept(help: &str, path: PathBuf) {
    if std::env::var_os("ATTAR_BLESS").is_some() {
        std::fs::write(&path, help).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(help, kept, "{} differs; ATTAR_BLESS=1 keeps the new text", path.display());
}

#[test]
fn every_command_is_in_the_list() {
    let help = succeed(Path::new("."), "--help");
    let commands = help.split_once("Commands:").unwrap().1.split_once("\n\n").unwrap().0;
    for line in commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        assert!(COMMANDS.contains(&name) || name == "help", "{name}");
    }
}

#[test]
fn the_manual_and_the_completions_are_printed() {
    let check = |line: &str, part: &str| assert!(succeed(Path::new("."), line).contains(part), "{line}");
    check("man", ".TH attar 1");
    check("completions bash", "complete -F");
    check("completions zsh", "#compdef attar");
    check("completions fish", "complete -c attar");
    check("--version", env!("CARGO_PKG_VERSION"));
}

#[test]
fn wrong_command_lines_exit_with_2() {
    let check = |line: &str, part: &str| fail(Path::new("."), line, 2, &[part]);
    check("", "Usage: attar");
    check("trian digits", "'train'");
    check("train digits --latnet 5", "'--latent'");
    check("train digits --latent 5,x", "`x`");
    check("train digits --activation step", "[possible values: identity, relu, gelu, tanh, silu]");
    check("train digits --objective vanila", "expected one of `vanilla`, `denoising`, `masked`");
    check("train digits --label-budget 0", "a label budget is `all` or a number of at least 1");
    check("train digits --threads 0", "at least 1");
    check("train digits --seed 9223372036854775808", "9223372036854775807");
    check("train digits --note author", "key=value");
    check("embed runs/a", "<DATA>");
}

/// `attar man | head -1` is a success, whenever `head` goes.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for line in ["man", "data list", "completions bash"] {
        let mut command = attar(Path::new("."), &line.split(' ').collect::<Vec<_>>());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        assert!(output.stderr.is_empty(), "{line}: {output:?}");
    }
}
