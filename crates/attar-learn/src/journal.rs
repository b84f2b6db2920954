//! The record of one training: every call of the loop, and what is measured beside it.

use std::path::Path;

use attar_doctor::{
    Activations, Backward, Clip, Evaluation, Event, Finish, Header, Norms, Position, Schedule, Status, Step, Writer,
};

use crate::Error;
use crate::observe::stages;
use crate::observer::{Call, EpochReport, Observer, StepReport};
use crate::optimizer::TensorNorms;
use crate::parameter::{Parameter, trained};
use crate::probe::{ProbeBatch, Target};
use crate::staged::Staged;
use crate::train::State;

/// Steps between records of the sizes of gradient, weight and update; the first [`FIRST_NORMS`] all have them.
pub const NORMS_EVERY: usize = 20;
/// Steps from the first that all have their sizes recorded.
pub const FIRST_NORMS: usize = 10;

/// What is measured beside the training.
#[derive(Clone, Debug)]
pub struct Watch {
    /// On which samples.
    pub batch: ProbeBatch,
    /// Samples and steps of the probe `one_batch`, before training; no steps: no probe.
    pub one_batch: (usize, usize),
    /// Epochs of the training, after the last of which the network is probed.
    pub epochs: usize,
}

/// Writes the record of a training of any network with named stages.
pub struct Journal {
    record: Writer,
    watch: Watch,
    /// Which of the network's parameters are trained, in the order in which it is visited.
    trained: Vec<bool>,
    /// Whether the gradients have been empty since the last backward pass.
    empty: bool,
}

impl Journal {
    /// Begins a record at `path`, where no file may be; `header` is completed by what the network tells: tensors,
    /// stages and classes.
    ///
    /// # Errors
    /// [`Error::Record`] when the file cannot be written, [`Error::Label`].
    pub fn create<N: Staged>(path: &Path, mut header: Header, network: &N, watch: Watch) -> Result<Self, Error> {
        header.tensors = network.parameters().iter().map(Parameter::tensor).collect();
        let outputs = stages(network, &watch.batch);
        if matches!(watch.batch.target, Target::Labels(_)) {
            header.classes = outputs.last().map(|stage| stage.values.dims()[2] as u64);
        }
        header.stages = outputs.iter().map(|output| output.stage()).collect();
        header.order = true;
        Ok(Self::with(Writer::create(path, &header)?, network, watch))
    }

    /// Goes on with the record at `path` from where `state` stands.
    ///
    /// # Errors
    /// [`Error::Record`] when the record is broken or ends before that.
    pub fn resume<N: Staged>(path: &Path, state: &State<N>, watch: Watch) -> Result<Self, Error> {
        let epoch = state.epoch + usize::from(state.batches > 0);
        let position = Position { epoch: epoch as u64, step: state.optimizer.steps as u64 };
        Ok(Self::with(Writer::resume_at(path, position)?, &state.model, watch))
    }

    fn with<N: Staged>(record: Writer, network: &N, watch: Watch) -> Self {
        Self { record, watch, trained: trained(network), empty: false }
    }

    /// Hands the record to the disk.
    ///
    /// # Errors
    /// [`Error::Record`].
    pub fn sync(&mut self) -> Result<(), Error> {
        Ok(self.record.sync()?)
    }

    /// Closes the record with how the run ended.
    ///
    /// # Errors
    /// [`Error::Record`].
    pub fn finish(mut self, status: Status, reason: String) -> Result<(), Error> {
        self.record.write(&Event::Finish(Finish { status, reason }))?;
        self.sync()
    }

    fn evaluation(&mut self, at: Position, split: &str, metrics: &[(&str, Option<f64>)]) -> Result<(), Error> {
        let metrics = metrics.iter().filter_map(|&(name, value)| Some((name.to_owned(), value?))).collect();
        let evaluation = Evaluation { epoch: at.epoch, step: at.step, split: split.into(), metrics };
        Ok(self.record.write(&Event::Evaluation(evaluation))?)
    }

