"""Requests put to an OpenAI-style provider: the client's bytes, changed only where the profile asks for it."""

import json
from typing import Any

import pytest
from openai_support import ask, endpoint, streaming

from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import ChatRequest, Endpoint, UpstreamRequest
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.openai_dialect import OpenAIDialect
from fastroute.dialects.openai_relay import OpenAIRelay

Json = dict[str, Any]
DIALECT = OpenAIDialect(lambda: 90.0)


def sent(request: ChatRequest, to: Endpoint | None = None) -> Json:
    found: Json = json.loads(DIALECT.encode(request, to or endpoint()).body)
    return found


def headers(request: UpstreamRequest) -> dict[str, str]:
    assert len(dict(request.headers)) == len(request.headers), "no name twice"
    return dict(request.headers)


# --- the body -----------------------------------------------------------------------------------------------------------


def test_values_travel_byte_for_byte_and_in_order() -> None:
    raw = b'{"temperature": 1.0e0,"model":"auto","messages":[ {"role":"user","content":"\\u00e9\\/"} ],"x":{"b":1 ,"a":2}}'
    request = OpenAIChatApi().decode(raw, "r", 0.0)
    assert DIALECT.encode(request, endpoint()).body == (
        b'{"temperature":1.0e0,"model":"m-1","messages":[ {"role":"user","content":"\\u00e9\\/"} ],"x":{"b":1 ,"a":2}}'
    )


def test_the_model_is_the_endpoints() -> None:
    assert sent(ask(), endpoint(model='odd"/név'))["model"] == 'odd"/név'


def test_the_clients_request_is_not_changed() -> None:
    request = streaming(max_tokens=5, messages=[{"role": "developer", "content": "x"}])
    before = {name: bytes(raw) for name, raw in request.fields.items()}
    DIALECT.encode(request, endpoint({"max_tokens_field": "max_completion_tokens"}))
    assert {name: bytes(raw) for name, raw in request.fields.items()} == before


def test_a_usage_option_that_asks_already_travels_as_it_came() -> None:
    raw = b'{"model":"a","messages":[{"role":"user"}],"stream":true,"stream_options":{"include_usage": true}}'
    body = DIALECT.encode(OpenAIChatApi().decode(raw, "r", 0.0), endpoint()).body
    assert body == raw.replace(b'"model":"a"', b'"model":"m-1"')


@pytest.mark.parametrize("name", ["model", "mod\\u0065l"])
def test_the_model_is_the_endpoints_however_the_client_spells_it(name: str) -> None:
    raw = b'{"model":"a","messages":[{"role":"user","content":"\\"model\\":\\"a\\""}],"x":{"model":"a"},"%s":"b"}' % name.encode()
    request = OpenAIChatApi().decode(raw, "r", 0.0)
    assert request.model == "b"
    found = json.loads(DIALECT.encode(request, endpoint()).body, object_pairs_hook=list)
    assert [value for key, value in found if key == "model"] == ["m-1"]
    assert ("x", [("model", "a")]) in found


def test_requests_that_nobody_looked_through_may_have_a_developer() -> None:
    request = ask(messages=[{"role": "developer", "content": "x"}])
    request.has_developer = ChatRequest("r", "openai_chat", "auto", {}, 0.0, 1).has_developer
    assert sent(request)["messages"][0]["role"] == "system"


def test_our_own_members_stay_here_and_openrouters_travel() -> None:
    body = sent(ask(fastroute={"x": 1}, fastroute_tags="a", models=["a", "b"], provider={"order": ["x"]}, route="fallback"))
    assert body.keys() == {"model", "messages", "models", "provider", "route"}


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("max_tokens", {"max_tokens": 5}, {"max_tokens": 5}),
        ("max_tokens", {"max_completion_tokens": 5}, {"max_tokens": 5}),
        ("max_tokens", {"max_tokens": 5, "max_completion_tokens": 9}, {"max_tokens": 5}),
        ("max_tokens", {"max_tokens": None, "max_completion_tokens": 9}, {"max_tokens": 9}),
        ("max_completion_tokens", {"max_tokens": 5}, {"max_completion_tokens": 5}),
        ("max_completion_tokens", {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        ("either", {"max_tokens": 5, "max_completion_tokens": 9}, {"max_tokens": 5, "max_completion_tokens": 9}),
        ("max_tokens", {}, {}),
    ],
)
def test_the_output_limit_has_the_name_the_provider_takes(field: str, given: Json, expected: Json) -> None:
    body = sent(ask(given), endpoint({"max_tokens_field": field}))
    assert {name: value for name, value in body.items() if "tokens" in name} == expected


