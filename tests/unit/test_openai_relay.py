"""The relay: what reaches an OpenAI client of streams that keep the contract, bend it, or break it.

Trap numbers are those of the wire notes, section 4.
"""

import json
from typing import Any

import pytest
from openai_support import (
    DONE,
    HEAD,
    USAGE,
    ask,
    call,
    chunk,
    chunks,
    entries,
    finishes,
    joined_calls,
    relay,
    run,
    sse,
    streaming,
)

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Usage
from fastroute.dialects._sse import SseEvent
from fastroute.dialects.openai_relay import OpenAIRelay

Json = dict[str, Any]

ROLE = chunk({"role": "assistant", "content": ""})
HI = chunk({"content": "Hi"})
STOP = chunk({}, "stop")
TOTAL = sse({**HEAD, "choices": [], "usage": USAGE})


def content(out: bytes, index: int = 0) -> str:
    return "".join(entry["delta"].get("content") or "" for entry in entries(out, index))


def ended_badly(translator: OpenAIRelay, *pieces: bytes) -> Fault:
    out = run(translator, *pieces)
    assert b"[DONE]" not in out
    assert not translator.finished
    assert translator.fault is not None
    return translator.fault


# --- a proper stream ----------------------------------------------------------------------------------------------------


def test_a_proper_stream_is_passed_byte_for_byte() -> None:
    stream = ROLE + HI + chunk({"content": " é\n\t"}) + STOP + TOTAL + DONE
    translator = relay(streaming(usage=True))
    assert run(translator, stream) == stream
    assert (translator.finished, translator.fault) == (True, None)
    assert translator.usage == Usage(7, 3)
    assert translator.output_tokens_seen == 2


def test_extensions_pass() -> None:
    odd = chunk({"content": "x"}, obfuscation="abc", x_acme={"cost": 0.00019875, "n": 1.0}, system_fingerprint=None)
    assert odd in run(relay(), ROLE + odd + STOP + DONE)


def test_content_goes_out_at_once_and_a_finish_waits_for_the_next_frame() -> None:
    translator = relay()
    assert translator.feed(ROLE) == ROLE
    assert translator.feed(HI) == HI
    assert translator.feed(STOP) == b""
    assert translator.feed(DONE) == STOP + DONE
    assert translator.feed(HI) == b"", "nothing follows [DONE]"
    assert translator.end() == b""


def test_a_role_is_no_content() -> None:
    translator = relay()
    translator.feed(ROLE)
    translator.feed(chunk({"content": ""}))
    translator.feed(chunk({"content": None, "refusal": None, "tool_calls": []}))
    assert not translator.content_started


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"reasoning_content": "x"},
        {"reasoning": "x"},
        {"refusal": "x"},
        {"tool_calls": [call()]},
        {"function_call": {"name": "f", "arguments": ""}},
        {"audio": {"id": "a", "data": "AAAA"}},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},
        {"content": [{"type": "text", "text": "x"}]},
    ],
)
def test_content_of_every_kind_starts_the_answer(delta: Json) -> None:
    translator = relay()
    translator.feed(ROLE)
    translator.feed(chunk(delta))
    assert translator.content_started
    assert translator.output_tokens_seen == 1


def test_an_empty_answer_is_an_answer() -> None:
    """Trap 44: reasoning may eat the whole limit."""
    translator = relay()
    out = run(translator, ROLE + chunk({}, "length") + DONE)
    assert translator.content_started
    assert finishes(out) == ["length"]


def test_several_choices_keep_apart() -> None:
    """Trap 5, and each with its own call indexes."""
    translator = relay(streaming(n=2, usage=True))
    stream = b"".join(
        [
            chunk({"role": "assistant", "tool_calls": [call(0, "a", "f", "")]}),
            chunk({"role": "assistant", "tool_calls": [call(0, "a", "f", "")]}, index=1),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}, index=1),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x":1}'}}]}),
            chunk({}, "tool_calls"),
            chunk({}, "tool_calls", index=1),
            TOTAL,
            DONE,
        ]
    )
    out = run(translator, stream)
    assert out == stream, "the same id in two choices is OpenAI's own doing"
    assert joined_calls(out, 1) == [{"id": "a", "name": "f", "arguments": "{}"}]


