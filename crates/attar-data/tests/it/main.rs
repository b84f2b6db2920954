//! What a user's files give: data, or one clear error.

mod bad_input;
mod fetching;
mod files;
mod formats;
mod new_data;
mod writing;
