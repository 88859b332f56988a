//! The front end against phones, in virtual time: one test for each sentence about SIP.

#![allow(unreachable_pub)] // the harness is shared by the modules of this one binary

mod harness;

mod awareness;
mod calls;
mod codecs;
mod failing_recorders;
mod faults;
mod offers;
mod recorder;
mod recording_client;
mod ringing;
mod robustness;
mod routing;
mod session_timers;
mod torture;
mod transactions;
