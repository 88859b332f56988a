//! Many streams, one room: who hears whom as data, and the sums that carry it out.
//!
//! Floor 2, pure. Policy and sound are apart: a [`Part`] says what one member may say and hear,
//! [`Way::of`] turns a room's parts into the way through (relay, translate or mix), and both change
//! only when a member, a mute, a hold or a tap does. The tick then runs [`Mix`] without a question about
//! people. Sums are integers, one for each rate class that somebody listens at: each audible
//! source is brought to each of them, and what a member hears is exactly the others: the sum minus
//! its own block as it was added there, narrowed once. Never allocates after [`Mix::new`].

mod arena;
mod automatic;
mod classes;
mod frame;
mod gain;
mod gate;
mod limiter;
mod mix;
mod noise;
mod offer;
mod plan;
mod room;
mod select;
mod source;
mod sum;

pub use classes::Classes;
pub use frame::{Frame, encode, silence};
pub use mix::{CLAIMS_MAX, Heard, Mix, Said};
pub use plan::{Format, Part, Way};
pub use room::{RoomState, Setting};
pub use source::{Source, Sources};
