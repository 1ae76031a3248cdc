"""Traps of OpenAI-style providers that users of gateways reported (wire notes, section 4, by its numbers), one test each.

Those of requests (7, 20, 25, 32) are in `tests/unit/test_openai_departures.py`.
"""

import json
from typing import Any

import pytest

from fastroute.config.presets import presets
from fastroute.core.failures import Failure
from fastroute.core.types import Endpoint
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.openai_dialect import OpenAIDialect

Json = dict[str, Any]
DIALECT, API = OpenAIDialect(lambda: 1_780_000_000.0), OpenAIChatApi()
DONE = "data: [DONE]\n\n"


def translator(provider: str, *, n: int = 1, usage: bool = True, stream: bool = True) -> Any:
    preset = presets()[provider]
    body: Json = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": stream, "n": n}
    if stream and usage:
        body["stream_options"] = {"include_usage": True}
    endpoint = Endpoint("e", provider, preset.profile, "https://x.example", "m-1", key="k")
    return DIALECT.translator(API.decode(json.dumps(body).encode(), "req-1", 0.0), endpoint)


def chunk(delta: Json | None = None, finish: str | None = None, index: int = 0, **members: Any) -> str:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return "data: " + json.dumps({**head, "choices": choices, **members}, ensure_ascii=False) + "\n\n"


def call(index: int | None = 0, call_id: str | None = "c", name: str | None = "f", arguments: str = "{}") -> Json:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"function": function} | ({"id": call_id} if call_id is not None else {}) | ({} if index is None else {"index": index})


def streamed(provider: str, *frames: str, cut: int | None = None, **kwargs: Any) -> tuple[list[Json], Any]:
    """The chunks that the client gets, and the translator."""
    relay, data = translator(provider, **kwargs), "".join(frames).encode()
    size = cut or len(data)
    out = b"".join(relay.feed(data[i : i + size]) for i in range(0, len(data), size)) + relay.end()
    assert not [line for line in out.split(b"\n\n") if line.startswith(b":")]
    return [json.loads(line[6:]) for line in out.split(b"\n\n") if line.startswith(b"data: {")], relay


def calls_of(chunks: list[Json]) -> list[Json]:
    return [c for one in chunks for choice in one["choices"] for c in choice["delta"].get("tool_calls") or []]


def finishes(chunks: list[Json]) -> list[tuple[int, str]]:
    return [(c["index"], c["finish_reason"]) for one in chunks for c in one["choices"] if c.get("finish_reason")]


def usages(chunks: list[Json]) -> list[Json]:
    return [one["usage"] for one in chunks if one.get("usage")]


# --- tool calls ---------------------------------------------------------------------------------------------------------


def test_trap_1_parallel_calls_that_all_have_index_0() -> None:
    frames = [chunk({"tool_calls": [call(0, i, i)]}) for i in ("a", "b", "c")]
    got, _ = streamed("openai-compatible", *frames, chunk({}, "tool_calls"), DONE)
    assert [(c["index"], c["id"]) for c in calls_of(got)] == [(0, "a"), (1, "b"), (2, "c")]


def test_trap_3_mistral_gives_no_index_and_finishes_in_the_same_chunk() -> None:
    got, relay = streamed(
        "mistral", chunk({"tool_calls": [call(None, "AbCdEf123"), call(None, "AbCdEf124")]}, "tool_calls"), DONE
    )
    assert [(c["index"], c["id"]) for c in calls_of(got)] == [(0, "AbCdEf123"), (1, "AbCdEf124")]
    assert (finishes(got), relay.fault) == ([(0, "tool_calls")], None)


def test_trap_5_choices_keep_their_index_with_several_and_tools() -> None:
    frames = [chunk({"tool_calls": [call(0, f"c{i}")]}, None, i) for i in (0, 1)]
    got, _ = streamed("openai", *frames, chunk({}, "tool_calls", 0), chunk({}, "tool_calls", 1), DONE, n=2)
    assert [choice["index"] for one in got for choice in one["choices"] if choice["delta"].get("tool_calls")] == [0, 1]
    assert finishes(got) == [(0, "tool_calls"), (1, "tool_calls")]


@pytest.mark.parametrize("ids", [["", ""], [None, None], ["same", "same"]])
def test_trap_6_ids_that_are_empty_missing_or_repeated(ids: list[str | None]) -> None:
    frames = [chunk({"tool_calls": [call(i, given, f"f{i}")]}) for i, given in enumerate(ids)]
    got, _ = streamed("ollama", *frames, chunk({}, "tool_calls"), DONE)
    made = [c["id"] for c in calls_of(got)]
    assert all(made)
    assert len(set(made)) == 2
    again, _ = streamed("ollama", *frames, chunk({}, "tool_calls"), DONE)
    assert [c["id"] for c in calls_of(again)] == made, "the same every time"


