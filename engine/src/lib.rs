//! A shard: sessions and rooms run here. Pure: time is an argument, output is passed in.

mod output;

pub use output::{Datagram, Output, Port};
