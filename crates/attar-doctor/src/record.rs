//! A record read whole, for the rules.

use std::path::Path;

use crate::{Activations, Error, Event, Header, Norms, Probe, Reader, Step};

/// A record in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// What the run is.
    pub header: Header,
    /// All that follows the header, in order.
    pub events: Vec<Event>,
}

impl Record {
    /// Reads the record at `path`. A torn last line is left out.
    ///
    /// # Errors
    /// As [`Reader`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let mut record = Self::default();
        for event in Reader::open(path)? {
            match event? {
                Event::Header(header) => record.header = *header,
                event => record.events.push(event),
            }
        }
        Ok(record)
    }

    /// The optimizer steps.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.events.iter().filter_map(|event| match event {
            Event::Step(step) => Some(step),
            _ => None,
        })
    }

    /// The sizes of gradient, weight and update.
    pub fn norms(&self) -> impl Iterator<Item = &Norms> {
        self.events.iter().filter_map(|event| match event {
            Event::Norms(norms) => Some(norms),
            _ => None,
        })
    }

    /// The stages on the probe batch.
    pub fn activations(&self) -> impl Iterator<Item = &Activations> {
        self.events.iter().filter_map(|event| match event {
            Event::Activations(activations) => Some(activations),
            _ => None,
        })
    }

    /// The probes of one kind.
    pub fn probes(&self, kind: &str) -> impl Iterator<Item = &Probe> {
        self.events.iter().filter_map(move |event| match event {
            Event::Probe(probe) if probe.kind == kind => Some(probe),
            _ => None,
        })
    }

    /// The training losses: of the steps, or of the epochs where there are no steps.
    pub fn losses(&self) -> Vec<f64> {
        let steps: Vec<f64> = self.steps().map(|step| step.loss).collect();
        if !steps.is_empty() {
            return steps;
        }
        let epochs = self.events.iter().filter_map(|event| match event {
            Event::Epoch(epoch) => Some(epoch.loss),
            _ => None,
        });
        epochs.collect()
    }

    /// The loss of a network that knows nothing: `ln C`, or the mean squared norm of the target.
    pub fn ignorant_loss(&self) -> Option<f64> {
        let classes = self.header.classes.map(|classes| (classes as f64).ln());
        classes.or(self.header.target_norm).filter(|loss| *loss > 0.0)
    }

    /// The training loss before training: where batches are tiny, the mean over the steps that see the first 32
    /// samples. `None` for a record that does not begin at the first step.
    pub fn initial_loss(&self) -> Option<f64> {
        self.steps().next().filter(|step| step.step == 1)?;
        let count = 32_u64.div_ceil(self.header.batch_size.clamp(1, 32)) as usize;
        let losses: Vec<f64> = self.steps().take(count).map(|step| step.loss).collect();
        Some(losses.iter().sum::<f64>() / losses.len() as f64)
    }
}
