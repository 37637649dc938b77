//! Erlang's random numbers of the algorithm `exs1024s` (xorshift1024*), as `rand` seeds them.

/// The state of a generator: its words, and the place of the next one.
#[derive(Clone, Debug)]
pub(super) struct Exs1024s {
    words: [u64; 16],
    at: usize,
}

impl Exs1024s {
    /// The generator of the seed `{seed, seed, seed}`.
    pub(super) fn new(seed: i64) -> Self {
        let low = |bits: u32, number: u64| number & ((1 << bits) - 1);
        let part = |factor| low(21, (low(21, seed as u64) + 1) * factor);
        let parts = part(2_097_131) << 43 | part(2_097_133) << 22 | part(2_097_143) << 1;
        let mut state = parts | 1;
        // The first number of the seed is the last one in Erlang's list.
        let mut words = [0; 16];
        for word in words.iter_mut().rev() {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            *word = state.wrapping_mul(2_685_821_657_736_338_717);
        }
        Self { words, at: 0 }
    }

    /// A number from 0 (included) to 1 (excluded).
    pub(super) fn next_float(&mut self) -> f64 {
        // 53 bits fit into a float. The factor is 2^-53.
        (self.next_word() >> 11) as f64 * (f64::EPSILON / 2.0)
    }

    fn next_word(&mut self) -> u64 {
        let before = self.words[self.at];
        self.at = (self.at + 1) % 16;
        let mut here = self.words[self.at];
        here ^= here << 31;
        let word = here ^ (here >> 11) ^ before ^ (before >> 30);
        self.words[self.at] = word;
        word.wrapping_mul(1_181_783_497_276_652_981)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of `rand:uniform_s` in Erlang/OTP 25.
    #[test]
    fn it_makes_the_numbers_of_erlang() {
        let mut random = Exs1024s::new(5);
        let numbers: Vec<f64> = (0..20).map(|_| random.next_float()).collect();
        let first = [0.352_440_983_626_264_1, 0.670_908_919_654_443_3];
        assert_eq!(numbers[..2], first);
        let behind_the_last_word = [
            0.694_876_742_513_570_7,
            0.387_599_630_450_250_14,
            0.757_474_594_531_054_5,
            0.439_701_568_343_002_2,
            0.168_132_721_798_511_58,
        ];
        assert_eq!(numbers[15..], behind_the_last_word);
    }

    #[test]
    fn a_seed_has_any_sign_and_size() {
        for (seed, first) in [
            (-1, 0.403_937_041_687_543_85),
            (1 << 40, 0.294_232_217_744_804_1),
        ] {
            assert_eq!(Exs1024s::new(seed).next_float(), first);
        }
    }
}
