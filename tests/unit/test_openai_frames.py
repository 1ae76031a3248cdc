"""Chunks with raw members: what is not changed stays as it was written, digit for digit."""

import msgspec
import pytest

from fastroute.dialects.openai_frames import (
    ChoiceFrame,
    Frame,
    Head,
    PlainChoice,
    Raw,
    encode,
    event,
    is_empty,
    is_null,
    made_head,
    plain_chunk,
    spliced,
    without_null_usage,
)

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
ODD = (
    b'{ "id":"c","object":"chat.completion.chunk","created":1.70e9,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"x"},"n":1.0}]}'
)


def head() -> Head:
    return Head(Raw(b'"c-0"'), Raw(b"1"), Raw(b'"m-0"'))


def frame(text: str) -> Frame:
    return Frame(text.encode())


def test_an_unchanged_chunk_is_sent_as_it_came() -> None:
    found = Frame(ODD)
    found.complete(head())
    assert found.render() == event(ODD)


def test_a_changed_chunk_keeps_its_other_members_digit_for_digit() -> None:
    found = Frame(ODD)
    found.choices[0].set("finish_reason", None)
    assert found.render() == event(
        b'{"id":"c","object":"chat.completion.chunk","created":1.70e9,"model":"m",'
        b'"choices":[{"index":0,"delta":{"content":"x"},"n":1.0,"finish_reason":null}]}'
    )


def test_every_kind_of_change_shows() -> None:
    for change in (
        lambda f: f.set("x", Raw(b"1")),
        lambda f: f.drop("created"),
        lambda f: f.keep([]),
        lambda f: f.choices[0].set("x", 1),
        lambda f: f.choices[0].set_delta("content", "y"),
        lambda f: f.choices[0].drop_delta("content"),
    ):
        found = Frame(ODD)
        change(found)
        assert found.render() != event(ODD)


def test_missing_members_come_from_the_chunks_before() -> None:
    known = head()
    first = frame('{"id":"c-5","created":null,"object":"x","choices":[]}')
    first.complete(known)
    assert msgspec.json.decode(first.render()[6:]) == {
        "id": "c-5",
        "created": 1,
        "model": "m-0",
        "object": "chat.completion.chunk",
        "choices": [],
    }
    second = frame("{}")
    second.complete(known)
    assert msgspec.json.decode(second.render()[6:])["id"] == "c-5"


def test_an_empty_id_is_kept_but_not_remembered() -> None:
    known = head()
    azure = frame('{"id":"","model":"","created":0,"object":"chat.completion.chunk","choices":[]}')
    azure.complete(known)
    assert azure.render() == event(azure.data)
    assert known.id == head().id


@pytest.mark.parametrize(
    ("choice", "index", "finish"),
    [
        ('{"index":2,"delta":{},"finish_reason":"stop"}', 2, "stop"),
        ('{"delta":{},"finish_reason":""}', 0, None),
        ('{"index":null,"delta":null}', 0, None),
        ('{"index":"1","finish_reason":7}', 0, None),
    ],
)
def test_choices(choice: str, index: int, finish: str | None) -> None:
    [found] = frame('{"choices":[' + choice + "]}").choices
    assert (found.index, found.finish()) == (index, finish)
    assert "delta" in found.render()


def test_a_choice_that_says_nothing() -> None:
    def choice(delta: str, more: str = "") -> ChoiceFrame:
        return frame('{"choices":[{"index":0,"delta":' + delta + more + "}]}").choices[0]

    for nothing in ("{}", '{"role":"assistant"}', '{"content":"","tool_calls":[],"x":null,"y":{}}'):
        assert choice(nothing).says_nothing()
    assert not choice('{"content":" "}').says_nothing()
    assert not choice("{}", ',"content_filter_results":{"hate":1}').says_nothing()
    assert choice("{}", ',"content_filter_results":{}').says_nothing()


@pytest.mark.parametrize("data", [b"", b"7", b"[]", b'{"choices":7}', b'{"choices":[7]}', b'{"choices":[{"delta":[]}]}'])
def test_what_is_no_chunk_raises(data: bytes) -> None:
    with pytest.raises(UNREADABLE):
        Frame(data)


