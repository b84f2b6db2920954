//! What attention works on: shapes, and arrays that someone else owns.

use std::ops::Range;

use attar_ops::{Float, UnwrittenPart};

use crate::Error;

/// The lengths of all axes.
///
/// Queries are `[batch, heads, queries, dim]`, keys `[batch, key_heads, keys, dim]`, values
/// `[batch, key_heads, keys, value_dim]`, the output `[batch, heads, queries, value_dim]`; all row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sequences.
    pub batch: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values; as many consecutive heads of queries share one as it takes.
    pub key_heads: usize,
    /// Queries in a sequence.
    pub queries: usize,
    /// Keys in a sequence.
    pub keys: usize,
    /// Width of queries and keys, D.
    pub dim: usize,
    /// Width of values, M.
    pub value_dim: usize,
}

impl Shape {
    /// Heads of queries to a head of keys.
    pub fn group(&self) -> usize {
        self.heads / self.key_heads
    }

    /// Rows of the output.
    pub fn rows(&self) -> usize {
        self.batch * self.heads * self.queries
    }

    /// Pairs of a sequence and a head of keys.
    pub(crate) fn groups(&self) -> usize {
        self.batch * self.key_heads
    }

    /// Values of the output.
    pub(crate) fn outputs(&self) -> usize {
        self.rows() * self.value_dim
    }

    /// How many keys, from the first on, the query sees before any of them is hidden.
    ///
    /// The last query of a causal attention sees all keys, the one before it all but one, and so on: where there are
    /// more queries than keys, the first see none.
    pub(crate) fn visible(&self, causal: bool, query: usize) -> usize {
        if causal { (query + 1 + self.keys).saturating_sub(self.queries).min(self.keys) } else { self.keys }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let needed = [
            ("head", self.heads),
            ("head of keys", self.key_heads),
            ("feature of queries and keys", self.dim),
            ("feature of values", self.value_dim),
        ];
        if let Some((what, _)) = needed.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::None(what));
        }
        if !self.heads.is_multiple_of(self.key_heads) {
            return Err(Error::Groups { heads: self.heads, key_heads: self.key_heads });
        }
        let Self { batch, heads, queries, keys, dim, value_dim, .. } = *self;
        let all = [batch, heads, queries.max(keys), dim.max(value_dim).saturating_add(1)];
        let count = all.into_iter().try_fold(1_usize, usize::checked_mul);
        count.map(|_| ()).ok_or(Error::TooLarge(*self))
    }
}

/// Queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a, T> {
    /// The lengths of all axes.
    pub shape: Shape,
    /// `[batch, heads, queries, dim]`.
    pub queries: &'a [T],
    /// `[batch, key_heads, keys, dim]`.
    pub keys: &'a [T],
    /// `[batch, key_heads, keys, value_dim]`.
    pub values: &'a [T],
    /// `[batch, keys]`: keys that no query sees, such as padding, are `true`. What stands there must be finite.
    pub hidden: Option<&'a [bool]>,
}

impl<'a, T> Inputs<'a, T> {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let shape = self.shape;
        shape.check()?;
        let key_rows = shape.groups() * shape.keys;
        length("values of queries", shape.rows() * shape.dim, self.queries.len())?;
        length("values of keys", key_rows * shape.dim, self.keys.len())?;
        length("values of values", key_rows * shape.value_dim, self.values.len())?;
        match self.hidden {
            Some(hidden) => length("marks of hidden keys", shape.batch * shape.keys, hidden.len()),
            None => Ok(()),
        }
    }

    /// What belongs to one pair of a sequence and a head of keys.
    pub(crate) fn group(&self, index: usize, causal: bool) -> Group<'a, T> {
        let shape = self.shape;
        let (keys, queries) = (shape.keys, shape.group() * shape.queries);
        let sequence = index / shape.key_heads;
        Group {
            shape,
            causal,
            queries: &self.queries[index * queries * shape.dim..][..queries * shape.dim],
            keys: &self.keys[index * keys * shape.dim..][..keys * shape.dim],
            values: &self.values[index * keys * shape.value_dim..][..keys * shape.value_dim],
            hidden: self.hidden.map(|hidden| &hidden[sequence * keys..][..keys]),
        }
    }
}

