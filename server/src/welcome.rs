//! What the server says about itself when it has started.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
    if plan.entries().is_empty() {
        text.push_str("  nothing: every number is answered 404\n");
    }
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

/// A call that everybody with `sipp` can make, if there is a number for it: it sends back what it
/// hears for five seconds.
fn trial(text: &mut String, plan: &DialPlan, transport: &Transport) {
    let number = |service: Service| {
        // From the last: names come before numbers, and every phone has digits.
        let mut entries = plan.entries().iter().rev().filter(|(_, found)| *found == service);
        entries.find_map(|(pattern, _)| match pattern {
            Pattern::Exact(user) => Some(user.clone()),
            Pattern::Range { .. } => pattern.to_string().split('-').next().map(str::to_owned),
            Pattern::Prefix(_) => None,
        })
    };
    let found = number(Service::Tone).or(number(Service::Room)).or(number(Service::Echo));
    let (Some(user), Some(address)) = (found, transport.udp_addresses().first()) else { return };
    let mut near = *address;
    match near.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => near.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => near.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let ip = near.ip();
    let _ = writeln!(
        text,
        "\nTry    sipp -sn uac -s {user} {near} -i {ip} -p 6000 -mp 7000 -rtp_echo -d 5000 -m 1"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_dialled_is_told_and_where_it_is_nothing_that() {
        let told = |plan: &DialPlan| {
            let mut text = String::new();
            dial(&mut text, plan);
            text
        };
        let usual = told(&DialPlan::default());
        assert!(usual.contains("conf*, 3000-3999") && usual.contains("echo, 9000"), "{usual}");
        let nothing = told(&DialPlan::new(Vec::new()).unwrap());
        assert_eq!(nothing, "  nothing: every number is answered 404\n");
    }
}
