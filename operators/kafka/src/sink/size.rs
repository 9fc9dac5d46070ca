//! How large a message is for its brokers, which bound the bytes of a batch: `max.message.bytes` of the topic.

/// What a batch has before its first message.
const BATCH: u64 = 61;

/// Bytes of a batch that holds this message alone, before compression.
pub(super) fn alone<'h>(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
) -> u64 {
    let bytes = |bytes: &[u8]| varint(Some(bytes.len())) + bytes.len() as u64;
    let optional = |field: Option<&[u8]>| field.map_or(varint(None), bytes);
    let (mut count, mut headers_len) = (0, 0);
    for (name, value) in headers {
        count += 1;
        headers_len += bytes(name.as_bytes()) + bytes(value);
    }
    // One byte each: attributes, and the distances in time and offset from the first message, which is this one.
    let message = 3 + optional(key) + optional(value) + varint(Some(count)) + headers_len;
    BATCH + varint(usize::try_from(message).ok()) + message
}

/// Bytes that a length takes; -1 stands for none.
fn varint(length: Option<usize>) -> u64 {
    let zigzag = length.map_or(1, |length| 2 * length as u64);
    u64::from((u64::BITS - (zigzag | 1).leading_zeros()).div_ceil(7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_seven_bits_a_byte_and_one_for_the_sign() {
        let bytes = [(None, 1), (Some(0), 1), (Some(63), 1), (Some(64), 2), (Some(8191), 2), (Some(8192), 3)];
        for (length, expected) in bytes {
            assert_eq!(varint(length), expected, "{length:?}");
        }
    }

    #[test]
    fn an_empty_field_is_as_long_as_none() {
        assert_eq!(alone(None, None, []), 68);
        assert_eq!(alone(Some(b""), Some(b""), []), 68);
        assert_eq!(alone(Some(b"k"), Some(b"vv"), [("h", &b"x"[..])]), 68 + 3 + 4);
    }
}
