//! One line on its way into a buffer that never grows: bytes and numbers, appended as they are.
//!
//! Beside `core::fmt`, which took most of a logged request: with it one took 24,170 user instructions on the board, without
//! 13,450 (`scripts/board-bench`, row cookie-log). Numbers that fit into 32 bits are divided as such, and by constants: any
//! other division is a function on the board, not an instruction.

use crate::runtime::append;
use std::fmt;

/// A line. What does not fit is cut, and nothing follows a cut.
pub struct Text<'a> {
    bytes: &'a mut Vec<u8>,
    end: usize,
}

/// The numbers from 00 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    pairs
};
/// What [`Text::long`] cuts a number into.
const BILLION: u64 = 1_000_000_000;
/// The digits of a byte that is not written as it is.
pub(super) const HEX: &[u8; 16] = b"0123456789ABCDEF";

impl<'a> Text<'a> {
    /// A line behind what is in `bytes`, with so much room.
    pub(super) fn new(bytes: &'a mut Vec<u8>, room: usize) -> Self {
        let end = bytes.len() + room;
        Self { bytes, end }
    }

    /// Bytes of the buffer so far, what stands before the line among them.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.end - self.bytes.len() {
            append(bytes, self.bytes);
        } else {
            self.cut(bytes);
        }
    }

    /// Appends a byte.
    pub fn byte(&mut self, byte: u8) {
        if self.bytes.len() < self.end {
            self.bytes.push(byte);
        }
    }

    #[cold]
    fn cut(&mut self, bytes: &[u8]) {
        let room = self.end - self.bytes.len();
        // Not in the middle of a character.
        let cut = (0..=room).rev().find(|&at| bytes[at] & 0xc0 != 0x80).unwrap_or(0);
        self.bytes.extend_from_slice(&bytes[..cut]);
        self.end = self.bytes.len();
    }

    /// Appends a number.
    pub fn number(&mut self, number: u32) {
        // Most are: counts, and times in milliseconds.
        if let Ok(digit @ 0..=9) = u8::try_from(number) {
            return self.byte(b'0' + digit);
        }
        let mut digits = [0; 10];
        let (mut at, mut rest) = (digits.len(), number);
        while rest >= 100 {
            at -= 2;
            digits[at..at + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
            rest /= 100;
        }
        let [ten, one] = PAIRS[rest as usize];
        if rest >= 10 {
            self.byte(ten);
        }
        self.byte(one);
        if at < digits.len() {
            self.bytes(&digits[at..]);
        }
    }

    /// The same for one that is seldom as long as it may be.
    pub fn long(&mut self, number: u64) {
        match u32::try_from(number) {
            Ok(number) => self.number(number),
            Err(_) => {
                self.long(number / BILLION);
                let [millions, rest] = [1_000_000, 1].map(|unit| number % BILLION / unit);
                let thousands = [millions, rest / 1000 % 1000, rest % 1000];
                thousands.iter().for_each(|&three| self.three(u32::try_from(three).unwrap_or(0)));
            }
        }
    }

    /// Appends a number below 1000 as three digits.
    pub fn three(&mut self, number: u32) {
        let [ten, one] = PAIRS[(number % 100) as usize];
        self.bytes(&[PAIRS[(number / 100 % 10) as usize][1], ten, one]);
    }

    /// Appends bytes of a stranger's: those that could break the line as `#` and two digits, as HAProxy does.
    pub fn escaped(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'#' | 0..=0x1f | 0x7f..)) {
            let byte = rest[at];
            self.bytes(&rest[..at]);
            self.bytes(&[b'#', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            rest = &rest[at + 1..];
        }
        self.bytes(rest);
    }
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(room: usize, write: impl FnOnce(&mut Text<'_>)) -> String {
        let mut bytes = b"before ".to_vec();
        write(&mut Text::new(&mut bytes, room));
        String::from_utf8(bytes).unwrap().split_off(7)
    }

    #[test]
    fn bytes_that_break_a_line_are_escaped() {
        let text = written(99, |out| out.escaped(b"GET /\"#\x80\x7f~ \x1f x\xff"));
        assert_eq!(text, "GET /#22#23#80#7F~ #1F x#FF");
    }

    #[test]
    fn nothing_follows_a_cut() {
        for (room, expected) in
            [(9, "ab\u{e4}\u{20ac}12"), (8, "ab\u{e4}\u{20ac}1"), (6, "ab\u{e4}"), (3, "ab"), (0, "")]
        {
            let text = written(room, |out| {
                out.bytes(b"ab");
                out.bytes("\u{e4}\u{20ac}".as_bytes());
                out.number(1);
                out.byte(b'2');
            });
            assert_eq!(text, expected, "{room}");
        }
    }

    proptest! {
        #[test]
        fn numbers(number: u64, shift in 0..64u32, three in 0..1000u32) {
            let long = number >> shift;
            let short = u32::try_from(long & 0xffff_ffff).unwrap();
            prop_assert_eq!(written(99, |out| out.long(long)), long.to_string());
            prop_assert_eq!(written(99, |out| out.number(short)), short.to_string());
            prop_assert_eq!(written(99, |out| out.three(three)), format!("{three:03}"));
        }

        #[test]
        fn powers_of_ten_and_their_neighbours(power in 0..20u32, step in 0..3u64) {
            let number = (10u64.pow(power) - 1).saturating_add(step);
            prop_assert_eq!(written(99, |out| out.long(number)), number.to_string());
        }
    }
}
