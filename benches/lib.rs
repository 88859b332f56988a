//! One criterion file for each station of the packet's way, and what they share.

pub mod world;
