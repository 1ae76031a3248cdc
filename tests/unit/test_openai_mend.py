"""The mends of one choice."""

import json
from typing import Any

import pytest
from openai_support import call

from fastroute.core.failures import Failure
from fastroute.dialects.openai_frames import ChoiceFrame, Frame
from fastroute.dialects.openai_mend import ChoiceState, has_content, mend_content

Json = dict[str, Any]


def choice(delta: Json | None = None, finish: Any = None, **members: Any) -> ChoiceFrame:
    [found] = Frame(
        json.dumps({"choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish, **members}]}).encode()
    ).choices
    return found


def rendered(found: ChoiceFrame) -> Json:
    return {name: json.loads(bytes(raw)) for name, raw in found.render().items()}


def mend(*found: ChoiceFrame) -> list[Json]:
    state = ChoiceState("req-1", 0)
    for each in found:
        assert state.mend(each) is None
    return [rendered(each) for each in found]


def test_a_proper_choice_is_not_changed() -> None:
    for each in (
        choice({"role": "assistant", "content": ""}),
        choice({"content": "x"}),
        choice({}, "stop"),
        choice({}, "length"),
    ):
        assert ChoiceState("req-1", 0).mend(each) is None
        assert not each.changed


def test_the_role_once() -> None:
    first, second, third = mend(*(choice({"role": "assistant", "content": text}) for text in "abc"))
    assert first["delta"] == {"role": "assistant", "content": "a"}
    assert (second["delta"], third["delta"]) == ({"content": "b"}, {"content": "c"})


@pytest.mark.parametrize("role", ["", None])
def test_a_role_of_nothing_is_no_role(role: str | None) -> None:
    [found] = mend(choice({"role": role, "content": "a"}))
    assert found["delta"] == {"content": "a"}


def test_the_finish_reason_is_always_there() -> None:
    bare = Frame(b'{"choices":[{"index":0,"delta":{}}]}').choices[0]
    assert [found["finish_reason"] for found in mend(bare, choice({}, ""), choice({}, 7))] == [None, None, None]


def test_a_finish_in_other_words() -> None:
    [found] = mend(choice({}, "eos"))
    assert (found["finish_reason"], found["native_finish_reason"]) == ("stop", "eos")
    [kept] = mend(choice({}, "eos", native_finish_reason="</s>"))
    assert kept["native_finish_reason"] == "</s>"


def test_a_stop_after_calls() -> None:
    _, found = mend(choice({"tool_calls": [call()]}), choice({}, "stop"))
    assert (found["finish_reason"], found["native_finish_reason"]) == ("tool_calls", "stop")


def test_a_server_tool_is_nothing_to_run() -> None:
    searched = call() | {"type": "web_search"}
    _, found = mend(choice({"tool_calls": [searched]}), choice({}, "stop"))
    assert found["finish_reason"] == "stop"


def test_legacy_calls() -> None:
    legacy = choice({"function_call": {"name": "f", "arguments": ""}})
    assert mend(legacy, choice({}, "function_call"))[1]["finish_reason"] == "function_call"
    assert mend(choice({}, "function_call"))[0]["finish_reason"] == "tool_calls"


def test_missing_arguments_are_filled_in_where_the_calls_are_complete() -> None:
    begun = {"tool_calls": [call(0, "a", "f", "")]}
    _, found = mend(choice(begun), choice({}, "tool_calls"))
    assert found["delta"]["tool_calls"] == [{"index": 0, "function": {"arguments": "{}"}}]
    [at_once] = mend(choice(begun, "tool_calls"))
    assert at_once["delta"]["tool_calls"] == [call(0, "a", "f", "{}")]
    _, cut = mend(choice(begun), choice({}, "length"))
    assert "tool_calls" not in cut["delta"]


@pytest.mark.parametrize(
    ("found", "failure"),
    [
        (choice({}, "error"), Failure.SERVER_ERROR),
        (choice({}, "insufficient_system_resource"), Failure.OVERLOADED),
        (choice({}, None, error={"code": 429, "message": "slow"}), Failure.RATE_LIMITED),
    ],
)
def test_failures(found: ChoiceFrame, failure: Failure) -> None:
    fault = ChoiceState("req-1", 0).mend(found)
    assert fault is not None
    assert fault.failure is failure


def test_an_error_of_null_is_none() -> None:
    assert ChoiceState("req-1", 0).mend(choice({"content": "x"}, None, error=None)) is None


def test_what_is_content() -> None:
    for delta in ({"content": "x"}, {"reasoning": "x"}, {"tool_calls": [call()]}, {"refusal": "x"}, {"images": [{"url": "x"}]}):
        assert has_content(choice(delta).delta)
    for delta in ({}, {"role": "assistant"}, {"content": ""}, {"content": None, "tool_calls": [], "refusal": None}, {"x": 1}):
        assert not has_content(choice(delta).delta)


# --- lists of parts -----------------------------------------------------------------------------------------------------


def parts(*content: Any, **delta: Any) -> Json:
    found = choice({"content": list(content), **delta})
    mend_content(found)
    made: Json = rendered(found)["delta"]
    return made


def test_text_parts_are_joined() -> None:
    assert parts({"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}, "c") == {"content": "abc"}
    assert parts() == {"content": ""}


def test_thinking_parts_are_reasoning() -> None:
    inner = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, 7]
    assert parts({"type": "thinking", "thinking": inner}) == {"content": "", "reasoning_content": "ab"}
    assert parts({"type": "thinking", "thinking": "a"})["reasoning_content"] == "a"
    assert parts({"type": "reasoning", "text": "a"}, reasoning_content="0")["reasoning_content"] == "0a"
    assert parts({"type": "thinking"}) == {"content": ""}


def test_other_parts_are_kept() -> None:
    image, odd = {"type": "image_url", "image_url": "x"}, {"type": "text", "text": 5}
    assert parts(image, {"type": "text", "text": "a"}, odd, 7) == {"content": "a", "content_parts": [image, odd, 7]}


def test_content_that_is_text_is_left_alone() -> None:
    for content in ("[x]", "", None):
        found = choice({"content": content})
        mend_content(found)
        assert not found.changed