# --- noise --------------------------------------------------------------------------------------------------------------


def test_comments_line_ends_and_blank_lines_are_ours() -> None:
    """Traps 35 and 37."""
    stream = b": PROCESSING\n\n" + ROLE.replace(b"\n", b"\r\n") + b"\r\n: ping\r\n\r\n" + HI + STOP + DONE.replace(b"\n", b"\r\n")
    assert run(relay(), stream) == ROLE + HI + STOP + DONE


def test_data_over_several_lines_is_one_line_for_the_client() -> None:
    text = json.dumps({**HEAD, "choices": [{"index": 0, "delta": {"content": "a\nb"}, "finish_reason": None}]}, indent=1)
    split = b"".join(b"data: " + line.encode() + b"\n" for line in text.splitlines()) + b"\n"
    out = run(relay(), ROLE + split + STOP + DONE)
    assert content(out) == "a\nb"
    assert all(b"\n" not in frame for frame in out.split(b"\n\n"))


def test_azures_first_chunk_is_kept_and_is_no_content() -> None:
    """Trap 33."""
    filters = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{"prompt_index": 0}]}
    translator = relay()
    first = translator.feed(sse(filters))
    assert chunks(first) == [filters | {"object": "chat.completion.chunk"}]
    assert not translator.content_started
    assert finishes(run(translator, ROLE + HI + STOP + DONE)) == ["stop"]


def test_a_filters_report_after_the_finish_is_kept() -> None:
    late = {"index": 0, "delta": {}, "finish_reason": None, "content_filter_results": {"hate": {"filtered": False}}}
    out = run(relay(), ROLE + HI + STOP + sse({**HEAD, "choices": [late]}) + DONE)
    assert entries(out)[-1]["content_filter_results"]
    assert finishes(out) == ["stop"]


# --- members clients need -----------------------------------------------------------------------------------------------


def test_missing_members_of_a_chunk_are_filled_in() -> None:
    """Gemini leaves the id out, Moonshot the object."""
    bare = sse({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "x"}}]})
    rest = sse({"id": "c-9", "created": 5, "model": "m", "choices": [{"delta": {}, "finish_reason": "stop"}]})
    first, second = chunks(run(relay(), bare + rest + DONE))
    assert (first["id"], first["model"], first["created"]) == ("chatcmpl-req-1", "m-1", 1_700_000_001)
    assert (second["id"], second["model"], second["created"]) == ("c-9", "m", 5), "what the provider says is kept"
    assert {first["object"], second["object"]} == {"chat.completion.chunk"}
    assert second["choices"][0]["index"] == 0


def test_another_object_is_a_chunk_all_the_same() -> None:
    last = chunk({}, "stop", object="chat.completion.done")  # Perplexity
    assert {found["object"] for found in chunks(run(relay(), ROLE + HI + last))} == {"chat.completion.chunk"}


@pytest.mark.parametrize("given", ["", None, "absent"])
def test_every_choice_has_a_finish_reason_member(given: str | None) -> None:
    """Trap 42; some providers write an empty text."""
    choice: Json = {"index": 0, "delta": {"content": "x"}, "finish_reason": given}
    if given == "absent":
        del choice["finish_reason"]
    frame = sse({**HEAD, "choices": [choice]})
    out = run(relay(), ROLE + frame + frame + STOP + DONE)
    assert [entry["finish_reason"] for entry in entries(out)] == [None, None, None, "stop"]
    assert content(out) == "xx"


def test_the_role_is_sent_once() -> None:
    again = chunk({"role": "assistant", "content": "x"})
    other_order = chunk({"content": "y", "role": "assistant"})
    out = run(
        relay(), ROLE + again + other_order + chunk({"role": "assistant", "content": 'a "role":"assistant", b'}) + STOP + DONE
    )
    assert [entry["delta"].get("role") for entry in entries(out)] == ["assistant", None, None, None, None]
    assert content(out) == 'xya "role":"assistant", b'


