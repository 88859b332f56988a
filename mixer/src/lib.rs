//! Many streams, one room: who hears whom as data, and the sums that carry it out.
//!
//! Floor 2, pure. Policy and sound are apart: a [`Part`] says what one member may say and hear,
//! [`Way::of`] turns a room's parts into the way through (relay or mix), and both change only when
//! a member, a mute, a hold or a tap does. The tick then runs [`Mix`] without a question about
//! people. Sums are integers (see [`media_units::Sum`]), so what a member hears is exactly the
//! others: the sum minus its own block, narrowed once. Never allocates after [`Mix::new`].

mod frame;
mod mix;
mod plan;

pub use frame::{Frame, encode, silence};
pub use mix::Mix;
pub use plan::{Part, Way};
