//! A dialog made by an INVITE that we answered (RFC 3261 section 12).
//!
//! It knows who is at both ends, which requests are in order, and how and where to send ours. It
//! looks up no names: where the next hop is named and not numbered, requests go back to where the
//! caller's last request came from.

use std::net::SocketAddr;

use bytes::Bytes;
use sipx_sip::headers::{Contact, From as FromHeader, RecordRoute, To};
use sipx_sip::update::peer_allows;
use sipx_sip::{Address, CSeq, HeaderName, Method, Request, Response, Scheme, Uri};

use crate::outside::{Carrier, Peer};
use crate::reach::{DEFAULT_PORT, is_behind_nat, literal};
use crate::reply::push;

/// The first `CSeq` of ours in a dialog is below this, so that it never wraps.
pub(crate) const FIRST_SEQUENCE_MAX: u32 = 1 << 16;

/// Most proxies on the way that are remembered.
const ROUTES_MAX: usize = 32;

/// One dialog, seen from its callee.
#[derive(Debug)]
pub(crate) struct Dialog {
    call_id: Bytes,
    local_tag: String,
    remote_tag: Vec<u8>,
    /// To of the caller's requests, with our tag: From of ours.
    local: Bytes,
    /// From of the caller's requests: To of ours.
    remote: Bytes,
    remote_target: Uri,
    routes: Vec<Route>,
    local_sequence: u32,
    remote_sequence: u32,
    /// Our Contact.
    contact: String,
    /// Where the caller's last message came from.
    flow: Peer,
    allows_update: bool,
}

#[derive(Debug)]
struct Route {
    uri: Uri,
    /// As it is written in a Route header.
    text: Bytes,
}

impl Dialog {
    /// The dialog that `invite` makes. `None` where it says not where to send requests to.
    pub(crate) fn accept(
        invite: &Request,
        local_tag: String,
        local_sequence: u32,
        contact: String,
        from: Peer,
    ) -> Option<Self> {
        let remote = invite.headers.typed::<FromHeader>()?.ok()?;
        // A caller of RFC 2543 gives no Contact: then its address is where it says it is.
        let remote_target = match invite.headers.typed::<Contact>() {
            Some(contact) => target(contact.ok()?.0.uri),
            None => target(remote.uri.clone()),
        };
        if !remote_target.scheme().is_sip() {
            return None;
        }
        let mut local = invite.headers.value(&HeaderName::To)?.into_owned();
        local.extend_from_slice(b";tag=");
        local.extend_from_slice(local_tag.as_bytes());
        Some(Self {
            call_id: value(invite, &HeaderName::CallId)?,
            local_tag,
            remote_tag: remote.tag().unwrap_or_default().to_vec(),
            local: local.into(),
            remote: value(invite, &HeaderName::From)?,
            remote_target,
            routes: routes(&invite.headers)?,
            local_sequence,
            remote_sequence: sequence(invite)?,
            contact,
            flow: from,
            allows_update: peer_allows(&invite.headers),
        })
    }

    /// A dialog that we want to make with `target`: its other end is known once that answers.
    pub(crate) fn calling(
        target: &Uri,
        from: &str,
        call_id: String,
        local_tag: String,
        local_sequence: u32,
        contact: String,
        to: Peer,
    ) -> Self {
        Self {
            call_id: call_id.into_bytes().into(),
            local: format!("<{from}>;tag={local_tag}").into(),
            local_tag,
            remote_tag: Vec::new(),
            remote: bracketed(target).into(),
            remote_target: target.clone(),
            routes: Vec::new(),
            local_sequence,
            remote_sequence: 0,
            contact,
            flow: to,
            allows_update: false,
        }
    }

    /// Takes the 2xx that makes the dialog (section 12.1.2). Whether it says where requests go.
    pub(crate) fn answered(&mut self, answer: &Response) -> bool {
        let headers = &answer.headers;
        let Some(Ok(to)) = headers.typed::<To>() else { return false };
        let Some(remote) = headers.value(&HeaderName::To) else { return false };
        let Some(mut routes) = routes(headers) else { return false };
        // The route set of a caller is Record-Route in reverse order.
        routes.reverse();
        self.remote_tag = to.tag().unwrap_or_default().to_vec();
        self.remote = Bytes::from(remote.into_owned());
        self.routes = routes;
        self.retarget(headers);
        true
    }

    /// Whether our requests, and so our Contact, would have to be secure: the first hop to the
    /// endpoint is named by a `sips` URI (section 12.1.1).
    pub(crate) fn is_secure(&self) -> bool {
        is_secure(self.routes.first().map_or(&self.remote_target, |route| &route.uri))
    }

