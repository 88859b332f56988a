//! Any octets as an RTCP compound: facts or a discard, and each report gives a round trip or none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media::rtcp::{Compound, Fact};
use media_units::NtpTime;

fuzz_target!(|bytes: &[u8]| {
    let Ok(compound) = Compound::parse(bytes) else {
        return;
    };
    let mut facts = 0;
    for fact in compound.facts() {
        facts += 1;
        if let Fact::Reception { block, .. } = fact {
            assert!((-0x80_0000..=0x7f_ffff).contains(&block.cumulative_lost));
            let _ = block.round_trip(NtpTime(u64::from(block.jitter) << 20));
        }
    }
    assert!(facts <= bytes.len() / 4);
});