def test_text_that_looks_like_a_member_is_not_touched() -> None:
    tricky = 'x,"usage":null,"role":"assistant","choices":[{'
    frame = sse({**HEAD, "choices": [{"index": 0, "delta": {"content": tricky, "role": "assistant"}}], "usage": None})
    assert content(run(relay(), ROLE + frame + STOP + DONE)) == tricky


# --- finish reasons -----------------------------------------------------------------------------------------------------


def test_a_repeated_finish_is_sent_once() -> None:
    repeat = chunk({"role": "assistant", "content": ""}, "stop", usage=USAGE)
    out = run(relay(streaming(usage=True)), ROLE + HI + STOP + repeat + DONE)
    assert finishes(out) == ["stop"]
    assert [found["usage"] for found in chunks(out) if found.get("usage")] == [USAGE]


def test_a_finish_that_was_none_is_taken_back() -> None:
    """Trap 9: a finish reason on every chunk, or after every parallel call."""
    every = [chunk({"content": text}, "stop") for text in "abc"]
    out = run(relay(), ROLE + b"".join(every) + DONE)
    assert (content(out), finishes(out)) == ("abc", ["stop"])
    assert entries(out)[-1]["finish_reason"] == "stop"
    calls = [chunk({"tool_calls": [call(i, f"c{i}", "f", "{}")]}, "tool_calls") for i in range(3)]
    out = run(relay(), ROLE + b"".join(calls) + DONE)
    assert (len(joined_calls(out)), finishes(out)) == (3, ["tool_calls"])


def test_content_after_the_finish_of_another_choice_is_in_order() -> None:
    stream = chunk({"content": "a"}) + chunk({"content": "b"}, index=1) + STOP + chunk({"content": "B"}, index=1)
    out = run(relay(streaming(n=2)), stream + chunk({}, "stop", index=1) + DONE)
    assert (content(out), content(out, 1)) == ("a", "bB")
    assert (finishes(out), finishes(out, 1)) == (["stop"], ["stop"])


def test_content_after_a_finish_that_is_out_is_sent_without_a_second_one() -> None:
    out = run(relay(), HI + STOP + chunk({"content": "x"}, index=1) + chunk({"content": "late"}, "stop") + DONE)
    assert content(out) == "Hilate"
    assert finishes(out) == ["stop"]


@pytest.mark.parametrize(("raw", "word"), [("eos", "stop"), ("model_length", "length"), ("end_turn", "stop"), ("odd", "stop")])
def test_other_words_are_translated_and_kept(raw: str, word: str) -> None:
    [last] = [entry for entry in entries(run(relay(), ROLE + HI + chunk({}, raw) + DONE)) if entry["finish_reason"]]
    assert (last["finish_reason"], last["native_finish_reason"]) == (word, raw)


def test_a_native_reason_is_the_providers_where_it_has_one() -> None:
    frame = sse({**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "eos", "native_finish_reason": "</s>"}]})
    assert entries(run(relay(), HI + frame + DONE))[-1]["native_finish_reason"] == "</s>"


def test_a_stop_after_calls_asks_to_run_them() -> None:
    out = run(relay(), chunk({"tool_calls": [call()]}) + STOP + DONE)
    assert finishes(out) == ["tool_calls"]
    assert finishes(run(relay(), chunk({"tool_calls": [call()]}) + chunk({}, "length") + DONE)) == ["length"]


def test_legacy_function_calls_keep_their_finish() -> None:
    stream = chunk({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}) + chunk({}, "function_call") + DONE
    assert run(relay(), stream) == stream
    assert finishes(run(relay(), chunk({"tool_calls": [call()]}) + chunk({}, "function_call") + DONE)) == ["tool_calls"]


@pytest.mark.parametrize(
    ("raw", "failure"),
    [
        ("error", Failure.SERVER_ERROR),
        ("insufficient_system_resource", Failure.OVERLOADED),
        ("MALFORMED_FUNCTION_CALL", Failure.GENERATION_FAILED),
    ],
)
def test_a_failure_dressed_as_a_finish_is_a_fault(raw: str, failure: Failure) -> None:
    fault = ended_badly(relay(), ROLE, HI, chunk({}, raw), DONE)
    assert (fault.failure, fault.code) == (failure, raw)


