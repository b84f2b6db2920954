//! The calls of a training loop, cut into windows: all that leads up to one optimizer step.

use crate::{Backward, Clip, Event, Record, Status};

/// One call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Call {
    ZeroGrad,
    Backward(Backward),
    Clip(Clip),
    Schedule,
}

/// The calls between two steps, or between a step and the end of an epoch that leaves backward passes behind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Window {
    pub(crate) calls: Vec<Call>,
    /// The epoch it belongs to.
    pub(crate) epoch: u64,
    /// The step that closes it, or would have.
    pub(crate) step: u64,
    /// Whether a step did close it.
    pub(crate) closed: bool,
}

impl Window {
    pub(crate) fn backwards(&self) -> impl Iterator<Item = &Backward> {
        self.calls.iter().filter_map(|call| match call {
            Call::Backward(backward) => Some(backward),
            _ => None,
        })
    }

    pub(crate) fn passes(&self) -> usize {
        self.backwards().count()
    }

    /// Whether a call for which `is` holds stands between two backward passes.
    pub(crate) fn inside(&self, is: impl Fn(&Call) -> bool) -> bool {
        let passes = || self.calls.iter().enumerate().filter(|(_, call)| matches!(call, Call::Backward(_)));
        match (passes().next(), passes().next_back()) {
            (Some((first, _)), Some((last, _))) => self.calls[first..last].iter().any(is),
            _ => false,
        }
    }

    /// Whether a call for which `is` holds stands after the last backward pass.
    pub(crate) fn after_last(&self, is: impl Fn(&Call) -> bool) -> bool {
        let last = self.calls.iter().rposition(|call| matches!(call, Call::Backward(_)));
        last.is_some_and(|last| self.calls[last..].iter().any(is))
    }

    /// Whether a call for which `is` holds stands before the first backward pass.
    pub(crate) fn before_first(&self, is: impl Fn(&Call) -> bool) -> bool {
        self.calls.iter().take_while(|call| !matches!(call, Call::Backward(_))).any(is)
    }
}

/// The windows of a record. One that is open where a record breaks off is left out.
pub(crate) fn windows(record: &Record) -> Vec<Window> {
    let mut cutter = Cutter::default();
    record.events.iter().for_each(|event| cutter.take(event));
    cutter.windows
}

/// The windows of a record that has the order of its calls; none otherwise.
pub(crate) fn ordered_windows(record: &Record) -> Vec<Window> {
    if record.header.order { windows(record) } else { Vec::new() }
}

#[derive(Default)]
struct Cutter {
    windows: Vec<Window>,
    open: Window,
}

impl Cutter {
    fn take(&mut self, event: &Event) {
        match event {
            Event::ZeroGrad(place) => self.call(Call::ZeroGrad, place.epoch, place.step),
            Event::Backward(backward) => self.call(Call::Backward(*backward), backward.epoch, backward.step),
            Event::Clip(clip) => self.call(Call::Clip(*clip), clip.epoch, clip.step),
            Event::Schedule(schedule) => self.call(Call::Schedule, schedule.epoch, schedule.step),
            Event::Step(step) => {
                (self.open.epoch, self.open.step) = (step.epoch, step.step);
                self.close(true);
            }
            Event::Epoch(_) => self.leave(),
            // A run that was stopped may have been within a window.
            Event::Finish(finish) if finish.status == Status::Completed => self.leave(),
            _ => {}
        }
    }

    fn call(&mut self, call: Call, epoch: u64, step: u64) {
        if epoch > self.open.epoch {
            self.leave();
        }
        (self.open.epoch, self.open.step) = (epoch, step);
        self.open.calls.push(call);
    }

    /// Ends a window with backward passes that no step followed.
    fn leave(&mut self) {
        if self.open.passes() > 0 {
            self.close(false);
        }
    }

    fn close(&mut self, closed: bool) {
        let window = std::mem::take(&mut self.open);
        self.windows.push(Window { closed, ..window });
    }
}
