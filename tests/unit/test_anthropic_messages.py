"""The dialect as the engine sees it: URL, headers, faults, and a translator for an OpenAI client."""

import json
from typing import Any

import msgspec
import pytest

from fastroute.core.failures import Failure, FaultError
from fastroute.core.ports import Dialect
from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.anthropic_messages import AnthropicDialect
from fastroute.dialects.anthropic_names import tool_name
from fastroute.dialects.openai_chat import OpenAIChatApi

NOW_S = 1_700_000_000.0
DIALECT = AnthropicDialect(lambda: NOW_S)
Json = dict[str, Any]


def request(**body: Any) -> ChatRequest:
    members: Json = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]} | body
    return OpenAIChatApi().decode(msgspec.json.encode(members), "r", 0.0)


def endpoint(
    *, auth: str = "x-api-key", key: str | None = "secret-key", headers: Any = (), own: Any = (), query: Any = ()
) -> Endpoint:
    profile = Profile("anthropic", "anthropic_messages", "/v1/messages", auth=auth, headers=headers)
    return Endpoint("e", "p", profile, "https://api.example", "claude-sonnet-4-5", key=key, headers=own, query=query)


def sent_headers(target: Endpoint, **body: Any) -> dict[str, str]:
    return dict(DIALECT.encode(request(**body), target).headers)


def test_it_is_a_dialect() -> None:
    dialect: Dialect = DIALECT
    assert dialect.name == "anthropic_messages"


def test_url_and_body() -> None:
    sent = DIALECT.encode(request(), endpoint())
    assert (sent.method, sent.url) == ("POST", "https://api.example/v1/messages")
    assert json.loads(sent.body)["messages"] == [{"role": "user", "content": "hi"}]
    assert DIALECT.encode(request(), endpoint(query=(("beta", "true"),))).url.endswith("/v1/messages?beta=true")


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ("x-api-key", "x-api-key", "secret-key"),
        ("bearer", "authorization", "Bearer secret-key"),
        ("api-key", "api-key", "secret-key"),
    ],
)
def test_auth(auth: str, name: str, value: str) -> None:
    headers = sent_headers(endpoint(auth=auth))
    assert headers[name] == value
    assert sum("secret-key" in v for v in headers.values()) == 1
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("target", [endpoint(auth="none"), endpoint(key=None)])
def test_no_key_no_header(target: Endpoint) -> None:
    assert not {"x-api-key", "authorization", "api-key"} & sent_headers(target).keys()


def test_a_pasted_key_loses_its_line_end_and_nothing_worse_is_sent() -> None:
    assert sent_headers(endpoint(key="secret-key\n"))["x-api-key"] == "secret-key"
    with pytest.raises(FaultError) as caught:
        sent_headers(endpoint(key="secret\r\nx-evil: 1"))
    assert caught.value.fault.failure is Failure.AUTH
    assert "secret" not in caught.value.fault.message


def test_streams_are_accepted_as_such() -> None:
    assert sent_headers(endpoint(), stream=True)["accept"] == "text/event-stream"
    assert sent_headers(endpoint())["accept"] == "application/json"


def test_betas_are_joined() -> None:
    target = endpoint(headers=(("Anthropic-Beta", "a-1, b-2"),), own=(("anthropic-beta", "c-3,a-1"), ("X-Own", "1")))
    headers = sent_headers(target)
    assert headers["anthropic-beta"] == "a-1,b-2,c-3"
    assert headers["x-own"] == "1"
    assert "anthropic-beta" not in sent_headers(endpoint())


def test_the_operators_version_wins() -> None:
    assert sent_headers(endpoint(own=(("Anthropic-Version", "2026-01-01"),)))["anthropic-version"] == "2026-01-01"


def test_what_was_dropped_can_be_asked() -> None:
    assert DIALECT.translate(request(seed=5, presence_penalty=1), endpoint()).dropped == ("seed", "presence_penalty")


def test_other_clients_are_refused() -> None:
    with pytest.raises(FaultError) as caught:
        DIALECT.encode(ChatRequest("r", "smoke_signals", "auto", {}, 0.0, 1), endpoint())
    assert caught.value.fault.failure is Failure.UNSUPPORTED


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": [" "]}, "stop"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}]}, "tools[1]"),
    ],
)
def test_refusals_name_the_clients_field(body: Json, param: str) -> None:
    with pytest.raises(FaultError) as caught:
        DIALECT.encode(request(**body), endpoint())
    assert (caught.value.fault.failure, caught.value.fault.param) == (Failure.UNSUPPORTED, param)


# --- faults -----------------------------------------------------------------------------------------------------------


def error(kind: str, message: str = "Words") -> bytes:
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