# --- tool calls ---------------------------------------------------------------------------------------------------------


def test_parallel_calls_of_one_chunk_without_index() -> None:
    """Traps 1, 3 and 9 at once: Mistral sends whole calls with the finish."""
    both = chunk({"tool_calls": [call(None, "a", "f", "{}"), call(None, "b", "g", '{"x":1}')]}, "tool_calls", usage=USAGE)
    out = run(relay(streaming(usage=True)), ROLE + both + DONE)
    assert joined_calls(out) == [{"id": "a", "name": "f", "arguments": "{}"}, {"id": "b", "name": "g", "arguments": '{"x":1}'}]
    assert finishes(out) == ["tool_calls"]
    assert chunks(out)[-1]["choices"] == []


def test_calls_spread_over_chunks_are_counted_through() -> None:
    """Traps 4 and 6: Gemini numbers none and names none."""
    out = run(relay(), b"".join(chunk({"tool_calls": [call(None, "", "f", f'{{"x":{i}}}')]}, "stop") for i in range(3)) + DONE)
    calls = joined_calls(out)
    assert [c["arguments"] for c in calls] == ['{"x":0}', '{"x":1}', '{"x":2}']
    assert len({c["id"] for c in calls}) == 3
    assert finishes(out) == ["tool_calls"]


def test_a_call_without_arguments_gets_an_empty_object() -> None:
    """Trap 8."""
    begun = chunk({"tool_calls": [call(0, "a", "f", "")]})
    for rest in (STOP, chunk({}, "tool_calls"), chunk({"content": ""}, "tool_calls")):
        assert joined_calls(run(relay(), begun + rest + DONE)) == [{"id": "a", "name": "f", "arguments": "{}"}]
    at_once = chunk({"tool_calls": [call(0, "a", "f", "")]}, "tool_calls")
    assert joined_calls(run(relay(), at_once + DONE)) == [{"id": "a", "name": "f", "arguments": "{}"}]


def test_cut_arguments_are_not_filled_in() -> None:
    out = run(relay(), chunk({"tool_calls": [call(0, "a", "f", "")]}) + chunk({}, "length") + DONE)
    assert joined_calls(out)[0]["arguments"] == ""


# --- reasoning and lists of parts ---------------------------------------------------------------------------------------


def test_a_list_of_parts_becomes_text_and_reasoning() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}, {"type": "text", "text": "m."}], "closed": True}
    reference = {"type": "reference", "reference_ids": [1]}
    out = run(relay(), ROLE + chunk({"content": [thinking, {"type": "text", "text": "4"}, reference, "2"]}) + STOP + DONE)
    [_, delta, _] = [entry["delta"] for entry in entries(out)]
    assert delta == {"content": "42", "reasoning_content": "Hmm.", "content_parts": [reference]}


def test_reasoning_keeps_the_name_the_provider_gave_it() -> None:
    frame = chunk({"reasoning": "Hm"})
    assert frame in run(relay(), ROLE + frame + STOP + DONE)


# --- usage --------------------------------------------------------------------------------------------------------------


def usages(out: bytes) -> list[Json]:
    return [found["usage"] for found in chunks(out) if found.get("usage")]


@pytest.mark.parametrize(
    "stream",
    [
        ROLE + HI + STOP + TOTAL + DONE,
        ROLE + HI + chunk({}, "stop", usage=USAGE) + DONE,
        ROLE + chunk({"content": "Hi"}, usage={**USAGE, "completion_tokens": 1}) + chunk({}, "stop", usage=USAGE) + DONE,
        ROLE + HI + chunk({}, "stop", x_groq={"id": "1", "usage": USAGE}) + DONE,
        ROLE + HI + chunk({}, "stop", x_groq={"usage": USAGE}, usage=USAGE) + TOTAL + DONE,
        ROLE + HI + STOP + TOTAL + TOTAL + DONE,
        ROLE + HI + TOTAL + STOP + DONE,
        ROLE + HI + STOP + TOTAL,
    ],
)
def test_usage_is_one_chunk_at_the_end_or_none(stream: bytes) -> None:
    """Trap 14."""
    asked, unasked = relay(streaming(usage=True)), relay(streaming())
    out = run(asked, stream)
    assert usages(out) == [USAGE]
    assert (chunks(out)[-1]["choices"], chunks(out)[-1]["usage"]) == ([], USAGE)
    assert out.endswith(DONE)
    plain = run(unasked, stream)
    assert not any("usage" in found for found in chunks(plain))
    assert content(plain) == "Hi"
    assert asked.usage == unasked.usage == Usage(7, 3), "the bill does not depend on the client's asking"


