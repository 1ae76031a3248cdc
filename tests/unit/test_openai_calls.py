"""Tool calls: one index and one unique id per call, whatever the provider numbers them."""

import copy
from typing import Any

import pytest
from openai_support import call

from fastroute.dialects.openai_calls import CallTable

Json = dict[str, Any]


def mended(*deltas: list[Json], numbered: bool = True, fill: bool = True) -> list[list[Json]]:
    table = CallTable("req-1", 0, numbered)
    out = copy.deepcopy(list(deltas))
    for items in out:
        table.mend(items)
    if fill:
        out.append([])
        table.mend(out[-1])
        table.fill(out[-1])
    return out


def joined(deltas: list[list[Json]]) -> list[Json]:
    calls: dict[int, Json] = {}
    for item in (item for items in deltas for item in items):
        known = calls.setdefault(item["index"], {"id": "", "name": "", "arguments": ""})
        function = item.get("function") or {}
        known["id"] += item.get("id") or ""
        known["name"] += function.get("name") or ""
        known["arguments"] += function.get("arguments") or ""
    return [calls[number] for number in sorted(calls)]


def names(*deltas: list[Json]) -> list[tuple[str, str]]:
    return [(c["name"], c["arguments"]) for c in joined(mended(*deltas))]


def more(text: str, index: int | None = 0, call_id: str | None = None, name: str | None = None) -> Json:
    return {k: v for k, v in call(index, call_id, name, text).items() if k != "type"}


PROPER = [[call(0, "a", "add", "")], [more('{"x":')], [more("1}")], [call(1, "b", "mul", "")], [more('{"y":2}', 1)]]


def test_what_openai_sends_is_not_touched() -> None:
    table = CallTable("req-1", 0)
    deltas = copy.deepcopy(PROPER)
    assert [table.mend(items) for items in deltas] == [False] * 5
    assert deltas == PROPER
    assert table.fill([]) is False
    assert table.called


def test_plain_continuations_take_the_short_way() -> None:
    table = CallTable("req-1", 0)
    assert not table.continues(0, "x"), "no such call yet"
    table.mend([call(0, "a", "add", "")])
    assert table.continues(0, '{"x":')
    assert table.continues(0, "1}")
    assert not table.continues(1, "x")
    assert table.fill([]) is False, "they count as arguments"


def test_whole_calls_without_index() -> None:
    """Mistral, Gemini and Ollama leave the index out."""
    first = call(None, "a", "plus", '{"a":1}')
    second = call(None, "b", "minus", '{"b":2}')
    for deltas in ([[first, second]], [[first], [second]]):
        assert names(*deltas) == [("plus", '{"a":1}'), ("minus", '{"b":2}')]
        assert [c["id"] for c in joined(mended(*deltas))] == ["a", "b"]


def test_pieces_without_index_belong_to_the_last_call() -> None:
    deltas = [[call(None, "a", "f", "")], [more('{"x"', None)], [more(":1}", None)], [call(None, "b", "g", '{"y":2}')]]
    assert names(*deltas) == [("f", '{"x":1}'), ("g", '{"y":2}')]


def test_pieces_with_an_id_but_no_index_belong_to_their_call() -> None:
    deltas = [
        [call(None, "a", "f", ""), call(None, "b", "g", "")],
        [more('{"y":2}', None, "b")],
        [more('{"x":1}', None, "a")],
    ]
    assert names(*deltas) == [("f", '{"x":1}'), ("g", '{"y":2}')]


@pytest.mark.parametrize("together", [True, False])
def test_every_call_has_index_0(together: bool) -> None:
    calls = [call(0, "a", "f", '{"x":1}'), call(0, "b", "f", '{"x":2}'), call(0, "c", "g", "{}")]
    deltas = [calls] if together else [[item] for item in calls]
    assert names(*deltas) == [("f", '{"x":1}'), ("f", '{"x":2}'), ("g", "{}")]


def test_every_call_has_index_0_and_pieces_follow() -> None:
    deltas = [[call(0, "a", "f", "")], [more('{"x":1}')], [call(0, "b", "g", "")], [more('{"y":2}')]]
    assert names(*deltas) == [("f", '{"x":1}'), ("g", '{"y":2}')]


def test_index_0_and_no_ids() -> None:
    """Without ids, a name after complete arguments is a new call, and so is a second entry of one delta."""
    one = [[call(0, "", "f", '{"x":1}')], [call(0, "", "f", '{"x":2}')]]
    assert names(*one) == [("f", '{"x":1}'), ("f", '{"x":2}')]
    two = [[call(0, None, "f", '{"x":1}'), call(0, None, "f", '{"x":1}')]]
    assert names(*two) == [("f", '{"x":1}'), ("f", '{"x":1}')]


def test_numbers_begin_at_0_whatever_the_provider_counts() -> None:
    deltas = [[call(1, "a", "f", "")], [more("{}", 1)], [call(3, "b", "g", "{}")]]
    assert [item["index"] for items in mended(*deltas) for item in items] == [0, 0, 1]


