//! The values of tensors in the host's memory, read and changed where they lie: for operations that other crates add.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Element, Shape, TensorData};

use crate::{Float, Matrix};

/// `f32` or `f64`, as an element of Burn's tensors.
pub trait Host: Float + Element {
    /// All that a tensor's memory holds.
    fn storage(tensor: &FlexTensor) -> &[Self];
    /// The same, copied before if another tensor shares it.
    fn storage_mut(tensor: &mut FlexTensor) -> &mut [Self];
}

impl Host for f32 {
    fn storage(tensor: &FlexTensor) -> &[Self] {
        tensor.storage()
    }

    fn storage_mut(tensor: &mut FlexTensor) -> &mut [Self] {
        tensor.storage_mut()
    }
}

impl Host for f64 {
    fn storage(tensor: &FlexTensor) -> &[Self] {
        tensor.storage()
    }

    fn storage_mut(tensor: &mut FlexTensor) -> &mut [Self] {
        tensor.storage_mut()
    }
}

/// The expression with the named type as that of the tensor's values.
macro_rules! with_float {
    ($tensor:expr, $T:ident => $body:expr) => {
        if $tensor.dtype() == burn::tensor::DType::F64 {
            type $T = f64;
            $body
        } else {
            type $T = f32;
            $body
        }
    };
}
pub(super) use with_float;

/// The tensor of these values, row-major.
pub fn tensor<T: Host>(values: Vec<T>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The tensor, copied only if its values do not stand in row-major order without gaps.
pub fn row_major(tensor: &FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor.clone() } else { tensor.to_contiguous() }
}

/// The values of a tensor from [`row_major`].
pub fn slice<T: Host>(tensor: &FlexTensor) -> &[T] {
    let offsets = tensor.layout().contiguous_offsets();
    offsets.and_then(|(first, end)| T::storage(tensor).get(first..end)).unwrap_or_default()
}

/// The tensor with its values changed: in place, unless another tensor shares them.
pub(super) fn changed<T: Host, R>(tensor: FlexTensor, change: impl FnOnce(&mut [T]) -> R) -> (FlexTensor, R) {
    // A part of a larger memory is copied out of it.
    let mut whole = tensor.to_contiguous();
    drop(tensor);
    let result = change(T::storage_mut(&mut whole));
    (whole, result)
}

/// The tensor, copied only if it cannot be read as a [`matrix`]: if it runs backwards through memory.
pub(super) fn readable(tensor: &FlexTensor) -> FlexTensor {
    let forwards = tensor.layout().strides().iter().all(|&stride| stride >= 0);
    if forwards { tensor.clone() } else { tensor.to_contiguous() }
}

/// A tensor `[rows, columns]` from [`readable`], where it lies.
pub(super) fn matrix<T: Host>(tensor: &FlexTensor) -> Matrix<'_, T> {
    let layout = tensor.layout();
    let values = T::storage(tensor).get(layout.start_offset()..).unwrap_or_default();
    let [rows, columns] = [0, 1].map(|axis| layout.shape()[axis]);
    let strides = [0, 1].map(|axis| layout.strides()[axis].unsigned_abs());
    // A tensor never ends behind its memory.
    Matrix::strided(values, [rows, columns], strides).unwrap_or(Matrix::row_major(&[], columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> FlexTensor {
        tensor((0..12).map(|at| at as f32).collect(), [3, 4])
    }

    #[test]
    fn views_are_read_without_a_copy() {
        let whole = counting();
        for view in [whole.clone(), whole.transpose(0, 1), whole.narrow(0, 1, 2), whole.narrow(1, 1, 2).transpose(0, 1)]
        {
            let readable = readable(&view);
            assert_eq!(readable.bytes().as_ptr(), whole.bytes().as_ptr());
            let (matrix, copy) = (matrix::<f32>(&readable), view.to_contiguous());
            let elements = (0..matrix.rows()).flat_map(|row| (0..matrix.columns()).map(move |column| (row, column)));
            let elements: Vec<f32> = elements.map(|(row, column)| matrix.at(row, column)).collect();
            assert_eq!(elements, slice::<f32>(&copy), "{view:?}");
        }
        let rows = whole.narrow(0, 1, 2);
        assert_eq!(row_major(&rows).bytes().as_ptr(), whole.bytes().as_ptr());
        assert_eq!(slice::<f32>(&rows), &slice::<f32>(&whole)[4..]);
    }

    #[test]
    fn values_are_changed_in_place_unless_they_are_shared() {
        let double = |values: &mut [f32]| values.iter_mut().for_each(|value| *value *= 2.0);
        let alone = counting();
        let memory = alone.bytes().as_ptr();
        let (alone, ()) = changed(alone, double);
        assert_eq!(alone.bytes().as_ptr(), memory);
        let (part, ()) = changed(alone.narrow(0, 2, 1), double);
        assert_eq!(slice::<f32>(&part), [32.0, 36.0, 40.0, 44.0]);
        assert_eq!(slice::<f32>(&alone)[8..], [16.0, 18.0, 20.0, 22.0]);
    }
}