def test_trap_8_a_call_without_arguments_has_an_empty_object_and_only_that() -> None:
    got, _ = streamed("together", chunk({"tool_calls": [call(arguments="")]}), chunk({}, "tool_calls"), DONE)
    assert "".join(c["function"].get("arguments", "") for c in calls_of(got)) == "{}"
    pieces = [chunk({"tool_calls": [call(arguments="")]}), chunk({"tool_calls": [call(0, None, None, '{"a":1}')]})]
    got, _ = streamed("together", *pieces, chunk({}, "tool_calls"), DONE)
    assert "".join(c["function"].get("arguments", "") for c in calls_of(got)) == '{"a":1}'


def test_trap_9_stop_although_a_tool_was_called() -> None:
    got, _ = streamed("vllm", chunk({"tool_calls": [call()]}), chunk({}, "stop"), DONE)
    assert finishes(got) == [(0, "tool_calls")]


# --- ends ---------------------------------------------------------------------------------------------------------------


def test_trap_10_an_early_end_is_an_error_and_no_usage_is_made_up() -> None:
    got, relay = streamed("openai", chunk({"content": "Hel"}))
    assert (relay.fault.failure, finishes(got), usages(got), relay.finished) == (Failure.TRUNCATED, [], [], False)


@pytest.mark.parametrize(
    "said",
    [
        'data: {"error": {"message": "Overloaded", "code": 529}}\n\n',
        'event: error\ndata: {"message": "Overloaded", "code": 529}\n\n',
        'data: {"id": "x", "choices": [], "error": {"message": "Overloaded", "code": 529}}\n\n',
        'error: {"error": {"message": "Overloaded", "code": 529}}\n\n',  # llama.cpp before September 2025
    ],
)
def test_traps_11_and_13_an_error_in_the_middle_of_a_200_is_a_fault_with_its_status(said: str) -> None:
    got, relay = streamed("llamacpp", chunk({"content": "a"}), said)
    assert (relay.fault.failure, relay.fault.message) == (Failure.OVERLOADED, "Overloaded")
    assert finishes(got) == []


def test_trap_12_perplexity_and_some_behind_the_hub_send_no_done() -> None:
    for provider in ("perplexity", "huggingface", "writer"):
        got, relay = streamed(provider, chunk({"content": "a"}), chunk({}, "stop"))
        assert (finishes(got), relay.fault, relay.finished) == ([(0, "stop")], None, True)


def test_trap_42_finish_reason_is_there_where_it_is_null() -> None:
    raw = chunk({"content": "a"}).replace(', "finish_reason": null', "")
    assert "finish_reason" not in raw
    got, _ = streamed("sglang", raw, chunk({}, "stop"), DONE)
    assert all("finish_reason" in choice for one in got for choice in one["choices"])


def test_together_finishes_with_eos() -> None:
    got, _ = streamed("together", chunk({"content": "a"}), chunk({}, "eos"), DONE)
    assert finishes(got) == [(0, "stop")]


def test_deepseek_that_runs_out_of_resources_has_failed() -> None:
    got, relay = streamed("deepseek", chunk({"content": "a"}), chunk({}, "insufficient_system_resource"), DONE)
    assert (relay.fault.failure, finishes(got)) == (Failure.OVERLOADED, [])


# --- usage --------------------------------------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


@pytest.mark.parametrize("asked", [True, False])
def test_trap_14_usage_in_its_own_chunk_once_and_only_if_asked_for(asked: bool) -> None:
    frames = [chunk({"content": "a"}, usage={**USAGE, "completion_tokens": 1}), chunk({}, "stop", usage=USAGE), DONE]
    got, relay = streamed("perplexity", *frames, usage=asked)
    assert usages(got) == ([USAGE] if asked else [])
    assert relay.usage.output_tokens == 5, "the bill knows it all the same"
    if asked:
        assert got[-1]["choices"] == []


def test_trap_14_groq_reports_it_up_to_three_times() -> None:
    frames = [chunk({"content": "a"}), chunk({}, "stop", x_groq={"usage": USAGE}), chunk(None, usage=USAGE), DONE]
    got, relay = streamed("groq", *frames)
    assert (usages(got), relay.usage.input_tokens) == ([USAGE], 10)


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ("openai", {"prompt_tokens_details": {"cached_tokens": 4}}),
        ("deepseek", {"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}),
        ("mistral", {"num_cached_tokens": 4}),
        ("moonshot", {"cached_tokens": 4}),
    ],
)
def test_trap_15_cached_tokens_are_inside_the_prompt_and_counted_once(provider: str, told: Json) -> None:
    got, relay = streamed(provider, chunk({"content": "a"}), chunk({}, "stop"), chunk(None, usage={**USAGE, **told}), DONE)
    assert (relay.usage.input_tokens, relay.usage.cached_input_tokens) == (10, 4)
    (usage,) = usages(got)
    assert (usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]) == (10, 4)


