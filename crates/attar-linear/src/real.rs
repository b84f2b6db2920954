//! The two kinds of numbers that data come in.

use faer::traits::RealField;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`.
pub trait Real: sealed::Sealed + RealField + Copy + Into<f64> {
    /// Whether the type has single precision.
    const SINGLE: bool;

    /// The nearest number of this type.
    fn of(value: f64) -> Self;
}

impl Real for f32 {
    const SINGLE: bool = true;

    fn of(value: f64) -> Self {
        value as f32
    }
}

impl Real for f64 {
    const SINGLE: bool = false;

    fn of(value: f64) -> Self {
        value
    }
}
