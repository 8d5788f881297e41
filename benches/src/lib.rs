//! Measurements that anyone can repeat.
//!
//! Figures of one table are taken in turn in one run, so that a machine that slows down slows
//! all of them. Ratios are meant to be quoted; absolute times belong to the machine.

pub mod crash;
pub mod interrupt;
pub mod tier1;
pub mod tier2;
