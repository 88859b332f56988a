//! Who is in a room's mix, for those who are told (CSRC lists, RFC 3550 section 5.1, and their
//! levels, RFC 6465).

use media::rtp::{CONTRIBUTORS_MAX, Contributor, HEADER_BYTES_MAX, RtpHeader};
use media::talk::SILENT_DBOV;
use media_units::Ssrc;

const NOBODY: Contributor = Contributor { ssrc: Ssrc(0), level_dbov: SILENT_DBOV };

/// Those who are heard in a room in one period, as many as a listener can be told of.
#[derive(Debug)]
pub(crate) struct Contributors {
    list: [Contributor; CONTRIBUTORS_MAX + 1],
    count: usize,
}

impl Contributors {
    /// Nobody.
    pub(crate) const fn new() -> Self {
        Self { list: [NOBODY; CONTRIBUTORS_MAX + 1], count: 0 }
    }

    /// Nobody, from now on.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// One more is heard. Beyond what can be told it is left out.
    pub(crate) fn add(&mut self, contributor: Contributor) {
        if let Some(place) = self.list.get_mut(self.count) {
            *place = contributor;
            self.count += 1;
        }
    }

    /// Who they are.
    pub(crate) fn list(&self) -> &[Contributor] {
        &self.list[..self.count]
    }

    /// Writes a packet's header that names all of them but the listener, with their levels where
    /// it takes them under an identifier. Returns its length.
    pub(crate) fn write_header(
        &self,
        header: &RtpHeader,
        listener: Option<Ssrc>,
        levels: Option<u8>,
        to: &mut [u8; HEADER_BYTES_MAX],
    ) -> usize {
        let mut others = [NOBODY; CONTRIBUTORS_MAX];
        let all = self.list[..self.count].iter().filter(|one| Some(one.ssrc) != listener);
        let count = others.iter_mut().zip(all).map(|(place, one)| *place = *one).count();
        header.write_mix(&others[..count], levels, to)
    }
}
