"""Anthropic clients' requests put to OpenAI-style providers and to Gemini, and what their replies are told as."""

import json
from typing import Any

import pytest
from messages_support import CLAUDE, GEMINI, GPT, added_up, asked, told, turns

from fastroute.core.failures import Failure, FaultError
from fastroute.core.ports import Dialect
from fastroute.core.types import ChatRequest, Endpoint
from fastroute.dialects.messages_chat import messages_as_chat, messages_retold
from fastroute.dialects.messages_marks import UNSIGNED, marked
from fastroute.dialects.registry import dialects

DIALECTS = dialects(lambda: 1.0)
INLINE = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


def to(endpoint: Endpoint) -> Dialect:
    return DIALECTS[endpoint.profile.dialect]


def sent(request: ChatRequest, endpoint: Endpoint = GPT) -> dict[str, Any]:
    return json.loads(to(endpoint).encode(request, endpoint).body)


def chunks(*deltas: dict[str, Any], reason: str = "stop") -> bytes:
    last = {"index": 0, "delta": {}, "finish_reason": reason}
    choices = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas] + [[last]]
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 5}}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x"}
    said = [{**head, "choices": choice} for choice in choices] + [{**head, "choices": [], "usage": usage}]
    return b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in said) + b"data: [DONE]\n\n"


def test_a_conversation_as_openai_has_it() -> None:
    body = sent(
        turns(
            [{"type": "text", "text": "See:"}, {"type": "image", "source": INLINE}],
            [
                {"type": "thinking", "thinking": "signed", "signature": "SIG"},
                {"type": "thinking", "thinking": "unsigned", "signature": UNSIGNED},
                {"type": "text", "text": "let me"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
            ],
            [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "1"}]},
                {"type": "tool_result", "tool_use_id": "t2", "content": "no", "is_error": True},
                {"type": "text", "text": "go on", "cache_control": {"type": "ephemeral"}},
            ],
        )
    )
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
        {
            "role": "assistant",
            "content": "let me",
            "reasoning_content": "unsigned",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "1"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error: no"},
        {"role": "user", "content": "go on"},
    ]


def test_settings_as_openai_has_them() -> None:
    body = sent(
        asked(
            stream=True,
            system="Be brief.",
            top_k=4,
            temperature=0.5,
            stop_sequences=["END"],
            metadata={"user_id": "u"},
            thinking={"type": "enabled", "budget_tokens": 2000},
            tools=[{"name": "f", "input_schema": {"type": "object"}}],
            tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        )
    )
    assert body.pop("messages")[0] == {"role": "system", "content": "Be brief."}
    assert body == {
        "model": "gpt-x",
        "max_tokens": 100,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "stop": ["END"],
        "user": "u",
        "reasoning_effort": "low",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "output", "schema": {"type": "object"}, "strict": True},
        },
    }


def test_documents() -> None:
    text = {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}
    pdf = {"type": "document", "source": {**INLINE, "media_type": "application/pdf"}}
    [message] = sent(turns([text, pdf]))["messages"]
    assert message["content"] == [
        {"type": "text", "text": "T\n\nwords"},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
    ]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "url", "url": "https://e.com/a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "search_result", "source": {}, "title": "x"},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
    ],
)
@pytest.mark.parametrize("endpoint", [GPT, GEMINI], ids=["openai", "gemini"])
def test_what_only_anthropic_takes_is_refused(block: dict[str, Any], endpoint: Endpoint) -> None:
    with pytest.raises(FaultError) as caught:
        sent(turns([block]), endpoint)
    assert (caught.value.fault.failure, caught.value.fault.param) == (Failure.UNSUPPORTED, "messages[0].content")
    assert sent(turns([block]), CLAUDE)["messages"][0]["content"] == [block]


def test_images_among_results_follow_them() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": INLINE}]}
    messages = sent(turns("Hi", [call], [result]))["messages"]
    assert messages[2] == {"role": "tool", "tool_call_id": "t", "content": ""}
    assert messages[3]["content"][0]["type"] == "image_url"


def test_a_reply_of_openais() -> None:
    calls = [{"index": i, "id": f"c{i}", "type": "function", "function": {"name": "f", "arguments": ""}} for i in range(2)]
    more = [{"index": i, "function": {"arguments": f'{{"n":{i}}}'}} for i in range(2)]
    data = chunks(
        {"role": "assistant", "reasoning_content": "hm"},
        {"content": "so"},
        {"tool_calls": [calls[0]]},
        {"tool_calls": [more[0]]},
        {"tool_calls": [calls[1]]},
        {"tool_calls": [more[1]]},
        reason="tool_calls",
    )
    for size in (1, 7, len(data)):
        translator = to(GPT).translator(asked(stream=True), GPT)
        out = b"".join(translator.feed(data[i : i + size]) for i in range(0, len(data), size)) + translator.end()
        assert (translator.finished, translator.fault) == (True, None)
        message = added_up(told(out))
        assert message["content"] == [
            {"type": "thinking", "thinking": "hm", "signature": UNSIGNED},
            {"type": "text", "text": "so"},
            {"type": "tool_use", "id": "c0", "name": "f", "input": {"n": 0}},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {"n": 1}},
        ]
        assert message["stop_reason"] == "tool_use"
        assert message["usage"] == {"input_tokens": 4, "cache_read_input_tokens": 5, "output_tokens": 3}


