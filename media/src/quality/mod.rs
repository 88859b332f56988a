//! How good a call is: which packets are missing and in what bursts ([`losses`], RFC 3611), what
//! that is worth to who listens ([`emodel`], ITU-T G.107), and the account of its bad seconds
//! ([`seconds`]).
//!
//! Arithmetic on numbers that others gathered. Floating point is used for what is only reported.

pub mod emodel;
pub mod losses;
pub mod seconds;