@pytest.mark.parametrize("text", [',"usage":null', ', "usage": null'])
def test_the_null_that_our_asking_brought_is_taken_out(text: str) -> None:
    frame = HI.replace(b'"choices"', b'"x":1,"choices"').replace(b"}\n\n", text.encode() + b"}\n\n")
    assert b"usage" not in run(relay(), ROLE + frame + frame + STOP + DONE)
    assert frame in run(relay(streaming(usage=True)), ROLE + frame + STOP + DONE)
    first = b'data: {"usage":null,' + HI.removeprefix(b"data: {")
    assert run(relay(), ROLE + HI + first + STOP + DONE) == ROLE + HI + HI + STOP + DONE


def test_reports_that_grow_count_once() -> None:
    grow = [chunk({"content": "x"}, usage={**USAGE, "completion_tokens": n}) for n in (1, 2)]
    last = chunk({}, "stop", usage={"prompt_tokens": 7, "completion_tokens": None, "total_tokens": None})
    translator = relay()
    run(translator, *grow, last, DONE)
    assert translator.usage == Usage(7, 2), "a null says nothing new"


def test_reasoning_left_out_of_the_completion_is_added() -> None:
    """Trap 16."""
    raw = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 30, "completion_tokens_details": {"reasoning_tokens": 20}}
    translator = relay(streaming(usage=True), reasoning_in_output=False)
    [told] = usages(run(translator, ROLE + HI + STOP + sse({**HEAD, "choices": [], "usage": raw}) + DONE))
    assert (told["completion_tokens"], told["total_tokens"]) == (23, 30)
    assert translator.usage == Usage(7, 23, reasoning_tokens=20)


def test_a_chunk_after_the_usage_stays_after_it() -> None:
    after = sse({**HEAD, "choices": [], "moderation": {"flagged": False}})
    stream = ROLE + HI + STOP + TOTAL + after + DONE
    assert run(relay(streaming(usage=True)), stream) == stream
    assert run(relay(), stream) == ROLE + HI + STOP + after + DONE


def test_citations_on_a_chunk_with_usage_are_kept() -> None:
    frame = chunk({"content": "x"}, usage=USAGE, citations=["https://a"])
    out = run(relay(streaming(usage=True)), ROLE + frame + STOP + DONE)
    assert next(found for found in chunks(out) if found.get("citations"))["choices"]
    assert "citations" not in chunks(out)[-1], "and not sent twice"


# --- the end ------------------------------------------------------------------------------------------------------------


def test_an_early_end_is_never_a_finish() -> None:
    """Traps 10 and 12."""
    for pieces in ((), (ROLE,), (ROLE, HI), (ROLE, HI, HI[:-30]), (ROLE, HI, b"data: [DO"), (b"\n\n",)):
        assert ended_badly(relay(), *pieces).failure is Failure.TRUNCATED


def test_a_done_without_any_finish_is_an_early_end_too() -> None:
    assert ended_badly(relay(), ROLE, HI, DONE).failure is Failure.TRUNCATED
    assert ended_badly(relay(), DONE).failure is Failure.TRUNCATED


@pytest.mark.parametrize("sentinel", [True, False])
def test_a_missing_done_after_the_finish_is_added(sentinel: bool) -> None:
    translator = relay(done_sentinel=sentinel)
    assert run(translator, ROLE + HI + STOP) == ROLE + HI + STOP + DONE
    assert (translator.finished, translator.fault) == (True, None)
    assert run(relay(), ROLE + HI + STOP + b"data: [DO").endswith(STOP + DONE)


