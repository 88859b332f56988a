//! Nothing that arrives makes the front end panic or leak.

use proptest::prelude::*;

use crate::harness::{OFFER, Phone, World, phone_address, response_to, tcp};
use crate::torture;

/// Valid messages of every kind, and the torture messages.
fn seeds() -> Vec<Vec<u8>> {
    let mut phone = Phone::calling("conf1").with("Supported: timer, 100rel\r\nSession-Expires: 90");
    let mut seeds: Vec<Vec<u8>> = torture::messages();
    for method in ["INVITE", "OPTIONS", "BYE", "UPDATE", "PRACK", "INFO", "CANCEL", "REGISTER"] {
        seeds.push(phone.request(method, OFFER).into_bytes());
    }
    phone.to_tag = Some("tag".to_owned());
    seeds.push(phone.ack(OFFER).into_bytes());
    seeds
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let seeds = seeds();
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0_u8..4);
    (prop::sample::select(seeds), prop::collection::vec(edit, 0..12)).prop_map(
        |(mut message, edits)| {
            for (at, byte, kind) in edits {
                if message.is_empty() {
                    break;
                }
                let at = at.index(message.len());
                match kind {
                    0 => message[at] = byte,
                    1 => message.insert(at, byte),
                    2 => drop(message.remove(at)),
                    _ => message.truncate(at),
                }
            }
            message
        },
    )
}

/// Requests that know the tags of a call, so that they get past its door.
fn insider(phone: &Phone, kind: u8, body: &str, header: &str) -> String {
    let methods = ["INVITE", "BYE", "UPDATE", "PRACK", "INFO", "ACK", "OPTIONS", "CANCEL"];
    let method = methods[usize::from(kind) % methods.len()];
    let mut phone = phone.clone().with(header);
    phone.branches += 1000;
    phone.sequence += u32::from(kind);
    phone.write(method, phone.sequence, "application/sdp", body)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_messages_do_no_harm(messages in prop::collection::vec(mutated(), 1..12)) {
        let mut world = World::with(|config| config.ring_time = std::time::Duration::from_secs(1));
        for (index, message) in messages.iter().enumerate() {
            if index % 2 == 0 {
                world.send(message);
            } else {
                world.send_from(tcp(1, "192.0.2.10:5062"), message);
            }
            world.pass_ms(300);
        }
        world.front.closed(world.now, tcp(1, "192.0.2.10:5062"), &mut world.outside);
        world.pass_ms(40_000);
        world.leaves_nothing_behind();
    }

    #[test]
    fn random_bytes_do_no_harm(message in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut world = World::new();
        world.send(message);
        world.leaves_nothing_behind();
    }

    #[test]
    fn whatever_a_caller_sends_inside_its_call_its_end_leaves_nothing(
        steps in prop::collection::vec(
            (any::<u8>(), prop::option::of("[ -~\r\n]{0,80}"), 0_usize..6, 0_u64..3000), 0..16),
    ) {
        let headers = ["Subject: x", "Require: 100rel", "RAck: 1 1 INVITE", "Session-Expires: 10",
            "Supported: timer\r\nSession-Expires: 200;refresher=uas", "Content-Encoding: gzip"];
        let mut world = World::new();
        let mut phone = Phone::calling("conf1");
        phone.connect(&mut world);
        for (kind, body, header, wait) in steps {
            let body = body.unwrap_or_else(|| OFFER.to_owned());
            world.send(insider(&phone, kind, &body, headers[header]));
            for sent in world.take() {
                if sent.method() == "INVITE" || sent.method() == "UPDATE" {
                    world.send(response_to(&sent, "200 OK", "", OFFER));
                }
            }
            world.pass_ms(wait);
        }
        world.take();
        phone.sequence += 100_000;
        phone.branches += 100_000;
        let bye = phone.request("BYE", "");
        world.send_from(phone_address(), bye);
        world.pass_ms(100_000);
        world.leaves_nothing_behind();
    }
}
