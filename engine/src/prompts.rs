//! Prompts: sound that takes the place of what an endpoint would hear.

use std::mem::replace;

use engine_control::{Event, Prompt};
use mixer::Format;

use crate::Output;
use crate::session::Session;

impl Session {
    /// Plays a prompt from now on, in place of one that plays.
    pub(crate) fn prompt<O: Output>(&mut self, prompt: Option<Box<Prompt>>, output: &mut O) {
        self.is_prompted = prompt.is_some();
        if let Some(prompt) = replace(&mut self.record.prompt, prompt) {
            output.event(Event::Prompted { session: self.key, prompt });
        }
    }

    /// Puts the period's part of the prompt in place of `block`. False where none plays.
    pub(crate) fn speak_prompt<O: Output>(&mut self, block: &mut [i16], output: &mut O) -> bool {
        if !self.is_prompted || self.rests {
            return false;
        }
        let class = match self.format() {
            Format::Plain(_) => media_units::RateClass::Narrow,
            Format::Other(class) => class,
        };
        let Some(prompt) = &mut self.record.prompt else { return false };
        let next = prompt.next(class).filter(|next| next.len() == block.len());
        let is_sound = next.is_some();
        if let Some(next) = next {
            block.copy_from_slice(next);
        }
        if prompt.is_over() || !is_sound {
            self.prompt(None, output);
        }
        is_sound
    }
}
