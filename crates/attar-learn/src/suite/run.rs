//! One run, from a case to what the doctor finds.

use attar_doctor::{Record, Thresholds, diagnose};
use burn::tensor::{DType, Device};

use super::{Digits, Outcome, Run};
use crate::mutant::{Plan, train};
use crate::nets::Net;
use crate::{Classified, Error, Pass, Problem, Staged};

/// Steps from one record of the sizes to the next, and from one fresh backward pass to the next.
const NORMS_EVERY: usize = 2;
const FRESH_EVERY: usize = 10;
/// Digits that are evaluated after every epoch, and not learnt.
const HELD_OUT: usize = 200;
/// Sizes that a record of many steps has at most.
const MOST_NORMS: usize = 400;

impl Run<'_> {
    pub(super) fn outcome(&self, digits: &Digits) -> Result<Outcome, Error> {
        let Self { case, architecture, seed, planted } = *self;
        let (network, problem, record) = self.recorded(digits)?;
        let accuracy = accuracy(&network, &problem, case.setting.samples);
        let findings = diagnose(&record, &Thresholds::default());
        Ok(Outcome { case: case.name, architecture, seed, planted, accuracy, findings })
    }

    /// The trained network, what it has learnt, and the record of it.
    /// # Errors
    /// [`Error::Config`].
    pub fn recorded(&self, digits: &Digits) -> Result<(Net, Classified, Record), Error> {
        let setting = &self.case.setting;
        let device = Device::flex();
        let dtype = if setting.double { DType::F64 } else { DType::F32 };
        let problem = digits.choose(setting.samples + HELD_OUT, self.seed, dtype, &device);
        let network = Net::new(&setting.net(self.architecture), self.seed, dtype, &device)?;
        let steps = setting.epochs * setting.samples.div_ceil(setting.batch_size);
        let plan = Plan {
            descent: setting.descent(self.seed),
            norms_every: NORMS_EVERY.max(steps / MOST_NORMS),
            fresh_every: FRESH_EVERY.max(steps / MOST_NORMS),
            probes: true,
            held_out: HELD_OUT,
        };
        let (network, record) = train(network, &problem, &plan, self.case.planted.filter(|_| self.planted));
        Ok((network, problem, record))
    }
}

/// The share of the first samples, as they are, whose class has the largest output.
fn accuracy(network: &Net, problem: &Classified, trained: usize) -> f64 {
    let samples: Vec<u64> = (0..trained as u64).collect();
    let outputs = network.stages(problem.input(&samples), &mut Pass::evaluation(&samples));
    let Some(last) = outputs.last() else { return 0.0 };
    let outputs: Vec<f64> = last.values.to_data().iter::<f64>().collect();
    let right = |(outputs, label): &(&[f64], &usize)| {
        let own = outputs[**label];
        outputs.iter().enumerate().all(|(class, output)| class == **label || *output < own)
    };
    let right = outputs.chunks_exact(problem.classes).zip(&problem.labels).filter(right).count();
    right as f64 / samples.len().max(1) as f64
}
