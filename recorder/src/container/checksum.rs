//! The cyclic redundancy checks of Ogg and FLAC: highest bit first, nothing inverted.

/// One check, computed a byte at a time. The register is kept at the top of 32 bits, so that one
/// code serves every width.
pub(super) struct Crc<const WIDTH: u32> {
    table: [u32; 256],
}

/// Of an Ogg page (RFC 3533 section 6).
pub(super) static OGG: Crc<32> = Crc::new(0x04c1_1db7);
/// Of the header of a FLAC frame (RFC 9639 section 9.1.8).
pub(super) static FLAC_HEADER: Crc<8> = Crc::new(0x07);
/// Of a FLAC frame (RFC 9639 section 9.3).
pub(super) static FLAC_FRAME: Crc<16> = Crc::new(0x8005);

impl<const WIDTH: u32> Crc<WIDTH> {
    const fn new(polynomial: u32) -> Self {
        let polynomial = polynomial << (32 - WIDTH);
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut register = (byte as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                let carry = register >> 31;
                register = (register << 1) ^ (polynomial * carry);
                bit += 1;
            }
            table[byte] = register;
            byte += 1;
        }
        Self { table }
    }

    /// Of all these bytes.
    pub(super) fn of(&self, bytes: &[u8]) -> u32 {
        let register = bytes.iter().fold(0_u32, |register, byte| {
            self.table[((register >> 24) as u8 ^ byte) as usize] ^ (register << 8)
        });
        register >> (32 - WIDTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_the_catalogues_are_met() {
        // "123456789": CRC-32 of Ogg (init 0, no inversion), CRC-8/SMBUS, CRC-16/UMTS.
        assert_eq!(OGG.of(b"123456789"), 0x89a1_897f);
        assert_eq!(FLAC_HEADER.of(b"123456789"), 0xf4);
        assert_eq!(FLAC_FRAME.of(b"123456789"), 0xfee8);
    }
}
