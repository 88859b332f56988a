//! Takes the shard's core away for a moment, as other machines on the same hardware do, and tells what each
//! second was like.

use std::thread;
use std::time::{Duration, Instant};

use engine_control::ShardReport;

use crate::{SHARD_CORE, pin_to, prioritize};

/// Above every shard.
const PRIORITY: i32 = 98;

/// Holds the core of the shard for so long, from a thread that nothing interrupts.
pub(crate) fn stall(time: Duration) {
    let hold = move || {
        pin_to(SHARD_CORE);
        prioritize(PRIORITY);
        let began = Instant::now();
        while began.elapsed() < time {}
    };
    drop(thread::spawn(hold));
}

/// Prints what became of the second between two reports of a shard, of which its thread had `cpu`.
pub(crate) fn print_second(number: u32, before: &ShardReport, after: &ShardReport, cpu: Duration) {
    let frames = after.rtp_sent - before.rtp_sent;
    let ticks = after.ticks - before.ticks;
    let late = after.lateness.later_than(5000) - before.lateness.later_than(5000);
    let sum_us = after.lateness.sum_us - before.lateness.sum_us;
    println!(
        "second {number}: {ticks} ticks, {late} later than 5 ms, late by {:.1} ms on the average; {:.1} % of the \
         core, {:.3} us a frame; received {}, sent {frames}, concealed {}, discarded {}, unsent {}",
        sum_us as f64 / 1000.0 / ticks.max(1) as f64,
        100.0 * cpu.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / frames.max(1) as f64,
        after.rtp_received - before.rtp_received,
        after.blocks_concealed - before.blocks_concealed,
        after.discards.iter().sum::<u64>() - before.discards.iter().sum::<u64>(),
        after.send_failures - before.send_failures,
    );
}
