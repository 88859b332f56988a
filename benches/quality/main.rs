//! `quality-play`: speech through a bad network and a real shard, in virtual time.
//!
//! `play` sends a WAV file as one talker of a room of three through a network profile, and writes
//! what a listener of that room was sent, what two simple receivers made of the same packets, the
//! packets with their times (so that any other receiver can be given the same), and figures as
//! JSON. `measure` is the ruler alone, for the sound that another receiver made of those packets.
//! The driver `benches/quality/quality` calls both; docs/quality.md says how to read the figures.

mod packets;
mod peers;
mod ruler;
mod server;
mod wav;

#[cfg(test)]
mod tests;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use media_units::Encoding;
use serde_json::json;
use sim::Seed;
use sim::network::profile::Profile;

use packets::Stream;

/// Plays speech through a network profile and a shard, or measures what a receiver made of it.
#[derive(Debug, Parser)]
enum Arguments {
    /// Plays a WAV file (16 bits, one audio channel, at the codec's sample rate).
    Play {
        /// What the talker says.
        #[arg(long)]
        input: PathBuf,
        /// The talker's codec, as the configuration writes it.
        #[arg(long, default_value = "PCMU", value_parser = encoding)]
        codec: Encoding,
        /// The listener's codec. By default the one that takes least away.
        #[arg(long, value_parser = encoding)]
        listener: Option<Encoding>,
        /// The network.
        #[arg(long)]
        profile: Profile,
        /// Decides everything that is left to chance.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where `coded.wav`, `ours.wav`, `none.wav`, `fixed60.wav` and `packets.txt` are written.
        #[arg(long)]
        folder: PathBuf,
    },
    /// Compares what a receiver played with what was said.
    Measure {
        /// The `coded.wav` of a play: what the codec alone makes of what the talker says.
        #[arg(long)]
        input: PathBuf,
        /// What was heard; its first sample at the time 0 of the trace.
        #[arg(long)]
        output: PathBuf,
        /// The `packets.txt` of a play.
        #[arg(long)]
        packets: PathBuf,
    },
}

fn encoding(name: &str) -> Result<Encoding, String> {
    let known = Encoding::ALL.into_iter().find(|e| e.to_string().eq_ignore_ascii_case(name));
    known.ok_or_else(|| {
        format!("no such codec; there are {:?}", Encoding::ALL.map(|e| e.to_string()))
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse() {
        Arguments::Play { input, codec, listener, profile, seed, folder } => {
            let listener = listener.unwrap_or_else(|| server::faithful(codec));
            let sound = wav::read(&input, Some(codec.sample_rate()))?;
            let stream = Stream::new(&sound.samples, codec, profile, &Seed::new(seed));
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("packets.txt"), stream.to_string())?;
            println!("{:#}", play(&stream, listener, &folder)?);
        }
        Arguments::Measure { input, output, packets } => {
            let (input, output) = (wav::read(&input, None)?, wav::read(&output, None)?);
            let trace = packets::read_trace(&fs::read_to_string(packets)?)?;
            println!("{:#}", ruler::measure(&input, &output, &trace).json());
        }
    }
    Ok(())
}

/// Gives the stream to every receiver, writes what they play, and says what was measured.
fn play(
    stream: &Stream,
    listener: Encoding,
    folder: &Path,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let heard = server::play(stream, listener);
    wav::write(&folder.join("coded.wav"), &stream.coded)?;
    let mut all = json!({
        "profile": stream.profile.name(),
        "codec": stream.codec.to_string(),
        "listener": listener.to_string(),
        "packets": stream.trace.passages.len(),
        "lost": stream.trace.lost(),
    });
    let receivers = [
        ("ours", heard.sound, heard.told),
        ("none", peers::no_buffer(stream), json!({})),
        ("fixed60", peers::fixed(stream, peers::FIXED), json!({})),
    ];
    for (name, sound, told) in receivers {
        wav::write(&folder.join(format!("{name}.wav")), &sound)?;
        let mut figures = ruler::measure(&stream.coded, &sound, &stream.trace).json();
        if let (Some(figures), Some(told)) = (figures.as_object_mut(), told.as_object()) {
            figures.extend(told.clone());
        }
        all[name] = figures;
    }
    Ok(all)
}
