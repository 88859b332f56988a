//! How often a socket is read, and whose datagrams it gives.

use super::*;

const PLAN: SocketPlan = SocketPlan {
    bind: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    receive_buffer_bytes: 16 * 1024,
    rtp_stamps: false,
};

fn pair() -> SocketPair {
    SocketPair {
        rtp: Some(PLAN.open(Port::Rtp, 0).unwrap()),
        rtcp: Some(PLAN.open(Port::Rtcp, 0).unwrap()),
    }
}

fn media_socket() -> MediaSocket {
    MediaSocket::new(PLAN.open(Port::Rtp, 0).unwrap(), false)
}

/// A visit in which so many datagrams wait: how many reads it takes.
fn visit(socket: &mut MediaSocket, waiting: usize, probe: bool) -> usize {
    let to_do = socket.begin_visit(Visit { is_probe: probe, ..Visit::default() });
    read_on(socket, waiting, to_do)
}

fn visit_after(socket: &mut MediaSocket, waiting: usize, left_out: u64) -> usize {
    let to_do = socket.begin_visit(Visit { left_out, ..Visit::default() });
    read_on(socket, waiting, to_do)
}

fn read_on(socket: &mut MediaSocket, mut waiting: usize, mut to_do: usize) -> usize {
    let mut reads = 0;
    while to_do > 0 {
        let gave = if waiting > 0 { Gave::Packet } else { Gave::Nothing };
        waiting = waiting.saturating_sub(1);
        to_do = to_do - 1 + usize::from(socket.after_read(gave, socket.connected_to()));
        reads += 1;
    }
    reads
}

#[test]
fn one_read_per_visit_is_the_rule() {
    let mut socket = media_socket();
    assert_eq!(visit(&mut socket, 1, false), 2, "what waited before the first visit is looked for");
    for _ in 0..3 {
        assert_eq!(visit(&mut socket, 1, false), 1);
    }
    assert_eq!(visit(&mut socket, 1, true), 2, "a probe");
}

#[test]
fn after_a_late_packet_two_are_looked_for_until_they_came() {
    let mut socket = media_socket();
    visit(&mut socket, 1, false);
    assert_eq!(visit(&mut socket, 0, false), 1);
    for _ in 0..10 {
        assert_eq!(visit(&mut socket, 1, false), 2, "one came, one is owed still");
    }
    assert_eq!(visit(&mut socket, 2, false), 3, "until it is empty");
    assert_eq!(visit(&mut socket, 1, false), 2, "a burst may go on");
    assert_eq!(visit(&mut socket, 1, false), 1);
}

#[test]
fn a_lost_packet_is_looked_for_a_second_long() {
    let mut socket = media_socket();
    visit(&mut socket, 1, false);
    visit(&mut socket, 0, false);
    let reads: usize = (0..60).map(|_| visit(&mut socket, 1, false)).sum();
    assert_eq!(reads, 60 + usize::from(PATIENCE));
}

#[test]
fn after_periods_that_were_left_out_each_packet_is_read_once_and_all_is_as_before() {
    let mut socket = media_socket();
    visit(&mut socket, 1, false);
    (0..200).for_each(|_| assert!(visit(&mut socket, 1, false) <= 2));
    let calm = socket.calm;
    assert!(calm >= CALM);
    assert_eq!(visit_after(&mut socket, 5, 4), 5);
    for _ in 0..3 {
        assert_eq!(visit(&mut socket, 1, false), 1, "nothing is looked for in vain");
        assert!(socket.calm >= CALM, "it was no jitter");
    }
    assert_eq!(visit_after(&mut socket, 2, 4), 3, "those that did not come are not waited for");
    assert_eq!(visit(&mut socket, 4, false), 1, "nor for ever");
}

#[test]
fn a_late_shard_reads_each_socket_once_and_is_not_dearer_once_it_is_in_time() {
    let mut socket = MediaSocket::new(PLAN.open(Port::Rtp, 0).unwrap(), true);
    socket.admits = Admits::Only(SocketAddr::from(([127, 0, 0, 1], 9)));
    visit(&mut socket, 1, false);
    (0..200).for_each(|_| assert!(visit(&mut socket, 1, false) <= 2));
    let calm = socket.calm;
    // 40 ms late: three wait, and the visits come one after the other until none is too many.
    for waiting in [3, 2, 1] {
        let late = Visit { is_probe: true, is_late: true, left_out: 0 };
        let to_do = socket.begin_visit(late);
        assert!(!socket.read(0, Port::Rtp).message, "it needs no stamp");
        assert_eq!(read_on(&mut socket, waiting, to_do), 1, "even where it would have looked");
    }
    for _ in 0..3 {
        assert_eq!(visit(&mut socket, 1, false), 1);
    }
    assert!(socket.calm >= calm.min(CALM), "it was no jitter");
    // What was owed before is looked for after.
    visit(&mut socket, 0, false);
    let to_do = socket.begin_visit(Visit { is_late: true, ..Visit::default() });
    assert_eq!(read_on(&mut socket, 2, to_do), 1);
    assert_eq!(visit(&mut socket, 2, false), 3);
}

