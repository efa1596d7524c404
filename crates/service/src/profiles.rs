//! Profiles: how actors are shown.

mod list;
mod write;

pub use list::{GetProfile, ListProfiles, OneProfile, ProfilesAnswer};
pub use write::{RemoveProfile, UpdateProfile};
