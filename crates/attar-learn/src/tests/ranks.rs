//! Simulated ranks: those that agree pass, each mistake is named, and so is a norm that sees a shard only.

use attar_doctor::accumulation::Fault;
use attar_doctor::ranks::judge;
use burn::tensor::DType;

use super::staged_net::{Kind, Small, points};
use crate::certificate::Subject;
use crate::certificate::ranks::{Mistake, drift, reduction};

const SHARDS: [&[usize]; 3] = [&[16, 16], &[8, 8, 8, 8], &[12, 12, 8]];

fn faults(norm: Kind, mistake: Option<Mistake>) -> Vec<Fault> {
    let (network, problem) = (Small::new(norm, 0.3, DType::F64), points(32, DType::F64));
    let samples: Vec<u64> = (0..32).collect();
    let subject = Subject { network: &network, problem: &problem, samples: &samples, seed: 3, clip: None };
    let measured = reduction(&subject, &SHARDS.map(<[usize]>::to_vec), mistake);
    let drift = drift(&subject, SHARDS[2], 3, mistake);
    let verdict = judge(&measured.splits(), &measured.couplings, &drift, 1e-12);
    verdict.faults.iter().map(|found| found.fault).collect()
}

#[test]
fn ranks_that_agree_pass() {
    assert_eq!(faults(Kind::Layer, None), []);
    assert_eq!(faults(Kind::None, None), []);
}

#[test]
fn each_mistake_is_named_and_no_other() {
    assert_eq!(faults(Kind::Layer, Some(Mistake::NoDivision)), [Fault::NoDivision]);
    assert_eq!(faults(Kind::Layer, Some(Mistake::MeanOfMeans)), [Fault::MeanOfMeans]);
    assert_eq!(faults(Kind::Layer, Some(Mistake::OtherWeights)), [Fault::RanksDrift]);
    assert_eq!(faults(Kind::Layer, Some(Mistake::OwnGradient)), [Fault::RanksDrift]);
}

#[test]
fn a_batch_norm_that_sees_a_shard_only_is_named() {
    assert_eq!(faults(Kind::Batch, None)[0], Fault::Coupled);
}