def test_empty_and_null() -> None:
    assert all(is_empty(Raw(raw)) for raw in (b"null", b'""', b"[]", b"{}"))
    assert not any(is_empty(Raw(raw)) for raw in (b"0", b"false", b'" "', b"[0]"))
    assert is_null(None)
    assert is_null(Raw(b"null"))
    assert not is_null(Raw(b'""'))


def test_line_ends_between_members_become_spaces() -> None:
    assert event(b'{"a":\n1}') == b'data: {"a": 1}\n\n'


# --- the short way ------------------------------------------------------------------------------------------------------

PLAIN = b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"x"}}]}'


def only(data: bytes) -> PlainChoice:
    [choice] = plain_chunk.decode(data).choices
    return choice


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"id":"c"', b'"x":1'),
        (b"chat.completion.chunk", b"chat.completion"),
        (b'"index":0,', b""),
        (b'"delta"', b'"message"'),
        (b'"content":"x"', b'"content":["x"]'),
        (b'{"index":0', b'{"finish_reason":"stop","index":0'),
        (b'{"content":"x"}', b'{"tool_calls":[{"index":0,"id":"a","function":{"arguments":""}}]}'),
        (b'{"content":"x"}', b'{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}'),
        (b'{"content":"x"}', b'{"tool_calls":[{"function":{"arguments":"1"}}]}'),
        (b'"model":"m"', b'"model":"m","usage":{"prompt_tokens":1}'),
        (b'"model":"m"', b'"model":"m","error":{"message":"x"}'),
        (b'{"index":0', b'{"error":{"message":"x"},"index":0'),
        (b'"content":"x"', b'"content":"x","function_call":{"name":"f"}'),
    ],
)
def test_only_plain_chunks_are_plain(old: bytes, new: bytes) -> None:
    assert only(PLAIN)
    with pytest.raises(UNREADABLE):
        plain_chunk.decode(PLAIN.replace(old, new))


def test_a_finish_reason_is_put_in_and_a_role_taken_out() -> None:
    assert spliced(PLAIN, only(PLAIN)) == PLAIN.replace(b'{"index"', b'{"finish_reason":null,"index"')
    whole = PLAIN.replace(b'{"index"', b'{"finish_reason":null,"index"')
    for role in (b'"content":"x","role":"assistant"', b'"role":"assistant","content":"x"'):
        data = whole.replace(b'"content":"x"', role)
        assert spliced(data, only(data)) == whole
    both = PLAIN.replace(b'"content":"x"', b'"role":"assistant","content":"x"')
    assert spliced(both, only(both)) == whole


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace(b'"choices":[', b'"choices": ['),
        PLAIN.replace(b'"model"', b'"x":{"choices":[{"a":1}]},"model"'),
        PLAIN.replace(b'"content":"x"', b'"role": "assistant", "content":"x"'),
        PLAIN.replace(b'"delta"', b'"message":{"role":"assistant"},"delta"').replace(
            b'"content"', b'"role":"assistant","content"'
        ),
    ],
)
def test_what_is_not_so_simple_is_left_alone(data: bytes) -> None:
    assert spliced(data, only(data)) is None


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (b'{"a":1,"usage":null}', b'{"a":1}'),
        (b'{"usage":null,"a":1}', b'{"a":1}'),
        (b'{"a": 1, "usage": null}', b'{"a": 1}'),
        (b'{"usage": null, "a": 1}', b'{"a": 1}'),
        (b'{"a":",\\"usage\\":null"}', b'{"a":",\\"usage\\":null"}'),
        (b'{"usage":{"a":null}}', b'{"usage":{"a":null}}'),
    ],
)
def test_a_null_usage_is_taken_out(data: bytes, left: bytes) -> None:
    assert without_null_usage(data) == left


def test_encoding_raw_members_copies_them() -> None:
    assert encode({"a": Raw(b"1.50e0")}) == b'{"a":1.50e0}'


def test_a_head_for_chunks_without_one() -> None:
    head = made_head("req-1", 7, 'm"1')
    assert [bytes(raw) for raw in (head.id or b"", head.created or b"", head.model or b"")] == [
        b'"chatcmpl-req-1"',
        b"7",
        b'"m\\"1"',
    ]
