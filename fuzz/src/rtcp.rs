//! Any octets as an RTCP compound: facts or a discard, each report gives a round trip or none, and
//! metrics that were read are written as they came.

use media::rtcp::{COMPOUND_BYTES_MAX, Compound, Extended, Fact, Report};
use media_units::{NtpTime, Ssrc};

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Ok(compound) = Compound::parse(bytes) else {
        return;
    };
    let mut facts = 0;
    for fact in compound.facts() {
        facts += 1;
        match fact {
            Fact::Reception { block, .. } => {
                assert!((-0x80_0000..=0x7f_ffff).contains(&block.cumulative_lost));
                let _ = block.round_trip(NtpTime(u64::from(block.jitter) << 20));
            }
            Fact::Answered { answer } => {
                let _ = answer.round_trip(NtpTime(u64::from(answer.last) << 17));
            }
            Fact::Metrics { source, metrics, .. } => {
                let extended = Extended { metrics: Some((source, metrics)), ..Extended::default() };
                let report = Report {
                    ssrc: Ssrc(1),
                    sender: None,
                    block: None,
                    cname: b"f",
                    extended,
                    bye: false,
                };
                let mut buffer = [0; COMPOUND_BYTES_MAX];
                let length = report.write(&mut buffer);
                let again = Compound::parse(&buffer[..length]).expect("we wrote it").facts().last();
                assert_eq!(again, Some(Fact::Metrics { reporter: Ssrc(1), source, metrics }));
            }
            Fact::Sender { .. } | Fact::Goodbye { .. } | Fact::ReferenceTime { .. } => {}
        }
    }
    assert!(facts <= bytes.len() / 4);
}
