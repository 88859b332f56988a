//! How much recording costs: stereo recordings of synthetic calls in real time, onto a real disk.
//!
//! `cargo run --release -p recorder-writer --example load -- [RECORDINGS] [SECONDS] [wav|opus|flac] [FOLDER]`
//!
//! Prints CPU time per recorded stream and second (the shard's share, which is one copy into the
//! ring, and that of the recorder's threads), operations of the process and of the block device,
//! and what was lost. Removes what it wrote.

use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine_control::{TapContent, TapId, TapItem, TapSink, tap_ring};
use media_units::{PERIOD, RateClass};
use recorder_writer::{
    About, Event, Format, Layout, RecordingStart, TrackKind, TrackStart, Writer, WriterConfig,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// How long before anything is measured.
const SETTLE_SECONDS: u64 = 4;

struct Plan {
    recordings: u32,
    seconds: u64,
    format: Format,
    folder: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let plan = Plan {
        recordings: next("2000").parse()?,
        seconds: next("20").parse()?,
        format: Format::of_extension(&next("wav")).ok_or("wav, opus or flac")?,
        folder: PathBuf::from(next("load-recordings")),
    };
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let outcome = run(&plan);
    fs::remove_dir_all(&plan.folder)?;
    outcome
}

/// What this process and the device have done so far.
struct Counters {
    cpu: Duration,
    own: Duration,
    calls: u64,
    device_writes: u64,
    device_bytes: u64,
    at: Instant,
}

fn run(plan: &Plan) -> Result<(), Box<dyn Error>> {
    let streams = 2 * plan.recordings;
    let (mut sink, reader) = tap_ring(streams as usize * 50 * 400 * 2);
    let config = WriterConfig {
        recordings_max: plan.recordings as usize,
        queue_bytes_max: 1 << 30,
        segment_bytes: 128 << 20,
        ..WriterConfig::new(plan.folder.clone())
    };
    let writer = Writer::start(&config, vec![reader]).map_err(|(failure, _)| failure)?;
    let mut recordings = Vec::new();
    for number in 0..plan.recordings {
        let recording = writer.begin(start(number, plan.format))?;
        for side in 0..2 {
            sink.start();
            writer.add_track(recording, track(2 * number + side), media_units::Instant::START)?;
        }
        recordings.push(recording);
    }
    // Files are made in the first seconds: not what a second of recording costs.
    speak(&mut sink, streams, 0..SETTLE_SECONDS);
    let before = counters(&plan.folder)?;
    speak(&mut sink, streams, SETTLE_SECONDS..SETTLE_SECONDS + plan.seconds);
    let after = counters(&plan.folder)?;
    for recording in recordings {
        writer.end(recording)?;
    }
    report(plan, &before, &after);
    let (status, events) = writer.stop();
    let finished = events.iter().filter(|event| matches!(event, Event::Finished { gaps: 0, .. }));
    println!("recordings without a gap: {} of {}", finished.count(), plan.recordings);
    println!("records lost in the ring: {}", sink.lost());
    println!("{status:?}");
    Ok(())
}

fn start(number: u32, format: Format) -> RecordingStart {
    let about = About { subject: format!("call {number}"), ..About::default() };
    let (name, layout) = (format!("call-{number}"), Layout::Stereo);
    RecordingStart { name, layout, format, rate: None, ends_with_tracks: false, about }
}

fn track(tap: u32) -> TrackStart {
    TrackStart {
        tap: TapId(tap),
        kind: TrackKind::Received,
        label: format!("{tap}"),
        participant: None,
        channel: Some((tap % 2) as u16),
        local: None,
    }
}

/// Every 20 ms a block of noise for each stream, as a shard does.
fn speak(sink: &mut TapSink, streams: u32, seconds: Range<u64>) {
    let mut random = 1_u32;
    let noise: Vec<i16> = (0..16_000 + 160)
        .map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 18) as i16
        })
        .collect();
    let started = Instant::now();
    let first = seconds.start * 50;
    for period in first..seconds.end * 50 {
        let at = media_units::Instant::START + PERIOD * period as u32;
        for tap in 0..streams {
            let from = ((u64::from(tap) * 331 + period * 160) % 16_000) as usize;
            let samples = &noise[from..from + 160];
            let content = TapContent::Block { class: RateClass::Narrow, concealed: false, samples };
            sink.push(&TapItem { tap: TapId(tap), period, at, content });
        }
        let spoken = PERIOD * (period - first + 1) as u32;
        std::thread::sleep(spoken.saturating_sub(started.elapsed()));
    }
}

fn counters(folder: &Path) -> Result<Counters, Box<dyn Error>> {
    let time = |clock| {
        let now = clock_gettime(clock);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let io = fs::read_to_string("/proc/self/io")?;
    let calls = io.lines().find_map(|line| line.strip_prefix("syscw: ")).unwrap_or("0");
    let (device_writes, device_bytes) = device(folder).unwrap_or_default();
    Ok(Counters {
        cpu: time(ClockId::ProcessCPUTime),
        own: time(ClockId::ThreadCPUTime),
        calls: calls.parse()?,
        device_writes,
        device_bytes,
        at: Instant::now(),
    })
}

/// Writes completed and bytes written by the device that holds the folder.
fn device(folder: &Path) -> Option<(u64, u64)> {
    let number = rustix::fs::stat(folder).ok()?.st_dev;
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let stats = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    let fields: Vec<u64> =
        stats.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    Some((*fields.get(4)?, fields.get(6)? * 512))
}

fn report(plan: &Plan, before: &Counters, after: &Counters) {
    let seconds = (after.at - before.at).as_secs_f64();
    let streams = f64::from(2 * plan.recordings);
    let per_stream = |time: Duration| time.as_secs_f64() * 1e6 / streams / seconds;
    let own = after.own.saturating_sub(before.own);
    let all = after.cpu.saturating_sub(before.cpu);
    println!("{} stereo recordings for {seconds:.1} s, {:?}", plan.recordings, plan.format);
    println!("CPU per stream and second: {:.1} us in all", per_stream(all));
    println!("  the shard's copy into the ring: {:.1} us", per_stream(own));
    println!("  the recorder's threads:         {:.1} us", per_stream(all.saturating_sub(own)));
    let rate = |after: u64, before: u64| (after - before) as f64 / seconds;
    println!("write calls of the process: {:.0} a second", rate(after.calls, before.calls));
    println!(
        "writes of the device: {:.0} a second, {:.1} MB/s",
        rate(after.device_writes, before.device_writes),
        rate(after.device_bytes, before.device_bytes) / 1e6
    );
}