@pytest.mark.parametrize(
    ("status", "kind", "failure"),
    [
        (400, "invalid_request_error", Failure.BAD_REQUEST),
        (401, "authentication_error", Failure.AUTH),
        (402, "billing_error", Failure.QUOTA_EXHAUSTED),
        (403, "permission_error", Failure.AUTH),
        (404, "not_found_error", Failure.NOT_FOUND),
        (413, "request_too_large", Failure.BAD_REQUEST),
        (429, "rate_limit_error", Failure.RATE_LIMITED),
        (500, "api_error", Failure.SERVER_ERROR),
        (504, "timeout_error", Failure.SERVER_ERROR),
        (529, "overloaded_error", Failure.OVERLOADED),
    ],
)
def test_every_documented_error(status: int, kind: str, failure: Failure) -> None:
    fault = DIALECT.fault(status, {}, error(kind))
    assert (fault.failure, fault.status, fault.type, fault.message) == (failure, status, kind, "Words")


@pytest.mark.parametrize(
    ("status", "message", "failure"),
    [
        (400, "prompt is too long: 208310 tokens > 200000 maximum", Failure.CONTEXT_LENGTH),
        (400, "Your credit balance is too low to access the Anthropic API.", Failure.QUOTA_EXHAUSTED),
        (400, "Output blocked by content filtering policy", Failure.CONTENT_FILTER),
    ],
)
def test_errors_told_by_their_text(status: int, message: str, failure: Failure) -> None:
    assert DIALECT.fault(status, {}, error("invalid_request_error", message)).failure is failure


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_hints(headers: dict[str, str], seconds: float | None) -> None:
    for status in (408, 409, 429, 503, 529):
        assert DIALECT.fault(status, headers, error("rate_limit_error")).retry_after_s == seconds
    assert DIALECT.fault(400, headers, error("invalid_request_error")).retry_after_s is None


@pytest.mark.parametrize(
    ("status", "told", "failure"),
    [
        (429, "false", Failure.QUOTA_EXHAUSTED),
        (429, "true", Failure.RATE_LIMITED),
        (400, "true", Failure.SERVER_ERROR),
        (400, "false", Failure.BAD_REQUEST),
        (529, "false", Failure.OVERLOADED),
        (401, "true", Failure.AUTH),
    ],
)
def test_the_provider_knows_whether_to_retry(status: int, told: str, failure: Failure) -> None:
    kind = "authentication_error" if status == 401 else "new_error"
    assert DIALECT.fault(status, {"x-should-retry": told}, error(kind)).failure is failure


@pytest.mark.parametrize(
    "body", [b"", b"<html><body>502 Bad Gateway</body></html>", b"\xff\xfe", b"[]", b'{"error": 5}', b"x" * 100_000]
)
def test_any_body_gives_a_fault(body: bytes) -> None:
    fault = DIALECT.fault(502, {}, body)
    assert fault.failure is Failure.SERVER_ERROR
    assert 0 < len(fault.message) < 2100


def test_keys_are_scrubbed() -> None:
    fault = DIALECT.fault(401, {}, error("authentication_error", "invalid x-api-key: sk-ant-api03-abcdefghijklmnopqrstuv"))
    assert "abcdefghijklmnop" not in fault.message


# --- translators ------------------------------------------------------------------------------------------------------


def test_a_renamed_tool_finds_its_name_in_the_reply() -> None:
    asked = request(tools=[{"type": "function", "function": {"name": "a.b"}}, {"type": "function", "function": {"name": "c"}}])
    sent = json.loads(DIALECT.encode(asked, endpoint()).body)["tools"][0]["name"]
    assert sent == tool_name("a.b")
    content = [
        {"type": "tool_use", "id": "t", "name": sent, "input": {}},
        {"type": "tool_use", "id": "u", "name": "c", "input": {}},
    ]
    translator = DIALECT.translator(asked, endpoint())
    reply = {
        "id": "m",
        "model": "x",
        "content": content,
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    out = json.loads(translator.whole(msgspec.json.encode(reply)))
    assert [call["function"]["name"] for call in out["choices"][0]["message"]["tool_calls"]] == ["a.b", "c"]


def test_an_error_in_place_of_a_reply() -> None:
    translator = DIALECT.translator(request(), endpoint())
    assert translator.whole(error("overloaded_error", "Overloaded")) == b""
    assert translator.fault is not None
    assert translator.fault.failure is Failure.OVERLOADED


@pytest.mark.parametrize("tools", [None, [], [{}], [{"function": 5}], [{"type": "custom", "custom": {"name": "x"}}]])
def test_odd_tools_do_not_stop_a_translator(tools: Any) -> None:
    assert DIALECT.translator(request(tools=tools), endpoint()).usage is None