pub(crate) fn length(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::Length { what, expected, found }) }
}

/// One head of keys and values in one sequence, with the heads of queries that share it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'a, T> {
    pub(crate) shape: Shape,
    pub(crate) causal: bool,
    /// `[heads of the group, queries, dim]`.
    pub(crate) queries: &'a [T],
    /// `[keys, dim]`.
    pub(crate) keys: &'a [T],
    /// `[keys, value_dim]`.
    pub(crate) values: &'a [T],
    /// `[keys]`.
    pub(crate) hidden: Option<&'a [bool]>,
}

impl<'a, T> Group<'a, T> {
    /// Queries of one of the group's heads, row-major.
    pub(crate) fn query_rows(&self, head: usize, rows: &Range<usize>) -> &'a [T] {
        slice(self.queries, self.shape.dim, head * self.shape.queries, rows)
    }

    pub(crate) fn key_rows(&self, rows: &Range<usize>) -> &'a [T] {
        slice(self.keys, self.shape.dim, 0, rows)
    }

    pub(crate) fn value_rows(&self, rows: &Range<usize>) -> &'a [T] {
        slice(self.values, self.shape.value_dim, 0, rows)
    }

    pub(crate) fn is_hidden(&self, key: usize) -> bool {
        self.hidden.is_some_and(|hidden| hidden[key])
    }

    /// Which of these keys are hidden, if any of the sequence may be.
    pub(crate) fn hidden_of(&self, keys: &Range<usize>) -> Option<&'a [bool]> {
        self.hidden.map(|hidden| &hidden[keys.clone()])
    }

    /// How many of these keys, from the first of them on, the query sees before any is hidden.
    pub(crate) fn visible_of(&self, keys: &Range<usize>, query: usize) -> usize {
        self.shape.visible(self.causal, query).saturating_sub(keys.start).min(keys.len())
    }
}

fn slice<'a, T>(values: &'a [T], width: usize, first: usize, rows: &Range<usize>) -> &'a [T] {
    &values[(first + rows.start) * width..(first + rows.end) * width]
}

/// What can be cut in two.
pub(crate) trait Cut: Sized {
    fn cut(self, first: usize) -> (Self, Self);
}

impl<T> Cut for &mut [T] {
    fn cut(self, first: usize) -> (Self, Self) {
        self.split_at_mut(first)
    }
}

impl<T: Float> Cut for UnwrittenPart<'_, T> {
    fn cut(self, first: usize) -> (Self, Self) {
        self.split_at(first)
    }
}

/// An array `[groups, heads of a group, rows, width]` cut for tasks: for each group and each range of rows the rows of
/// every head. The ranges follow each other and cover all rows.
pub(crate) fn parts<P: Cut>(
    mut values: P,
    groups: usize,
    heads: usize,
    ranges: &[Range<usize>],
    width: usize,
) -> Vec<Vec<P>> {
    let mut all = Vec::with_capacity(groups * ranges.len());
    for _ in 0..groups {
        let first = all.len();
        all.extend(ranges.iter().map(|_| Vec::with_capacity(heads)));
        for _ in 0..heads {
            for (at, range) in ranges.iter().enumerate() {
                let (part, rest) = values.cut(range.len() * width);
                all[first + at].push(part);
                values = rest;
            }
        }
    }
    all
}

/// `0..count` in ranges of `size`; one empty range if there is nothing.
pub(crate) fn ranges(count: usize, size: usize) -> Vec<Range<usize>> {
    let starts = (0..count.max(1)).step_by(size);
    starts.map(|start| start..(start + size).min(count)).collect()
}
