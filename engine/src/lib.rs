//! A shard: sessions and rooms run here. Pure: time is an argument, output is passed in.

mod clock;
mod output;
mod shard;

pub use output::{Datagram, Output, Port};
pub use shard::Shard;
