//! The command as its users meet it: help, exit statuses, errors, and what is left on disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod architecture;
mod attend;
mod bad_input;
mod certificates;
mod depth;
mod doctor;
mod help;
mod kinds;
mod lab;
mod licences;
mod linear;
mod main_job;
mod resume;
mod tables;
mod trained;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The command, away from the terminal and the caller's environment, in `folder`.
fn attar(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attar"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    // No file of the user's, no network, no width of a terminal.
    command.env("XDG_CACHE_HOME", folder.join("cache")).env("HTTPS_PROXY", "http://127.0.0.1:9").env_remove("COLUMNS");
    command
}

/// Runs a command line, split at blanks.
fn run(folder: &Path, line: &str) -> Output {
    attar(folder, &line.split_whitespace().collect::<Vec<_>>()).output().unwrap()
}

/// Runs a command line that must succeed, and gives its standard output.
fn succeed(folder: &Path, line: &str) -> String {
    let output = run(folder, line);
    assert!(output.status.success(), "{line}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs a command line that must end with `status` and say each of `parts` on the standard error alone.
fn fail(folder: &Path, line: &str, status: i32, parts: &[&str]) {
    let output = run(folder, line);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{line}: {message}");
    assert_eq!(text(&output.stdout), "", "{line}");
    for part in parts {
        assert!(message.contains(part), "{line}: no `{part}` in: {message}");
    }
    assert!(!message.contains("panicked"), "{line}: {message}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
