//! The SIP front end. Sans-IO: messages, time and engine events come in, messages and engine
//! commands go out through [`Outside`].

mod outside;

pub use outside::{Carrier, Outside, Peer, Recording};