    pub(crate) fn call_id(&self) -> String {
        String::from_utf8_lossy(&self.call_id).into_owned()
    }

    pub(crate) fn local_tag(&self) -> &str {
        &self.local_tag
    }

    pub(crate) fn contact(&self) -> &str {
        &self.contact
    }

    pub(crate) fn set_contact(&mut self, contact: String) {
        self.contact = contact;
    }

    pub(crate) fn flow(&self) -> Peer {
        self.flow
    }

    pub(crate) fn allows_update(&self) -> bool {
        self.allows_update
    }

    /// The endpoint said that it does not know UPDATE after all.
    pub(crate) fn forbid_update(&mut self) {
        self.allows_update = false;
    }

    /// Whether `request`, which is of this dialog, is newer than those before it. A gap in `CSeq`
    /// is not disorder: requests that never arrived leave one (section 12.2.2).
    pub(crate) fn advance(&mut self, request: &Request) -> bool {
        match sequence(request) {
            Some(sequence) if sequence > self.remote_sequence => {
                self.remote_sequence = sequence;
                true
            }
            _ => false,
        }
    }

    /// Takes where the caller's last message came from; gives what was there before.
    pub(crate) fn follow(&mut self, from: Peer) -> Peer {
        std::mem::replace(&mut self.flow, from)
    }

    /// Whether `request` has our tag, the caller's tag and the Call-ID of this dialog.
    pub(crate) fn is_of(&self, request: &Request) -> bool {
        let headers = &request.headers;
        let from = headers.typed::<FromHeader>().and_then(Result::ok);
        local_tag_of(request).is_some_and(|tag| tag == self.local_tag.as_bytes())
            && from.is_some_and(|from| from.tag().unwrap_or_default() == self.remote_tag)
            && headers.value(&HeaderName::CallId).is_some_and(|id| *id == self.call_id[..])
    }

    /// A connection is gone: requests no longer go over it.
    pub(crate) fn closed(&mut self, peer: Peer) {
        if self.flow == peer {
            self.flow.carrier = Carrier::TcpNew;
        }
    }

    /// Takes the endpoint's new Contact from a request or response that refreshes the target
    /// (section 12.2). One that we could not reach as it asks for, without TLS, changes nothing.
    pub(crate) fn retarget(&mut self, headers: &sipx_sip::Headers) {
        if let Some(Ok(contact)) = headers.typed::<Contact>()
            && contact.0.uri.scheme().is_sip()
            && !(self.routes.is_empty() && is_secure(&contact.0.uri))
        {
            self.remote_target = target(contact.0.uri);
        }
        if headers.get(&HeaderName::Allow).is_some() {
            self.allows_update = peer_allows(headers);
        }
    }

    /// A new request of ours within the dialog, but for its Via, and where it goes.
    pub(crate) fn request(&mut self, method: &Method) -> (Request, Peer) {
        self.local_sequence += 1;
        self.write(method, self.local_sequence)
    }

    /// The ACK of the 2xx to our INVITE of number `sequence`.
    pub(crate) fn ack(&self, sequence: u32) -> (Request, Peer) {
        self.write(&Method::Ack, sequence)
    }

    /// Section 12.2.1.1: with a strict router first, the routes move up by one place.
    fn write(&self, method: &Method, sequence: u32) -> (Request, Peer) {
        let first = self.routes.first();
        let strict = first.filter(|route| !is_loose(&route.uri));
        let mut request = Request::new(
            method.clone(),
            strict.map_or(&self.remote_target, |route| &route.uri).clone(),
        );
        let headers = &mut request.headers;
        for route in self.routes.iter().skip(usize::from(strict.is_some())) {
            push(headers, HeaderName::Route, route.text.clone());
        }
        if strict.is_some() {
            push(headers, HeaderName::Route, bracketed(&self.remote_target));
        }
        push(headers, HeaderName::MaxForwards, "70");
        push(headers, HeaderName::From, self.local.clone());
        push(headers, HeaderName::To, self.remote.clone());
        push(headers, HeaderName::CallId, self.call_id.clone());
        push(headers, HeaderName::CSeq, format!("{sequence} {method}"));
        (request, self.next_hop())
    }

