//! Recordings, as the control plane keeps them: what is recorded and why ([`Keeper`]), what each
//! taps ([`Recordings`]), the writer's life ([`Recorder`]), and what people are told ([`Prompts`]).

mod desk;
mod keeper;
pub(crate) mod prompts;
mod recorder;

pub(crate) use desk::{Going, Keeping, Recordings};
pub(crate) use keeper::{Desk, Keeper, Keys, NotKept, Rules, Wish};
pub(crate) use prompts::{BadPrompt, Prompts};
pub(crate) use recorder::Recorder;
