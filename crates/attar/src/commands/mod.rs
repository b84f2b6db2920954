//! The commands, one file each.

pub(crate) mod attend;
pub(crate) mod certify;
pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod embed;
pub(crate) mod lab;
pub(crate) mod pca;
pub(crate) mod probe;
pub(crate) mod reconstruct;
pub(crate) mod report;
pub(crate) mod sweep;
pub(crate) mod train;