    /// Where our requests go: the first route, or the endpoint itself.
    fn next_hop(&self) -> Peer {
        let uri = self.routes.first().map_or(&self.remote_target, |route| &route.uri);
        let Some(remote) = socket_address(uri) else { return self.flow };
        let is_direct = self.routes.is_empty();
        let on_stream = matches!(self.flow.carrier, Carrier::Tcp(_));
        let same_host = remote.ip() == self.flow.remote.ip().to_canonical();
        if on_stream && (is_direct || same_host) {
            return self.flow;
        }
        if is_direct && is_behind_nat(remote.ip(), self.flow.remote.ip().to_canonical()) {
            return self.flow;
        }
        match uri.transport() {
            Some(name) if name.eq_ignore_ascii_case(b"tcp") => {
                Peer { carrier: Carrier::TcpNew, remote }
            }
            Some(name) if !name.eq_ignore_ascii_case(b"udp") => self.flow,
            _ => Peer { carrier: Carrier::Udp, remote },
        }
    }
}

/// Our tag in a request of a dialog.
pub(crate) fn local_tag_of(request: &Request) -> Option<Vec<u8>> {
    request.headers.typed::<To>()?.ok()?.tag().map(<[u8]>::to_vec)
}

/// The number in `CSeq`.
pub(crate) fn sequence(request: &Request) -> Option<u32> {
    Some(request.headers.typed::<CSeq>()?.ok()?.sequence)
}

/// The number in `CSeq` of a response.
pub(crate) fn answered_sequence(response: &Response) -> Option<u32> {
    Some(response.headers.typed::<CSeq>()?.ok()?.sequence)
}

fn value(request: &Request, name: &HeaderName) -> Option<Bytes> {
    Some(Bytes::from(request.headers.value(name)?.into_owned()))
}

/// The route set of a callee: Record-Route in its order (section 12.1.1).
fn routes(headers: &sipx_sip::Headers) -> Option<Vec<Route>> {
    let recorded = headers.typed_all::<RecordRoute>().take(ROUTES_MAX + 1);
    let routes: Vec<Route> = recorded
        .map(|route| route.ok().map(|route| Route { text: written(&route.0), uri: route.0.uri }))
        .collect::<Option<_>>()?;
    (routes.len() <= ROUTES_MAX).then_some(routes)
}

fn written(address: &Address) -> Bytes {
    let mut text = bracketed(&address.uri);
    for parameter in &address.params {
        text.push(b';');
        text.extend_from_slice(&parameter.name);
        if let Some(value) = &parameter.value {
            text.push(b'=');
            push_value(&mut text, value);
        }
    }
    text.into()
}

/// The value of a header parameter, which was read without its quotes, where it needs them (RFC 3261
/// section 25.1: gen-value).
fn push_value(text: &mut Vec<u8>, value: &[u8]) {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~[]:".contains(b);
    if !value.is_empty() && value.iter().all(is_plain) {
        return text.extend_from_slice(value);
    }
    text.push(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text.push(b'"');
}

/// A Request-URI out of a Contact: without what a URI may say there alone (RFC 3261 section 19.1.1,
/// table 1).
fn target(mut uri: Uri) -> Uri {
    // One without them stays as it is written.
    if uri.params().is_some_and(|params| params.contains("method")) {
        uri.remove_param("method");
    }
    let headers = uri.headers().into_iter().flat_map(sipx_sip::Params::iter);
    let names: Vec<Vec<u8>> = headers.map(|header| header.name().to_vec()).collect();
    for name in names {
        uri.remove_header(&String::from_utf8_lossy(&name));
    }
    uri
}

fn bracketed(uri: &Uri) -> Vec<u8> {
    [b"<", &uri.to_bytes()[..], b">"].concat()
}

fn is_secure(uri: &Uri) -> bool {
    matches!(uri.scheme(), Scheme::Sips)
}

fn is_loose(uri: &Uri) -> bool {
    uri.params().is_some_and(|params| params.contains("lr"))
}

/// Who is reached at `uri`, where that names no name and no transport that we do not have.
pub(crate) fn peer_of(uri: &Uri) -> Option<Peer> {
    let remote = socket_address(uri)?;
    match uri.transport() {
        None => Some(Peer { carrier: Carrier::Udp, remote }),
        Some(name) if name.eq_ignore_ascii_case(b"udp") => {
            Some(Peer { carrier: Carrier::Udp, remote })
        }
        Some(name) if name.eq_ignore_ascii_case(b"tcp") => {
            Some(Peer { carrier: Carrier::TcpNew, remote })
        }
        Some(_) => None,
    }
}

/// The address in `uri`, if it has one and no name.
fn socket_address(uri: &Uri) -> Option<SocketAddr> {
    let port = uri.port().unwrap_or(DEFAULT_PORT);
    let maddr = uri.params().and_then(|params| params.value("maddr"));
    let address = match maddr {
        Some(text) => std::str::from_utf8(text).ok()?.parse().ok()?,
        None => literal(uri.host()?)?,
    };
    Some(SocketAddr::new(address, port))
}
