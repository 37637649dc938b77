//! Frames, and the fields of methods.

use leveret::octets;

/// The protocol header.
pub const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// A frame.
pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let size = (payload.len() as u32).to_be_bytes();
    [&[kind][..], &channel.to_be_bytes(), &size, payload, &[0xce]].concat()
}

/// A method frame.
pub fn method(channel: u16, (class, number): (u16, u16), arguments: Arguments) -> Vec<u8> {
    let ids = [class.to_be_bytes(), number.to_be_bytes()].concat();
    frame(1, channel, &[ids, arguments.0].concat())
}

/// The frames of a content. A body frame has at most `most` octets.
pub fn content(channel: u16, properties: &[u8], body: &[u8], most: usize) -> Vec<u8> {
    let size = (body.len() as u64).to_be_bytes();
    let header = [&[0, 60, 0, 0][..], &size, properties].concat();
    let bodies = body.chunks(most).map(|part| frame(3, channel, part));
    [vec![frame(2, channel, &header)], bodies.collect()]
        .concat()
        .concat()
}

/// The fields of a method that is sent.
#[derive(Clone, Debug, Default)]
pub struct Arguments(pub Vec<u8>);

impl Arguments {
    pub fn new() -> Arguments {
        Arguments::default()
    }

    pub fn octets(mut self, octets: &[u8]) -> Arguments {
        self.0.extend_from_slice(octets);
        self
    }

    pub fn octet(self, value: u8) -> Arguments {
        self.octets(&[value])
    }

    pub fn short(self, value: u16) -> Arguments {
        self.octets(&value.to_be_bytes())
    }

    pub fn long(self, value: u32) -> Arguments {
        self.octets(&value.to_be_bytes())
    }

    pub fn longlong(self, value: u64) -> Arguments {
        self.octets(&value.to_be_bytes())
    }

    pub fn text(self, text: &str) -> Arguments {
        let octets = octets::of_text(text);
        self.octet(u8::try_from(octets.len()).expect("a short string"))
            .octets(&octets)
    }

    pub fn long_string(self, octets: &[u8]) -> Arguments {
        self.long(octets.len() as u32).octets(octets)
    }

    /// Bits that share an octet.
    pub fn bits<const N: usize>(self, bits: [bool; N]) -> Arguments {
        let octet = (0..N).map(|at| u8::from(bits[at]) << at).sum();
        self.octet(octet)
    }
}

/// The fields of a method that came.
#[derive(Clone, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn octets(&mut self, count: usize) -> &'a [u8] {
        let (here, rest) = self.0.split_at(count);
        self.0 = rest;
        here
    }

    fn number(&mut self, octets: usize) -> u64 {
        let octets = self.octets(octets).iter();
        octets.fold(0, |number, octet| number << 8 | u64::from(*octet))
    }

    pub fn octet(&mut self) -> u8 {
        self.number(1) as u8
    }

    pub fn short(&mut self) -> u16 {
        self.number(2) as u16
    }

    pub fn long(&mut self) -> u32 {
        self.number(4) as u32
    }

    pub fn longlong(&mut self) -> u64 {
        self.number(8)
    }

    pub fn text(&mut self) -> String {
        let length = self.octet();
        octets::to_text(self.octets(length.into())).into_owned()
    }

    pub fn long_string(&mut self) -> &'a [u8] {
        let length = self.long();
        self.octets(length as usize)
    }
}
