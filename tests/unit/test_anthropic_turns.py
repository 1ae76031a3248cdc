"""Turns in Anthropic's order: system on top, roles merged, results and reasoning first."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.failures import Failure, FaultError
from fastroute.dialects.anthropic_turns import MAX_CACHE_MARKS, Script, limit_cache_marks, markable, script, shortest, system_text
from fastroute.dialects.canonical import Audio, Image, Part, Text, Thinking, ToolCall, ToolResult, Turn

MARK = {"type": "ephemeral"}


def turn(role: str, *parts: Part | str) -> Turn:
    return Turn(role, tuple(Text(p) if isinstance(p, str) else p for p in parts))


def messages(*turns: Turn) -> list[dict[str, Any]]:
    return shortest(script(turns).messages)


def kinds(message: dict[str, Any]) -> list[str]:
    return [block["type"] for block in message["content"]]


def test_system_turns_are_joined_in_order_wherever_they_stand() -> None:
    said = script([turn("system", "one"), turn("user", "hi"), turn("system", "two", "three")])
    assert system_text(said.system) == "one\n\ntwo\n\nthree"
    assert shortest(said.messages) == [{"role": "user", "content": "hi"}]


def test_a_marked_system_prompt_stays_in_blocks() -> None:
    said = script([turn("system", Text("one", cache_control=MARK)), turn("system", "two"), turn("user", "hi")])
    assert system_text(said.system) == [{"type": "text", "text": "one", "cache_control": MARK}, {"type": "text", "text": "two"}]


def test_no_system_prompt_is_none() -> None:
    assert system_text(script([turn("user", "hi")]).system) is None


def test_one_role_in_a_row_is_one_message() -> None:
    assert messages(turn("user", "a"), turn("user", "b"), turn("assistant", "c"), turn("assistant", "d"), turn("user", "e")) == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]},
        {"role": "user", "content": "e"},
    ]


def test_all_results_of_a_turn_lead_one_user_message() -> None:
    out = messages(
        turn("user", "go"),
        turn("assistant", ToolCall("a", "f", ""), ToolCall("b", "f", "")),
        turn("user", ToolResult("a", (Text("1"),))),
        turn("user", "and by the way"),
        turn("user", ToolResult("b", (Text("2"),))),
        turn("user", "more"),
    )
    assert [m["role"] for m in out] == ["user", "assistant", "user"]
    assert kinds(out[2]) == ["tool_result", "tool_result", "text", "text"]
    assert [b["tool_use_id"] for b in out[2]["content"][:2]] == ["a", "b"]


def test_reasoning_leads_the_assistants_turn() -> None:
    out = messages(
        turn("user", "go"),
        turn("assistant", "let me", ToolCall("a", "f", ""), Thinking("hm", "sig"), Thinking(redacted="x")),
        turn("user", ToolResult("a")),
    )
    assert kinds(out[1]) == ["thinking", "redacted_thinking", "text", "tool_use"]


def test_messages_that_say_nothing_are_left_out_and_their_neighbours_merge() -> None:
    out = messages(turn("user", "a"), turn("assistant", " "), turn("user", "b"))
    assert [m["role"] for m in out] == ["user"]


def test_nothing_but_instructions_are_put_as_a_question() -> None:
    said = script([turn("system", "Write a poem.")])
    assert said.system == []
    assert shortest(said.messages) == [{"role": "user", "content": "Write a poem."}]


@pytest.mark.parametrize("turns", [[], [turn("user", " ")], [turn("system", "")]])
def test_a_conversation_without_a_word_is_a_bad_request(turns: list[Turn]) -> None:
    with pytest.raises(FaultError) as caught:
        script(turns)
    assert (caught.value.fault.failure, caught.value.fault.param) == (Failure.BAD_REQUEST, "messages")


def test_a_reply_begun_for_the_model_ends_without_white_space() -> None:
    assert messages(turn("user", "a"), turn("assistant", "Sure:  \n"))[-1]["content"] == "Sure:"
    assert messages(turn("user", "a"), turn("assistant", "Sure: "), turn("user", "b"))[1]["content"] == "Sure: "


def test_broken_arguments_are_named_by_message_and_call() -> None:
    with pytest.raises(FaultError) as caught:
        script([turn("user", "a"), turn("assistant", "text", ToolCall("1", "f", "{}"), ToolCall("2", "f", "{"))])
    assert caught.value.fault.param == "messages[1].tool_calls[1].function.arguments"
    assert caught.value.fault.failure is Failure.BAD_REQUEST


def test_faults_name_the_clients_own_message() -> None:
    """Results that follow one another are one turn here, but a message each at the client."""
    go = [turn("user", "go"), turn("assistant", ToolCall("1", "f", ""), ToolCall("2", "f", ""))]
    with pytest.raises(FaultError) as caught:
        script([*go, turn("user", ToolResult("1"), ToolResult("2", (Audio("AAAA", "wav"),)))])
    assert caught.value.fault.param == "messages[3].content"
    with pytest.raises(FaultError) as caught:
        script(
            [*go, turn("user", ToolResult("1"), ToolResult("2")), turn("assistant", Thinking("hm"), "x", Audio("AAAA", "wav"))]
        )
    assert caught.value.fault.param == "messages[4].content[1]"


def test_an_image_in_the_system_prompt_is_refused() -> None:
    with pytest.raises(FaultError) as caught:
        script([turn("system", "a", Image(url="https://x/y")), turn("user", "b")])
    assert (caught.value.fault.failure, caught.value.fault.param) == (Failure.UNSUPPORTED, "messages[0].content[1]")


def test_names_of_speakers_are_noted() -> None:
    assert script([Turn("user", (Text("a"),), name="ann")]).dropped == ["messages[].name"]


def test_repeated_call_ids_are_told_apart() -> None:
    loop = [turn("assistant", ToolCall("call_0", "f", "")), turn("user", ToolResult("call_0", (Text("x"),)))]
    out = messages(turn("user", "go"), *loop, *loop)
    ids = [(out[i]["content"][0]["id"], out[i + 1]["content"][0]["tool_use_id"]) for i in (1, 3)]
    assert all(call == result for call, result in ids)
    assert ids[0] != ids[1]


def tool_loop(*thinking: Part) -> Script:
    return script([turn("user", "go"), turn("assistant", *thinking, ToolCall("a", "f", "")), turn("user", ToolResult("a"))])


def test_where_thinking_by_budget_may_begin() -> None:
    assert script([turn("user", "go")]).open_to_thinking
    assert tool_loop(Thinking("hm", "sig")).open_to_thinking
    assert tool_loop(Thinking(redacted="x")).open_to_thinking
    assert not tool_loop().open_to_thinking
    assert not tool_loop(Thinking("unsigned")).open_to_thinking
    assert not script([turn("user", "go"), turn("assistant", "Sure")]).open_to_thinking


def test_tools_used_so_far() -> None:
    said = tool_loop()
    assert said.uses_tools
    assert said.called_names() == ["f"]
    assert not script([turn("user", "go")]).uses_tools


@pytest.mark.parametrize("marks", range(8))
def test_at_most_four_cache_marks(marks: int) -> None:
    said = script([turn("user", Text("x", cache_control=MARK)) for _ in range(marks)] + [turn("user", "end")])
    dropped: list[str] = []
    limit_cache_marks(markable(said), dropped)
    kept = [i for i, block in enumerate(markable(said)) if "cache_control" in block]
    assert len(kept) == min(marks, MAX_CACHE_MARKS)
    assert bool(dropped) == (marks > MAX_CACHE_MARKS)
    if marks > MAX_CACHE_MARKS:
        assert kept == [0, marks - 3, marks - 2, marks - 1], "the stable head and the last three"


def test_marks_inside_results_count_too() -> None:
    marked = Text("x", cache_control=MARK)
    said = script(
        [
            turn("user", "go"),
            turn("assistant", ToolCall("a", "f", "")),
            turn("user", ToolResult("a", (marked,), cache_control=MARK)),
        ]
    )
    assert sum("cache_control" in block for block in markable(said)) == 2


SAYS = st.one_of(
    st.text(max_size=4).map(Text),
    st.builds(Thinking, st.text(max_size=3), st.sampled_from([None, "sig"])),
    st.builds(ToolCall, st.sampled_from(["a", "b", "c d"]), st.just("f"), st.sampled_from(["", "{}"])),
)
HEARS = st.one_of(st.text(max_size=4).map(Text), st.builds(ToolResult, st.sampled_from(["a", "b", "c d"])))
TURNS = st.one_of(
    st.builds(lambda parts: Turn("assistant", tuple(parts)), st.lists(SAYS, max_size=4)),
    st.builds(lambda parts: Turn("user", tuple(parts)), st.lists(HEARS, max_size=4)),
    st.builds(lambda text: Turn("system", (Text(text),)), st.text(max_size=4)),
)


@given(st.lists(TURNS, max_size=8))
def test_any_conversation_comes_out_in_order(turns: list[Turn]) -> None:
    try:
        said = script(turns)
    except FaultError:
        assert not any(
            not isinstance(p, Text | Thinking) or (isinstance(p, Text) and p.text.strip()) for t in turns for p in t.parts
        )
        return
    roles = [message["role"] for message in said.messages]
    assert all(a != b for a, b in pairwise(roles))
    for message in said.messages:
        assert message["content"]
        first = {"user": ("tool_result",), "assistant": ("thinking",)}[message["role"]]
        order = [block["type"] in first for block in message["content"]]
        assert order == sorted(order, reverse=True)
    blocks = [block for message in said.messages for block in message["content"]]
    assert all(block["text"].strip() for block in [*blocks, *said.system] if block["type"] == "text")
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    assert len(calls) == sum(isinstance(part, ToolCall) for t in turns for part in t.parts)
    assert len(set(calls)) == len(calls)
