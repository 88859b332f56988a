//! A shard that breaks, for tests of what the rest of the server does then.

use std::sync::Arc;

use crate::Engine;
use crate::rings::Shared;

/// Breaks a shard of the engine that it came from.
#[derive(Debug, Clone)]
pub struct Breaker(Arc<Shared>);

impl Breaker {
    /// Makes one shard panic at its next tick, whichever is first.
    pub fn break_one(&self) {
        self.0.order_fault();
    }
}

impl Engine {
    /// What a test breaks one of its shards with.
    pub fn breaker(&self) -> Breaker {
        Breaker(Arc::clone(self.shared()))
    }
}
