//! Patterns and keys for topic exchanges, the same in every run. There are 50 words. A pattern has
//! 3 to 6 words: one or two wildcards (a third of them `#`) and at least two plain words. A key
//! matches one pattern in twelve thousand.

const VOCABULARY: u64 = 50;

pub struct Selective(u64);

impl Selective {
    pub fn new() -> Selective {
        Selective(0x9e37_79b9_7f4a_7c15)
    }

    /// Xorshift. It is good enough, and needs no dependency.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn words(&mut self) -> Vec<String> {
        let depth = 3 + self.below(4);
        (0..depth).map(|_| self.word()).collect()
    }

    pub fn word(&mut self) -> String {
        format!("word{}", self.below(VOCABULARY))
    }

    pub fn key(&mut self) -> String {
        self.words().join(".")
    }

    pub fn pattern(&mut self) -> String {
        let mut words = self.words();
        let length = words.len() as u64;
        let place = self.below(length);
        self.make_wild(&mut words, place);
        if length > 3 && self.below(2) == 0 {
            let another = (place + 1 + self.below(length - 1)) % length;
            self.make_wild(&mut words, another);
        }
        words.join(".")
    }

    /// Patterns that match often: one word in five is a `*`, one in ten a `#`. As in RabbitMQ 4.3,
    /// a key has at most two `#`.
    pub fn wild_pattern(&mut self) -> String {
        let mut words = self.words();
        let mut left = 2;
        for word in &mut words {
            match self.below(10) {
                0..2 => *word = "*".into(),
                2 if left > 0 => {
                    *word = "#".into();
                    left -= 1;
                }
                _ => {}
            }
        }
        words.join(".")
    }

    fn make_wild(&mut self, words: &mut [String], place: u64) {
        let wildcard = if self.below(3) == 0 { "#" } else { "*" };
        words[place as usize] = wildcard.into();
    }
}
