//! Where responses and requests go: Via, rport, Record-Route, compact forms, TCP.

use engine_control::Event;

use crate::harness::{OFFER, Phone, World, phone_address, response_to, tcp, udp};

/// Lets the front end send a BYE of its own.
fn kick(world: &mut World) -> crate::harness::Sent {
    let id = world.participant().participant;
    world.front.kick(world.now, id, &mut world.outside).unwrap();
    world.only()
}

#[test]
fn without_rport_the_answer_goes_to_the_sent_by_and_with_it_to_the_source() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let source = udp("192.0.2.10:33333");
    let plain = phone.request("OPTIONS", "");
    world.send_from(source, plain);
    assert_eq!(world.only().to, phone_address());
    phone.via = "SIP/2.0/UDP 10.0.0.8:5060;rport".to_owned();
    let with_rport = phone.request("OPTIONS", "");
    world.send_from(source, with_rport);
    let answer = world.only();
    assert_eq!(answer.to, source);
    assert!(answer.header("Via").contains(";received=192.0.2.10;rport=33333"));
    phone.via = "SIP/2.0/UDP phone.example.org:5070".to_owned();
    let named = phone.request("OPTIONS", "");
    world.send_from(source, named);
    let answer = world.only();
    assert_eq!(answer.to, udp("192.0.2.10:5070"));
    assert!(answer.header("Via").contains(";received=192.0.2.10"));
}

#[test]
fn every_via_comes_back_in_its_order() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1").with("Via: SIP/2.0/TLS inner.example;branch=z9hG4bKq");
    phone.via = "SIP/2.0/UDP 192.0.2.10:5060".to_owned();
    let invite = phone.invite(OFFER);
    let answer = world.ask(invite);
    let vias = answer.headers("Via");
    assert_eq!(vias.len(), 2);
    assert_eq!(vias[1], "SIP/2.0/TLS inner.example;branch=z9hG4bKq");
}

#[test]
fn record_route_is_echoed_and_followed_loosely() {
    let mut world = World::new();
    let routes = "Record-Route: <sip:198.51.100.1:5062;lr>, <sip:198.51.100.2;lr;x=y>";
    let mut phone = Phone::calling("conf1").with(routes);
    let answer = phone.connect(&mut world);
    assert_eq!(
        answer.header("Record-Route"),
        "<sip:198.51.100.1:5062;lr>, <sip:198.51.100.2;lr;x=y>"
    );
    let bye = kick(&mut world);
    assert_eq!(bye.to, udp("198.51.100.1:5062"));
    assert_eq!(bye.start_line(), "BYE sip:alice@192.0.2.10:5060 SIP/2.0");
    assert_eq!(bye.headers("Route"), ["<sip:198.51.100.1:5062;lr>", "<sip:198.51.100.2;lr;x=y>"]);
    assert_eq!(bye.header("To"), "\"Alice\" <sip:alice@example.org>;tag=alice");
    let ok = response_to(&bye, "200 OK", "", "");
    world.send_from(udp("198.51.100.1:5062"), ok);
    world.leaves_nothing_behind();
}

#[test]
fn a_route_keeps_its_quotes() {
    let mut world = World::new();
    let route = r#"<sip:198.51.100.1;lr>;foo="a,b";bar="q\"\\";plain=c;flag"#;
    Phone::calling("conf1").with(&format!("Record-Route: {route}")).connect(&mut world);
    assert_eq!(kick(&mut world).headers("Route"), [route]);
}

#[test]
fn a_contact_leaves_behind_what_no_request_uri_may_have() {
    for (contact, target) in [
        (
            "<sip:alice@192.0.2.10;method=INVITE;x=y?Subject=a&Priority=b>",
            "sip:alice@192.0.2.10;x=y",
        ),
        ("<sip:%61lice@192.0.2.10:5060;OB>", "sip:%61lice@192.0.2.10:5060;OB"),
    ] {
        let mut world = World::new();
        let mut phone = Phone::calling("conf1");
        phone.contact = contact.to_owned();
        phone.connect(&mut world);
        assert_eq!(kick(&mut world).start_line(), format!("BYE {target} SIP/2.0"));
    }
}

#[test]
fn a_strict_router_finds_itself_in_the_request_uri() {
    let mut world = World::new();
    let routes = "Record-Route: <sip:198.51.100.1>\r\nRecord-Route: <sip:198.51.100.2;lr>";
    Phone::calling("conf1").with(routes).connect(&mut world);
    let bye = kick(&mut world);
    assert_eq!(bye.start_line(), "BYE sip:198.51.100.1 SIP/2.0");
    assert_eq!(bye.headers("Route"), ["<sip:198.51.100.2;lr>", "<sip:alice@192.0.2.10:5060>"]);
    assert_eq!(bye.to, udp("198.51.100.1:5060"));
}

