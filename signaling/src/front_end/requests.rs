//! The way of a request from the wire to what serves it (RFC 3261 section 8.2, in its order).

use std::borrow::Cow;

use media_units::Instant;
use sipx_sip::{Finding, HeaderName, Method, Request, Scheme, validate_request};

use super::media::{NOT_RECORDED, no_session};
use super::{Asked, FrontEnd};
use crate::body::check_encoding;
use crate::counters::{Dropped, Ending};
use crate::dialog::local_tag_of;
use crate::endpoint::Invited;
use crate::option_tags::lacking;
use crate::outside::{Outside, Peer};
use crate::refusal::Refusal;
use crate::reply::{ALLOW, Reply, SDP, SUPPORTED};
use crate::routing::Destination;
use crate::siprec::body::FORMATS;
use crate::via::{self, ReturnPath};
use crate::view::ParticipantId;

impl FrontEnd {
    pub(super) fn request(
        &mut self,
        now: Instant,
        from: Peer,
        mut request: Request,
        out: &mut dyn Outside,
    ) {
        self.endpoint.counters.count_request(&request.method);
        let Some(path) = via::trace(&mut request, from) else {
            return self.endpoint.counters.count_dropped(Dropped::Unreadable);
        };
        let is_ack = request.method == Method::Ack;
        if let Err(refusal) = well_formed(&request) {
            if is_ack {
                return self.endpoint.counters.count_dropped(Dropped::StrayAck);
            }
            let asked = Asked { request: Box::new(request), from, path, transaction: None };
            return self.refuse(now, &asked, &refusal, out);
        }
        if is_ack || self.endpoint.knows(&request) {
            if let Some(ack) = self.endpoint.repeat(now, request, from, out) {
                self.acknowledged(now, &ack, from, out);
            }
            return;
        }
        let dialog = self.dialog_of(&request);
        let Some(asked) = self.open(now, from, path, request, dialog, out) else { return };
        if let Err(refusal) = self.serve(now, &asked, dialog, out) {
            self.refuse(now, &asked, &refusal, out);
        }
    }

    /// Opens a transaction for what changes something: an INVITE, a CANCEL that finds its INVITE,
    /// a request within a dialog. All else is answered alike however often it comes, and needs
    /// none: a storm of it costs no memory.
    fn open(
        &mut self,
        now: Instant,
        from: Peer,
        path: ReturnPath,
        request: Request,
        dialog: Option<ParticipantId>,
        out: &mut dyn Outside,
    ) -> Option<Asked> {
        let is_new_call = request.method == Method::Invite && local_tag_of(&request).is_none();
        let is_cancel = self.endpoint.invite_of(&request) != Invited::Unknown;
        if !is_new_call && !is_cancel && dialog.is_none() {
            return Some(Asked { request: Box::new(request), from, path, transaction: None });
        }
        let generosity = if is_new_call { 1 } else { 2 };
        let is_full = self.endpoint.len() >= self.config.transactions_max * generosity
            || self.endpoint.kept_bytes() >= self.config.transaction_bytes_max * generosity;
        if is_full {
            let asked = Asked { request: Box::new(request), from, path, transaction: None };
            self.refuse(now, &asked, &Refusal::Full("Every transaction is in use"), out);
            return None;
        }
        let is_merged = is_new_call && self.endpoint.is_merged(&request);
        let (transaction, request) = self.endpoint.begin(now, request, path, out)?;
        let asked = Asked { request, from, path, transaction: Some(transaction) };
        if is_merged {
            self.refuse(now, &asked, &Refusal::Merged, out);
            return None;
        }
        Some(asked)
    }

    fn serve(
        &mut self,
        now: Instant,
        asked: &Asked,
        dialog: Option<ParticipantId>,
        out: &mut dyn Outside,
    ) -> Result<(), Refusal> {
        let request = &asked.request;
        match request.method {
            Method::Cancel => return self.cancel(now, asked, out),
            Method::Invite
            | Method::Bye
            | Method::Options
            | Method::Prack
            | Method::Update
            | Method::Info => {}
            _ => return Err(Refusal::Method),
        }
        if asked.transaction.is_none() && self.endpoint.is_merged(request) {
            return Err(Refusal::Merged);
        }
        if let Some(tags) = lacking(request, self.config.siprec.tags()) {
            return Err(Refusal::Extension(tags));
        }
        check_encoding(&request.headers)?;
        if let Some(id) = dialog {
            return self.in_dialog(now, id, asked, out);
        }
        let makes_none = !matches!(request.method, Method::Invite | Method::Options);
        if makes_none || local_tag_of(request).is_some() {
            return Err(Refusal::NoDialog);
        }
        check_scheme(request)?;
        if self.is_stopping {
            return Err(Refusal::Stopping);
        }
        match request.method {
            Method::Invite => self.invite(now, asked, out),
            _ => self.options(now, asked, out),
        }
    }

