//! `embed` and `reconstruct` against a linear network whose codes are computed by hand.

use std::fs;
use std::path::Path;

use attar::data::{Labels, Preprocessing, ReadOptions, Scaling, open};
use attar::learn::config::{Activation, Architecture};
use attar::learn::{Autoencoder, model_file};
use burn::tensor::Device;
use serde_json::json;

use crate::{fail, succeed};

const TRAINING: &str = "name,x,y,z,kind\na,1,-2,10,red\nb,2,0.5,30,blue\nc,4,1,20,red\nd,-3,2.5,25,blue\n";
const ROWS: [[f64; 3]; 4] = [[1.0, -2.0, 10.0], [2.0, 0.5, 30.0], [4.0, 1.0, 20.0], [-3.0, 2.5, 25.0]];
/// The same rows with their columns in another order, one more, and no kind.
const NEW: &str = "z,extra,name,y,x\n10,9,a,-2,1\n30,9,b,0.5,2\n20,9,c,1,4\n25,9,d,2.5,-3\n";

/// A run's folder with an untrained linear network of code size 2, and the network.
fn make_run(folder: &Path) -> (Autoencoder, Preprocessing) {
    fs::write(folder.join("training.csv"), TRAINING).unwrap();
    fs::write(folder.join("new.csv"), NEW).unwrap();
    let options =
        ReadOptions { label_column: Some("kind".into()), id_column: Some("name".into()), ..ReadOptions::default() };
    let data = open(folder.join("training.csv").to_str().unwrap(), &options).unwrap();
    let preprocessing = Preprocessing::fit(&data, &[0, 1, 2, 3], Some(Scaling::Standardise)).unwrap();
    let preparation = json!({ "schema": data.schema, "preprocessing": preprocessing, "activation": "identity" });
    let run = folder.join("run");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("preparation.json"), preparation.to_string()).unwrap();
    fs::write(run.join("config.toml"), "source = \"training.csv\"\nseed = 3\n").unwrap();
    let architecture =
        Architecture { hidden: vec![], latent: 2, decoder_hidden: None, activation: Activation::Identity };
    let model = Autoencoder::new(&architecture, 3, 3, &Device::flex());
    model_file::save(&model, Default::default(), &run.join("model.safetensors")).unwrap();
    (model, preprocessing)
}

/// `x W + b` in f64, straight from the definition.
fn affine(layer: &burn::nn::Linear, row: &[f64]) -> Vec<f64> {
    let weight: Vec<f64> = layer.weight.val().into_data().iter::<f64>().collect();
    let bias: Vec<f64> = layer.bias.as_ref().unwrap().val().into_data().iter::<f64>().collect();
    let outputs = bias.len();
    let sum = |output: usize| row.iter().enumerate().map(|(i, x)| x * weight[i * outputs + output]).sum::<f64>();
    (0..outputs).map(|output| bias[output] + sum(output)).collect()
}

/// Each training row scaled, its code and its reconstruction.
fn by_hand(model: &Autoencoder, preprocessing: &Preprocessing) -> Vec<[Vec<f64>; 3]> {
    let scale =
        |row: &[f64; 3]| (0..3).map(|c| (row[c] - preprocessing.mean[c]) / preprocessing.deviation[c]).collect();
    let through = |row: Vec<f64>| {
        let code = affine(&model.encoder.linear[0], &row);
        let output = affine(&model.decoder.linear[0], &code);
        [row, code, output]
    };
    ROWS.iter().map(|row| through(scale(row))).collect()
}

/// The numbers of a table that was written, read as data, row by row.
fn read(path: &Path, id_column: Option<&str>, label_column: Option<&str>) -> attar::data::Dataset {
    let options = ReadOptions {
        id_column: id_column.map(Into::into),
        label_column: label_column.map(Into::into),
        ..ReadOptions::default()
    };
    open(path.to_str().unwrap(), &options).unwrap()
}

fn rows(data: &attar::data::Dataset) -> Vec<Vec<f32>> {
    let mut values = vec![0.0; data.samples() * data.features()];
    data.values.read(&(0..data.samples()).collect::<Vec<_>>(), &mut values);
    values.chunks(data.features()).map(<[f32]>::to_vec).collect()
}

