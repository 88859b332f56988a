//! The phones of a whole load at the other end of a cable, as programs of the kernel at its end: phones
//! with sockets cost more than the shard does for them, and would be what is measured.
//!
//! Who hears whom is checked, of every packet: those who talk say a steady level that is theirs and their
//! room's, so that one octet tells whether exactly the others of the room were heard.

use std::fs::{read_dir, read_to_string, write};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use media_kernels::Kernels;

use crate::ears::{Ears, Tally};
use crate::frame::template;
use crate::mouths::{Mouth, Mouths};
use crate::phone::sleep_until_us;
use crate::{PHONES_CORE, WARM_UP, busy_cores, talks};

/// They speak by turns, so many times in a frame.
const SLOTS: u32 = 20;
const SLOT_US: u32 = 20_000 / SLOTS;

/// Who calls from where to where, by which interface.
pub(crate) struct CablePlan {
    pub(crate) count: u32,
    pub(crate) room_size: u32,
    pub(crate) talkers: u32,
    pub(crate) here: Ipv4Addr,
    pub(crate) there: Ipv4Addr,
    pub(crate) interface: String,
    /// Those who do not talk send nothing, else they send silence.
    pub(crate) listeners_rest: bool,
    /// The shards' ports, of each phone.
    pub(crate) theirs: Vec<u16>,
}

/// The phones, with what they heard.
pub(crate) struct Cable {
    ears: Ears,
    mouths: Mouths,
    phones: u32,
    speakers: u32,
    sent: u64,
}

impl Cable {
    /// Gives all phones ears and mouths at the interface.
    pub(crate) fn open(plan: &CablePlan) -> io::Result<Self> {
        let settings = format!("/sys/class/net/{}", plan.interface);
        let interface = read_to_string(format!("{settings}/ifindex"))?;
        let interface = interface.trim().parse().map_err(io::Error::other)?;
        // The core of the phones takes what comes, as a card's interrupt would have it: without anything
        // said, the sender's core would do the receiver's work on this cable.
        let mask = format!("{:x}", 1 << PHONES_CORE);
        for queue in read_dir(format!("{settings}/queues"))? {
            let of_arrivals = queue?.path().join("rps_cpus");
            if of_arrivals.exists() {
                write(of_arrivals, &mask)?;
            }
        }
        let kernels = Kernels::detect();
        let sound = |phone| sound(&kernels, plan.room_size, plan.talkers, phone);
        let expected: Vec<u8> = (0..plan.count).map(|phone| sound(phone).1).collect();
        let ears = Ears::open(&plan.interface, &expected)?;
        let template = template(neighbour(plan.there)?, plan.here, plan.there);
        let sends =
            |phone: &u32| !plan.listeners_rest || talks(*phone, plan.room_size, plan.talkers);
        let mouths = (0..plan.count).filter(sends);
        let mouths: Vec<_> = mouths
            .map(|phone| Mouth { phone, says: sound(phone).0, to: plan.theirs[phone as usize] })
            .collect();
        let speakers = mouths.len() as u32;
        let mouths = Mouths::open(interface, template, &mouths)?;
        Ok(Self { ears, mouths, phones: plan.count, speakers, sent: 0 })
    }

    /// Is silent until each has heard something; then all talk so many seconds, and what they heard
    /// is printed.
    pub(crate) fn call(&mut self, seconds: u32) -> io::Result<()> {
        let (mut begins, mut begun) = (None, None);
        for round in 0.. {
            self.play(round, begins.is_some())?;
            if begins.is_none() && self.ears.all_hear() {
                begins = Some(round + 50 * (WARM_UP + 1));
            }
            if begins == Some(round) {
                begun = Some((self.ears.tally(), busy_cores()));
            }
            if begins.is_some_and(|begins| round == begins + 50 * seconds) {
                break;
            }
        }
        if let Some((tally, busy)) = begun {
            self.print(&self.ears.tally().since(&tally), &busy, &busy_cores());
        }
        Ok(())
    }

    /// One frame of each phone, spread over 20 ms.
    fn play(&mut self, round: u32, talks: bool) -> io::Result<()> {
        for slot in 0..SLOTS {
            sleep_until_us(u64::from(round * SLOTS + slot) * u64::from(SLOT_US));
            let of = |slot| slot * self.speakers / SLOTS;
            if talks {
                let speaking = of(slot)..of(slot + 1);
                self.sent += speaking.len() as u64;
                self.mouths.speak(speaking, round)?;
            }
        }
        Ok(())
    }

    fn print(&self, heard: &Tally, before: &[[u64; 2]], after: &[[u64; 2]]) {
        let &Tally { received, lost, wrong, strayed, .. } = heard;
        println!(
            "{} phones: received {received}, lost {lost} ({:.4} % delivered), heard wrong {wrong}, taken on \
             another core {strayed}; sent {} from the beginning",
            self.phones,
            100.0 * received as f64 / (received + lost).max(1) as f64,
            self.sent,
        );
        let [half, most, nearly_all] = [500, 990, 999].map(|share| heard.gap_under_ms(share));
        println!("gaps: p50 under {half} ms, p99 under {most} ms, p99.9 under {nearly_all} ms");
        for (core, ([busy, all], [busy_before, all_before])) in after.iter().zip(before).enumerate()
        {
            let share = (busy - busy_before) as f64 / (all - all_before).max(1) as f64;
            println!(
                "core {core}: {:.0} % busy, with all that the kernel does there",
                100.0 * share
            );
        }
    }
}

/// What a phone says all the time, and what it hears when the others of its room say theirs.
fn sound(kernels: &Kernels, room_size: u32, talkers: u32, index: u32) -> (u8, u8) {
    let code = |sample: i16| {
        let mut code = [0];
        kernels.encode_ulaw(&[sample], &mut code);
        code[0]
    };
    let level = |index: u32| {
        let room = index.checked_div(room_size).unwrap_or(0) % 8;
        let level =
            if talks(index, room_size, talkers) { 500 << (index % room_size.max(1)) } else { 0 };
        let mut heard = [0];
        kernels.decode_ulaw(&[code(level + level / 16 * room as i16)], &mut heard);
        heard[0]
    };
    let others: i16 = match room_size {
        0 => level(index),
        size => {
            (index / size * size..).take(size as usize).filter(|&i| i != index).map(level).sum()
        }
    };
    (code(level(index)), code(others))
}

/// The hardware address of the other end, for which the kernel asks when something is sent there.
fn neighbour(address: Ipv4Addr) -> io::Result<[u8; 6]> {
    let poke = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    for _ in 0..100 {
        poke.send_to(&[], SocketAddrV4::new(address, 9))?;
        std::thread::sleep(Duration::from_millis(20));
        let known = read_to_string("/proc/net/arp")?;
        let line = known.lines().find(|line| line.split(' ').next() == Some(&address.to_string()));
        let word = line.and_then(|line| line.split_whitespace().nth(3)).unwrap_or_default();
        let octets = word.split(':').filter_map(|octet| u8::from_str_radix(octet, 16).ok());
        let octets: Vec<u8> = octets.collect();
        if let Ok(octets) = <[u8; 6]>::try_from(octets)
            && octets != [0; 6]
        {
            return Ok(octets);
        }
    }
    Err(io::ErrorKind::HostUnreachable.into())
}
