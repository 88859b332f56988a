use media_units::{Block, Sum};

use crate::{Set, scalar};

pub(crate) const SET: Set = Set {
    decode_ulaw: scalar::decode_ulaw,
    decode_alaw: scalar::decode_alaw,
    encode_ulaw: scalar::encode_ulaw,
    encode_alaw: scalar::encode_alaw,
    add,
    narrow,
    minus,
    energy,
    peak,
};

#[target_feature(enable = "avx2")]
fn add(sum: &mut Sum, block: &Block) {
    scalar::add_loop(sum, block);
}

#[target_feature(enable = "avx2")]
fn narrow(sum: &Sum, block: &mut Block) {
    scalar::narrow_loop(sum, block);
}

#[target_feature(enable = "avx2")]
fn minus(sum: &Sum, own: &Block, block: &mut Block) {
    scalar::minus_loop(sum, own, block);
}

#[target_feature(enable = "avx2")]
fn energy(block: &Block) -> u64 {
    scalar::energy_loop(block)
}

#[target_feature(enable = "avx2")]
fn peak(block: &Block) -> u16 {
    scalar::peak_loop(block)
}
