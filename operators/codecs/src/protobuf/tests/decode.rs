//! Every message that prost takes is taken with the same values, and every one it refuses is refused.

use super::*;
use crate::protobuf::file;
use operators_core::error::Error;
use operators_core::stage::Apply;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DynamicMessage, MessageDescriptor};

/// Field numbers of `Scalars`, numbers it does not have, and numbers no field may have.
const NUMBERS: &[u32] = &[
    0,
    1,
    2,
    3,
    4,
    7,
    13,
    15,
    16,
    255,
    256,
    2048,
    101,
    108,
    1013,
    3048,
    536_870_911,
    9,
    254,
    300,
    19_000,
    536_870_909,
];

/// A stretch of a message: whole and half fields, known, unknown and malformed.
fn stretch() -> impl Strategy<Value = Vec<u8>> {
    let number = || proptest::sample::select(NUMBERS);
    let payload = prop_oneof![
        any::<u64>().prop_map(|value| varint(value, 0)),
        (any::<u64>(), 0_usize..9).prop_map(|(value, padding)| varint(value, padding)),
        proptest::collection::vec(any::<u8>(), 4),
        proptest::collection::vec(any::<u8>(), 8),
        "[a-zé]{0,9}".prop_map(|text| with_length(text.as_bytes())),
        proptest::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| with_length(&bytes)),
        proptest::collection::vec(any::<u8>(), 0..3),
    ];
    let field = (number(), 0_u32..8, payload.clone()).prop_map(|(number, wire_type, payload)| {
        let mut bytes = varint(u64::from(number) << 3 | u64::from(wire_type), 0);
        bytes.extend(payload);
        bytes
    });
    let group = (number(), number(), proptest::collection::vec(field.clone(), 0..3), 0..5).prop_map(
        |(start, other, inner, end)| {
            let mut bytes = varint(u64::from(start) << 3 | 3, 0);
            bytes.extend(inner.concat());
            bytes.extend(varint(u64::from(if end == 0 { other } else { start }) << 3 | 4, 0));
            bytes
        },
    );
    prop_oneof![
        6 => message().prop_map(|message| message.encode_to_vec()),
        2 => field,
        1 => group,
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

/// A varint, longer by `padding` bytes than it need be.
fn varint(value: u64, padding: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_varint(value, &mut bytes);
    for _ in 0..padding {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push(0);
    }
    bytes
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [&varint(bytes.len() as u64, 0), bytes].concat()
}

/// The decoder beside prost and prost-reflect.
struct Judges {
    decoder: Box<dyn Apply>,
    descriptor: MessageDescriptor,
}

impl Judges {
    fn new() -> Self {
        let descriptor = file::descriptor(&context().path("scalars.proto"), "test.Scalars").unwrap();
        Self { decoder: decoder("test.Scalars", OnError::DeadLetter).stage.handle(), descriptor }
    }

    /// Checks that all three take and refuse the same messages, with the same values; returns how many were taken.
    fn agree(&mut self, bytes: &[Vec<u8>]) -> usize {
        let some: Vec<_> = bytes.iter().map(Some).collect();
        let applied = self.decoder.apply(messages(&some)).unwrap();
        let (mut taken, mut refused) = (decoded(&applied).into_iter(), rejected(&applied).into_iter());
        let mut count = 0;
        for (row, bytes) in bytes.iter().enumerate() {
            let position = 1000 + 2 * row as u64;
            let reflected = DynamicMessage::decode(self.descriptor.clone(), bytes.as_slice());
            match Scalars::decode(bytes.as_slice()) {
                Ok(expected) => {
                    let (at, message) = taken.next().unwrap_or_else(|| panic!("refused {bytes:02x?}"));
                    assert_eq!(at, position, "refused {bytes:02x?}");
                    let reflected: Scalars = reflected.unwrap().transcode_to().unwrap();
                    for expected in [expected, reflected] {
                        // Compared as text and as bytes: NaN is not equal to itself.
                        assert_eq!(format!("{message:?}"), format!("{expected:?}"), "{bytes:02x?}");
                        assert_eq!(message.encode_to_vec(), expected.encode_to_vec(), "{bytes:02x?}");
                    }
                    count += 1;
                }
                Err(error) => {
                    let (at, _, raw) = refused.next().unwrap_or_else(|| panic!("taken {bytes:02x?}, prost: {error}"));
                    assert_eq!((at, raw.as_ref()), (position, Some(bytes)), "taken, prost: {error}");
                    assert!(reflected.is_err(), "{bytes:02x?}");
                }
            }
        }
        assert!(taken.next().is_none() && refused.next().is_none());
        count
    }
}

#[test]
fn decides_as_prost_and_prost_reflect_do_on_stretches_of_messages() {
    let stretches = || proptest::collection::vec(stretch(), 0..4).prop_map(|stretches| stretches.concat());
    let (mut judges, mut rows, mut taken) = (Judges::new(), 0, 0);
    check(file!(), 600, &proptest::collection::vec(stretches(), 1..12), |bytes| {
        rows += bytes.len();
        taken += judges.agree(&bytes);
    });
    println!("{rows} messages, {taken} taken and {} refused as prost and prost-reflect do", rows - taken);
    assert!(taken > rows / 10 && taken < rows * 9 / 10, "the messages are not a fair mix");
}

#[test]
fn decides_as_prost_and_prost_reflect_do_at_every_cut_and_flip() {
    let (mut judges, mut rows, mut taken) = (Judges::new(), 0, 0);
    check(file!(), 60, &(message(), any::<u8>()), |(message, flip)| {
        let whole = message.encode_to_vec();
        let mut cases: Vec<_> = (0..=whole.len()).map(|cut| whole[..cut].to_vec()).collect();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= flip;
            cases.push(flipped);
        }
        rows += cases.len();
        taken += judges.agree(&cases);
    });
    println!(
        "{rows} cut and flipped messages, {taken} taken and {} refused as prost and prost-reflect do",
        rows - taken
    );
    assert!(taken > 0 && taken < rows);
}

