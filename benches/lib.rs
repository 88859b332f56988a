//! One criterion file for each station of the packet's way.
