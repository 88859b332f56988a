//! A prompt takes the place of what one endpoint hears, once, and its memory comes home.

mod rig;

use std::sync::Arc;

use engine_control::{Command, Event, Prompt, Renditions, Route, SessionKey};
use media_kernels::Kernels;
use media_units::Direction;
use rig::{Rig, SILENCE};

/// A code that no phone here speaks.
const SPOKEN: u8 = 0xa0;

/// So many periods of the sound of [`SPOKEN`].
fn prompt(periods: usize) -> Prompt {
    let mut sample = [0];
    Kernels::SCALAR.decode_ulaw(&[SPOKEN], &mut sample);
    let renditions = Renditions::new(|class| vec![sample[0]; periods * class.block_samples()]);
    Prompt::new(Arc::new(renditions))
}

fn session(slot: u32) -> SessionKey {
    SessionKey::new(0, slot, 1)
}

fn came_home(rig: &Rig) -> Vec<(SessionKey, bool)> {
    let prompted = |event: &Event| match event {
        Event::Prompted { session, prompt } => Some((*session, prompt.is_over())),
        _ => None,
    };
    rig.taken.events.iter().filter_map(prompted).collect()
}

#[test]
fn one_of_a_room_hears_it_and_the_others_hear_each_other() {
    for members in [2, 3] {
        let mut rig = Rig::new();
        let room = rig.open_room(0);
        rig.dial(0, Route::Room(room), Some(0x90));
        for slot in 1..members {
            rig.dial(slot, Route::Room(room), None);
        }
        rig.run(rig::SETTLED);
        rig.forget();
        rig.command(Command::Prompt { session: session(1), prompt: Box::new(prompt(4)) });
        rig.run(8);
        assert_eq!(rig.codes(1), [vec![SPOKEN; 4], vec![0x90; 4]].concat());
        assert_eq!(rig.codes(0), [SILENCE; 8]);
        if members == 3 {
            assert_eq!(rig.codes(2), [0x90; 8]);
        }
        assert_eq!(came_home(&rig), [(session(1), true)]);
        rig.assert_streams_are_lawful();
    }
}

#[test]
fn it_is_heard_where_nothing_else_is() {
    let mut rig = Rig::new();
    rig.dial(0, Route::Idle, Some(0x90));
    rig.run(rig::SETTLED);
    rig.forget();
    rig.command(Command::Prompt { session: session(0), prompt: Box::new(prompt(3)) });
    rig.run(5);
    assert_eq!(rig.codes(0), [SPOKEN, SPOKEN, SPOKEN, SILENCE, SILENCE]);
}

#[test]
fn it_waits_while_its_endpoint_hears_nothing() {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    rig.dial(0, Route::Room(room), Some(0x90));
    rig.dial(1, Route::Room(room), None);
    rig.run(rig::SETTLED);
    rig.update(session(1), |media| media.direction = Direction::Inactive);
    rig.command(Command::Prompt { session: session(1), prompt: Box::new(prompt(2)) });
    rig.run(5);
    rig.forget();
    rig.update(session(1), |media| media.direction = Direction::SendReceive);
    rig.run(3);
    assert_eq!(rig.codes(1), [SPOKEN, SPOKEN, 0x90]);
}

#[test]
fn another_one_and_the_end_of_the_session_give_it_up() {
    let mut rig = Rig::new();
    rig.dial(0, Route::Echo, None);
    rig.run(rig::SETTLED);
    rig.command(Command::Prompt { session: session(0), prompt: Box::new(prompt(100)) });
    rig.run(2);
    rig.command(Command::Prompt { session: session(0), prompt: Box::new(prompt(100)) });
    rig.run(2);
    assert_eq!(came_home(&rig), [(session(0), false)]);
    rig.command(Command::CloseSession { session: session(0) });
    rig.run(1);
    assert_eq!(came_home(&rig).len(), 2);
}
