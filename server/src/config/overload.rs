//! `[overload]`

use std::time::Duration;

use engine_control::{NEVER_PERCENT, OverloadRule};

use super::reader::Section;

/// What `[overload]` means, for the documentation.
pub(super) const OVERLOAD: &str = "\
What a shard gives up where it has too little time. Every 5 ms it has something to do until the next 5 ms are over; how much of
them it needs is its pressure, in percent: that of the fullest of four ticks in a row, smoothed over 160 ms. `1000` is
never reached. One step is gone after the other, 240 ms apart, and back in the reverse order. Metrics, `/health` and the log say
what is given up.";

pub(super) fn overload(section: &mut Section<'_, '_>) -> (OverloadRule, u32) {
    let default = OverloadRule::default();
    let percent = 10..=NEVER_PERCENT;
    let rule = OverloadRule {
        refuse_above: section.count(
            "refuse_above",
            default.refuse_above,
            percent.clone(),
            "The pressure above which new calls are answered 503 with `sip.retry_after`. Calls that were \
             taken within the last second count as if they were felt already. `sip.calls_max` and the \
             other limits hold beside it.",
        ),
        complexity_above: section.count(
            "complexity_above",
            default.complexity_above,
            percent.clone(),
            "The pressure above which Opus is sent with `opus_complexity`.",
        ),
        taps_above: section.count(
            "recordings_above",
            default.taps_above,
            percent.clone(),
            "The pressure above which recordings end, and none begins. As it is written here, none is \
             ever ended.",
        ),
        hysteresis: section.count(
            "hysteresis",
            default.hysteresis,
            1..=100,
            "So much below its threshold the pressure must be before a step is taken back.",
        ),
        calm: section.duration(
            "calm",
            default.calm,
            Duration::from_millis(100)..=Duration::from_secs(3600),
            "For how long it must be.",
        ),
        opus_complexity: section.count(
            "opus_complexity",
            default.opus_complexity.into(),
            0..=10,
            "What is left of `rtp.opus.complexity` where time is short.",
        ) as u8,
    };
    let move_above = section.count(
        "move_above",
        default.refuse_above,
        percent,
        "The pressure above which a shard gives sessions to the one with the most slack, while they speak: \
         members of rooms that are spread (`rooms.spread_above`), up to 8 in half a second, until it is 20 below this. \
         Drivers that give each stream its sockets only.",
    );
    (rule, move_above)
}
