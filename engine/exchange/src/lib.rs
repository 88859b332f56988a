//! Rings by which shards tell each other what they have of a room: one writer, any readers, and
//! nobody waits.
//!
//! Floor 0, pure, without `unsafe`. A record has a number (the period that it is about) and its
//! place is that number modulo [`DEPTH`], so a reader asks for exactly the record that it needs:
//! it is there whole, or it is not. Each place is a seqlock over atomic words: the writer takes
//! the place's number away, writes the words and puts the new number there; a reader that finds
//! another number before or after its copy has nothing. Both are wait-free, and a reader that is
//! slow, or gone, is none of the writer's business.

mod ring;

pub use ring::{DEPTH, RingReader, RingWriter, memory_bytes, ring};
