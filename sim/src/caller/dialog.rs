//! What a dialog remembers (RFC 3261 section 12), and messages written with it.

use std::fmt::Write as _;

use super::message::{Message, uri};
use super::transaction::Transaction;
use super::{Seed, Settings};

#[derive(Debug)]
pub(super) struct Dialog {
    local_tag: String,
    /// Their To, with its tag once known.
    remote: String,
    /// Where requests go: the request URI.
    target: String,
    route: Vec<String>,
    sequence: u32,
}

impl Dialog {
    pub(super) fn new(settings: &Settings, seed: &mut Seed) -> Self {
        Self {
            local_tag: format!("{:08x}", seed.next_u32()),
            remote: format!("<{}>", settings.target),
            target: settings.target.clone(),
            route: Vec::new(),
            sequence: seed.next_u32() >> 8,
        }
    }

    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    /// A 2xx made the dialog.
    pub(super) fn established(&mut self, ok: &Message<'_>) {
        if let Some(to) = ok.header("To") {
            to.clone_into(&mut self.remote);
        }
        if let Some(contact) = ok.header("Contact") {
            uri(contact).clone_into(&mut self.target);
        }
        let recorded = ok.headers("Record-Route").flat_map(|value| value.split(','));
        self.route = recorded.map(|hop| format!("<{}>", uri(hop))).collect();
        self.route.reverse();
    }

    pub(super) fn request(
        &self,
        settings: &Settings,
        method: &str,
        sequence: u32,
        branch: &str,
        body: &str,
    ) -> Vec<u8> {
        let mut text = format!(
            "{method} {} SIP/2.0\r\n{}{}",
            self.target,
            via(settings, branch),
            self.between(settings, &self.remote, method, sequence)
        );
        if method != "CANCEL" {
            for hop in &self.route {
                let _ = write!(text, "Route: {hop}\r\n");
            }
        }
        if matches!(method, "INVITE" | "UPDATE") {
            let _ = write!(text, "Contact: {}\r\n", contact(settings));
            if let Some(seconds) = settings.session_expires {
                let _ = write!(text, "Supported: timer\r\n");
                let _ = write!(text, "Session-Expires: {seconds};refresher=uas\r\n");
            }
            text.push_str("Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, NOTIFY\r\n");
        }
        finish(text, body)
    }

    /// The ACK for a refused INVITE: the INVITE's branch, and the To of the refusal.
    pub(super) fn refusal_ack(
        &self,
        settings: &Settings,
        invite: &Transaction,
        refusal: &Message<'_>,
    ) -> Vec<u8> {
        let to = refusal.header("To").unwrap_or(&self.remote);
        let text = format!(
            "ACK {} SIP/2.0\r\n{}{}",
            self.target,
            via(settings, &invite.branch),
            self.between(settings, to, "ACK", invite.sequence)
        );
        finish(text, "")
    }

    fn between(&self, settings: &Settings, to: &str, method: &str, sequence: u32) -> String {
        format!(
            "Max-Forwards: 70\r\nFrom: <sip:{}@{}>;tag={}\r\nTo: {to}\r\nCall-ID: {}\r\n\
             CSeq: {sequence} {method}\r\n",
            settings.user, settings.local, self.local_tag, settings.call_id
        )
    }
}

/// Our answer to a request of theirs.
pub(super) fn response(
    settings: &Settings,
    status: &str,
    request: &Message<'_>,
    body: &str,
) -> Vec<u8> {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
        for value in request.headers(name) {
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    let _ = write!(text, "Contact: {}\r\n", contact(settings));
    finish(text, body)
}

fn via(settings: &Settings, branch: &str) -> String {
    let carrier = if settings.reliable { "TCP" } else { "UDP" };
    format!("Via: SIP/2.0/{carrier} {};rport;branch={branch}\r\n", settings.local)
}

fn contact(settings: &Settings) -> String {
    let carrier = if settings.reliable { ";transport=tcp" } else { "" };
    format!("<sip:{}@{}{carrier}>", settings.user, settings.local)
}

fn finish(mut text: String, body: &str) -> Vec<u8> {
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}