def test_every_choice_must_have_finished() -> None:
    two = streaming(n=2)
    assert ended_badly(relay(two), ROLE, HI, STOP).failure is Failure.TRUNCATED, "the second never began"
    assert ended_badly(relay(two), HI, chunk({"content": "x"}, index=1), STOP).failure is Failure.TRUNCATED


def test_one_finish_for_all_choices_and_done() -> None:
    """LiteLLM's way. [DONE] says that the provider ended the reply itself."""
    out = run(relay(streaming(n=2)), HI + chunk({"tool_calls": [call()]}, index=1) + STOP + DONE)
    assert (finishes(out), finishes(out, 1)) == (["stop"], ["tool_calls"])
    assert out.endswith(DONE)


def test_fewer_choices_than_asked_for_and_done() -> None:
    assert run(relay(streaming(n=3)), ROLE + HI + STOP + DONE) == ROLE + HI + STOP + DONE


def test_the_last_event_counts_without_its_blank_line() -> None:
    assert run(relay(), ROLE + HI + STOP + b"data: [DONE]") == ROLE + HI + STOP + DONE
    assert run(relay(), ROLE + HI + STOP.rstrip()) == ROLE + HI + STOP + DONE


# --- failures inside ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        sse({"error": {"message": "boom", "type": "overloaded_error"}}),
        b"event: error\n" + sse({"error": {"message": "boom", "code": 529}}),
        b'event: error\ndata: {"message":"boom","code":503}\n\n',
        b'error: {"code":503,"message":"boom"}\n\n',
        chunk({"content": ""}, "error", error={"code": 503, "message": "boom"}),
        sse({**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": None, "error": {"code": 503, "message": "boom"}}]}),
        sse('[{"error":{"code":503,"message":"boom","status":"UNAVAILABLE"}}]'),
    ],
)
def test_an_error_inside_the_stream_is_a_fault(event: bytes) -> None:
    """Traps 11 and 13."""
    translator = relay()
    out = run(translator, ROLE, HI, event, HI, STOP, DONE)
    assert out == ROLE + HI
    assert translator.fault is not None
    assert (translator.fault.failure, translator.fault.message) == (Failure.OVERLOADED, "boom")
    assert not translator.finished


def test_an_error_before_anything_leaves_the_client_untouched() -> None:
    translator = relay()
    assert run(translator, b": hold\n\n" + sse({"error": {"message": "no", "code": 429}})) == b""
    assert translator.fault is not None
    assert translator.fault.failure is Failure.RATE_LIMITED
    assert not translator.content_started


def test_an_error_of_null_is_none() -> None:
    stream = ROLE + chunk({"content": "x"}, error=None) + chunk({}, "stop", error=None) + DONE
    assert run(relay(), stream) == stream


@pytest.mark.parametrize(
    "data", [b"data: oops\n\n", b"data: 7\n\n", b'data: "x"\n\n', b'data: {"choices":7}\n\n', b"data: {]}\n\n"]
)
def test_what_is_no_chunk_is_a_fault(data: bytes) -> None:
    fault = ended_badly(relay(), ROLE, HI, data, STOP, DONE)
    assert fault.failure is Failure.MALFORMED


@pytest.mark.parametrize(
    "choices",
    [
        "[7]",
        '[{"index":0,"delta":7}]',
        '[{"index":0,"delta":{"tool_calls":7}}]',
        '[{"index":0,"delta":{"tool_calls":[7]}}]',
        '[{"index":0,"delta":{"content":"\\ud800"}}]',
        '[{"index":0,"delta":{"content":' + "[" * 3000 + "]" * 3000 + "}}]",
    ],
)
def test_odd_chunks_never_raise(choices: str) -> None:
    translator = relay()
    run(translator, ROLE, sse('{"choices":' + choices + "}"), HI, STOP, DONE)
    assert translator.fault is None or translator.fault.failure is Failure.MALFORMED


def test_an_event_without_end_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    translator = relay()
    monkeypatch.setattr(translator._parser, "_limit", 1000)
    assert ended_badly(translator, ROLE, b"data: " + b"x" * 2000).failure is Failure.TOO_LARGE


# --- a provider that does not stream ------------------------------------------------------------------------------------