def test_streams_ask_for_usage() -> None:
    assert sent(streaming())["stream_options"] == {"include_usage": True}
    assert sent(ask(stream=True, stream_options={"include_usage": False, "x": 1}))["stream_options"] == {
        "include_usage": True,
        "x": 1,
    }
    assert sent(ask(stream=True, stream_options=None))["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent(ask())


def test_providers_that_refuse_the_option_are_spared_it() -> None:
    to = endpoint({"stream_usage": False})
    assert "stream_options" not in sent(streaming(usage=True), to)
    assert "stream_options" not in sent(streaming(), to)
    assert sent(ask(stream=True, stream_options={"include_usage": True, "x": 1}), to)["stream_options"] == {"x": 1}


def test_developer_is_system_where_the_provider_does_not_know_it() -> None:
    messages = [{"role": "developer", "content": 'a "developer" speaks'}, {"role": "user", "content": "developer"}]
    body = sent(ask(messages=messages))
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"] == 'a "developer" speaks'
    assert sent(ask(messages=messages), endpoint({"developer_role": True}))["messages"] == messages


def test_messages_without_a_developer_are_not_parsed_again() -> None:
    raw = b'{"model":"auto","messages":[ {"content":"the \\"developer\\" word" , "role":"user"}]}'
    body = DIALECT.encode(OpenAIChatApi().decode(raw, "r", 0.0), endpoint()).body
    assert json.loads(body)["messages"][0]["role"] == "user"


def test_clients_of_another_api_cannot_be_served() -> None:
    request = ask()
    request.api = "somebody_elses"
    with pytest.raises(FaultError) as caught:
        DIALECT.encode(request, endpoint())
    assert caught.value.fault.failure is Failure.UNSUPPORTED


# --- the address and its headers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query", "url"),
    [
        ("/chat/completions", (), "https://api.example/v1/chat/completions"),
        (
            "/d/{model}/chat",
            (("api-version", "2024-06-01"),),
            "https://api.example/v1/d/a%2Fb%20c%3F/chat?api-version=2024-06-01",
        ),
        ("/d/{deployment}/chat?x=1", (("y", "2 3"),), "https://api.example/v1/d/a%2Fb%20c%3F/chat?x=1&y=2+3"),
    ],
)
def test_urls(path: str, query: tuple[tuple[str, str], ...], url: str) -> None:
    to = endpoint({"chat_path": path}, query=query, model="a/b c?")
    found = DIALECT.encode(ask(), to)
    assert (found.url, found.method) == (url, "POST")


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ("bearer", "authorization", "Bearer sk-secret"),
        ("api-key", "api-key", "sk-secret"),
        ("x-api-key", "x-api-key", "sk-secret"),
        ("x-goog-api-key", "x-goog-api-key", "sk-secret"),
    ],
)
def test_keys(auth: str, name: str, value: str) -> None:
    assert headers(DIALECT.encode(ask(), endpoint({"auth": auth})))[name] == value


def test_no_key_no_header() -> None:
    for to in (endpoint({"auth": "none"}), endpoint(key=None), endpoint(key="")):
        assert headers(DIALECT.encode(ask(), to)).keys() == {"content-type", "accept"}


def test_accept_is_what_was_asked_for() -> None:
    assert headers(DIALECT.encode(ask(), endpoint()))["accept"] == "application/json"
    assert headers(DIALECT.encode(streaming(), endpoint()))["accept"] == "text/event-stream"


def test_the_profiles_and_the_endpoints_headers_replace_ours() -> None:
    to = endpoint({"headers": (("X-One", "1"), ("X-Two", "2"))}, headers=(("x-two", "two"), ("Accept", "*/*")))
    found = headers(DIALECT.encode(ask(), to))
    assert (found["x-one"], found["x-two"], found["accept"]) == ("1", "two", "*/*")


def test_a_key_pasted_with_its_line_end_still_works() -> None:
    assert headers(DIALECT.encode(ask(), endpoint(key=" sk-secret\r\n")))["authorization"] == "Bearer sk-secret"


@pytest.mark.parametrize(
    "to",
    [
        endpoint(key="sk-se\r\nX-Evil: 1"),
        endpoint(headers=(("x-a", "1\nX-Evil: 1"),)),
        endpoint(headers=(("x-a\r\nX-Evil", "1"),)),
        endpoint(headers=(("x-a", "\x00"),)),
        endpoint(headers=(("x-a", "snow ☃"),)),
    ],
)
def test_headers_cannot_be_broken_apart(to: Endpoint) -> None:
    with pytest.raises(FaultError) as caught:
        DIALECT.encode(ask(), to)
    assert "Evil" not in caught.value.fault.message or "x-a" in caught.value.fault.message
    assert "secret" not in caught.value.fault.message
    assert caught.value.fault.rule.failover, "another endpoint may serve"


def test_address_and_headers_are_the_same_objects_every_time() -> None:
    """A transport may know a request's head by them."""
    one, other = endpoint(), endpoint(key="another")
    first, again, stream = DIALECT.encode(ask(), one), DIALECT.encode(ask(), one), DIALECT.encode(streaming(), one)
    assert first.url is again.url is stream.url
    assert first.headers is again.headers
    assert DIALECT.encode(streaming(), one).headers is stream.headers != first.headers
    assert headers(DIALECT.encode(ask(), other))["authorization"] == "Bearer another"
    assert DIALECT.encode(ask(), one).headers is first.headers


# --- the reply ----------------------------------------------------------------------------------------------------------


def test_faults_know_the_time() -> None:
    fault = DIALECT.fault(429, {"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, b"")
    assert (fault.failure, fault.retry_after_s) == (Failure.RATE_LIMITED, 10.0)


def test_the_translator_is_a_relay() -> None:
    translator = DIALECT.translator(ask(), endpoint())
    assert isinstance(translator, OpenAIRelay)
    assert (translator.content_started, translator.finished, translator.fault, translator.usage) == (False, False, None, None)