    /// The dialog that a request names by our tag. Whether it is really of that dialog is the
    /// dialog's to say.
    pub(super) fn dialog_of(&self, request: &Request) -> Option<ParticipantId> {
        let tag = String::from_utf8(local_tag_of(request)?).ok()?;
        let id = *self.by_tag.get(&tag)?;
        self.calls.get(&id).filter(|call| call.dialog.is_of(request)).map(|_| id)
    }

    /// What a request outside of a dialog dials: the user part of its URI and where that leads.
    pub(super) fn dialled(&self, request: &Request) -> Result<(String, Destination), Refusal> {
        let user = request.uri.decoded_user().and_then(|user| String::from_utf8(user).ok());
        let user = user.ok_or(Refusal::UnknownNumber)?;
        let destination = self.config.plan.destination(&user).ok_or(Refusal::UnknownNumber)?;
        Ok((user, destination))
    }

    /// CANCEL is always answered 200 where its INVITE is known, and does something only while
    /// that has no final response (section 9.2).
    fn cancel(
        &mut self,
        now: Instant,
        asked: &Asked,
        out: &mut dyn Outside,
    ) -> Result<(), Refusal> {
        let (caller, is_pending) = match self.endpoint.invite_of(&asked.request) {
            Invited::Unknown => return Err(Refusal::NoDialog),
            Invited::Answered(caller) => (caller, false),
            Invited::Pending(caller) => (Some(caller), true),
        };
        let tag = caller.and_then(|id| self.calls.get(&id)).map_or_else(
            || self.stateless_tag(&asked.request),
            |call| call.dialog.local_tag().to_owned(),
        );
        self.answer(now, asked, &Reply::new(200), &tag, out);
        if let Some(id) = caller.filter(|_| is_pending) {
            self.reject(now, id, &Refusal::Cancelled, Ending::Cancelled, out);
        }
        Ok(())
    }

    /// The 200 to OPTIONS.
    pub(super) fn capabilities(&self) -> Reply {
        let is_recorder = self.config.siprec.accepts();
        let accept = if is_recorder { FORMATS } else { SDP };
        let mut supported = SUPPORTED.to_owned();
        for tag in self.config.siprec.tags() {
            supported.push_str(", ");
            supported.push_str(tag);
        }
        Reply::new(200)
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Accept, accept)
            .header(HeaderName::AcceptEncoding, "identity")
            .header(HeaderName::AcceptLanguage, "en")
            .header(HeaderName::Supported, supported)
    }

    /// OPTIONS is answered as an INVITE to the same address would be (section 11.2). One to the
    /// bare host asks whether we are here: a proxy that took a full server for gone would take callers
    /// to another one, where they are alone in their room.
    fn options(
        &mut self,
        now: Instant,
        asked: &Asked,
        out: &mut dyn Outside,
    ) -> Result<(), Refusal> {
        let request = &asked.request;
        if self.is_to_record(request) {
            self.admit_recording(asked.from.remote.ip())?;
            out.may_open_media(None).map_err(no_session)?;
            out.may_record().map_err(|_| NOT_RECORDED)?;
        } else if request.uri.user().is_some() {
            let (_, destination) = self.dialled(request)?;
            self.admit()?;
            let shard = self.seat_there(&destination)?;
            out.may_open_media(shard).map_err(no_session)?;
            if destination == Destination::Record {
                out.may_record().map_err(|_| NOT_RECORDED)?;
            }
        }
        let tag = self.stateless_tag(&asked.request);
        self.answer(now, asked, &self.capabilities(), &tag, out);
        Ok(())
    }
}

/// We have no secure transport, so `sips` cannot be honoured either.
fn check_scheme(request: &Request) -> Result<(), Refusal> {
    if matches!(request.uri.scheme(), Scheme::Sip) { Ok(()) } else { Err(Refusal::Scheme) }
}

/// What makes a request unusable whatever it is for. A missing Max-Forwards does not: callers of
/// RFC 2543 send none, and we forward nothing.
fn well_formed(request: &Request) -> Result<(), Refusal> {
    let findings = validate_request(request);
    let worst = findings
        .iter()
        .find(|finding| **finding == Finding::UnsupportedVersion)
        .or_else(|| findings.iter().find(|finding| !finding.is_repairable()));
    let what: Cow<'static, str> = match worst {
        None => return Ok(()),
        Some(Finding::UnsupportedVersion) => return Err(Refusal::Version),
        Some(Finding::MissingRequiredHeader(name)) => format!("missing {name}").into(),
        Some(Finding::MalformedRequiredHeader(name)) => format!("malformed {name}").into(),
        Some(Finding::RepeatedSingleValueHeader(name)) => format!("repeated {name}").into(),
        Some(Finding::CSeqMethodMismatch) => "CSeq names another method".into(),
        Some(Finding::RequestUriHasHeaders) => "headers in Request-URI".into(),
        Some(_) => "malformed".into(),
    };
    Err(Refusal::Malformed(what))
}