/// One message per way to be malformed, each told by its reason.
fn malformed() -> Vec<(Vec<u8>, &'static str)> {
    let key = |number, wire_type| {
        let mut bytes = Vec::new();
        encode_key(number, wire_type, &mut bytes);
        bytes
    };
    let mut deep = Vec::new();
    deep.extend(vec![0x4b; 200]);
    deep.extend(vec![0x4c; 200]);
    vec![
        ([key(1, WireType::Varint), vec![1]].concat(), "field `double`: invalid wire type"),
        ([key(2048, WireType::Varint), vec![1]].concat(), "field `string`: invalid wire type"),
        ([key(1, WireType::SixtyFourBit), vec![1; 7]].concat(), "field `double`: buffer underflow"),
        ([key(2048, WireType::LengthDelimited), vec![5, b'a']].concat(), "field `string`: the message ends"),
        ([key(2048, WireType::LengthDelimited), vec![2, 0xc3, 0x28]].concat(), "field `string`: not UTF-8"),
        ([key(3, WireType::Varint), vec![0xff; 10], vec![1]].concat(), "field `int32`: invalid varint"),
        (vec![0x00, 0x00], "invalid tag value: 0"),
        (vec![0x4f, 0x00], "invalid wire type value: 7"),
        (vec![0x4c], "unexpected end group tag"),
        (deep, "recursion limit reached"),
    ]
}

#[test]
fn names_what_is_wrong_with_a_message() {
    let cases = malformed();
    let bytes: Vec<_> = cases.iter().map(|(bytes, _)| Some(bytes)).collect();
    let applied = decoder("test.Scalars", OnError::DeadLetter).stage.handle().apply(messages(&bytes)).unwrap();
    let rejected = rejected(&applied);
    assert_eq!((applied.rows.len(), rejected.len()), (0, cases.len()));
    for ((_, reason, _), (bytes, expected)) in rejected.iter().zip(&cases) {
        assert!(reason.starts_with("not a test.Scalars: "), "{reason}");
        assert!(reason.contains(expected), "{reason}: {bytes:02x?}");
    }
    println!("{} ways to be malformed", cases.len());
}

