//! A phone's signalling side, sans-IO: one outgoing call of a minimal user agent (RFC 3261), with
//! holds, offers in the 200, cancels, and answers to whatever the server asks within the dialog.

mod dialog;
mod message;
mod sdp;
mod transaction;

use std::net::SocketAddr;

use media_units::{Encoding, Instant};

pub use message::{Message, Start, framed_octets};
pub use sdp::{Hold, Media};

use crate::Seed;
use dialog::Dialog;
use sdp::Description;
use transaction::Transaction;

/// How a call is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whom to call: the request URI.
    pub target: String,
    /// Our name: the user part of From and Contact.
    pub user: String,
    /// Our address for SIP.
    pub local: SocketAddr,
    /// Our address for RTP.
    pub media: SocketAddr,
    /// Whether the transport never loses a message: TCP.
    pub reliable: bool,
    /// What we speak, best first.
    pub encodings: Vec<Encoding>,
    /// Whether the offer is left to the server: it comes in the 200, our answer in the ACK.
    pub offer_in_ok: bool,
    /// The session interval that we ask for, in seconds; the server is to refresh (RFC 4028).
    pub session_expires: Option<u32>,
    /// The Call-ID; has to be unique.
    pub call_id: String,
}

/// What happened to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEvent {
    /// A provisional response with a tag.
    Ringing,
    /// The call stands.
    Answered(Media),
    /// A re-INVITE or an UPDATE, ours or theirs, was agreed on.
    Renegotiated(Media),
    /// Our re-INVITE was refused; what was agreed before stands.
    NotRenegotiated(u16),
    /// The call was refused with this status.
    Refused(u16),
    /// The other side hung up.
    HungUp,
    /// Our BYE was answered.
    Ended,
    /// No answer came in time.
    TimedOut,
}

/// Takes what a caller produces.
pub trait CallerOutput {
    /// Puts one message on the wire to the server.
    fn transmit(&mut self, message: &[u8]);
    /// Something happened.
    fn happened(&mut self, event: CallEvent);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// INVITE sent; whether a provisional response came, and whether we changed our mind.
    Calling {
        provisional: bool,
        cancel: bool,
    },
    Talking,
    Ending,
    Over,
}

/// One call.
#[derive(Debug)]
pub struct Caller {
    settings: Settings,
    seed: Seed,
    state: State,
    dialog: Dialog,
    transactions: Vec<Transaction>,
    hold: Hold,
    description_session: u64,
    description_version: u32,
    media: Option<Media>,
    /// The last ACK for a 200, to be sent again when the 200 comes again.
    acknowledgement: Vec<u8>,
    /// Our last answer to a request of theirs, by `CSeq`.
    answered: Option<(u32, Vec<u8>)>,
}

impl Caller {
    /// A call that was not begun yet.
    pub fn new(settings: Settings, seed: &Seed) -> Self {
        let mut seed = seed.clone();
        let dialog = Dialog::new(&settings, &mut seed);
        let description_session = u64::from(seed.next_u32());
        Self {
            settings,
            state: State::Idle,
            dialog,
            transactions: Vec::new(),
            hold: Hold::Active,
            description_session,
            description_version: 0,
            media: None,
            acknowledgement: Vec::new(),
            answered: None,
            seed,
        }
    }

    /// Sends the INVITE.
    pub fn dial(&mut self, now: Instant, out: &mut impl CallerOutput) {
        self.state = State::Calling { provisional: false, cancel: false };
        self.invite(now, out);
    }

    /// Ends the call, however far it got: CANCEL or BYE.
    pub fn hang_up(&mut self, now: Instant, out: &mut impl CallerOutput) {
        match self.state {
            State::Talking => {
                self.state = State::Ending;
                self.request("BYE", "", now, out);
            }
            State::Calling { provisional, cancel: false } => {
                self.state = State::Calling { provisional, cancel: true };
                if provisional {
                    self.cancel(now, out);
                }
            }
            _ => {}
        }
    }

