"""`telemetry.redaction`: no form of key gets through, and ordinary words do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.telemetry.redaction import MAX_DEPTH, REDACTED, redact, redact_event, redact_text

# Made up, in the form each provider's keys have. Cut in two so that scanners of this repository stay quiet.
KEYS = [
    "sk-" + "proj-A1b2C3d4E5f6G7h8",
    "sk-" + "ant-api03-abcdefghijk_lmnop-qrs",
    "sk-" + "or-v1-0123456789abcdef0123456789abcdef",
    "gsk_" + "abcdefghijklmnopqrstuvwx",
    "xai-" + "abcdefghijklmnopqrstuvwx",
    "pplx-" + "abcdefghijklmnopqrstuvwx",
    "csk-" + "abcdefghijklmnopqrstuvwx",
    "hf_" + "abcdefghijklmnopqrstuvwx",
    "AIza" + "SyA0123456789abcdefghijklmnopqrstuv",
    "ya29." + "a0AfH6SMBabcdefghijkl",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0.abc-def_123",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "around", ["{}", "key {} refused", "Authorization: Bearer {}", '{{"api_key":"{}"}}', "https://x.test/?key={}&a=1"]
)
def test_keys_in_texts_go(key: str, around: str) -> None:
    cleaned = redact_text(around.format(key))
    assert key not in cleaned
    assert key[4:] not in cleaned
    assert REDACTED in cleaned


def test_what_stands_around_a_key_stays() -> None:
    assert redact_text(f"openai said: {KEYS[0]} is not valid.") == f"openai said: {REDACTED} is not valid."
    assert redact_text("https://x.test/v1?key=abc123&alt=sse") == f"https://x.test/v1?key={REDACTED}&alt=sse"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the provider stopped in the middle of its reply",
        "risk-assessment-of-2026",
        "task-12345678-done",
        "gpt-4o-2024-08-06",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "chatcmpl-ABCDEFGHIJKLMNOP",
        "req_011CWbzieHPZX6GqZWDgmhe5",
        "basic idea",
        "550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_ordinary_texts_stay(text: str) -> None:
    assert redact_text(text) == text


TELLING = (
    "authorization Authorization proxy-authorization api_key x-api-key API-KEY openai_api_key x-goog-api-key key token password "
    "client_secret cookie set-cookie access_token"
)


@pytest.mark.parametrize("name", TELLING.split())
def test_values_under_telling_names_go_whole(name: str) -> None:
    assert redact({name: "anything at all"}) == {name: REDACTED}
    assert redact({name: {"nested": 1}}) == {name: REDACTED}
    assert redact({name: None}) == {name: None}


@pytest.mark.parametrize("name", ["tokens", "input_tokens", "max_tokens", "keyboard", "monkey", "id", "endpoint", "secretary"])
def test_values_under_ordinary_names_stay(name: str) -> None:
    assert redact({name: "plain"}) == {name: "plain"}


def test_containers_are_walked_and_not_changed() -> None:
    event: dict[str, Any] = {"headers": [("a", KEYS[0])], "n": 3, "deep": {"er": {"api_key": "x", "text": KEYS[1]}}}
    before = repr(event)
    assert redact(event) == {"headers": [["a", REDACTED]], "n": 3, "deep": {"er": {"api_key": REDACTED, "text": REDACTED}}}
    assert repr(event) == before


def test_bytes_become_clean_text() -> None:
    assert redact(b"got " + KEYS[0].encode() + b"\xff") == f"got {REDACTED}\ufffd"


def test_too_deep_is_replaced_not_walked() -> None:
    value: Any = KEYS[0]
    for _ in range(MAX_DEPTH + 3):
        value = {"in": value}
    assert KEYS[0] not in repr(redact(value))


def test_a_processor_of_events() -> None:
    assert redact_event(None, "info", {"event": f"using {KEYS[0]}", "api_key": "abc", "n": 1}) == {
        "event": f"using {REDACTED}",
        "api_key": REDACTED,
        "n": 1,
    }


@given(st.sampled_from(KEYS), st.text(max_size=20), st.text(max_size=20))
def test_no_neighbour_hides_a_key(key: str, before: str, after: str) -> None:
    assert key not in redact_text(f"{before} {key} {after}")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
    )
)
def test_any_json_comes_back_in_the_same_shape(value: Any) -> None:
    once = redact(value)
    assert type(once) is type(value)
    assert redact(once) == once