#[test]
fn text_is_checked_in_every_row_and_at_every_occurrence() {
    let text = |bytes: &[u8]| {
        let mut message = Vec::new();
        encode_key(2048, WireType::LengthDelimited, &mut message);
        [message, with_length(bytes)].concat()
    };
    let mut judges = Judges::new();
    // Two halves of one character in two rows are good text only together.
    let halves = [text(b"a"), text(&[0xc3]), text(&[0xa9]), text("é".as_bytes())];
    assert_eq!(judges.agree(&halves), 2);
    // A bad value is no better for a good one after it.
    assert_eq!(
        judges.agree(&[[text(&[0xff]), text(b"good")].concat(), [text(b"long before"), text(b"x")].concat()]),
        1
    );
}

#[test]
fn a_bad_row_is_named_skipped_or_put_aside() {
    let good = Scalars { int32: 7, ..Scalars::default() }.encode_to_vec();
    let rows = || messages(&[Some(&good[..]), Some(&[0xff]), None, Some(&good)]);
    let error = decoder("test.Scalars", OnError::Fail).stage.handle().apply(rows()).unwrap_err();
    let Error::Row { stage: "decode.protobuf", partition: 3, position, .. } = &error else { panic!("{error}") };
    assert_eq!(position.0, 1002);
    assert!(error.to_string().contains("partition 3, position 1002: not a test.Scalars: invalid varint"), "{error}");

    let applied = decoder("test.Scalars", OnError::Skip).stage.handle().apply(rows()).unwrap();
    assert_eq!((applied.skipped, applied.filtered, applied.dead_letters.is_none()), (2, 0, true));
    assert_eq!(decoded(&applied).iter().map(|(position, _)| *position).collect::<Vec<_>>(), [1000, 1006]);

    let applied = decoder("test.Scalars", OnError::DeadLetter).stage.handle().apply(rows()).unwrap();
    assert_eq!((applied.skipped, decoded(&applied).len()), (0, 2));
    let stages = &applied.dead_letters.as_ref().unwrap().rows["stage"];
    assert_eq!(stages.as_ref(), &StringArray::from(vec!["decode.protobuf"; 2]));
    let letters = rejected(&applied);
    assert_eq!(letters[0].0, 1002);
    assert_eq!(letters[0].2.as_deref(), Some(&[0xff][..]));
    assert_eq!(letters[1], (1004, "the message has no bytes (a tombstone)".to_owned(), None));
}

#[test]
fn columns_stand_in_the_order_of_declaration() {
    let schema = decoder("test.Scalars", OnError::Fail).schema;
    let schema = schema.to_string();
    assert!(schema.starts_with("maybe_double: float64?, maybe_float: float32?, maybe_int32: int32?"), "{schema}");
    assert!(
        schema.contains("bool: bool, sky: int32, string: string, bytes: bytes, maybe_fixed32: uint32?"),
        "{schema}"
    );
}

#[test]
fn a_slice_of_messages_is_read_from_its_own_start() {
    let bytes: Vec<_> = (0..9).map(|int32| Some(Scalars { int32, ..Scalars::default() }.encode_to_vec())).collect();
    let whole = messages(&bytes);
    let part = Chunk { positions: whole.positions.slice(4, 3), rows: whole.rows.slice(4, 3), ..whole };
    let applied = decoder("test.Scalars", OnError::Fail).stage.handle().apply(part).unwrap();
    let rows: Vec<_> = decoded(&applied).iter().map(|(position, message)| (*position, message.int32)).collect();
    assert_eq!(rows, [(1008, 4), (1010, 5), (1012, 6)]);
}
