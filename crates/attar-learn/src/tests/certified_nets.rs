//! The certificate on the four kinds of classifier.

use attar_doctor::accumulation::Fault;
use attar_ops::Activation;
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::certificate::{SAMPLES, TRAINED, certify, named};
use crate::Classified;
use crate::mutant::Planted;
use crate::nets::{Kind, Net, NetConfig, Norm};

const CLASSES: usize = 4;
const SIDE: usize = 6;

fn kinds() -> [Kind; 4] {
    [
        Kind::Mlp { hidden: vec![10, 8] },
        Kind::ConvNet { widths: vec![4, 6] },
        Kind::Attention { patch: [3, 3], width: 8, heads: 2, blocks: 1 },
        Kind::Residual { n: 1, width: 2 },
    ]
}

fn net(kind: Kind, norm: Norm, dropout: f64) -> Net {
    let config =
        NetConfig { kind, norm, activation: Activation::Relu, dropout, input: [SIDE, SIDE, 1], classes: CLASSES };
    Net::new(&config, 5, DType::F64, &Device::flex()).unwrap()
}

/// Images without symmetry: a plane wave for each class, and waves that belong to the sample.
fn images() -> Classified {
    let labels: Vec<usize> = (0..TRAINED).map(|sample| (sample * 7 + sample / 5) % CLASSES).collect();
    let pixel = |(sample, place): (usize, usize)| {
        let own = ((sample * 36 + place) as f64 * 12.9898).sin() * 43758.5453 % 1.0;
        (place as f64 * (0.3 + 0.4 * labels[sample] as f64)).sin() + own
    };
    let places = (0..TRAINED).flat_map(|sample| (0..SIDE * SIDE).map(move |place| (sample, place)));
    let values: Vec<f64> = places.map(pixel).collect();
    let values = TensorData::new(values, [TRAINED, SIDE * SIDE, 1]);
    let input = Tensor::from_data(values, (&Device::flex(), DType::F64));
    Classified { input, labels, classes: CLASSES }
}

#[test]
fn norms_of_a_sample_and_none_pass_on_every_split_of_every_kind() {
    for kind in kinds() {
        for norm in [Norm::Layer, Norm::Group, Norm::None] {
            let (measured, verdict) = certify(&net(kind.clone(), norm, 0.2), &images(), None, DType::F64);
            assert!(verdict.passed(), "{} {norm:?}: {:#?}", kind.name(), verdict.faults);
            for split in &measured.splits {
                let of = &split.split;
                let worst =
                    [of.outputs, of.error, of.parameters.unwrap(), of.loss.unwrap()].into_iter().fold(0.0, f64::max);
                assert!(worst <= 1e-12, "{} {norm:?} {:?}: {worst:e}", kind.name(), split.sizes);
                assert!((of.scale - 1.0).abs() <= 1e-12 && of.angle <= 1e-13 && of.buffers.is_none());
            }
        }
    }
}

#[test]
fn batch_norm_passes_in_one_piece_only_and_its_stage_is_named() {
    for (kind, stage) in kinds().into_iter().zip(STAGES) {
        let (measured, verdict) = certify(&net(kind.clone(), Norm::Batch, 0.0), &images(), None, DType::F64);
        for split in &measured.splits {
            let of = &split.split;
            let passes = of.failure.is_none() && of.outputs <= 1e-12 && of.error <= 1e-12;
            assert_eq!(passes, split.sizes == [SAMPLES], "{} {:?}", kind.name(), split.sizes);
            assert_eq!(passes, of.buffers.is_some_and(|buffers| buffers <= 1e-12), "{} {:?}", kind.name(), split.sizes);
        }
        let coupled = verdict.faults.iter().find(|found| found.fault == Fault::Coupled);
        assert_eq!(coupled.and_then(|found| found.stage.as_deref()), Some(stage), "{:#?}", verdict.faults);
    }
}

const STAGES: [&str; 4] = ["hidden1.norm", "conv1.norm", "block1.norm1", "conv1.norm"];

#[test]
fn each_planted_mistake_is_named_and_no_other_on_three_kinds() {
    for kind in &kinds()[..3] {
        let network = net(kind.clone(), Norm::Layer, 0.2);
        for planted in Planted::ALL {
            let Some(fault) = planted.fault() else { continue };
            let (_, verdict) = certify(&network, &images(), Some(planted), DType::F64);
            assert_eq!(named(&verdict), [fault], "{} {planted:?}: {:#?}", kind.name(), verdict.faults);
        }
    }
}
