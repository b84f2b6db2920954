//! Every crate that is built into or beside the command has a licence that the command may be given away under.

use std::collections::BTreeSet;
use std::process::Command;

use crate::text;

/// Licences without conditions on the code around them.
const PERMISSIVE: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates under another licence, each for a reason.
const EXCEPTIONS: [(&str, &str); 1] = [
    // Colours a message of `burn-tensor`. The MPL binds changes to its own files, and it is taken unchanged.
    ("colored", "MPL-2.0"),
];

/// Whether an SPDX expression is met by [`PERMISSIVE`] licences; `/` is an old way to write OR.
///
/// Takes OR before AND, so that a mixture without parentheses may be refused, but never wrongly allowed.
fn is_permissive(expression: &str) -> bool {
    let all = expression.replace('/', " OR ");
    all.split(" AND ").all(|choice| {
        let mut licences = choice.split(" OR ").map(|licence| licence.trim_matches([' ', '(', ')']));
        licences.any(|licence| PERMISSIVE.contains(&licence))
    })
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    for allowed in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "(GPL-3.0 OR ISC) AND Zlib", "MIT AND Unicode-3.0"] {
        assert!(is_permissive(allowed), "{allowed}");
    }
    for refused in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND MPL-2.0", "MITRE", "Apache-2.0 WITH a"] {
        assert!(!is_permissive(refused), "{refused}");
    }
}

/// Asks `cargo tree`, since `cargo metadata` also lists optional dependencies that nobody builds.
#[test]
fn every_dependency_is_permissive() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--edges", "normal,build,dev"])
        .args(["--prefix", "none", "--format", "{l}|{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let tree = text(&output.stdout);
    let crates: BTreeSet<(&str, &str)> = tree.lines().filter_map(|line| line.split_once('|')).collect();
    assert!(crates.len() > 200, "{tree}");
    for (licence, package) in crates {
        let name = package.split(' ').next().unwrap_or_default();
        let allowed = is_permissive(licence) || EXCEPTIONS.contains(&(name, licence));
        assert!(allowed, "{package}: `{licence}` is neither permissive nor an exception");
    }
}
