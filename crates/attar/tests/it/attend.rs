//! `attend` on small files: what it prints, by hand, and what it refuses.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::{fail, succeed};

/// The course's query among four keys, and one orthogonal to all of them but the last.
fn write_rows(folder: &Path) {
    let rows = json!({
        "queries": [[1, 1, 2], [1, -1, 0]],
        "keys": [[1, 0, 1], [0, 1, 2], [2, 2, 0], [1, 2, 1]],
        "values": [[1, 0], [0, 1], [2, 2], [3, -1]],
    });
    fs::write(folder.join("rows.json"), rows.to_string()).unwrap();
}

fn attended(folder: &Path, flags: &str) -> Value {
    serde_json::from_str(&succeed(folder, &format!("attend rows.json --json {flags}"))).unwrap()
}

#[test]
fn argmax_names_the_key_its_margin_and_ties() {
    let folder = tempfile::tempdir().unwrap();
    write_rows(folder.path());
    let result = attended(folder.path(), "--similarity argmax");
    assert_eq!(result["scores"][0], json!([3.0, 5.0, 4.0, 5.0]));
    assert_eq!(result["weights"][0], json!([0.0, 1.0, 0.0, 0.0]));
    assert_eq!(result["outputs"], json!([[0.0, 1.0], [1.0, 0.0]]));
    assert_eq!(result["chosen"][0], json!({ "key": 1, "margin": 0.0, "ties": [3] }));
    assert_eq!(result["chosen"][1], json!({ "key": 0, "margin": 1.0, "ties": [] }));
    let text = succeed(folder.path(), "attend rows.json --similarity argmax");
    assert!(text.contains("query 0  key 1  5      0                     key 3"), "{text}");
}

#[test]
fn a_file_gets_what_json_prints() {
    let folder = tempfile::tempdir().unwrap();
    write_rows(folder.path());
    let text = succeed(folder.path(), "attend rows.json --causal --out attended.json");
    assert!(text.contains("score q.k"), "{text}");
    let written = fs::read_to_string(folder.path().join("attended.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), attended(folder.path(), "--causal"));
    fail(folder.path(), "attend rows.json --out missing/attended.json", 2, &["missing/attended.json"]);
}

#[test]
fn softmax_and_the_quadratic_kernel_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    write_rows(folder.path());
    let result = attended(folder.path(), "--similarity softmax --scale 0.5");
    let exponentials = [1.5_f64, 2.5, 2.0, 2.5].map(f64::exp);
    let sum: f64 = exponentials.iter().sum();
    let number = |value: &Value| value.as_f64().unwrap();
    assert!((number(&result["log_denominators"][0]) - sum.ln()).abs() < 1e-12);
    assert!((number(&result["weights"][0][2]) - exponentials[2] / sum).abs() < 1e-12);
    let squares = [9.0, 25.0, 16.0, 25.0];
    for form in ["naive", "tiled", "linear"] {
        let result = attended(folder.path(), &format!("--similarity quadratic --form {form}"));
        assert!((number(&result["denominators"][0]) - 75.0).abs() < 1e-12, "{form}");
        let output = (squares[0] + 2.0 * squares[2] + 3.0 * squares[3]) / 75.0;
        assert!((number(&result["outputs"][0][0]) - output).abs() < 1e-12, "{form}");
    }
    let power = attended(folder.path(), "--similarity polynomial --scale 2 --shift 1 --degree 4");
    let powers = squares.map(|square: f64| (2.0 * square.sqrt() + 1.0).powi(4));
    assert!((number(&power["weights"][0][0]) - powers[0] / powers.iter().sum::<f64>()).abs() < 1e-12);
}

/// Rows that are features already, and the form that a cost model takes.
#[test]
fn products_are_of_features_and_auto_says_why() {
    let folder = tempfile::tempdir().unwrap();
    write_rows(folder.path());
    let signed = ["both signs", "--allow-signed"];
    fail(folder.path(), "attend rows.json --similarity product", 2, &signed);
    let result = attended(folder.path(), "--similarity product --allow-signed --form auto");
    assert_eq!(result["denominators"], json!([17.0, -1.0]));
    assert_eq!(result["outputs"][1], json!([2.0, 0.0]));
    let why = result["form_chosen"].as_str().unwrap();
    assert!(why.starts_with(result["form"].as_str().unwrap()) && why.contains("predicted"), "{why}");
    let rows = r#"{"queries": [[1, 2]], "keys": [[3, 0], [0, 1]], "values": [[5], [10]]}"#;
    fs::write(folder.path().join("rows.json"), rows).unwrap();
    let text = succeed(folder.path(), "attend rows.json --similarity product --form auto");
    assert!(text.contains("The form was chosen: ") && text.contains("query 0  7"), "{text}");
}

#[test]
fn what_is_not_seen_has_no_score_and_zero_rows_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let rows = r#"{"queries": [[0, 0, 1], [0, 1, 0]], "keys": [[1, 0, 0], [0, 2, 0], [0, 1, 0]],
                   "values": [[5], [7], [9]], "hidden": [false, true, false]}"#;
    fs::write(folder.path().join("rows.json"), rows).unwrap();
    let result = attended(folder.path(), "--similarity quadratic --causal");
    assert_eq!(result["scores"], json!([[0.0, null, null], [0.0, null, 1.0]]));
    assert_eq!((result["zero_rows"].clone(), result["outputs"].clone()), (json!(1), json!([[0.0], [9.0]])));
    let text = succeed(folder.path(), "attend rows.json --similarity quadratic --causal");
    assert!(text.contains("unseen") && text.contains("counts as zero: 1"), "{text}");
}

#[test]
fn wrong_input_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(folder);
    let bad = |file: &str, content: &str, parts: &[&str]| {
        fs::write(folder.join(file), content).unwrap();
        fail(folder, &format!("attend {file}"), 2, &[&[file], parts].concat());
    };
    bad("cut.json", "{\"queries\": [[1, 2]", &["line 1"]);
    bad("ragged.json", r#"{"queries": [[1], [1, 2]], "keys": [[1]], "values": [[1]]}"#, &["`queries[1]`", "got 2"]);
    bad(
        "text.json",
        r#"{"queries": [[1, "a"]], "keys": [], "values": []}"#,
        &["row 0, column 1 of `queries`", "\"a\""],
    );
    bad("named.json", r#"{"query": [[1]]}"#, &["`query`", "did you mean `queries`"]);
    bad("huge.json", r#"{"queries": [[1e200]], "keys": [[1e200]], "values": [[1]]}"#, &["`queries[0]`", "not finite"]);
    fail(folder, "attend none.json", 2, &["none.json"]);
    fail(folder, "attend rows.json --degree 3", 2, &["`--degree` belongs to polynomial"]);
    fail(folder, "attend rows.json --similarity argmax --scale 2", 2, &["`--scale`", "argmax"]);
    fail(folder, "attend rows.json --similarity polynomial --degree 3", 2, &["both signs", "--allow-signed"]);
    fail(folder, "attend rows.json --similarity polynomial --scale -1", 2, &["above 0, got -1"]);
    fail(folder, "attend rows.json --form linear", 2, &["no finite feature map", "--form tiled"]);
}