def test_interleaved_calls_keep_apart() -> None:
    deltas = [[call(0, "a", "f", ""), call(1, "b", "g", "")], [more('{"y"', 1)], [more('{"x":1}', 0)], [more(":2}", 1)]]
    assert names(*deltas) == [("f", '{"x":1}'), ("g", '{"y":2}')]


@pytest.mark.parametrize("given", ["", None])
def test_missing_ids_are_made_and_stay_the_same(given: str | None) -> None:
    deltas = [[call(None, given, "f", "{}")], [call(None, given, "g", '{"a":1}')]]
    ids = [c["id"] for c in joined(mended(*deltas))]
    assert len(set(ids)) == 2
    assert all(i.startswith("call_") and len(i) == 29 for i in ids)
    assert ids == [c["id"] for c in joined(mended(*deltas))], "a replay gives the same"
    other = CallTable("req-2", 0)
    again = copy.deepcopy(deltas[0])
    other.mend(again)
    assert again[0]["id"] not in ids, "another request has others"


def test_repeated_ids_are_made_unique() -> None:
    for deltas in (
        [[call(0, "call_0", "f", '{"x":1}'), call(1, "call_0", "g", '{"y":2}')]],
        [[call(None, "call_0", "f", '{"x":1}')], [call(None, "call_0", "f", '{"x":2}')]],
    ):
        ids = [c["id"] for c in joined(mended(*deltas))]
        assert ids[0] == "call_0"
        assert len(set(ids)) == 2


def test_an_id_that_is_no_text_is_replaced() -> None:
    [found] = joined(mended([{"index": 0, "id": 7, "function": {"name": "f", "arguments": "{}"}}]))
    assert found["id"].startswith("call_")


def test_id_and_name_are_sent_once() -> None:
    """Clients join the strings of deltas: a repeat would be joined on."""
    repeats = [[call(0, "a", "f", "")], [call(0, "a", "f", '{"x":')], [call(0, "", "f", "1}")]]
    assert joined(mended(*repeats)) == [{"id": "a", "name": "f", "arguments": '{"x":1}'}]
    alibaba = [[call(0, "a", "f", "")], [{"index": 0, "id": "", "type": "function", "function": {"arguments": "{}"}}]]
    assert joined(mended(*alibaba)) == [{"id": "a", "name": "f", "arguments": "{}"}]


def test_a_name_that_comes_later_is_kept() -> None:
    assert names([call(0, "a", None, "")], [more("", 0, None, "f")], [more("{}")]) == [("f", "{}")]


def test_the_type_is_filled_in() -> None:
    item = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    assert mended([item])[0][0]["type"] == "function"


def test_calls_without_arguments_get_an_empty_object_when_done() -> None:
    assert names([call(0, "a", "f", "")]) == [("f", "{}")]
    assert names([call(0, "a", "f", None)]) == [("f", "{}")]
    assert names([call(0, "a", "f", "")], [more("")], [call(1, "b", "g", '{"x":1}')]) == [("f", "{}"), ("g", '{"x":1}')]


def test_the_filling_goes_into_the_entry_that_is_there() -> None:
    table, items = CallTable("req-1", 0), [call(0, "a", "f", "")]
    table.mend(items)
    assert table.fill(items)
    assert items == [call(0, "a", "f", "{}")]
    assert not table.fill([]), "once"


def test_arguments_given_as_an_object_become_text() -> None:
    items: list[Json] = [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": [1, "é"]}}}]
    assert joined(mended(items)) == [{"id": "a", "name": "f", "arguments": '{"x":[1,"é"]}'}]


def test_custom_tools_have_no_arguments_to_fill() -> None:
    items: list[Json] = [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}]
    table = CallTable("req-1", 0)
    assert not table.mend(items)
    assert not table.fill(items)
    assert table.called
    assert not table.continues(0, "x")


def test_what_the_provider_runs_itself_is_not_the_clients_to_run() -> None:
    table = CallTable("req-1", 0)
    table.mend([{"index": 0, "id": "a", "type": "web_search_call", "function": {"name": "search", "arguments": "{}"}}])
    assert not table.called


def test_calls_of_a_whole_message_need_no_number() -> None:
    items = [call(None, "a", "f", "{}"), call(None, "b", "g", '{"x":1}')]
    table = CallTable("req-1", 0, numbered=False)
    assert not table.mend(items)
    assert all("index" not in item for item in items)
    numbered = [call(0, "a", "f", "{}"), call(1, "b", "g", "{}")]
    assert not CallTable("req-1", 0, numbered=False).mend(numbered)


def test_deeply_nested_arguments_do_not_break_it() -> None:
    deep = "[" * 5000 + "]" * 5000
    assert [name for name, _ in names([call(0, None, "f", deep)], [call(0, None, "g", "{}")])] == ["f", "g"]


def test_whether_a_call_has_begun() -> None:
    table = CallTable("req-1", 0)
    table.mend([])
    assert not table.begun
    table.mend([call()])
    assert table.begun
