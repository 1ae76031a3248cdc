"""Tool names and call ids: what Anthropic takes, deterministically, and the way back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.dialects.anthropic_names import CallIds, renamed, tool_id, tool_name

ACCEPTED = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@pytest.mark.parametrize("name", ["get_weather", "a", "A-b_9", "x" * 64])
def test_accepted_names_stay(name: str) -> None:
    assert tool_name(name) == name
    assert renamed([name]) == {}


@pytest.mark.parametrize("name", ["mcp.server/tool", "x" * 65, "", "wetter in köln", "工具", "a\nb"])
def test_other_names_become_acceptable_and_find_back(name: str) -> None:
    sent = tool_name(name)
    assert ACCEPTED.fullmatch(sent)
    assert sent == tool_name(name), "the same name is always sent the same way"
    assert renamed(["other", name]) == {sent: name}


def test_names_that_differ_only_in_what_is_replaced_do_not_meet() -> None:
    names = ["a.b", "a/b", "a b", "a_b", "a" * 70, "a" * 71]
    assert len({tool_name(name) for name in names}) == len(names)


def test_a_changed_name_stays_readable() -> None:
    assert tool_name("github.create_issue").startswith("github_create_issue_")


@given(st.text(max_size=100))
def test_any_name_is_acceptable(name: str) -> None:
    assert ACCEPTED.fullmatch(tool_name(name))


@given(st.lists(st.text(max_size=80), unique=True, max_size=8))
def test_renaming_is_one_to_one(names: list[str]) -> None:
    back = renamed(names)
    assert [back.get(tool_name(name), tool_name(name)) for name in names] == names


@given(st.text(max_size=60))
def test_any_call_id_is_acceptable(call_id: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", tool_id(call_id))
    assert tool_id(call_id) == tool_id(call_id)


def test_accepted_call_ids_stay() -> None:
    assert tool_id("call_abc-1") == "call_abc-1"


def test_a_result_gets_the_id_of_its_call() -> None:
    ids = CallIds()
    first, second = ids.called("functions.f:0"), ids.called("functions.f:1")
    assert first != second
    assert ids.answered("functions.f:1") == second, "whatever order the results come in"
    assert ids.answered("functions.f:0") == first


def test_an_id_repeated_in_a_later_turn_is_used_once_only() -> None:
    ids = CallIds()
    sent = []
    for _ in range(3):
        called = ids.called("call_0")
        assert ids.answered("call_0") == called
        sent.append(called)
    assert len(set(sent)) == 3
    assert sent[0] == "call_0"


def test_an_id_repeated_within_a_turn_is_answered_in_order() -> None:
    ids = CallIds()
    calls = [ids.called("same"), ids.called("same")]
    assert calls[0] != calls[1]
    assert [ids.answered("same"), ids.answered("same")] == calls


def test_a_result_without_a_call_keeps_its_id() -> None:
    assert CallIds().answered("toolu_lost") == "toolu_lost"
