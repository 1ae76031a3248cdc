"""Event-stream frames: there and back at any cut, and no damage goes unseen."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.dialects.aws_event_stream import FrameError, FrameReader, Message, encoded

TEXTS = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), max_size=4)
MESSAGES = st.lists(st.tuples(TEXTS, st.binary(max_size=200)), max_size=5)


def read(data: list[bytes], **limits: int) -> tuple[list[Message], FrameError | None, FrameReader]:
    reader, found = FrameReader(**limits), []
    for piece in data:
        messages, error = reader.feed(piece)
        found += messages
        if error is not None:
            return found, error, reader
    return found, None, reader


def framed(raw_headers: bytes, payload: bytes = b"") -> bytes:
    prelude = struct.pack(">II", 16 + len(raw_headers) + len(payload), len(raw_headers))
    frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + raw_headers + payload
    return frame + struct.pack(">I", zlib.crc32(frame))


@given(MESSAGES, st.data())
def test_there_and_back_at_any_cut(messages: list[tuple[dict[str, str], bytes]], data: st.DataObject) -> None:
    stream = b"".join(encoded(headers, payload) for headers, payload in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found, error, reader = read(pieces)
    assert error is None
    assert [(m.headers, m.payload) for m in found] == messages
    assert not reader.pending
    assert read([stream[i : i + 1] for i in range(len(stream))])[0] == found


@given(TEXTS, st.binary(max_size=60), st.data())
def test_no_changed_bit_goes_unseen(headers: dict[str, str], payload: bytes, data: st.DataObject) -> None:
    frame = bytearray(encoded(headers, payload))
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    found, error, _ = read([bytes(frame)])
    assert found == []
    assert error is not None


@given(st.binary(max_size=300))
def test_nothing_but_frame_errors(data: bytes) -> None:
    read([data])
    read([framed(data)])


def test_the_vectors_of_aws() -> None:
    """`empty_message` and `payload_no_headers` of AWS's event-stream tests."""
    empty = bytes.fromhex("000000100000000005c248eb7d98c8ff")
    plain = bytes.fromhex("0000001d0000000" + "0fd528c5a" + b"{'foo':'bar'}".hex() + "c3653936")
    found, error, _ = read([empty + plain])
    assert error is None
    assert found == [Message({}, b""), Message({}, b"{'foo':'bar'}")]
    assert encoded({}, b"") == empty


def test_every_type_of_header() -> None:
    raw = b"".join(
        (
            b"\x01a\x00",
            b"\x01b\x01",
            b"\x01c\x02\xff",
            b"\x01d\x03\x01\x00",
            b"\x01e\x04\x00\x00\x01\x00",
            b"\x01f\x05" + b"\x00" * 7 + b"\x05",
            b"\x01g\x06\x00\x02\x00\xff",
            b"\x01h\x07\x00\x03\xe2\x82\xac",
            b"\x01i\x08" + (1_700_000_000_000).to_bytes(8, "big"),
            b"\x01j\x09" + bytes(range(16)),
        )
    )
    [message], error, _ = read([framed(raw)])
    assert error is None
    assert list(message.headers.values()) == [
        *(True, False, -1, 256, 256, 5, b"\x00\xff", "€", 1_700_000_000_000, "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    ]
    assert (message.text("h"), message.text("c"), message.text("none")) == ("€", "", "")


@pytest.mark.parametrize(
    "raw",
    [b"\x05ab", b"\x01a", b"\x01a\x07\x00", b"\x01a\x07\x00\x05x", b"\x01a\x0a", b"\x01a\x07\x00\x01\xff", b"\x01a\x05\x00"],
)
def test_headers_that_cannot_be_read(raw: bytes) -> None:
    found, error, _ = read([framed(raw)])
    assert (found, str(error)) == ([], "the headers of a frame cannot be read")


def test_what_came_before_the_damage_counts() -> None:
    good = encoded({":event-type": "x"}, b"1")
    found, error, _ = read([good + b"HTTP/1.1 502 Bad Gateway"])
    assert [m.payload for m in found] == [b"1"]
    assert error is not None
    assert not error.too_large


def test_limits_hold_before_anything_is_waited_for() -> None:
    frame = encoded({}, b"x" * 100)
    assert read([frame], max_message_bytes=116)[1] is None
    error = read([frame[:12]], max_message_bytes=115)[1]
    assert error is not None
    assert error.too_large
    prelude = struct.pack(">II", 300_000, 200_000)
    error = read([prelude + struct.pack(">I", zlib.crc32(prelude))])[1]
    assert error is not None
    assert error.too_large


def test_lengths_that_contradict_each_other() -> None:
    prelude = struct.pack(">II", 20, 8)
    error = read([prelude + struct.pack(">I", zlib.crc32(prelude)) + bytes(8)])[1]
    assert str(error) == "the lengths of a frame contradict each other"


def test_a_frame_cut_short_is_pending() -> None:
    frame = encoded({"a": "b"}, b"payload")
    for kept in range(1, len(frame)):
        found, error, reader = read([frame[:kept]])
        assert (found, error, reader.pending) == ([], None, True)
