//! Rooms that are spread over several shards (docs/decisions/0015).
//!
//! Each shard has a part of such a room, with the members that live there. In the tick of the
//! room's phase every part plays what its members say, and tells the others what decides who is
//! heard and how: the *head*. Two ticks later each has the heads of all, decides the same as they do
//! and tells what its own audible members add up to: the *sums*. One tick later each adds up all sums,
//! and sends its listeners the whole without themselves. Nobody waits: what is not there in time
//! is silence, and counted.

mod exchange;
mod part;
mod record;

pub use exchange::{Exchange, exchange};
pub(crate) use part::{SPEAK_TICKS, Spread, phase_of};
