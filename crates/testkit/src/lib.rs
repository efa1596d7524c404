//! Starts real servers on free ports for tests, and talks to them over real HTTP.
