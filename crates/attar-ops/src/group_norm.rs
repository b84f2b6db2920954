//! Group normalisation and its gradients (Wu & He 2018, eq. 7): each sample's groups of channels over all positions.

use rayon::prelude::*;

use crate::batch_norm::{NormGradient, added};
use crate::columns::{Columns, repeat, squared_deviations, sums};
use crate::pages::zeros;
use crate::reduce::rows_of_a_block;
use crate::{Float, Moments};

/// What a group norm is computed with.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm<'a, T> {
    /// Positions of a sample.
    pub positions: usize,
    /// Groups that the channels fall into, all of the same size.
    pub groups: usize,
    /// Multiplies each channel once it is normalised.
    pub gamma: &'a [T],
    /// Is added to each channel then.
    pub beta: &'a [T],
    /// Is added to the variance that divides.
    pub epsilon: f64,
    /// Whether the rectifier follows.
    pub rectified: bool,
}

impl<T: Float> GroupNorm<'_, T> {
    /// `gamma (values - mean) / sqrt(variance + epsilon) + beta`, rectified or not, for `[samples, positions, channels]`;
    /// and the moments of each sample's groups, which [`Self::backward`] needs.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    pub fn forward(&self, values: &[T]) -> (Vec<T>, Vec<Moments>) {
        let (of_sample, samples) = self.check(values);
        let mut out = zeros(values.len());
        let mut moments = vec![Moments::default(); values.len() / of_sample * self.groups];
        let blocks = out.par_chunks_mut(samples * of_sample).zip(values.par_chunks(samples * of_sample));
        blocks.zip(moments.par_chunks_mut(samples * self.groups)).for_each(|((out, values), moments)| {
            let mut columns = self.columns();
            let samples = out.chunks_exact_mut(of_sample).zip(values.chunks_exact(of_sample));
            for ((out, values), moments) in samples.zip(moments.chunks_exact_mut(self.groups)) {
                self.find_moments(values, &mut columns, moments);
                columns.normalise(values, out);
            }
        });
        (out, moments)
    }

    /// The gradients from that of the output.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    pub fn backward(&self, values: &[T], moments: &[Moments], of_output: &[T]) -> NormGradient<T> {
        let (of_sample, samples) = self.check(values);
        assert_eq!(of_output.len(), values.len(), "gradients for the values");
        assert_eq!(moments.len(), values.len() / of_sample * self.groups, "moments of the groups");
        let mut of_input = zeros(values.len());
        let size = samples * of_sample;
        let blocks = of_input.par_chunks_mut(size).zip(values.par_chunks(size)).zip(of_output.par_chunks(size));
        let sums: Vec<_> = blocks
            .zip(moments.par_chunks(samples * self.groups))
            .map(|(((out, values), of_output), moments)| self.block_backward(values, moments, of_output, out))
            .collect();
        let channels = self.gamma.len();
        let (betas, gammas) = sums.into_iter().map(|[shift, along]| (shift, along)).unzip();
        let [beta, gamma] = [betas, gammas].map(|sums| added(sums, channels).into_iter().map(T::from_f64).collect());
        NormGradient { input: of_input, gamma, beta }
    }

    /// Writes the gradient of a block's samples; gives its part of those of beta and gamma.
    fn block_backward(&self, values: &[T], moments: &[Moments], of_output: &[T], out: &mut [T]) -> [Vec<f64>; 2] {
        let channels = self.gamma.len();
        let of_sample = self.positions * channels;
        let (mut columns, mut averages) = (self.columns(), [Vec::new(), Vec::new()]);
        let mut total = [vec![0.0; channels], vec![0.0; channels]];
        let samples = values.chunks_exact(of_sample).zip(of_output.chunks_exact(of_sample));
        let samples = samples.zip(moments.chunks_exact(self.groups)).zip(out.chunks_exact_mut(of_sample));
        for (((values, of_output), moments), out) in samples {
            self.take_moments(moments, &mut columns);
            let sums = columns.gradient_sums(values, of_output, channels);
            for ((sums, averages), total) in sums.iter().zip(&mut averages).zip(&mut total) {
                let groups = self.averages(|channel| self.gamma[channel].to_f64() * sums[channel]);
                repeat(averages, channels, self.positions, |channel| T::from_f64(groups[self.group(channel)]));
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
            columns.backward(values, of_output, averages.each_ref().map(Vec::as_slice), out);
        }
        total
    }

    /// The moments of a sample's groups, for the columns and as such.
    fn find_moments(&self, values: &[T], columns: &mut Columns<T>, moments: &mut [Moments]) {
        let channels = self.gamma.len();
        let sums = sums(values, channels);
        let means = self.averages(|channel| sums[channel]);
        repeat(&mut columns.mean, channels, self.positions, |channel| T::from_f64(means[self.group(channel)]));
        let squares = squared_deviations(values, channels, &columns.mean);
        let variances = self.averages(|channel| squares[channel]);
        for ((moments, mean), variance) in moments.iter_mut().zip(means).zip(variances) {
            *moments = Moments { mean, inverse_deviation: 1.0 / (variance + self.epsilon).sqrt() };
        }
        self.take_moments(moments, columns);
    }

    fn take_moments(&self, moments: &[Moments], columns: &mut Columns<T>) {
        let channels = self.gamma.len();
        let of = |channel: usize| moments[self.group(channel)];
        repeat(&mut columns.mean, channels, self.positions, |channel| T::from_f64(of(channel).mean));
        repeat(&mut columns.scale, channels, self.positions, |channel| T::from_f64(of(channel).inverse_deviation));
    }

    /// The average over the values of each group, from sums over those of each channel.
    fn averages(&self, sum: impl Fn(usize) -> f64) -> Vec<f64> {
        let of_group = self.gamma.len() / self.groups;
        let count = (self.positions * of_group) as f64;
        let channels = |group: usize| group * of_group..(group + 1) * of_group;
        (0..self.groups).map(|group| channels(group).map(&sum).sum::<f64>() / count).collect()
    }

    fn group(&self, channel: usize) -> usize {
        channel / (self.gamma.len() / self.groups)
    }

    /// What does not change from sample to sample.
    fn columns(&self) -> Columns<T> {
        let channels = self.gamma.len();
        let mut columns = Columns { rectified: self.rectified, ..Columns::default() };
        repeat(&mut columns.gamma, channels, self.positions, |channel| self.gamma[channel]);
        repeat(&mut columns.beta, channels, self.positions, |channel| self.beta[channel]);
        columns
    }

    /// The values of a sample, and the samples of a block.
    fn check(&self, values: &[T]) -> (usize, usize) {
        let channels = self.gamma.len();
        assert!(channels > 0 && self.positions > 0, "channels and positions to normalise");
        assert!(
            self.groups > 0 && channels.is_multiple_of(self.groups),
            "{channels} channels in {} groups",
            self.groups
        );
        assert_eq!(self.beta.len(), channels, "shifts for {channels} channels");
        let of_sample = self.positions * channels;
        assert!(values.len().is_multiple_of(of_sample), "whole samples of {of_sample} values");
        (of_sample, rows_of_a_block(of_sample))
    }
}
