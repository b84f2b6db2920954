//! Simulated data-parallel ranks.