def test_trap_16_xais_reasoning_is_outside_its_completion_tokens() -> None:
    told = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 35,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    got, relay = streamed("xai", chunk({"content": "a"}), chunk({}, "stop"), chunk(None, usage=told), DONE)
    assert (relay.usage.output_tokens, relay.usage.reasoning_tokens) == (25, 20)
    assert usages(got)[0]["total_tokens"] == 35


# --- bytes --------------------------------------------------------------------------------------------------------------


def test_trap_33_azures_first_chunk_has_no_choices() -> None:
    first = chunk(None, id="", model="", prompt_filter_results=[{"prompt_index": 0}])
    got, relay = streamed("azure", first, chunk({"content": "a"}), chunk({}, "stop"), DONE)
    assert relay.fault is None
    assert finishes(got) == [(0, "stop")]
    assert not translator_started("azure", first), "it is no content, so nothing is committed"


def translator_started(provider: str, frame: str) -> bool:
    relay = translator(provider)
    relay.feed(frame.encode())
    return bool(relay.content_started)


def test_trap_34_azures_content_filter_keeps_its_kind_and_its_words() -> None:
    body = {"error": {"code": "content_filter", "message": "filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}
    fault = DIALECT.fault(400, {}, json.dumps(body).encode())
    assert (fault.failure, fault.message, fault.status) == (Failure.CONTENT_FILTER, "filtered", 400)


def test_trap_35_comments_are_neither_data_nor_passed_on() -> None:
    noise = ": OPENROUTER PROCESSING\n\n: ping\r\n\r\ndata: : keepalive\n\n"
    plain = streamed("openrouter", chunk({"content": "a"}), chunk({}, "stop"), DONE)[0]
    assert streamed("openrouter", noise, chunk({"content": "a"}), noise, chunk({}, "stop"), noise, DONE)[0] == plain


def test_traps_36_and_37_characters_lines_and_colons_cut_anywhere() -> None:
    text = "né: 日本語 😀 data: x\\n"
    frames = [chunk({"content": text}).replace("\n", "\r\n"), chunk({}, "stop").replace("\n", "\r\n"), DONE]
    for size in range(1, 8):
        got, _ = streamed("perplexity", *frames, cut=size)
        assert "".join(c["delta"].get("content") or "" for one in got for c in one["choices"]) == text


def test_trap_38_a_hint_when_to_try_again_is_kept() -> None:
    assert DIALECT.fault(429, {"retry-after-ms": "250"}, b"{}").retry_after_s == 0.25
    assert DIALECT.fault(429, {"retry-after": "7"}, b"{}").retry_after_s == 7
    assert DIALECT.fault(529, {}, b"{}").failure is Failure.OVERLOADED


def test_trap_41_logprobs_in_a_stream_go_through() -> None:
    frame = chunk({"content": "a"})
    logprobs = {"content": [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}]}
    one = json.loads(frame[6:])
    one["choices"][0]["logprobs"] = logprobs
    got, _ = streamed("fireworks", f"data: {json.dumps(one)}\n\n", chunk({}, "stop"), DONE)
    assert got[0]["choices"][0]["logprobs"] == logprobs


def test_mistral_thinks_in_lists_of_parts() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Yes"}]
    got, _ = streamed("mistral", chunk({"content": parts}), chunk({}, "stop"), DONE)
    delta = got[0]["choices"][0]["delta"]
    assert (delta["content"], delta["reasoning_content"]) == ("Yes", "hm")


# --- errors in words of their own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided: xa***"}, Failure.AUTH),
        (401, {"detail": "Unauthorized"}, Failure.AUTH),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "Extra inputs are not permitted"}]}, Failure.BAD_REQUEST),
        (400, {"error": {"message": "x", "code": "tool_use_failed", "failed_generation": "y"}}, Failure.GENERATION_FAILED),
        (402, {"error": {"message": "Insufficient Balance"}}, Failure.QUOTA_EXHAUSTED),
        (400, {"error": {"message": "x", "type": "exceed_context_size_error", "n_ctx": 8192}}, Failure.CONTEXT_LENGTH),
        (502, "<html><body>Bad gateway</body></html>", Failure.SERVER_ERROR),
    ],
    ids=["xai", "mistral", "mistral-422", "groq", "deepseek", "llamacpp", "cdn"],
)
def test_errors_as_each_provider_words_them(status: int, body: Any, failure: Failure) -> None:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    assert DIALECT.fault(status, {}, data).failure is failure