fn close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let near = found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4 * (1.0 + b.abs()));
    assert!(near, "{found:?} for {expected:?}");
}

#[test]
fn codes_are_the_networks_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let (model, preprocessing) = make_run(folder.path());
    let expected = by_hand(&model, &preprocessing);
    for (data, ending) in [("training.csv", "parquet"), ("training.csv", "csv"), ("new.csv", "csv"), ("new.csv", "npy")]
    {
        let out = folder.path().join(format!("codes.{ending}"));
        let line = format!("embed run {data} -o codes.{ending} --json");
        let summary: serde_json::Value = serde_json::from_str(&succeed(folder.path(), &line)).unwrap();
        assert_eq!((summary["rows"].as_u64(), summary["size"].as_u64()), (Some(4), Some(2)));
        let label = (data == "training.csv").then_some("label");
        let table = read(&out, (ending != "npy").then_some("id"), label);
        for (row, [_, code, _]) in rows(&table).iter().zip(&expected) {
            close(row, code);
        }
        if ending != "npy" {
            assert_eq!(table.schema.columns[1].name, "code_1");
            assert_eq!(table.ids.unwrap(), ["a", "b", "c", "d"]);
        }
        if label.is_some() {
            let Some(Labels::Classes { names, of }) = table.labels else { panic!("{:?}", table.labels) };
            assert_eq!((names.join(" ").as_str(), of), ("blue red", vec![1, 0, 1, 0]));
        }
    }
}

#[test]
fn errors_and_reconstructions_are_the_networks() {
    let folder = tempfile::tempdir().unwrap();
    let (model, preprocessing) = make_run(folder.path());
    let expected = by_hand(&model, &preprocessing);
    let table = |flags: &str| {
        succeed(folder.path(), &format!("reconstruct run new.csv -o out.csv {flags}"));
        rows(&read(&folder.path().join("out.csv"), Some("id"), None))
    };
    let (plain, prepared, original) = (table(""), table("--rows=prepared"), table("--rows"));
    for (row, [clean, _, output]) in expected.iter().enumerate() {
        let error: f64 = clean.iter().zip(output).map(|(a, b)| (a - b).powi(2)).sum();
        close(&plain[row], &[error, error / 3.0]);
        close(&prepared[row][2..], output);
        let undone: Vec<f64> = (0..3).map(|c| output[c] * preprocessing.deviation[c] + preprocessing.mean[c]).collect();
        close(&original[row], &[vec![error, error / 3.0], undone].concat());
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    make_run(folder.path());
    let codes = |threads: usize| {
        succeed(folder.path(), &format!("embed run training.csv -o codes.npy --threads {threads}"));
        fs::read(folder.path().join("codes.npy")).unwrap()
    };
    let one = codes(1);
    assert!(codes(2) == one && codes(4) == one);
}

#[test]
fn data_of_another_kind_is_refused_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    make_run(folder.path());
    fs::write(folder.path().join("fewer.csv"), "x,y\n1,2\n3,4\n").unwrap();
    let check = |line: &str, says: &[&str]| {
        fail(folder.path(), line, 2, says);
        assert!(!folder.path().join("a.csv").exists(), "{line}");
    };
    for command in ["embed", "reconstruct"] {
        check(&format!("{command} run fewer.csv -o a.csv"), &["fewer.csv", "missing: `z`", "preparation.json"]);
        check(&format!("{command} run digits -o a.csv"), &["expected"]);
        check(&format!("{command} run new.csv --label-column kind -o a.csv"), &["no label column `kind`"]);
    }
    fail(folder.path(), "embed run new.csv -o ./new.csv", 2, &["new.csv", "written over"]);
    assert_eq!(fs::read_to_string(folder.path().join("new.csv")).unwrap(), NEW);
    fs::write(folder.path().join("run/model.safetensors"), "no tensors").unwrap();
    check("embed run new.csv -o a.csv", &["model.safetensors", "expected a safetensors file"]);
    fs::write(folder.path().join("run/preparation.json"), "{}").unwrap();
    check("embed run new.csv -o a.csv", &["preparation.json"]);
}
