"""OpenAI's chat completions, from the provider's side: requests read and checked, answers whole and as server-sent events."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fastroute.mock.answer import Answer, CallStart, Said, Token, Word
from fastroute.mock.ask import Ask, Rejected, Tool, content_texts, count_tokens
from fastroute.mock.dialect import Bill, Rendered, json_object
from fastroute.mock.openai_checks import check, invalid

_KINDS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}
_encode = msgspec.json.encode


class OpenAIChat:
    """The `openai_chat` dialect."""

    name = "openai_chat"
    chat_path = "/chat/completions"
    url_suffix = "/v1"

    def authorise(self, headers: Mapping[str, str], api_key: str | None) -> None:
        given = headers.get("authorization", "")
        if api_key is None and not given and "x-api-key" in headers:
            raise Rejected(401, "You didn't provide an API key in an Authorization header.", "invalid_request_error")
        if given and not given.startswith("Bearer "):
            raise Rejected(401, "The Authorization header must use Bearer auth.", "invalid_request_error")
        if api_key is not None and given != f"Bearer {api_key}":
            raise self.refusal(401)

    def read(self, headers: Mapping[str, str], body: bytes, strict: bool) -> Ask:
        parsed = json_object(body)
        if parsed is None:
            raise invalid("We could not parse the JSON body of your request.")
        check(parsed, strict)
        return _ask(parsed)

    def whole(self, ask: Ask, answer: Answer, bill: Bill) -> bytes:
        choices = [
            {
                "index": i,
                "message": _message(said),
                "logprobs": _logprobs([t for t in said.tokens if isinstance(t, Word)]) if ask.logprobs else None,
                "finish_reason": said.finish,
            }
            for i, said in enumerate(answer.said)
        ]
        return _encode({**_common(ask, answer, "chat.completion"), "choices": choices, "usage": _usage(bill)})

    def stream(self, ask: Ask, answer: Answer, bill: Bill) -> Rendered:
        common = _encode(_common(ask, answer, "chat.completion.chunk"))[:-1]
        start = b"data: " + common + b',"choices":['
        end = b'],"usage":null}\n\n' if ask.include_usage else b"]}\n\n"

        def event(choice: int, delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> bytes:
            member = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
            return start + _encode(member) + end

        role = {"role": "assistant", "content": "", "refusal": None}
        tail = [event(i, {}, said.finish) for i, said in enumerate(answer.said)]
        if ask.include_usage:
            tail.append(start + b'],"usage":' + _encode(_usage(bill)) + b"}\n\n")
        return Rendered(
            prelude=b"".join(event(i, role) for i in range(len(answer.said))),
            chunks=[event(i, _delta(t), logprobs=_stream_logprobs(ask, t)) for i, t in answer.interleaved()],
            tail=b"".join(tail) + b"data: [DONE]\n\n",
            filler=event(0, {"content": " and"}),
            error=b"data: " + self.error(self.refusal(500)) + b"\n\n",
            broken=start + b'{"index":0,"delta":{"content":"\n\n',
        )

    def refusal(self, status: int, message: str | None = None, code: str | None = None) -> Rejected:
        usual = ("server_error", None, "The server had an error while processing your request. Sorry about that!")
        kind, usual_code, text = _KINDS.get(status, usual if status >= 500 else _KINDS[400])
        return Rejected(status, message or text, code if code == "insufficient_quota" else kind, code or usual_code)

    def error(self, rejected: Rejected) -> bytes:
        told = {"message": rejected.message, "type": rejected.kind, "param": rejected.param, "code": rejected.code}
        return _encode({"error": told})

    def models(self, names: Sequence[str]) -> bytes:
        data = [{"id": name, "object": "model", "created": 1700000000, "owned_by": "mock"} for name in names]
        return _encode({"object": "list", "data": data})

    def other(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes | None:
        return None


def _ask(body: dict[str, Any]) -> Ask:
    messages, tools = body["messages"], body.get("tools") or []
    texts = [text for m in messages for text in _texts(m)]
    choice, stop = body.get("tool_choice") or "auto", body.get("stop") or ()
    limit = body.get("max_completion_tokens")
    return Ask(
        model=body["model"],
        transcript="\n".join(texts),
        input_tokens=count_tokens(*texts, *(_encode(t).decode() for t in tools)),
        stream=body.get("stream") is True,
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        max_output_tokens=body.get("max_tokens") if limit is None else limit,
        choices=body.get("n") or 1,
        tools=tuple(_tool(t) for t in tools),
        tool_mode=choice if isinstance(choice, str) else "named",
        named_tool=None if isinstance(choice, str) else (choice.get("function") or {}).get("name"),
        parallel=body.get("parallel_tool_calls") is not False,
        tool_results=_last_results(messages),
        schema=_wanted_schema(body.get("response_format") or {}),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        logprobs=body.get("logprobs") is True,
    )


def _texts(message: dict[str, Any]) -> list[str]:
    role = "system" if message["role"] == "developer" else message["role"]
    calls = [call["function"] for call in message.get("tool_calls") or []]
    called = [f"{f['name']} {f['arguments']}" for f in calls]
    return [role, *content_texts(message.get("content")), *called]


def _tool(tool: dict[str, Any]) -> Tool:
    definition = tool[tool["type"]]
    return Tool(definition["name"], definition.get("parameters") or {"type": "object"})


def _last_results(messages: list[dict[str, Any]]) -> tuple[str, ...]:
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        results.append("".join(content_texts(message["content"])))
    return tuple(reversed(results))


def _wanted_schema(wanted: dict[str, Any]) -> dict[str, Any] | None:
    if wanted.get("type") == "json_schema":
        return wanted["json_schema"].get("schema") or {"type": "object"}
    if wanted.get("type") == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    return None


def _common(ask: Ask, answer: Answer, kind: str) -> dict[str, Any]:
    created = int(time.time())
    return {
        "id": f"chatcmpl-{answer.id}",
        "object": kind,
        "created": created,
        "model": ask.model,
        "system_fingerprint": "fp_mock",
    }


def _message(said: Said) -> dict[str, Any]:
    calls = [
        {"id": f"call_{start.id}", "type": "function", "function": {"name": start.name, "arguments": arguments}}
        for start, arguments in said.calls
    ]
    message: dict[str, Any] = {"role": "assistant", "content": None if calls else said.text, "refusal": None, "annotations": []}
    return {**message, "tool_calls": calls} if calls else message


def _delta(token: Token) -> dict[str, Any]:
    if isinstance(token, Word):
        return {"content": token.text}
    if isinstance(token, CallStart):
        function = {"name": token.name, "arguments": ""}
        return {"tool_calls": [{"index": token.index, "id": f"call_{token.id}", "type": "function", "function": function}]}
    return {"tool_calls": [{"index": token.index, "function": {"arguments": token.text}}]}


def _logprobs(words: list[Word]) -> dict[str, Any]:
    content = [{"token": w.text, "logprob": -0.105, "bytes": list(w.text.encode()), "top_logprobs": []} for w in words]
    return {"content": content, "refusal": None}


def _stream_logprobs(ask: Ask, token: Token) -> dict[str, Any] | None:
    return _logprobs([token]) if ask.logprobs and isinstance(token, Word) else None


def _usage(bill: Bill) -> dict[str, Any]:
    return {
        "prompt_tokens": bill.input_tokens,
        "completion_tokens": bill.output_tokens,
        "total_tokens": bill.input_tokens + bill.output_tokens,
        "prompt_tokens_details": {"cached_tokens": bill.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
