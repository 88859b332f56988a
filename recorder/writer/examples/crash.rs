//! Kills a recorder in the middle of its work, repairs, and looks at what is left.
//!
//! `cargo run --release -p recorder-writer --example crash -- [ROUNDS] [SEED]`
//!
//! Each round starts this program once more as the victim, which records 50 tracks in real time,
//! some of which join late, and kills it by SIGKILL at a random instant. After the repair every
//! file must be whole and equally long, hold exactly what was said, and lack a second at most.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engine_control::{TapContent, TapId, TapItem, tap_ring};
use media_units::{PERIOD, RateClass};
use recorder_writer::{
    About, Format, Layout, RecordingStart, TrackKind, TrackStart, Writer, WriterConfig, repair,
    verify,
};

const TRACKS: u32 = 50;

/// So many periods after the track before, the last ten tracks join.
const LATER: u64 = 7;

/// A second.
const LOST_PERIODS_MAX: u64 = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next() {
        Some(first) if first == "victim" => victim(Path::new(&arguments.next().ok_or("a folder")?)),
        rounds => {
            let rounds = rounds.map_or(Ok(20), |rounds| rounds.parse())?;
            let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
            all_rounds(rounds, seed)
        }
    }
}

fn all_rounds(rounds: u32, seed: u64) -> Result<(), Box<dyn Error>> {
    let mut random = seed;
    let mut worst = 0;
    let mut cut = 0;
    for round in 1..=rounds {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let lives = Duration::from_millis(300 + (random >> 33) % 2700);
        let folder = std::env::temp_dir().join(format!("crash-{}-{round}", std::process::id()));
        let lost = one_round(&folder, lives).map_err(|error| {
            format!("round {round}, killed after {lives:?}, {}: {error}", folder.display())
        })?;
        fs::remove_dir_all(&folder)?;
        cut += u32::from(lost.is_some());
        worst = worst.max(lost.unwrap_or_default());
    }
    println!(
        "{rounds} kills, {cut} of them with something on the disk: every file is whole and true"
    );
    println!("lost at most {} ms", worst * 20);
    Ok(())
}

/// Kills one victim. Returns how many periods were lost; None where nothing was written yet.
fn one_round(folder: &PathBuf, lives: Duration) -> Result<Option<u64>, Box<dyn Error>> {
    let mut victim = Command::new(std::env::current_exe()?)
        .arg("victim")
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut told = BufReader::new(victim.stdout.take().ok_or("no pipe")?).lines();
    told.next().ok_or("the victim did not start")??;
    std::thread::sleep(lives);
    victim.kill()?;
    victim.wait()?;
    let said: u64 = told.last().transpose()?.map_or(Ok(0), |line| line.parse())?;
    for finding in repair(folder)?.into_iter().chain(verify(folder)?) {
        if let Some(fault) = finding.faults.first() {
            return Err(format!("{}: {fault}", finding.name).into());
        }
    }
    let json = folder.join("room.json");
    if !json.exists() {
        return if said <= LOST_PERIODS_MAX { Ok(None) } else { Err("nothing is left".into()) };
    }
    if !fs::read_to_string(json)?.contains("\"cut\": true") {
        return Err("the metadata does not say that it was cut".into());
    }
    let mut length = None;
    for track in 0..TRACKS {
        let path = folder.join(format!("room-{track}.wav"));
        if !path.exists() && joins(track) + LOST_PERIODS_MAX >= said {
            continue;
        }
        let mut reader = hound::WavReader::open(&path)?;
        let samples = reader.samples().collect::<Result<Vec<i16>, _>>()?;
        if *length.get_or_insert(samples.len()) != samples.len() {
            return Err(format!("track {track} is {} samples long", samples.len()).into());
        }
        for (period, block) in (0..).zip(samples.chunks(160)) {
            let expected = if period < joins(track) { [0; 160] } else { block_of(track, period) };
            if block != expected {
                return Err(format!("track {track} differs in period {period}").into());
            }
        }
    }
    let kept = length.unwrap_or_default() as u64 / 160;
    let lost = said.saturating_sub(kept);
    if lost > LOST_PERIODS_MAX {
        return Err(format!("{lost} of {said} periods are lost").into());
    }
    Ok(Some(lost))
}

/// The period in which a track begins.
fn joins(track: u32) -> u64 {
    u64::from((track + 11).saturating_sub(TRACKS)) * LATER
}

fn block_of(track: u32, period: u64) -> [i16; 160] {
    std::array::from_fn(|i| ((u64::from(track) * 131 + period * 17 + i as u64) % 30_000) as i16 + 1)
}

/// Records until it is killed, or for 20 s. Tells each period once it was said.
fn victim(folder: &Path) -> Result<(), Box<dyn Error>> {
    let (mut sink, reader) = tap_ring(16 << 20);
    let config = WriterConfig::new(folder.to_owned());
    let writer = Writer::start(&config, vec![reader]).map_err(|(failure, _)| failure)?;
    let about = About { subject: "room".into(), ..About::default() };
    let recording = writer.begin(RecordingStart {
        name: "room".into(),
        layout: Layout::PerTrack,
        format: Format::Wav,
        rate: None,
        ends_with_tracks: false,
        about,
    })?;
    let mut told = std::io::stdout();
    writeln!(told, "0")?;
    let started = Instant::now();
    for period in 0..1000 {
        for track in (0..TRACKS).filter(|&track| joins(track) <= period) {
            if joins(track) == period {
                sink.start();
                let (tap, label, kind) = (TapId(track), track.to_string(), TrackKind::Received);
                let (participant, channel, local) = (None, None, None);
                let start = TrackStart { tap, kind, label, participant, channel, local };
                writer.add_track(recording, start, media_units::Instant::START)?;
            }
            let samples = &block_of(track, period);
            let content = TapContent::Block { class: RateClass::Narrow, concealed: false, samples };
            let at = media_units::Instant::START + PERIOD * period as u32;
            sink.push(&TapItem { tap: TapId(track), period, at, content });
        }
        writeln!(told, "{}", period + 1)?;
        std::thread::sleep((PERIOD * (period as u32 + 1)).saturating_sub(started.elapsed()));
    }
    Ok(())
}
