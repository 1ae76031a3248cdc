"""What a mock model says."""

import json
from random import Random
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.mock.answer import Answer, CallPiece, CallStart, Word, compose, new_id
from fastroute.mock.ask import Ask, Tool, content_texts, count_tokens
from fastroute.mock.schema import OutputSpec
from fastroute.mock.words import WORDS, prose

WEATHER = Tool("weather", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
CLOCK = Tool("clock", {"type": "object", "properties": {}})
TEN = OutputSpec(mean=10)


def answer(output: OutputSpec = TEN, salt: str = "0:a", seed: int = 1, **members: Any) -> Answer:
    usual: dict[str, Any] = {"model": "m", "transcript": "hello", "input_tokens": 3}
    return compose(Ask(**{**usual, **members}), salt, output, Random(seed))


def test_the_answer_is_prose_of_the_asked_length() -> None:
    (said,) = answer().said
    assert len(said.tokens) == len(said.text.split()) == 10
    assert said.text.endswith(".")
    assert said.text[0].isupper()
    assert said.finish == "stop"
    assert said.calls == []


def test_the_same_prompt_gives_the_same_text_and_another_id() -> None:
    first, second = answer(seed=1), answer(seed=2)
    assert first.said == second.said
    assert first.id != second.id


@pytest.mark.parametrize("change", [{"salt": "1:a"}, {"salt": "0:b"}, {"transcript": "hello!"}])
def test_another_seed_endpoint_or_prompt_gives_another_text(change: dict[str, Any]) -> None:
    assert answer(**change).said != answer().said


def test_lengths_vary_around_the_mean() -> None:
    spread = OutputSpec(mean=50, sigma=0.5)
    lengths = sorted(answer(spread, transcript=str(i)).output_tokens for i in range(400))
    assert lengths[200] == pytest.approx(50, rel=0.15)
    assert lengths[20] < 30
    assert lengths[380] > 80


def test_max_tokens_cuts_and_says_so() -> None:
    (said,) = answer(max_output_tokens=4).said
    assert (len(said.tokens), said.finish) == (4, "length")
    assert answer().said[0].text.startswith(said.text)


def test_max_tokens_that_suffice_do_not_cut() -> None:
    assert answer(max_output_tokens=10).said[0].finish == "stop"


def test_choices_differ() -> None:
    made = answer(choices=3)
    assert len({s.text for s in made.said}) == 3
    assert made.output_tokens == 30


def test_a_stream_interleaves_its_choices() -> None:
    order = [choice for choice, _ in answer(choices=2).interleaved()]
    assert order == [0, 1] * 10


def test_two_tools_are_called_in_parallel() -> None:
    (said,) = answer(tools=(WEATHER, CLOCK)).said
    assert said.finish == "tool_calls"
    assert said.text == ""
    (first, one), (second, two) = said.calls
    assert (first.name, second.name) == ("weather", "clock")
    assert (first.index, second.index) == (0, 1)
    assert first.id != second.id
    jsonschema.validate(json.loads(one), WEATHER.schema)
    assert two == "{}"


def test_one_tool_is_called_twice() -> None:
    (said,) = answer(tools=(WEATHER,)).said
    assert [start.name for start, _ in said.calls] == ["weather", "weather"]


def test_not_in_parallel_means_one_call() -> None:
    assert len(answer(tools=(WEATHER, CLOCK), parallel=False).said[0].calls) == 1


def test_a_named_tool_is_called_once() -> None:
    (said,) = answer(tools=(WEATHER, CLOCK), tool_mode="named", named_tool="clock").said
    assert [start.name for start, _ in said.calls] == ["clock"]


def test_tool_choice_none_means_text() -> None:
    (said,) = answer(tools=(WEATHER,), tool_mode="none").said
    assert said.finish == "stop"
    assert said.text


def test_call_ids_differ_from_request_to_request() -> None:
    ids = {start.id for seed in range(20) for start, _ in answer(seed=seed, tools=(WEATHER,)).said[0].calls}
    assert len(ids) == 40


def test_after_tool_results_the_text_mentions_them() -> None:
    (said,) = answer(tools=(WEATHER,), tool_results=("18 degrees", "rain " * 100)).said
    assert "18 degrees" in said.text
    assert "rain rain" in said.text
    assert len(said.text) < 500
    assert said.finish == "stop"


def test_every_call_token_is_a_start_or_a_piece() -> None:
    tokens = answer(tools=(WEATHER,)).said[0].tokens
    assert isinstance(tokens[0], CallStart)
    assert all(isinstance(t, CallStart | CallPiece) for t in tokens)


def test_a_schema_is_answered_with_an_instance() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a", "b"]}
    (said,) = answer(schema=schema).said
    jsonschema.validate(json.loads(said.text), schema)
    assert len(said.tokens) > 1


def test_an_instance_cut_by_max_tokens_is_broken_json() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "minLength": 60}}, "required": ["a"]}
    (said,) = answer(schema=schema, max_output_tokens=2).said
    assert said.finish == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(said.text)


def test_a_stop_sequence_ends_the_text_before_it() -> None:
    whole = answer().said[0].text
    third = whole.split(" ")[3]
    (said,) = answer(stop=("never said", third)).said
    assert said.text == whole[: whole.index(third)]
    assert (said.finish, said.stop_sequence) == ("stop", third)


def test_a_stop_sequence_at_the_start_leaves_nothing() -> None:
    first = answer().said[0].text.split(" ")[0]
    (said,) = answer(stop=(first,)).said
    assert (said.tokens, said.text, said.stop_sequence) == ((), "", first)
    assert answer(stop=(first,)).interleaved() == []


def test_the_earliest_stop_sequence_wins() -> None:
    words = answer().said[0].text.split(" ")
    assert answer(stop=(words[5], words[2])).said[0].stop_sequence == words[2]


@given(st.integers(1, 200), st.integers(0, 10_000))
def test_prose_has_as_many_words_as_tokens(count: int, seed: int) -> None:
    words = prose(count, Random(seed))
    assert len(words) == count == len("".join(words).split(" "))
    assert all(w.isascii() for w in words)


def test_words_need_no_escaping() -> None:
    assert all(json.dumps(w) == f'"{w}"' for w in WORDS)


def test_ids_are_of_the_asked_length() -> None:
    assert len(new_id(Random(0), 9)) == 9
    assert new_id(Random(0)) != new_id(Random(1))


def test_tokens_are_about_four_characters() -> None:
    assert count_tokens("") == 1
    assert count_tokens("a" * 40, "b" * 40) == 20


def test_content_gives_its_texts_in_either_dialect() -> None:
    parts = [
        {"type": "text", "text": "one"},
        {"type": "tool_use", "name": "w", "input": {"a": 1}},
        {"type": "tool_result", "content": [{"type": "text", "text": "two"}]},
        {"type": "thinking", "thinking": "three"},
        {"type": "image", "source": {}},
    ]
    one, call, two, three, media = content_texts(parts)
    assert (one, call, two, three) == ("one", 'w {"a":1}', "two", "three")
    assert len(media) > 1000
    assert list(content_texts(None)) == []
    assert list(content_texts("text")) == ["text"]


def test_tokens_of_a_said_text_join_to_it() -> None:
    (said,) = answer().said
    assert "".join(t.text for t in said.tokens if isinstance(t, Word)) == said.text
