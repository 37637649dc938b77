//! Erlang's portable hash of a list of binaries.
//!
//! Erlang guarantees that `erlang:phash2` gives the same number for the same term in every version.
//! It is Bob Jenkins' hash of 1996 ("lookup2"), with one constant for each type of term.

/// The golden ratio. Multiples of it keep the types of terms apart.
const GOLDEN: u32 = 0x9e37_79b9;

/// `erlang:phash2` of a list of binaries, below 2^27.
pub(super) fn phash2(list: &[&str]) -> u32 {
    let hash = list.iter().fold(0, |hash, text| {
        let seed = GOLDEN.wrapping_mul(13).wrapping_add(hash);
        match text.as_bytes() {
            [] => seed,
            bytes => of_bytes(bytes, seed),
        }
    });
    // The empty list behind the last element.
    let nil = GOLDEN.wrapping_mul(2);
    let [.., hash] = mixed([nil.wrapping_add(2), nil, hash]);
    hash % (1 << 27)
}

fn of_bytes(bytes: &[u8], seed: u32) -> u32 {
    let mut state = [GOLDEN, GOLDEN, seed];
    let blocks = bytes.chunks_exact(12);
    let rest = blocks.remainder();
    for block in blocks {
        state = mixed(with(state, block));
    }
    // The lowest byte of the last word has the length instead of a byte of the text.
    let mut last = [0; 12];
    let (before, behind) = rest.split_at(rest.len().min(8));
    last[..before.len()].copy_from_slice(before);
    last[9..9 + behind.len()].copy_from_slice(behind);
    state[2] = state[2].wrapping_add(bytes.len() as u32);
    let [.., hash] = mixed(with(state, &last));
    hash
}

/// Adds twelve bytes to the state, four to each word.
fn with(state: [u32; 3], block: &[u8]) -> [u32; 3] {
    let mut words = block.chunks_exact(4).map(|word| {
        let number = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        word.iter().rev().fold(0, number)
    });
    state.map(|word| word.wrapping_add(words.next().unwrap_or(0)))
}

/// Jenkins' mixing of three words.
fn mixed([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    for [first, second, third] in [[13, 8, 13], [12, 16, 5], [3, 10, 15]] {
        a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> first);
        b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << second);
        c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> third);
    }
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of Erlang/OTP 29.
    #[test]
    fn it_hashes_as_erlang_does() {
        for (list, hash) in [
            (&["k"][..], 403_364),
            (&[""], 38_220_213),
            (&["a", "b"], 3_094_894),
            (&["key-0"], 124_810_561),
            (&["key-11"], 78_388_637),
            (&["0123456789ab"], 119_280_432),
            (&["0123456789abc"], 56_666_097),
            (&["0123456789abcdefghijklmnopq"], 79_768_131),
            (&["x", "", "0123456789abcdefghijklmnopq"], 100_484_688),
        ] {
            assert_eq!(phash2(list), hash, "{list:?}");
        }
    }
}
