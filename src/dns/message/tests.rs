//! Answers as servers send them, as they are cut on the way, and as nobody should send them.

use super::*;
use proptest::prelude::*;

/// Where the name of the question stands.
const ASKED: &[u8] = b"\xc0\x0c";

fn question(family: Family) -> Question {
    Question::new(0x1234, "App.example.com", family).unwrap()
}

/// An answer with these flags to `question`, with these records.
fn answer(question: &Question, flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = question.bytes().to_vec();
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    message[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    records.iter().for_each(|record| message.extend_from_slice(record));
    message
}

fn record(owner: &[u8], kind: u16, ttl_s: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [owner, &kind.to_be_bytes(), &[0, 1], &ttl_s.to_be_bytes(), &length.to_be_bytes(), data].concat()
}

fn v4(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn a(owner: &[u8], ttl_s: u32, last: u8) -> Vec<u8> {
    record(owner, 1, ttl_s, &[192, 0, 2, last])
}

/// Recursion available, no error.
const FINE: u16 = 0x8180;

#[test]
fn a_question_is_what_the_standard_says() {
    let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03App\x07example\x03com\0\0\x1c\0\x01";
    assert_eq!(question(Family::V6).bytes(), expected);
    let dotted = Question::new(0x1234, "App.example.com.", Family::V6).unwrap();
    assert_eq!(dotted.bytes(), expected);
    let longest = [["a"; 63].concat().as_str(); 4].join(".");
    for none in ["", ".", "a..b", &"a".repeat(64), &longest] {
        assert!(Question::new(1, none, Family::V4).is_none(), "{none}");
    }
    assert!(Question::new(1, &longest[..253], Family::V4).is_some());
}

#[test]
fn what_answers_say() {
    let alias = |owner: &[u8], ttl_s, target: &[u8]| record(owner, CNAME, ttl_s, target);
    let loops: Vec<_> = vec![alias(ASKED, 9, b"\x01b\0"), alias(b"\x01b\0", 9, ASKED)];
    let name = |number: u8| [1, b'a' + number, 0];
    let chain = |length: u8| -> Vec<Vec<u8>> {
        let owner = |number| if number == 0 { ASKED.to_vec() } else { name(number).to_vec() };
        let aliases = (0..length).rev().map(|number| alias(&owner(number), 60, &name(number + 1)));
        aliases.chain([a(&owner(length), 60, 1)]).collect()
    };
    let cases: Vec<(&str, u16, Vec<Vec<u8>>, Answer)> = vec![
        ("one", FINE, vec![a(ASKED, 60, 1)], Answer::Addresses(vec![v4(1)], 60)),
        (
            "two, in their order, for the shorter time",
            FINE,
            vec![a(ASKED, 60, 2), a(b"\x03APP\x07Example\x03com\0", 5, 1)],
            Answer::Addresses(vec![v4(2), v4(1)], 5),
        ),
        ("one twice", FINE, vec![a(ASKED, 1, 1), a(ASKED, 1, 1)], Answer::Addresses(vec![v4(1)], 1)),
        (
            "an alias",
            FINE,
            vec![alias(ASKED, 7, b"\x03srv\xc0\x10"), a(b"\x03SRV\x07example\x03com\0", 60, 3)],
            Answer::Addresses(vec![v4(3)], 7),
        ),
        ("eight aliases, backwards", FINE, chain(8), Answer::Addresses(vec![v4(1)], 60)),
        ("nine", FINE, chain(9), Answer::NoAddress),
        ("aliases in a circle", FINE, loops, Answer::NoAddress),
        ("an alias to nothing", FINE, vec![alias(ASKED, 7, b"\x03srv\xc0\x10")], Answer::NoAddress),
        ("somebody else's address", FINE, vec![a(b"\x05other\0", 60, 1)], Answer::NoAddress),
        ("another family's", FINE, vec![record(ASKED, 28, 60, &[1; 16])], Answer::NoAddress),
        ("another class", FINE, vec![[ASKED, &[0, 1, 0, 3, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4]].concat()], Answer::NoAddress),
        (
            "nobody's addresses",
            FINE,
            vec![record(ASKED, 1, 9, &[0; 4]), record(ASKED, 1, 9, &[224, 0, 0, 1])],
            Answer::NoAddress,
        ),
        ("a time that is none", FINE, vec![a(ASKED, 0x8000_0001, 1)], Answer::Addresses(vec![v4(1)], 0)),
        ("none", FINE, vec![], Answer::NoAddress),
        ("no such name", FINE | 3, vec![], Answer::NoSuchName),
        ("SERVFAIL", FINE | 2, vec![], Answer::Failed(2)),
        ("REFUSED, whatever else it says", FINE | 5, vec![a(ASKED, 60, 1)], Answer::Failed(5)),
        ("truncated", FINE | 0x200, vec![a(ASKED, 60, 1)], Answer::Truncated),
    ];
    for (what, flags, records, expected) in cases {
        let question = question(Family::V4);
        assert_eq!(question.read(&answer(&question, flags, &records)), Some(expected), "{what}");
    }
    let question = question(Family::V6);
    let message = answer(&question, FINE, &[record(ASKED, 28, 60, &[0x20; 16])]);
    assert_eq!(question.read(&message), Some(Answer::Addresses(vec![IpAddr::from([0x20; 16])], 60)));
}

#[test]
fn no_more_addresses_than_there_can_be_backends() {
    let question = question(Family::V4);
    let records: Vec<_> =
        (0..600u16).map(|n| record(ASKED, 1, 9, &[10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect();
    let Some(Answer::Addresses(addresses, 9)) = question.read(&answer(&question, FINE, &records)) else { panic!() };
    assert_eq!(addresses.len(), MAX_ADDRESSES);
}

#[test]
fn what_does_not_answer_the_question() {
    let asked = question(Family::V4);
    let good = answer(&asked, FINE, &[a(ASKED, 60, 1)]);
    assert!(asked.read(&good).is_some());
    let with = |at: usize, byte: u8| {
        let mut message = good.clone();
        message[at] = byte;
        message
    };
    let record_at = asked.bytes().len();
    let cases = [
        ("another id", with(1, 0x35)),
        ("a query", with(2, 0x01)),
        ("another kind of query", with(2, 0x91)),
        ("two questions", with(5, 2)),
        ("no question", with(5, 0)),
        ("another name", with(14, b'q')),
        ("another type", with(record_at - 3, 28)),
        ("another class", with(record_at - 1, 3)),
        ("more records than there are", with(7, 2)),
        ("a name that points at itself", with(record_at + 1, u8::try_from(record_at).unwrap())),
        ("an address of three bytes", with(record_at + 11, 3)),
        ("an address beyond the end", with(record_at + 11, 5)),
        ("a reserved kind of label", with(record_at, 0x80)),
    ];
    for (what, message) in cases {
        // A name that points at itself is like none, what follows it is whole.
        let expected = (what == "a name that points at itself").then_some(Answer::NoAddress);
        assert_eq!(asked.read(&message), expected, "{what}");
    }
    for length in 0..good.len() {
        assert_eq!(asked.read(&good[..length]), None, "cut at {length}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, records in 0u16..600) {
        let asked = question(Family::V6);
        let mut message = answer(&asked, FINE, &[]);
        message[6..8].copy_from_slice(&records.to_be_bytes());
        message.extend_from_slice(&bytes);
        let _ = (asked.read(&message), asked.read(&bytes));
    }

    #[test]
    fn no_changed_answer_gives_what_no_server_has(changes in proptest::collection::vec((0usize..120, any::<u8>()), 1..6)) {
        let asked = question(Family::V4);
        let records = [record(ASKED, CNAME, 9, b"\x01b\xc0\x10"), a(b"\x01b\xc0\x10", 60, 1), a(b"\x01b\xc0\x10", 60, 2)];
        let mut message = answer(&asked, FINE, &records);
        let length = message.len();
        changes.iter().for_each(|&(at, byte)| message[at % length] = byte);
        if let Some(Answer::Addresses(addresses, _)) = asked.read(&message) {
            prop_assert!((1..=2).contains(&addresses.len()));
            prop_assert!(addresses.iter().all(|address| address.is_ipv4() && !address.is_unspecified()));
        }
    }

    #[test]
    fn what_a_server_writes_is_read(lasts in proptest::collection::vec(1u8..=254, 1..40), ttl_s in 0u32..1 << 31, aliases in 0usize..8) {
        let asked = question(Family::V4);
        let mut records = Vec::new();
        let mut owner = ASKED.to_vec();
        for number in 0..aliases {
            let target = [&[2, b'x', b'0' + u8::try_from(number).unwrap()], &b"\xc0\x10"[..]].concat();
            records.push(record(&owner, CNAME, ttl_s, &target));
            owner = target;
        }
        records.extend(lasts.iter().map(|&last| a(&owner, ttl_s, last)));
        let mut expected: Vec<IpAddr> = Vec::new();
        for &last in &lasts {
            if !expected.contains(&v4(last)) {
                expected.push(v4(last));
            }
        }
        prop_assert_eq!(asked.read(&answer(&asked, FINE, &records)), Some(Answer::Addresses(expected, ttl_s)));
    }
}