#[test]
fn path_and_other_headers_of_proxies_are_ignored_harmlessly() {
    let mut world = World::new();
    let headers = "Path: <sip:198.51.100.9;lr>\r\nRoute: <sip:203.0.113.1;lr>\r\n\
                   P-Asserted-Identity: <sip:x@y>\r\nProxy-Require: sec-agree";
    let mut phone = Phone::calling("conf1").with(headers);
    phone.connect(&mut world);
    let bye = kick(&mut world);
    assert!(!bye.has("Route"));
    assert_eq!(bye.to, phone_address());
}

#[test]
fn an_endpoint_behind_a_nat_is_reached_where_its_requests_come_from() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.via = "SIP/2.0/UDP 192.168.1.5:5060;rport".to_owned();
    phone.contact = "<sip:alice@192.168.1.5:5060>".to_owned();
    let outer = udp("198.51.100.50:61000");
    let invite = phone.invite(&OFFER.replace("192.0.2.10", "192.168.1.5"));
    world.send_from(outer, invite);
    phone.learn(&world.only());
    let ack = phone.ack("");
    world.send_from(outer, ack);
    let bye = kick(&mut world);
    assert_eq!(bye.to, outer);
    assert_eq!(bye.start_line(), "BYE sip:alice@192.168.1.5:5060 SIP/2.0");
    assert_eq!(world.outside.toward, [outer.remote], "nor can its media address be its own");
}

#[test]
fn compact_forms_are_the_same_headers() {
    let mut world = World::new();
    let text = format!(
        "INVITE sip:conf1@203.0.113.1 SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKc\r\n\
         f: <sip:a@b>;tag=1\r\nt: <sip:c@d>\r\ni: compact\r\nCSeq: 1 INVITE\r\n\
         Max-Forwards: 70\r\nm: <sip:a@192.0.2.10>\r\nc: application/sdp\r\nk: timer\r\n\
         x: 600\r\nl: {}\r\n\r\n{OFFER}",
        OFFER.len()
    );
    let answer = world.ask(text);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("Session-Expires"), "600;refresher=uac");
}

#[test]
fn blanks_before_the_colon_and_folded_lines_are_read() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER).replace("Content-Length:", "Content-Length  :");
    let invite = invite.replace("Call-ID: ", "Call-ID:\r\n  ");
    assert_eq!(world.ask(invite).status(), 200);
}

#[test]
fn a_call_over_tcp_stays_on_its_connection() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.via = "SIP/2.0/TCP 192.0.2.10:5060".to_owned();
    phone.contact = "<sip:alice@192.0.2.10:5060;transport=tcp>".to_owned();
    let connection = tcp(7, "192.0.2.10:49152");
    let invite = phone.invite(OFFER);
    world.send_from(connection, invite);
    let answer = world.only();
    assert_eq!((answer.status(), answer.to), (200, connection));
    assert_eq!(answer.header("Contact"), "<sip:conf1@203.0.113.1:5060;transport=tcp>");
    world.pass_ms(500);
    assert_eq!(world.only().status(), 200, "a 2xx is repeated over TCP too (13.3.1.4)");
    phone.learn(&answer);
    let ack = phone.ack("");
    world.send_from(connection, ack);
    let bye = kick(&mut world);
    assert_eq!(bye.to, connection);
    assert!(bye.header("Via").starts_with("SIP/2.0/TCP 203.0.113.1:5060;branch="));
    world.pass_ms(10_000);
    world.silent();
    let ok = response_to(&bye, "200 OK", "", "");
    world.send_from(connection, ok);
    world.leaves_nothing_behind();
}

#[test]
fn when_its_connection_closes_a_call_lives_on_and_is_reached_at_its_contact() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.via = "SIP/2.0/TCP 192.0.2.10:5060".to_owned();
    phone.contact = "<sip:alice@192.0.2.10:5060;transport=tcp>".to_owned();
    let connection = tcp(7, "192.0.2.10:49152");
    let invite = phone.invite(OFFER);
    world.send_from(connection, invite);
    phone.learn(&world.only());
    world.front.closed(world.now, connection, &mut world.outside);
    world.pass_ms(500);
    let copy = world.only();
    assert_eq!(copy.to.carrier, signaling::Carrier::TcpNew);
    assert_eq!(copy.to.remote, "192.0.2.10:5060".parse().unwrap(), "received and sent-by port");
    let again = tcp(8, "192.0.2.10:49153");
    let ack = phone.ack("");
    world.send_from(again, ack);
    world.front.closed(world.now, again, &mut world.outside);
    let session = world.participant().session;
    world.event(Event::MediaTimedOut { session });
    let bye = world.only();
    assert_eq!(bye.to.carrier, signaling::Carrier::TcpNew);
    world.front.closed(world.now, bye.to, &mut world.outside);
    assert!(world.front.is_drained(), "a peer that cannot be reached is given up");
    world.leaves_nothing_behind();
}
