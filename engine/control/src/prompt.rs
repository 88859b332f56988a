//! A prompt: sound that an endpoint hears in place of everything else, once.

use std::sync::Arc;

use media_units::RateClass;
use serde::{Deserialize, Serialize};

/// The same sound at the rate of every class, in whole blocks. Shared by all who hear it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renditions([Vec<i16>; RateClass::ALL.len()]);

impl Renditions {
    /// What `render` gives for each class, made up to whole blocks with silence.
    pub fn new(render: impl Fn(RateClass) -> Vec<i16>) -> Self {
        let mut renditions = RateClass::ALL.map(render);
        let blocks = RateClass::ALL.iter().zip(&renditions);
        let blocks = blocks.map(|(class, sound)| sound.len().div_ceil(class.block_samples()));
        let blocks = blocks.max().unwrap_or_default();
        for (class, sound) in RateClass::ALL.iter().zip(&mut renditions) {
            sound.resize(blocks * class.block_samples(), 0);
        }
        Self(renditions)
    }

    /// Its length in periods of 20 ms.
    pub fn periods(&self) -> usize {
        self.0[RateClass::Narrow as usize].len() / RateClass::Narrow.block_samples()
    }
}

/// Sound on its way to one endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Prompt {
    renditions: Arc<Renditions>,
    played: usize,
}

impl Prompt {
    /// From its beginning.
    pub const fn new(renditions: Arc<Renditions>) -> Self {
        Self { renditions, played: 0 }
    }

    /// The next block at the rate of a class; none where it is over.
    pub fn next(&mut self, class: RateClass) -> Option<&[i16]> {
        let block = class.block_samples();
        let start = self.played * block;
        let next = self.renditions.0[class as usize].get(start..start + block)?;
        self.played += 1;
        Some(next)
    }

    /// Whether there is nothing left of it.
    pub fn is_over(&self) -> bool {
        self.played >= self.renditions.periods()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renditions_of_every_class_have_the_same_whole_blocks() {
        let renditions = Renditions::new(|class| vec![class as i16; class.hertz() as usize / 30]);
        assert_eq!(renditions.periods(), 2);
        let renditions = Arc::new(renditions);
        for class in RateClass::ALL {
            let mut prompt = Prompt::new(Arc::clone(&renditions));
            let first = prompt.next(class).unwrap();
            assert_eq!(first, vec![class as i16; class.block_samples()]);
            assert!(!prompt.is_over());
            assert_eq!(prompt.next(class).unwrap().len(), class.block_samples());
            assert!(prompt.is_over() && prompt.next(class).is_none());
        }
    }

    #[test]
    fn a_rate_that_changes_in_the_middle_goes_on_at_the_same_moment() {
        let renditions = Renditions::new(|class| {
            let block = class.block_samples();
            (0..3).flat_map(|index| vec![index; block]).collect()
        });
        let mut prompt = Prompt::new(Arc::new(renditions));
        let heard = [RateClass::Narrow, RateClass::Full, RateClass::Wide];
        assert_eq!(heard.map(|class| prompt.next(class).unwrap()[0]), [0, 1, 2]);
    }
}
