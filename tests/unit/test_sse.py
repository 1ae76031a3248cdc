"""Server-sent events from bytes: line ends, cuts, what is skipped, what is an error, limits, and cost."""

import pytest

from fastroute.dialects._sse import SseEvent, SseParser


def parse(*pieces: bytes, limit: int = 1 << 20) -> list[SseEvent]:
    parser = SseParser(limit)
    return [event for piece in pieces for event in parser.feed(piece)] + parser.end()


def data(*pieces: bytes) -> list[bytes]:
    return [event.data for event in parse(*pieces)]


def test_a_frame_is_an_event_without_a_name() -> None:
    assert parse(b'data: {"a":1}\n\n') == [SseEvent(b"", b'{"a":1}')]


def test_events_come_as_soon_as_their_blank_line_is_there() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [SseEvent(b"", b"a")]
    assert parser.feed(b"data: b\r\n\r") == [SseEvent(b"", b"b")], "a CR ends the line; an LF that follows belongs to it"
    assert parser.feed(b"\ndata: c\n\n") == [SseEvent(b"", b"c")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_at_every_cut(end: bytes) -> None:
    stream = end.join([b"event: x", b"data: one", b"data: two", b"", b": note", b"data:three", b"", b""])
    expected = [SseEvent(b"x", b"one\ntwo"), SseEvent(b"", b"three")]
    assert parse(stream) == expected
    for cut in range(len(stream) + 1):
        assert parse(stream[:cut], stream[cut:]) == expected
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == expected


def test_mixed_line_ends() -> None:
    assert data(b"data: a\r\n\ndata: b\n\r\ndata: c\r\rdata: d\n\n") == [b"a", b"b", b"c", b"d"]


def test_several_data_lines_are_joined() -> None:
    assert data(b'data: {"a":\ndata: 1}\n\n') == [b'{"a":\n1}']


def test_one_space_after_the_colon_is_taken_off_and_no_more() -> None:
    assert data(b"data:  padded  \n\ndata:tight\n\n") == [b" padded  ", b"tight"]


@pytest.mark.parametrize(
    "noise",
    [
        b": comment\n\n",
        b":\n\n",
        b"retry: 100\n\n",
        b"id: 7\n\n",
        b"nonsense\n\n",
        b"data: : keepalive\n\n",
        b"data:\n\n",
        b"data: \n\n",
        b"event: ping\n\n",
        b"\n\n\n",
        b"data: \t \n\n",
    ],
)
def test_what_says_nothing_is_skipped(noise: bytes) -> None:
    assert data(noise + b"data: a\n\n" + noise + b"data: b\n\n" + noise) == [b"a", b"b"]


def test_a_comment_inside_an_event_does_not_break_it() -> None:
    assert parse(b"event: e\n: note\ndata: a\nid: 3\n\n") == [SseEvent(b"e", b"a")]


def test_the_name_does_not_outlive_its_event() -> None:
    assert parse(b"event: e\ndata: a\n\ndata: b\n\n") == [SseEvent(b"e", b"a"), SseEvent(b"", b"b")]


def test_a_data_line_is_split_at_its_first_colon_only() -> None:
    assert data(b'data: {"url":"http://x:1/"}\n\n') == [b'{"url":"http://x:1/"}']


def test_the_last_event_counts_without_its_blank_line() -> None:
    assert data(b"data: a\n\ndata: b\n") == [b"a", b"b"]
    assert data(b"data: a\n\ndata: b") == [b"a", b"b"]
    assert data(b"data: a\n\n") == [b"a"], "and is not given twice"


def test_a_field_named_error_is_an_error_event() -> None:
    assert parse(b'error: {"code":500}\n\n') == [SseEvent(b"error", b'{"code":500}')]


def test_an_error_without_data_is_still_one() -> None:
    assert parse(b"event: error\n\n") == [SseEvent(b"error", b"")]
    assert parse(b"event: error\ndata:\n\n") == [SseEvent(b"error", b"")]


def test_a_byte_order_mark_at_the_start_is_skipped() -> None:
    assert data(b"\xef\xbb\xbfdata: a\n\n") == [b"a"]


def test_an_event_over_the_limit_stops_the_parser_at_any_cut() -> None:
    stream = b"data: a\n\ndata: " + b"x" * 100 + b"\n\ndata: b\n\n"
    for pieces in ([stream], [stream[i : i + 1] for i in range(len(stream))], [stream[:60], stream[60:]]):
        parser = SseParser(50)
        events = [event for piece in pieces for event in parser.feed(piece)] + parser.end()
        assert [event.data for event in events] == [b"a"]
        assert parser.overflowed


def test_the_limit_is_of_one_event_not_of_the_stream() -> None:
    parser = SseParser(50)
    assert len(parser.feed(b"data: 0123456789\n\n" * 100)) == 100
    assert not parser.overflowed


def test_no_end_of_line_ever_is_bounded_too() -> None:
    parser = SseParser(1000)
    for _ in range(200):
        parser.feed(b"x" * 10)
    assert parser.overflowed
    assert parser.feed(b"\n\ndata: a\n\n") == []


def test_a_large_event_in_small_pieces_is_scanned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted, not timed: each byte may be looked at by the search for the blank line about once."""
    looked_at = 0

    class Counting(bytearray):
        def rfind(self, what: bytes, start: int = 0, *rest: int) -> int:  # type: ignore[override]
            nonlocal looked_at
            looked_at += len(self) - start
            return super().rfind(what, start, *rest)

    parser = SseParser()
    monkeypatch.setattr(parser, "_buffer", Counting())
    size = 20_000
    for _ in range(size):
        assert parser.feed(b"x") == []
    assert looked_at <= 3 * size


def test_whole_frames_leave_nothing_behind() -> None:
    parser = SseParser()
    parser.feed(b"data: a\n\ndata: b\n\n")
    assert parser.end() == []
    assert parser.feed(b"") == []


@pytest.mark.parametrize(
    ("data", "idle"),
    [(b"", True), (b"data: a\n\n", True), (b"data: a\n", False), (b"data: a\n\nd", False), (b"data: a\r\n\r", False)],
)
def test_it_knows_whether_anything_waits(data: bytes, idle: bool) -> None:
    parser = SseParser()
    parser.feed(data)
    assert parser.idle is idle
    parser.feed(b"\n\ndata: b\n\n")
    assert parser.idle
