//! Acknowledged changes survive: kills, power cuts, failing calls, damaged files, full and frozen
//! disks, and clocks that jump (D-01 to D-08, D-11).
//!
//! [`person`] changes things and writes down what they were told, and [`history`] says what may be
//! found afterwards; every test here asks the same check. Backups are in `backups`, and damage to
//! many places of every file is beside the store (`src/store/sled/damage.rs`).

mod calls;
mod clocks;
mod disk;
mod files;
mod full;
mod history;
mod kills;
mod order;
mod person;
mod power;
