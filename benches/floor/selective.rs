//! Patterns and keys for topic exchanges, the same in every run: 50 words, 3 to 6 to a pattern, one or two of them wildcards (a third of
//! those `#`) and at least two not. A key fits one pattern in twelve thousand.

const VOCABULARY: u64 = 50;

pub struct Selective(u64);

impl Selective {
    pub fn new() -> Selective {
        Selective(0x9e37_79b9_7f4a_7c15)
    }

    /// Xorshift: good enough, and no dependency.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn words(&mut self) -> Vec<String> {
        let depth = 3 + self.below(4);
        (0..depth)
            .map(|_| format!("word{}", self.below(VOCABULARY)))
            .collect()
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

    /// Not selective at all: a word in five is a `*`, one in ten a `#`.
    pub fn wild_pattern(&mut self) -> String {
        let mut words = self.words();
        for word in &mut words {
            match self.below(10) {
                0..2 => *word = "*".into(),
                2 => *word = "#".into(),
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
