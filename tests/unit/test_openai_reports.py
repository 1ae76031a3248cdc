"""Usage reports inside streams: given on as the provider's own chunk, or as one made of what it said."""

import json
from typing import Any

import pytest
from openai_support import HEAD, USAGE

from fastroute.dialects.openai_frames import Frame
from fastroute.dialects.openai_reports import groq_usage, usage_event

Json = dict[str, Any]
CHOICE = {"index": 0, "delta": {}, "finish_reason": "stop"}


def frame(**members: Any) -> Frame:
    return Frame(json.dumps({**HEAD, **members}, separators=(",", ":")).encode())


def told(event: bytes) -> Json:
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    found: Json = json.loads(event[6:])
    return found


def test_a_chunk_that_says_nothing_else_is_the_providers_own() -> None:
    came = frame(choices=[], usage=USAGE, extra=1)
    assert usage_event(came, USAGE, pure=True) == b"data: " + came.data + b"\n\n"


def test_sums_are_made_true_in_it() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 16, "completion_tokens_details": {"reasoning_tokens": 9}}
    event = told(usage_event(frame(choices=[], usage=usage, extra=1), usage, pure=True))
    assert (event["usage"]["completion_tokens"], event["usage"]["total_tokens"], event["extra"]) == (11, 16, 1)


def test_a_report_beside_a_choice_becomes_a_chunk_of_its_own() -> None:
    event = told(usage_event(frame(choices=[CHOICE], usage=USAGE, system_fingerprint="fp", extra=1), USAGE, pure=False))
    assert event == {**HEAD, "system_fingerprint": "fp", "choices": [], "usage": USAGE}


def test_a_report_under_another_name() -> None:
    event = told(usage_event(frame(choices=[CHOICE], usage=None), USAGE, pure=False))
    assert event["usage"] == USAGE


@pytest.mark.parametrize(
    ("members", "found"),
    [({"x_groq": {"id": "a", "usage": USAGE}}, USAGE), ({"x_groq": {"id": "a"}}, None), ({"x_groq": []}, None), ({}, None)],
)
def test_groqs_own_member(members: Json, found: Json | None) -> None:
    assert groq_usage(frame(choices=[], **members)) == found
