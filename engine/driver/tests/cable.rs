//! The packet driver and AF_XDP between two network namespaces of the test's own, in IPv4 and IPv6: what
//! only shows where packets really leave the machine's stack. Not run without the right to make them.

mod guard;
mod phone;

use std::fs::File;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command as Program;

use engine_control::{Command, Event, Route, RtcpTransport, ShardReport};
use engine_driver::{DriverChoice, Engine, EngineConfig};
use guard::{SHARDS, arm, disarm};
use phone::{Phone, config, open, until, wait_for};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const CODE: u8 = 0x55;
const SESSIONS: u16 = 40;

/// Addresses of the server's and the phones' end.
type Ends = [[&'static str; 2]; 2];
const ENDS: Ends = [["10.99.0.1", "10.99.0.2"], ["fd99::1", "fd99::2"]];
const VLAN_ENDS: Ends = [["10.99.7.1", "10.99.7.2"], ["fd99:7::1", "fd99:7::2"]];

/// Two namespaces, joined by a pair of interfaces with more queues than there are shards; gone with it.
struct Cable {
    names: [String; 2],
}

impl Cable {
    /// `None`: this process may not.
    fn lay() -> Option<Self> {
        let names = ["a", "b"].map(|end| format!("mixminus-{}-cable-{end}", std::process::id()));
        let cable = Self { names };
        let [here, there] = &cable.names;
        let is_there = ip(&["netns", "add", here])
            && ip(&["netns", "add", there])
            && ip(&[
                "-n",
                here,
                "link",
                "add",
                "v0",
                "numrxqueues",
                "3",
                "numtxqueues",
                "3",
                "type",
                "veth",
                "peer",
                "name",
                "v0",
                "netns",
                there,
                "numrxqueues",
                "3",
                "numtxqueues",
                "3",
            ]);
        if !is_there {
            return None;
        }
        cable.bring_up("v0", ENDS);
        // Where free ports are looked for.
        for name in &cable.names {
            assert!(ip(&["-n", name, "link", "set", "lo", "up"]));
        }
        Some(cable)
    }

    /// Adds a VLAN; false where the kernel has none.
    fn add_vlan(&self) -> bool {
        let add = |name: &String| {
            ip(&[
                "-n", name, "link", "add", "link", "v0", "name", "v0.7", "type", "vlan", "id", "7",
            ])
        };
        let is_there = self.names.iter().all(add);
        if is_there {
            self.bring_up("v0.7", VLAN_ENDS);
        }
        is_there
    }

    fn bring_up(&self, interface: &str, ends: Ends) {
        for (name, end) in self.names.iter().zip(0..) {
            let v4 = format!("{}/24", ends[0][end]);
            let v6 = format!("{}/64", ends[1][end]);
            assert!(ip(&["-n", name, "address", "add", &v4, "dev", interface]));
            // A machine may be without IPv6: then it is IPv4 twice.
            let _ = ip(&["-n", name, "address", "add", &v6, "dev", interface, "nodad"]);
            assert!(ip(&["-n", name, "link", "set", interface, "up"]));
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

fn ip(words: &[&str]) -> bool {
    Program::new("ip").args(words).output().is_ok_and(|done| done.status.success())
}

/// Does something in a namespace, on a thread of its own, as a thread that enters one stays there.
fn inside<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let file = File::open(format!("/run/netns/{name}")).expect("the namespace");
    let enter = move || {
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(file.as_fd(), kind).expect("the right to enter it");
        work()
    };
    std::thread::spawn(enter).join().expect("what is done there does not panic")
}

/// A phone on the cable's other end that calls the echo.
fn dial(engine: &mut Engine, here: IpAddr, sockets: &mut Vec<UdpSocket>, ssrc: u32) -> Phone {
    let session = engine.reserve(None).expect("a free slot");
    let media = SocketAddr::new(here, engine.rtp_port(session));
    let phone = Phone::on(sockets.pop().expect("a socket"), media, ssrc, CODE);
    let rtp = phone.address();
    let rtcp = SocketAddr::new(rtp.ip(), 9);
    open(engine, session, rtp, RtcpTransport::Separate(rtcp), Route::Echo).expect("sent");
    phone
}

/// Everyone hears itself and strangers nothing, RTCP comes in, and no shard allocates.
fn talk(driver: DriverChoice, [here, there]: [IpAddr; 2], other_end: &str) {
    let config = EngineConfig { bind: here, ..config(driver, SHARDS, SESSIONS) };
    let mut engine = Engine::start(config).expect("the engine starts");
    arm();
    let bind = move || {
        let socket = |_| UdpSocket::bind((there, 0)).expect("a free port");
        (0..=SESSIONS + 1).map(socket).collect::<Vec<_>>()
    };
    let mut sockets = inside(other_end, bind);
    let mut phones: Vec<_> = (0..u32::from(SESSIONS))
        .map(|index| dial(&mut engine, here, &mut sockets, index + 1))
        .collect();
    let mut echoes = vec![0; phones.len()];
    until("everyone hears itself", || {
        phones.iter_mut().for_each(Phone::speak);
        for (phone, echoes) in phones.iter().zip(&mut echoes) {
            *echoes += phone.heard(CODE);
        }
        echoes.iter().all(|&echoes| echoes >= 20)
    });
    let media = phones[0].media;
    let mut stranger = Phone::on(sockets.pop().expect("a socket"), media, 1000, 0x2a);
    let rtcp = sockets.pop().expect("a socket");
    let mut report_of_nobody = [0_u8; 8];
    report_of_nobody[..4].copy_from_slice(&[0x80, 201, 0, 1]);
    report_of_nobody[7] = 1;
    let mut seen = ShardReport::default();
    until("a stranger is turned away and RTCP is read", || {
        phones.iter_mut().for_each(Phone::speak);
        stranger.speak();
        rtcp.send_to(&report_of_nobody, (media.ip(), media.port() + 1)).expect("sent");
        assert_eq!(stranger.heard(0x2a), 0, "the stranger got media");
        let report = Box::new(ShardReport { shard: 0, ..ShardReport::default() });
        engine.command(Command::ReportShard { report }).expect("sent");
        seen = wait_for(&mut engine, |event| match event {
            Event::ShardReported { report } => Some(*report),
            _ => None,
        });
        seen.discards.iter().sum::<u64>() > 0 && seen.rtcp_received > 0
    });
    assert_eq!(seen.send_failures, 0);
    disarm();
    engine.stop();
}

/// Whether a right is missing, or a part of the kernel. A program that its verifier does not like is
/// refused otherwise (13).
fn is_not_possible_here(text: &str) -> bool {
    [1, 22, 38, 95, 97, 99, 105].iter().any(|number| text.contains(&format!("(os error {number})")))
}

/// Both drivers, in IPv4 and IPv6.
fn talk_over(cable: &Cable, all_ends: Ends) {
    let [here, there] = cable.names.clone();
    inside(&here, move || {
        for driver in [DriverChoice::Packet, DriverChoice::Xdp] {
            for ends in all_ends {
                let ends = ends.map(|end| end.parse().expect("an address"));
                let config = EngineConfig { bind: ends[0], ..config(driver, 1, 1) };
                match Engine::start(config) {
                    Err(failure) if is_not_possible_here(&failure.to_string()) => {
                        eprintln!("not tested here: {failure}");
                    }
                    started => {
                        drop(started.expect("the engine starts"));
                        talk(driver, ends, &there);
                    }
                }
            }
        }
    });
}

/// One test, as what counts allocations is the process's.
#[test]
fn over_a_cable_and_over_a_vlan_everyone_hears_itself_and_no_shard_allocates() {
    let Some(cable) = Cable::lay() else { return eprintln!("not tested here: no namespaces") };
    talk_over(&cable, ENDS);
    match cable.add_vlan() {
        true => talk_over(&cable, VLAN_ENDS),
        false => eprintln!("not tested here: no VLANs"),
    }
}