WHOLE: Json = {
    "id": "c-1",
    "object": "chat.completion",
    "created": 5,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def test_a_whole_answer_to_a_stream_request_becomes_a_stream() -> None:
    translator = relay(streaming(usage=True))
    data = json.dumps(WHOLE, indent=1).encode()
    out = run(translator, b"\n\n", *(data[i : i + 7] for i in range(0, len(data), 7)))
    assert (content(out), finishes(out), usages(out)) == ("Hi", ["stop"], [USAGE])
    assert out.endswith(DONE)
    assert (translator.finished, translator.content_started, translator.usage) == (True, True, Usage(7, 3))
    assert "usage" not in b"".join([run(relay(), data)]).decode()


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b'{"error":{"message":"no","code":429}}', Failure.RATE_LIMITED),
        (b'[{"error":{"message":"no","code":503}}]', Failure.OVERLOADED),
        (b"<html>busy</html>", Failure.MALFORMED),
        (b'{"id":"c-1","choices":[{"index":0,"mess', Failure.MALFORMED),
        (b"plain text", Failure.TRUNCATED),
        (b"", Failure.TRUNCATED),
    ],
)
def test_other_bodies_are_faults(body: bytes, failure: Failure) -> None:
    assert ended_badly(relay(), body).failure is failure


# --- for the engine -----------------------------------------------------------------------------------------------------


def test_whole_replies() -> None:
    translator = relay(ask())
    body = json.dumps(WHOLE).encode()
    assert translator.whole(body) == body
    assert (translator.finished, translator.content_started, translator.usage) == (True, True, Usage(7, 3))
    broken = relay(ask())
    assert broken.whole(b"<html>") == b""
    assert not broken.finished
    assert broken.fault is not None


def test_an_interruption_tells_what_was_used() -> None:
    translator = relay(streaming(usage=True))
    translator.feed(ROLE + HI + HI)
    told = json.loads(translator.interrupted(Fault(Failure.STALL, "nothing came for 20 s"))[6:])["error"]
    assert told["message"] == "nothing came for 20 s"
    assert told["type"] == "server_error"
    assert told["usage"]["completion_tokens"] == 2


# --- the four ways come to the same -------------------------------------------------------------------------------------


def piecewise(translator: OpenAIRelay, stream: bytes, size: int) -> tuple[bytes, Any]:
    out = run(translator, *(stream[at : at + size] for at in range(0, len(stream), size)))
    return out, (
        translator.finished,
        translator.fault,
        translator.usage,
        translator.output_tokens_seen,
        translator.content_started,
    )


STREAMS = [
    ROLE + HI * 5 + STOP + TOTAL + DONE,
    ROLE + HI + chunk({"content": 'é\n"\\'}) + chunk({"content": ""}) + HI * 3 + STOP + DONE,
    ROLE + b"".join(chunk({"content": "x"}, obfuscation="y" * n, usage=None) for n in range(6)) + STOP + TOTAL + DONE,
    ROLE + HI * 3 + chunk({"content": "last"}, "stop") + HI + STOP + DONE,
    ROLE + HI * 3 + chunk({"tool_calls": [call(call_id="", arguments="")]}) + chunk({}, "stop") + DONE,
    ROLE + HI * 3 + b'event: error\ndata: {"message":"boom"}\n\n' + HI + STOP + DONE,
    ROLE + HI * 3 + chunk({"content": "x"}, error={"message": "boom"}) + HI + STOP + DONE,
    ROLE + HI * 3 + chunk({"reasoning_content": "hm"}) * 3 + HI * 3 + STOP + b"data: [DONE]\r\n\r\n",
    ROLE + HI * 3 + b": ping\n\n" + HI * 2 + HI.replace(b"\n", b"\r\n") + HI + STOP + DONE,
    ROLE + HI * 3 + HI.replace(b"Hi", b"\\ud83d") + HI.replace(b"Hi", b"\xff") + HI * 2 + STOP + DONE,
    ROLE + HI * 3,
    ROLE + ROLE.replace(b'"index":0', b'"index":1') + (HI + HI.replace(b'"index":0', b'"index":1')) * 3 + STOP + DONE,
    b"".join(chunk({"role": "assistant", "content": text}, usage=None) for text in "abcde") + STOP + DONE,
    b"".join(sse({**HEAD, "choices": [{"index": 0, "delta": {"content": text}}]}) for text in "abcde") + STOP + DONE,
]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("usage", [True, False])
def test_at_any_cut_the_client_gets_the_same(stream: bytes, usage: bool) -> None:
    """Byte by byte, no event comes whole, so none is known by its bytes."""
    expected = piecewise(relay(streaming(usage=usage)), stream, 1)
    for size in (7, len(HI), len(HI) + 1, 2 * len(HI), 500, len(stream)):
        assert piecewise(relay(streaming(usage=usage)), stream, size) == expected


