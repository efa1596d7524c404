//! Webhooks: their targets, the schedule of retries, and which events they receive.

mod admission;
mod owners;
mod schedule;
mod subscriptions;
mod target;
