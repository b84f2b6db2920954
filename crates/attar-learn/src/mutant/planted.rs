//! The mistakes.

use attar_doctor::accumulation::Fault;

/// One thing that is wrong with a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The sum over micro-batches is not divided by their number.
    NoDivision,
    /// The loss is summed over the samples, not averaged.
    SummedLoss,
    /// The loss is summed over the samples, then divided by the number of micro-batches.
    SummedThenDivided,
    /// Micro-batches of different size weigh the same.
    MeanOfMeans,
    /// No step follows the micro-batches that do not fill a window.
    DroppedWindow,
    /// The schedule moves with every micro-batch.
    ScheduleInside,
    /// The buffers are clipped after every micro-batch.
    ClipInside,
    /// Masks belong to the place in the batch, not to the sample.
    DropoutByBatch,
    /// The loss of a sample depends on the others of its batch.
    Contrastive,
    /// The optimizer steps after every micro-batch.
    StepInside,
    /// The buffers are emptied before every micro-batch.
    ZeroGradInside,
    /// The buffers are never emptied.
    NoZeroGrad,
    /// The buffers are emptied at the start of each epoch only.
    ZeroGradOnceAnEpoch,
    /// The buffers are emptied between the last backward pass and the step.
    ZeroGradBeforeStep,
    /// The network stays in evaluation mode.
    EvaluationMode,
    /// The optimizer was not given the first parameter.
    WithoutParameter,
    /// No gradient reaches the first half of the parameters.
    DetachedBranch,
    /// All weights begin at zero.
    ZeroInitial,
    /// All weights begin thirty times too large.
    LargeInitial,
    /// The learning rate is a hundred times too high.
    LargeRate,
    /// The learning rate is a thousand times too low.
    SmallRate,
    /// The targets belong to other samples.
    PermutedTargets,
    /// The inputs are all zero.
    ZeroedInput,
    /// Gradients are clipped to a thousandth of what they should be.
    TinyClip,
    /// All samples of all steps get the same mask.
    RepeatedSeed,
    /// The inputs of one sample are not finite.
    NonFiniteRow,
}

impl Planted {
    /// All of them; the first eleven are the certificate's.
    pub const ALL: [Self; 26] = [
        Self::NoDivision,
        Self::SummedLoss,
        Self::SummedThenDivided,
        Self::MeanOfMeans,
        Self::DroppedWindow,
        Self::ScheduleInside,
        Self::ClipInside,
        Self::DropoutByBatch,
        Self::Contrastive,
        Self::StepInside,
        Self::ZeroGradInside,
        Self::NoZeroGrad,
        Self::ZeroGradOnceAnEpoch,
        Self::ZeroGradBeforeStep,
        Self::EvaluationMode,
        Self::WithoutParameter,
        Self::DetachedBranch,
        Self::ZeroInitial,
        Self::LargeInitial,
        Self::LargeRate,
        Self::SmallRate,
        Self::PermutedTargets,
        Self::ZeroedInput,
        Self::TinyClip,
        Self::RepeatedSeed,
        Self::NonFiniteRow,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoDivision => "no-division",
            Self::SummedLoss => "summed-loss",
            Self::SummedThenDivided => "summed-then-divided",
            Self::MeanOfMeans => "mean-of-means",
            Self::DroppedWindow => "dropped-window",
            Self::ScheduleInside => "schedule-inside",
            Self::ClipInside => "clip-inside",
            Self::DropoutByBatch => "dropout-by-batch",
            Self::Contrastive => "contrastive",
            Self::StepInside => "step-inside",
            Self::ZeroGradInside => "zero-grad-inside",
            Self::NoZeroGrad => "no-zero-grad",
            Self::ZeroGradOnceAnEpoch => "zero-grad-once-an-epoch",
            Self::ZeroGradBeforeStep => "zero-grad-before-step",
            Self::EvaluationMode => "evaluation-mode",
            Self::WithoutParameter => "without-parameter",
            Self::DetachedBranch => "detached-branch",
            Self::ZeroInitial => "zero-initial",
            Self::LargeInitial => "large-initial",
            Self::LargeRate => "large-rate",
            Self::SmallRate => "small-rate",
            Self::PermutedTargets => "permuted-targets",
            Self::ZeroedInput => "zeroed-input",
            Self::TinyClip => "tiny-clip",
            Self::RepeatedSeed => "repeated-seed",
            Self::NonFiniteRow => "non-finite-row",
        }
    }

    /// What the certificate is to name, for those that accumulation shows.
    pub fn fault(self) -> Option<Fault> {
        match self {
            Self::NoDivision => Some(Fault::NoDivision),
            Self::SummedLoss => Some(Fault::SummedLoss),
            Self::SummedThenDivided => Some(Fault::SummedThenDivided),
            Self::MeanOfMeans => Some(Fault::MeanOfMeans),
            Self::DroppedWindow => Some(Fault::DroppedWindow),
            Self::ScheduleInside => Some(Fault::ScheduleInside),
            Self::ClipInside => Some(Fault::ClippedInside),
            Self::DropoutByBatch => Some(Fault::MasksByBatch),
            Self::Contrastive => Some(Fault::NotPerSample),
            Self::StepInside => Some(Fault::StepInside),
            Self::ZeroGradInside => Some(Fault::ZeroedInside),
            _ => None,
        }
    }
}