    /// Sends a re-INVITE: hold or resume. Not while another one is under way.
    pub fn renegotiate(&mut self, hold: Hold, now: Instant, out: &mut impl CallerOutput) -> bool {
        let busy = self.transactions.iter().any(|t| t.method == "INVITE");
        if self.state != State::Talking || busy {
            return false;
        }
        self.hold = hold;
        self.invite(now, out);
        true
    }

    /// Media come to and go from another address from the next offer on.
    pub fn set_media_address(&mut self, media: SocketAddr) {
        self.settings.media = media;
    }

    /// Which payload formats the next offer has.
    pub fn set_encodings(&mut self, encodings: &[Encoding]) {
        self.settings.encodings = encodings.to_vec();
    }

    /// What was last agreed on.
    pub fn media(&self) -> Option<Media> {
        self.media
    }

    /// The Call-ID.
    pub fn call_id(&self) -> &str {
        &self.settings.call_id
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        self.state == State::Over && self.transactions.is_empty()
    }

    /// Whether the call stands.
    pub fn is_talking(&self) -> bool {
        self.state == State::Talking
    }

    /// When [`Self::expire`] has to be called.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.transactions.iter().map(Transaction::next_expiry).min()
    }

    /// Sends again what was not answered, or gives up.
    pub fn expire(&mut self, now: Instant, out: &mut impl CallerOutput) {
        for transaction in &mut self.transactions {
            transaction.expire(now, out);
        }
        let given_up = self.transactions.iter().any(|t| t.is_given_up(now));
        if given_up {
            self.transactions.clear();
            if self.state != State::Over {
                self.state = State::Over;
                out.happened(CallEvent::TimedOut);
            }
        }
    }

    /// Takes one message of this call.
    pub fn receive(&mut self, now: Instant, message: &Message<'_>, out: &mut impl CallerOutput) {
        match message.start() {
            Some(Start::Response(status)) => self.response(now, status, message, out),
            Some(Start::Request(method)) => self.asked(method, message, out),
            None => {}
        }
    }

    fn invite(&mut self, now: Instant, out: &mut impl CallerOutput) {
        let first = matches!(self.state, State::Calling { .. });
        let late = first && self.settings.offer_in_ok;
        let body = if late { String::new() } else { self.description() };
        self.request("INVITE", &body, now, out);
    }

    fn request(
        &mut self,
        method: &'static str,
        body: &str,
        now: Instant,
        out: &mut impl CallerOutput,
    ) {
        let branch = format!("z9hG4bK{:016x}", self.seed.next_u64());
        let sequence = self.dialog.next_sequence();
        let octets = self.dialog.request(&self.settings, method, sequence, &branch, body);
        out.transmit(&octets);
        let reliable = self.settings.reliable;
        self.transactions.push(Transaction::new(method, sequence, branch, octets, reliable, now));
    }

    fn cancel(&mut self, now: Instant, out: &mut impl CallerOutput) {
        let Some(invite) = self.transactions.iter().find(|t| t.method == "INVITE") else { return };
        let (sequence, branch) = (invite.sequence, invite.branch.clone());
        let octets = self.dialog.request(&self.settings, "CANCEL", sequence, &branch, "");
        out.transmit(&octets);
        let reliable = self.settings.reliable;
        let cancel = Transaction::new("CANCEL", sequence, branch, octets, reliable, now);
        self.transactions.push(cancel);
    }

    fn description(&mut self) -> String {
        self.description_version += 1;
        let description = Description {
            address: self.settings.media,
            encodings: &self.settings.encodings,
            hold: self.hold,
            session: self.description_session,
            version: self.description_version,
        };
        description.text()
    }

    fn response(
        &mut self,
        now: Instant,
        status: u16,
        message: &Message<'_>,
        out: &mut impl CallerOutput,
    ) {
        let Some((sequence, method)) = message.sequence() else { return };
        let known = |t: &Transaction| t.sequence == sequence && t.method == method;
        let Some(index) = self.transactions.iter().position(known) else {
            if method == "INVITE" && (200..300).contains(&status) {
                out.transmit(&self.acknowledgement);
            }
            return;
        };
        if status < 200 {
            self.transactions[index].provisional();
            self.provisional(now, message, out);
            return;
        }
        let transaction = self.transactions.swap_remove(index);
        match method {
            "INVITE" if status < 300 => self.accepted(now, sequence, message, out),
            "INVITE" => self.refused(status, &transaction, message, out),
            "BYE" => {
                self.state = State::Over;
                out.happened(CallEvent::Ended);
            }
            _ => {}
        }
    }

    fn provisional(&mut self, now: Instant, message: &Message<'_>, out: &mut impl CallerOutput) {
        let State::Calling { provisional, cancel } = self.state else { return };
        self.state = State::Calling { provisional: true, cancel };
        if cancel && !provisional {
            self.cancel(now, out);
        }
        if message.tag("To").is_some() {
            out.happened(CallEvent::Ringing);
        }
    }

    fn accepted(
        &mut self,
        now: Instant,
        sequence: u32,
        message: &Message<'_>,
        out: &mut impl CallerOutput,
    ) {
        let State::Calling { cancel, .. } = self.state else {
            self.acknowledge(sequence, "", out);
            if let Some(media) = Media::of(message.body, &self.settings.encodings, self.hold) {
                self.media = Some(media);
                out.happened(CallEvent::Renegotiated(media));
            }
            return;
        };
        self.dialog.established(message);
        let answer = if self.settings.offer_in_ok { self.description() } else { String::new() };
        self.acknowledge(sequence, &answer, out);
        self.state = State::Talking;
        self.media = Media::of(message.body, &self.settings.encodings, self.hold);
        match self.media {
            Some(media) if !cancel => out.happened(CallEvent::Answered(media)),
            // Cancelled too late, or nothing to talk in: hang up.
            _ => self.hang_up(now, out),
        }
    }

    fn acknowledge(&mut self, sequence: u32, body: &str, out: &mut impl CallerOutput) {
        let branch = format!("z9hG4bK{:016x}", self.seed.next_u64());
        self.acknowledgement = self.dialog.request(&self.settings, "ACK", sequence, &branch, body);
        out.transmit(&self.acknowledgement);
    }

    fn refused(
        &mut self,
        status: u16,
        invite: &Transaction,
        message: &Message<'_>,
        out: &mut impl CallerOutput,
    ) {
        // The ACK of a refusal belongs to the INVITE's transaction: same branch, same To.
        let ack = self.dialog.refusal_ack(&self.settings, invite, message);
        out.transmit(&ack);
        if matches!(self.state, State::Calling { .. }) {
            self.state = State::Over;
            self.transactions.clear();
            out.happened(CallEvent::Refused(status));
        } else {
            out.happened(CallEvent::NotRenegotiated(status));
        }
    }

    /// Answers a request of the other side.
    fn asked(&mut self, method: &str, message: &Message<'_>, out: &mut impl CallerOutput) {
        let Some((sequence, _)) = message.sequence() else { return };
        if method == "ACK" {
            return;
        }
        if let Some((_, again)) = self.answered.as_ref().filter(|(known, _)| *known == sequence) {
            out.transmit(again);
            return;
        }
        let known = self.state != State::Over && self.state != State::Idle;
        let (status, body) = match method {
            _ if !known => ("481 Call/Transaction Does Not Exist", String::new()),
            "INVITE" | "UPDATE" => ("200 OK", self.renegotiated(method, message.body, out)),
            "BYE" | "OPTIONS" | "INFO" | "NOTIFY" => ("200 OK", String::new()),
            _ => ("405 Method Not Allowed", String::new()),
        };
        let answer = dialog::response(&self.settings, status, message, &body);
        out.transmit(&answer);
        self.answered = Some((sequence, answer));
        if method == "BYE" && known {
            self.state = State::Over;
            self.transactions.clear();
            out.happened(CallEvent::HungUp);
        }
    }

    /// Their offer, or their wish for one: our answer or offer.
    fn renegotiated(&mut self, method: &str, offer: &str, out: &mut impl CallerOutput) -> String {
        if offer.is_empty() {
            return if method == "INVITE" { self.description() } else { String::new() };
        }
        if let Some(media) = Media::of(offer, &self.settings.encodings, self.hold) {
            self.media = Some(media);
            out.happened(CallEvent::Renegotiated(media));
        }
        self.description()
    }
}

#[cfg(test)]
mod tests;
