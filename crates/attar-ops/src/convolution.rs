//! Convolutions of images whose channels lie side by side.

/// Sizes of a convolution: square kernels over images of `height` times `width` pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Rows of pixels that come in.
    pub height: usize,
    /// Columns of pixels that come in.
    pub width: usize,
    /// Rows and columns of a kernel.
    pub kernel: usize,
    /// Pixels from one place of a kernel to the next, along both axes; from 1.
    pub stride: usize,
    /// Zeros before and after each row and column.
    pub padding: usize,
}

impl Convolution {
    /// Rows and columns of pixels that go out; none where the kernel does not fit in.
    pub fn output(&self) -> [usize; 2] {
        [self.height, self.width].map(|length| {
            let places = (length + 2 * self.padding).checked_sub(self.kernel);
            places.map_or(0, |places| places / self.stride.max(1) + 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_has_as_many_places_as_fit() {
        let sizes =
            |height, width, kernel, stride, padding| Convolution { height, width, kernel, stride, padding }.output();
        assert_eq!(sizes(14, 9, 3, 1, 1), [14, 9]);
        assert_eq!(sizes(14, 9, 3, 2, 1), [7, 5]);
        assert_eq!(sizes(7, 5, 3, 2, 0), [3, 2]);
        assert_eq!(sizes(7, 2, 3, 1, 0), [5, 0]);
        assert_eq!(sizes(1, 1, 1, 2, 0), [1, 1]);
    }
}
