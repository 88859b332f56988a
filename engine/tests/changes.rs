//! What is changed in the middle of a call: nobody hears the change itself.

mod rig;

use engine_control::{Command, Route, SessionKey};
use media_units::{BLOCK_SAMPLES, Gain};
use rig::Rig;

fn session(slot: u32) -> SessionKey {
    SessionKey::new(0, slot, 1)
}

#[test]
fn a_gain_of_one_is_not_heard_in_what_another_says() {
    const CODE: u8 = 0x9c;
    let louder = Gain { tenths_db: 30 };
    let unity = Gain::UNITY;
    // A third hears more, or one of a relay would be heard louder, and then no longer.
    for (members, [says, hears]) in [(3, [unity, louder]), (2, [louder, unity])] {
        let mut rig = Rig::new();
        let room = rig.open_room(0);
        for slot in 0..members {
            rig.dial(slot, Route::Room(room), (slot == 0).then_some(CODE));
        }
        rig.settle_and_run(3);
        for (says, hears) in [(says, hears), (unity, unity), (says, hears)] {
            rig.command(Command::SetGain { session: session(members - 1), says, hears });
            rig.run(5);
        }
        let codes: Vec<u8> =
            rig.taken.rtp(1).iter().flat_map(|sent| sent.view().payload()).copied().collect();
        assert_eq!(codes.len(), 18 * BLOCK_SAMPLES);
        let other = codes.iter().position(|&code| code != CODE);
        assert_eq!(other, None, "{members} members");
    }
}
