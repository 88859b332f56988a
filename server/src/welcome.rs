//! What the server says about itself when it has started.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use engine_driver::Engine;
use signaling::{DialPlan, Pattern, Service};
use signaling_transport::Transport;

use crate::config::Config;
use crate::placement::Placement;

/// What has come of the configuration.
pub(crate) struct Facts<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) api: Option<SocketAddr>,
    pub(crate) engine: &'a Engine,
    pub(crate) placement: &'a Placement,
    pub(crate) calls_max: usize,
}

/// Addresses, what can be dialled, the memory plan, and a line to try.
pub(crate) fn welcome(config: &Config, facts: &Facts<'_>) -> String {
    let mut text = format!("Mixminus {}\n\n", env!("CARGO_PKG_VERSION"));
    let Facts { transport, api, engine, placement, calls_max } = facts;
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:<10} {value}");
    };
    line("SIP", listeners(transport));
    let (first, last) = config.rtp.ports;
    line(
        "media",
        format!("UDP {} ports {first}-{last}, at most {calls_max} calls", config.rtp.address),
    );
    let shards = format!("{} on cores {:?}", placement.shards.len(), placement.shards);
    line("shards", format!("{shards}, packets by {}", engine.driver()));
    match api {
        Some(api) => line("API", format!("http://{api} (/openapi.json, /health, /metrics)")),
        None => line("API", "off".to_owned()),
    }
    line("recordings", absolute(&config.recording.folder));
    text.push_str("\nMemory\n");
    for memory in engine.memory_plan().to_string().lines() {
        let _ = writeln!(text, "  {memory}");
    }
    text.push_str("\nDial\n");
    dial(&mut text, &config.dial);
    trial(&mut text, &config.dial, transport);
    text
}

fn listeners(transport: &Transport) -> String {
    let named = |name, addresses: &[SocketAddr]| -> Vec<String> {
        addresses.iter().map(|address| format!("{name} {address}")).collect()
    };
    let udp = named("UDP", transport.udp_addresses());
    [udp, named("TCP", transport.tcp_addresses())].concat().join(", ")
}

fn absolute(folder: &std::path::Path) -> String {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).display().to_string()
}

fn dial(text: &mut String, plan: &DialPlan) {
    for service in Service::ALL {
        let patterns: Vec<String> = plan
            .entries()
            .iter()
            .filter(|(_, found)| *found == service)
            .map(|(pattern, _)| pattern.to_string())
            .collect();
        if !patterns.is_empty() {
            let what = match service {
                Service::Room => "a room, made by its first caller and gone with its last",
                Service::Echo => "your own sound",
                Service::Tone => "a test tone",
                Service::Record => "a recorder, until you hang up",
            };
            let _ = writeln!(text, "  {:<24} {what}", patterns.join(", "));
        }
    }
}

/// A call that everybody with `sipp` can make, if there is a number for it.
fn trial(text: &mut String, plan: &DialPlan, transport: &Transport) {
    let number = |(pattern, service): &(Pattern, Service)| match (pattern, service) {
        (Pattern::Exact(user), Service::Echo | Service::Tone | Service::Room) => Some(user.clone()),
        (Pattern::Range { .. }, _) => pattern.to_string().split('-').next().map(str::to_owned),
        _ => None,
    };
    let entries = plan.entries();
    let echo = entries.iter().rev().find(|(_, service)| *service == Service::Echo);
    let found = echo.and_then(number).or_else(|| entries.iter().find_map(number));
    let (Some(user), Some(address)) = (found, transport.udp_addresses().first()) else { return };
    let mut near = *address;
    if near.ip() == IpAddr::V4(Ipv4Addr::UNSPECIFIED) {
        near.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let _ = writeln!(
        text,
        "\nTry    sipp -sn uac_pcap -s {user} {near} -i {} -p 6000 -mp 7000 -m 1",
        near.ip()
    );
}