    fn activations<N: Staged>(&mut self, at: Position, state: &State<N>) -> Result<(), Error> {
        let stages = self.watch.batch.stages(&state.model, state.optimizer.steps)?;
        Ok(self.record.write(&Event::Activations(Activations { epoch: at.epoch, step: at.step, stages }))?)
    }

    /// The probes before training and after it.
    fn probes<N: Staged>(&mut self, at: Position, network: &N) -> Result<(), Error> {
        let (batch, (samples, steps)) = (&self.watch.batch, self.watch.one_batch);
        let mut probes = Vec::new();
        if at.epoch == 0 && steps > 0 {
            probes.push(batch.first(samples).one_batch(network, at, steps)?);
        }
        if at.epoch > 0 && at.epoch == self.watch.epochs as u64 {
            probes.push(batch.input(network, at)?);
            probes.extend(batch.train_eval(network, at)?);
        }
        for probe in probes {
            self.record.write(&Event::Probe(probe))?;
        }
        Ok(())
    }

    fn norms(&self, at: Position, norms: &[TensorNorms]) -> Norms {
        let norms: Vec<&TensorNorms> = norms.iter().zip(&self.trained).filter(|(_, is)| **is).map(|(n, _)| n).collect();
        let nonfinite: Vec<u64> = norms.iter().map(|norms| norms.nonfinite).collect();
        Norms {
            epoch: at.epoch,
            step: at.step,
            gradient: norms.iter().map(|norms| norms.gradient).collect(),
            weight: norms.iter().map(|norms| norms.weight).collect(),
            update: norms.iter().map(|norms| norms.update).collect(),
            nonfinite: if nonfinite.iter().any(|count| *count > 0) { nonfinite } else { Vec::new() },
        }
    }
}

impl<N: Staged> Observer<N> for Journal {
    fn call(&mut self, at: Position, call: Call) -> Result<(), Error> {
        let Position { epoch, step } = at;
        let event = match call {
            Call::ZeroGrad => {
                self.empty = true;
                Event::ZeroGrad(at)
            }
            Call::Backward { samples } => {
                // Gradients are returned and not added to what is there, so that nothing is left of the step before.
                let buffer = std::mem::take(&mut self.empty).then_some(0.0);
                Event::Backward(Backward { epoch, step, samples: samples as u64, buffer, training: Some(true) })
            }
            Call::Clip { norm, limit } => Event::Clip(Clip { epoch, step, norm, limit }),
            Call::Step { loss, learning_rate } => Event::Step(Step { epoch, step, loss, learning_rate }),
            Call::Norms(norms) => Event::Norms(self.norms(at, norms)),
            Call::Schedule { learning_rate } => Event::Schedule(Schedule { epoch, step, learning_rate }),
        };
        Ok(self.record.write(&event)?)
    }

    fn measures(&self, step: usize) -> bool {
        step <= FIRST_NORMS || step.is_multiple_of(NORMS_EVERY)
    }

    fn step(&mut self, _report: &StepReport, _state: &State<N>) -> Result<(), Error> {
        Ok(())
    }

    fn epoch(&mut self, report: &EpochReport, state: &State<N>) -> Result<(), Error> {
        let at = Position { epoch: report.epoch as u64, step: report.step as u64 };
        if report.epoch > 0 {
            self.evaluation(at, "train", &[("loss", Some(report.train_loss))])?;
        }
        let accuracy = ("accuracy", report.validation_accuracy);
        self.evaluation(at, "validation", &[("loss", Some(report.validation_loss)), accuracy])?;
        if let Some(accuracy) = report.probe_accuracy {
            self.evaluation(at, "test", &[("probe_accuracy", Some(accuracy))])?;
        }
        self.activations(at, state)?;
        self.probes(at, &state.model)
    }

    fn failed(&mut self, at: Position, state: &State<N>) -> Result<(), Error> {
        self.activations(at, state)
    }
}