#[test]
fn a_late_visit_is_for_two_packets_where_two_are_usual() {
    let mut socket = media_socket();
    (0..3).for_each(|_| assert!(visit(&mut socket, 2, false) <= 3));
    for waiting in [6, 4, 2] {
        let to_do = socket.begin_visit(Visit { is_late: true, ..Visit::default() });
        assert_eq!(read_on(&mut socket, waiting, to_do), 2);
    }
    visit(&mut socket, 2, false);
    assert_eq!(visit(&mut socket, 1, true), 2);
    let to_do = socket.begin_visit(Visit { is_late: true, ..Visit::default() });
    assert_eq!(read_on(&mut socket, 2, to_do), 1, "one is usual now");
}

#[test]
fn a_calm_stream_is_stamped_one_time_in_eight_until_it_is_not_calm() {
    let mut socket = MediaSocket::new(PLAN.open(Port::Rtp, 0).unwrap(), true);
    socket.admits = Admits::Only(SocketAddr::from(([127, 0, 0, 1], 9)));
    let mut stamped = |packets: usize, visits: usize| -> usize {
        let visits = (0..visits).map(|_| {
            visit(&mut socket, packets, false);
            usize::from(socket.read(0, Port::Rtp).message)
        });
        visits.sum()
    };
    assert_eq!(stamped(1, usize::from(CALM)), usize::from(CALM), "it is not known yet");
    stamped(1, 8);
    assert_eq!(stamped(1, 80), 10);
    stamped(0, 1);
    stamped(2, 1);
    assert_eq!(stamped(1, usize::from(CALM)), usize::from(CALM), "every one again");
}

#[test]
fn a_source_on_hold_is_read_once_a_visit() {
    let mut socket = media_socket();
    visit(&mut socket, 1, false);
    for _ in 0..SILENT_VISITS {
        visit(&mut socket, 0, false);
    }
    for _ in 0..3 {
        assert_eq!(visit(&mut socket, 0, false), 1);
    }
    assert_eq!(visit(&mut socket, 1, false), 1);
    assert_eq!(visit(&mut socket, 1, false), 1);
}

#[test]
fn a_socket_silent_for_long_is_not_read_until_something_comes() {
    let mut table = SocketTable::new(PLAN, 2);
    let pair = SocketPair { rtcp: None, ..pair() };
    let here = std::net::UdpSocket::from(pair.rtp.as_ref().unwrap().try_clone().unwrap());
    assert!(table.insert(1, pair).is_empty());
    let reads = |table: &mut SocketTable, visits: usize| -> usize {
        (0..visits).map(|_| table.begin_visit(1, Visit::default())).sum()
    };
    reads(&mut table, 200);
    table.wake();
    assert_eq!(reads(&mut table, 10), 0, "nothing came");
    let there = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    there.send_to(b"hello", here.local_addr().unwrap()).unwrap();
    table.wake();
    assert_eq!(reads(&mut table, 1), 2);
    reads(&mut table, 200);
    table.wake();
    assert_eq!(reads(&mut table, 1), 2, "told again, as it was not read");
    assert!(!table.remove(1).is_empty());
    table.wake();
    assert_eq!(table.begin_visit(1, Visit::default()), 0);
}

#[test]
fn a_backlog_once_found_is_read_to_its_end() {
    let mut socket = media_socket();
    visit(&mut socket, 1, false);
    assert_eq!(visit(&mut socket, 5, false), 1, "not looked for");
    assert_eq!(visit(&mut socket, 5, true), 6);
    assert_eq!(visit(&mut socket, 5, false), 6);
}

#[test]
fn rtcp_beside_the_stream_leaves_no_packet_behind() {
    let mut socket = media_socket();
    visit(&mut socket, 1, false);
    visit(&mut socket, 1, false);
    assert_eq!(socket.begin_visit(Visit::default()), 1);
    assert!(socket.after_read(Gave::Other, None), "the packet waits behind it");
    assert!(!socket.after_read(Gave::Packet, None));
    assert_eq!(
        socket.begin_visit(Visit::default()),
        1,
        "nothing is owed and nothing came in excess"
    );
}

#[test]
fn an_error_is_not_taken_for_emptiness() {
    let mut socket = media_socket();
    assert!(socket.after_read(Gave::Error, None));
}

#[test]
fn a_connected_socket_names_its_sources_until_it_was_seen_empty() {
    let mut socket = media_socket();
    let source = SocketAddr::from(([127, 0, 0, 1], 9));
    assert!(socket.read(0, Port::Rtp).message);
    visit(&mut socket, 1, false);
    socket.admit_only(source, source).unwrap();
    assert_eq!(socket.connected_to(), Some(source));
    socket.after_read(Gave::Nothing, None);
    assert!(socket.read(0, Port::Rtp).message, "it was seen empty before it was connected");
    assert_eq!(visit(&mut socket, 3, false), 4, "strangers' packets may wait");
    assert!(!socket.read(0, Port::Rtp).message);
    socket.admit_anyone().unwrap();
    assert!(socket.read(0, Port::Rtp).message);
    assert_eq!(socket.connected_to(), None);
}

#[test]
fn a_table_never_replaces_a_socket_in_use() {
    let mut table = SocketTable::new(PLAN, 2);
    assert!(table.insert(1, pair()).is_empty());
    let back = table.insert(1, pair());
    assert!(back.rtp.is_some() && back.rtcp.is_some());
    let alone = SocketPair { rtp: None, ..pair() };
    assert!(table.insert(0, alone).rtcp.is_some(), "RTCP without RTP has no session");
    assert!(!table.insert(2, pair()).is_empty(), "beyond the table");
    let removed = table.remove(1);
    assert!(removed.rtp.is_some() && removed.rtcp.is_some());
    assert!(table.remove(1).is_empty());
}
