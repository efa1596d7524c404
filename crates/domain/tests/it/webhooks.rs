//! Webhooks: their targets, the schedule of retries, and which events they receive.

mod admission;
mod schedule;
mod subscriptions;
mod target;