def test_a_cut_reply_has_no_end() -> None:
    translator = to(GPT).translator(asked(stream=True), GPT)
    data = chunks({"content": "so"}).partition(b"data: [DONE]")[0][:200]
    out = translator.feed(data) + translator.end()
    assert translator.fault is not None
    assert translator.fault.failure is Failure.TRUNCATED
    assert b"message_stop" not in out
    assert told(translator.interrupted(translator.fault))[0]["error"]["type"] == "api_error"


def test_whole_replies_and_failures() -> None:
    message = {"role": "assistant", "content": "Hello"}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-x", "usage": usage}
    translator = to(GPT).translator(asked(), GPT)
    whole = translator.whole(
        json.dumps({**body, "choices": [{"index": 0, "message": message, "finish_reason": "length"}]}).encode()
    )
    said = json.loads(whole)
    assert (said["content"], said["stop_reason"]) == ([{"type": "text", "text": "Hello"}], "max_tokens")
    assert said["usage"] == {"input_tokens": 9, "output_tokens": 3}
    translator = to(GPT).translator(asked(), GPT)
    assert translator.whole(b'{"error": {"message": "no", "code": "server_error"}}') == b""
    assert translator.fault is not None


def test_geminis_signatures_go_round() -> None:
    parts = [
        {"text": "so", "thoughtSignature": "S1"},
        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "c0"}, "thoughtSignature": "S2"},
    ]
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    candidate = {"content": {"parts": parts, "role": "model"}, "index": 0, "finishReason": "STOP"}
    reply = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-x", "responseId": "r"}
    translator = to(GEMINI).translator(asked(stream=True), GEMINI)
    message = added_up(told(translator.feed(b"data: " + json.dumps(reply).encode() + b"\r\n\r\n") + translator.end()))
    blocks = message["content"]
    assert [block["type"] for block in blocks] == ["text", "redacted_thinking", "redacted_thinking", "tool_use"]
    assert [blocks[1]["data"], blocks[2]["data"]] == [marked("S1", before=False), marked("S2", before=True)]
    result = {"type": "tool_result", "tool_use_id": "c0", "content": "snow"}
    again = turns("Hi", blocks, [result])
    back = sent(again, GEMINI)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in back] == ["S1", "S2"]
    assert back[1]["functionCall"]["args"] == {"a": 1}
    assert "fastroute" not in json.dumps(sent(again, GPT))
    assert sent(again, CLAUDE)["messages"][1]["content"] == [blocks[0], blocks[3]]


class Fixed:
    """A translator that tells an OpenAI client what it is fed."""

    content_started = finished = True
    fault = usage = None
    output_tokens_seen = 0

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""

    def whole(self, body: bytes) -> bytes:
        return body

    def interrupted(self, fault: Any) -> bytes:
        return b""


def test_signed_reasoning_of_claudes_behind_other_dialects_goes_round() -> None:
    """Bedrock's, for one: the dialect tells it to an OpenAI client as thinking blocks, and takes it back as such."""
    blocks = [
        {"type": "thinking", "thinking": "one", "signature": "S1"},
        {"type": "redacted_thinking", "data": "XX"},
        {"type": "thinking", "thinking": "two", "signature": "S2"},
    ]
    deltas: list[dict[str, Any]] = [
        {"reasoning_content": "o"},
        {"reasoning_content": "ne"},
        *({"thinking_blocks": [{"index": i, **block}]} for i, block in enumerate(blocks[:2])),
        {"reasoning_content": "two", "thinking_blocks": [{"index": 2, **blocks[2]}]},
        {"content": "so"},
    ]
    streamed = added_up(told(messages_retold(Fixed(), asked(stream=True), "m").feed(chunks(*deltas))))
    assert streamed["content"] == [*blocks, {"type": "text", "text": "so"}]
    message = {"role": "assistant", "content": "so", "reasoning_content": "onetwo", "thinking_blocks": blocks}
    body = {"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    whole = json.loads(messages_retold(Fixed(), asked(), "m").whole(json.dumps(body).encode()))
    assert whole["content"] == streamed["content"]
    back = json.loads(bytes(messages_as_chat(turns("Hi", whole["content"], "go on"), "bedrock_converse").fields["messages"]))
    assert back[1] == {"role": "assistant", "content": "so", "thinking_blocks": blocks}


@pytest.mark.parametrize(("dialect", "effort"), [("openai_chat", b'"high"'), ("openai_responses", b'"high"'), ("gemini", None)])
def test_a_budget_is_an_effort_where_budgets_are_unknown(dialect: str, effort: bytes | None) -> None:
    fields = messages_as_chat(asked(thinking={"type": "enabled", "budget_tokens": 20_000}), dialect).fields
    assert (bytes(fields["reasoning_effort"]) if "reasoning_effort" in fields else None) == effort
    assert ("thinking" in fields) == (effort is None)