def test_chunks_of_whole_events_are_given_on_as_the_same_bytes() -> None:
    translator = relay()
    translator.feed(ROLE + HI)
    piece = chunk({"content": " there"}) + chunk({"content": "!\n"})
    assert translator.feed(piece) is piece
    assert translator.output_tokens_seen == 3
    assert translator.feed(b"") == b""


def test_a_stream_in_one_piece_shows_its_pattern_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted, not timed: chunks read as JSON."""
    read: list[bytes] = []
    real = OpenAIRelay._event

    def counted(self: OpenAIRelay, item: SseEvent, last: bool) -> bytes:
        read.append(item.data)
        return real(self, item, last)

    monkeypatch.setattr(OpenAIRelay, "_event", counted)
    stream = ROLE + HI * 50 + STOP + DONE
    assert relay().feed(stream) == stream
    assert len(read) == 4, "the first, one with content, the finish, [DONE]"


def test_a_cut_event_does_not_end_the_short_way() -> None:
    translator = relay()
    translator.feed(ROLE + HI + HI[:20])
    assert translator.feed(HI[20:] + HI + HI[:5]) == HI + HI
    assert translator.feed(HI[5:]) == HI
    assert translator.feed(HI) == HI
    assert translator.output_tokens_seen == 5


def test_what_chunks_repeat_is_known_of_chunks_that_were_not_opened() -> None:
    bare = sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "eos"}]})
    for pieces in ([ROLE, HI, HI, bare, DONE], [ROLE, bare, DONE]):
        last = chunks(run(relay(), *pieces))[-1]
        assert {name: last[name] for name in HEAD} == HEAD
    other = {"id": "b", "model": "m-2"}
    late = sse({**HEAD, **other, "choices": [], "usage": USAGE}) + sse({"choices": [], "x": 1})
    last = chunks(run(relay(), ROLE, HI, STOP, late, DONE))[-1]
    assert (last["id"], last["model"]) == ("b", "m-2")


def test_a_finish_that_was_not_opened_can_still_be_taken_back() -> None:
    out = run(relay(), ROLE, HI, STOP, HI, chunk({}, "length"), DONE)
    assert (content(out), finishes(out)) == ("HiHi", ["length"])
    out = run(relay(), ROLE, HI, chunk({}, "stop", logprobs=None), chunk({"content": " more"}, "length"), DONE)
    assert (content(out), finishes(out)) == ("Hi more", ["length"])


def test_an_error_of_a_choice_in_a_chunk_with_content_is_a_fault() -> None:
    bad = sse({**HEAD, "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None, "error": {"message": "boom"}}]})
    assert ended_badly(relay(), ROLE, HI, HI, bad, STOP, DONE).message == "boom"


def test_a_null_usage_that_is_spelled_oddly_goes_too() -> None:
    for frame in (ROLE, STOP):
        odd = frame.replace(b'"choices"', b'"usage" : null,"choices"')
        out = run(relay(), *([odd, HI, STOP] if frame == ROLE else [ROLE, HI, odd]), DONE)
        assert all("usage" not in found for found in chunks(out))


def test_a_whole_reply_without_a_fault_is_the_same_bytes() -> None:
    body = json.dumps(
        {**HEAD, "object": "chat.completion", "choices": [{"message": {"role": "assistant"}, "finish_reason": "stop"}]}
    )
    sent = body.encode()
    translator = relay(ask())
    assert translator.whole(sent) is sent
    assert (translator.finished, translator.content_started, translator.fault, translator.usage) == (True, True, None, None)
