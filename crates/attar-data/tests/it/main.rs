//! What a user's files give: data, or one clear error.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test's helpers, a panic is a failed test"
)]

mod arriving;
mod bad_input;
mod damage;
mod fetching;
mod files;
mod formats;
mod memory;
mod new_data;
mod writing;
