"""Any stream, written with any line ends and cut anywhere, gives the events that were put in."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fastroute.dialects._sse import SseEvent, SseParser

LINE = st.binary(max_size=12).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b""))
NAME = st.sampled_from([b"", b"ping", b"error", b"message_start"])
NOISE = st.sampled_from([b"", b": note", b"retry: 5", b"id: x", b"what"])
END = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def events(draw: st.DrawFn) -> tuple[list[SseEvent], bytes]:
    """Events, and a stream that holds them."""
    kept: list[SseEvent] = []
    out = b""
    for _ in range(draw(st.integers(0, 6))):
        name, lines, end = draw(NAME), draw(st.lists(LINE, min_size=1, max_size=3)), draw(END)
        fields = [b"event: " + name] if name else []
        fields += [noise for noise in [draw(NOISE)] if noise]
        fields += [b"data: " + line for line in lines]
        out += end.join([*fields, b"", b""])
        joined = b"\n".join(lines)
        said = joined.strip() and not joined.strip().startswith(b":")
        if said or name == b"error":
            kept.append(SseEvent(name, joined))
    return kept, out


@given(events(), st.data())
def test_any_cut_gives_the_events_that_were_written(written: tuple[list[SseEvent], bytes], data: st.DataObject) -> None:
    expected, stream = written
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    parser = SseParser()
    got = [event for a, b in pairwise(edges) for event in parser.feed(stream[a:b])]
    assert got + parser.end() == expected


@given(st.binary(max_size=300), st.data())
def test_any_bytes_at_any_cut_give_the_same_and_never_raise(stream: bytes, data: st.DataObject) -> None:
    whole = SseParser(64)
    expected = whole.feed(stream) + whole.end()
    cut = data.draw(st.integers(0, len(stream)))
    parts = SseParser(64)
    assert parts.feed(stream[:cut]) + parts.feed(stream[cut:]) + parts.end() == expected
    single = SseParser(64)
    bytewise = [event for i in range(len(stream)) for event in single.feed(stream[i : i + 1])]
    assert bytewise + single.end() == expected


@given(st.lists(st.text(alphabet='añ€😀\\"', max_size=8), max_size=5))
def test_text_of_many_bytes_a_character_survives_one_byte_pieces(texts: list[str]) -> None:
    stream = "".join(f"data: x{text}\n\n" for text in texts).encode()
    parser = SseParser()
    got = [event.data.decode() for i in range(len(stream)) for event in parser.feed(stream[i : i + 1])]
    assert got == [f"x{text}" for text in texts]
