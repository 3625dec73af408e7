//! The bodies of the fuzz targets. Each takes any bytes and panics when a promise is broken.
//!
//! `fuzz_targets/` calls them from libFuzzer, `tests/corpus.rs` with every file of `corpus/`, natively and for the
//! board. Where it can be, the expectation is an own, slow and simple reading of the same bytes.

pub mod config;
pub mod cookie;
pub mod dns;
pub mod framing;
pub mod head;
mod passed_on;
pub mod proxy;
mod reader;

/// A body of a fuzz target.
pub type Target = fn(&[u8]);

/// All of them by name, which is also the name of the folder in `corpus/`.
pub const TARGETS: [(&str, Target); 6] = [
    ("config", config::check),
    ("cookie", cookie::check),
    ("dns", dns::check),
    ("framing", framing::check),
    ("head", head::check),
    ("proxy", proxy::check),
];

/// Piece lengths that follow from `bytes` and nothing else: every run of the same file is the same.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let mut state = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    std::iter::repeat_with(move || {
        // xorshift64; zero would stay zero.
        state = state.max(1);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        1 + (state % 19) as usize
    })
}
