"""What providers say when they fail: any shape of body, hints to wait, and no credential passed on."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Usage
from fastroute.dialects.openai_faults import (
    embedded_fault,
    error_event,
    error_object,
    read_complaint,
    reply_fault,
    retry_hint_s,
    scrubbed,
    unreadable_fault,
)

Json = dict[str, Any]


def fault(status: int, body: Any, **headers: str) -> Fault:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return reply_fault(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def error(message: str = "no", **members: Any) -> Json:
    return {"error": {"message": message, **members}}


# --- shapes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "failure", "message"),
    [
        (401, error("Incorrect API key", code="invalid_api_key"), Failure.AUTH, "Incorrect API key"),
        (404, error("The model `x` does not exist", code="model_not_found"), Failure.NOT_FOUND, "The model `x` does not exist"),
        (429, error("slow down", code="rate_limit_exceeded"), Failure.RATE_LIMITED, "slow down"),
        (429, error("pay", type="insufficient_quota", code="insufficient_quota"), Failure.QUOTA_EXHAUSTED, "pay"),
        (400, error("too long", code="context_length_exceeded"), Failure.CONTEXT_LENGTH, "too long"),
        (400, error("This model's maximum context length is 10"), Failure.CONTEXT_LENGTH, "This model's maximum context length"),
        (400, error("n_ctx", type="exceed_context_size_error", code=400), Failure.CONTEXT_LENGTH, "n_ctx"),
        # Azure: the status as a text, and the filter's detail inside
        (401, error("Access denied", code="401"), Failure.AUTH, "Access denied"),
        (404, error("no such", code="DeploymentNotFound"), Failure.NOT_FOUND, "no such"),
        (400, error("filtered", code="content_filter", innererror={"code": "x"}), Failure.CONTENT_FILTER, "filtered"),
        (400, error("bad", innererror={"code": "ResponsibleAIPolicyViolation"}), Failure.CONTENT_FILTER, "bad"),
        # xAI: the error is a text, and a wrong key is a 400
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided"}, Failure.AUTH, "Incorrect API key provided"),
        (400, {"code": "Client specified an invalid argument", "error": "bad n"}, Failure.BAD_REQUEST, "bad n"),
        # Gemini: in an array, and a wrong key is a 400
        (400, [error("API key not valid", code=400, status="INVALID_ARGUMENT")], Failure.AUTH, "API key not valid"),
        (
            400,
            error("Bad", code=400, status="INVALID_ARGUMENT", details=[{"reason": "API_KEY_INVALID"}]),
            Failure.AUTH,
            "Bad",
        ),
        (429, error("quota", code=429, status="RESOURCE_EXHAUSTED"), Failure.RATE_LIMITED, "quota"),
        # Mistral, vLLM: FastAPI's `detail`
        (401, {"detail": "Unauthorized"}, Failure.AUTH, "Unauthorized"),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "must be > 0", "type": "gt"}]}, Failure.BAD_REQUEST, "n: must be > 0"),
        (400, {"object": "error", "message": "Bad role", "type": "invalid", "code": "1"}, Failure.BAD_REQUEST, "Bad role"),
        (400, {"detail": {"message": "inner"}}, Failure.BAD_REQUEST, "inner"),
        # Groq, Cohere, Ollama, Perplexity, Cloudflare
        (400, error("x", code="tool_use_failed", failed_generation="{"), Failure.GENERATION_FAILED, "x"),
        (400, {"id": "1", "message": "too many tokens: 5"}, Failure.CONTEXT_LENGTH, "too many tokens: 5"),
        (404, {"error": "model 'x' not found"}, Failure.NOT_FOUND, "model 'x' not found"),
        (400, error("long", type="too_many_prompt_tokens", code=400), Failure.CONTEXT_LENGTH, "long"),
        (403, {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]}, Failure.AUTH, "Authentication"),
        (402, error("Insufficient Balance"), Failure.QUOTA_EXHAUSTED, "Insufficient Balance"),
        # OpenRouter: what the provider behind it said
        (
            502,
            error("Provider returned error", code=502, metadata={"raw": "boom"}),
            Failure.SERVER_ERROR,
            "Provider returned error: b",
        ),
        (403, error("flagged", code=403, metadata={"reasons": ["violence"]}), Failure.CONTENT_FILTER, "flagged"),
        (503, error("busy"), Failure.OVERLOADED, "busy"),
        (529, error("busy", type="overloaded_error"), Failure.OVERLOADED, "busy"),
        (500, error("x", code="invalid_api_key"), Failure.SERVER_ERROR, "x"),
    ],
)
def test_shapes_of_every_provider(status: int, body: Any, failure: Failure, message: str) -> None:
    found = fault(status, body)
    assert found.failure is failure
    assert found.message.startswith(message)
    assert found.status == status


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<!DOCTYPE html><html><head><style>a{}</style></head><h1>502 Bad  Gateway</h1></html>", "502 Bad Gateway"),
        (b"upstream connect error", "upstream connect error"),
        (b"", "the provider answered 502 with no message"),
        (b"null", "the provider answered 502 with no message"),
        (b"{}", "the provider answered 502 with no message"),
        (b"[]", "[]"),
        (b'"just text"', "just text"),
        (b"\xff\xfe\x00", "��"),
    ],
)
def test_bodies_that_are_no_error_object(body: bytes, message: str) -> None:
    found = fault(502, body)
    assert found.failure is Failure.SERVER_ERROR
    assert found.message.replace("\x00", "").startswith(message)


def test_members_are_kept() -> None:
    found = fault(400, error("bad", type="invalid_request_error", param="messages[0]", code="invalid_value"))
    assert (found.type, found.param, found.code) == ("invalid_request_error", "messages[0]", "invalid_value")
    assert fault(429, error("x", code=429)).code is None, "a status in the code's place is none"


def test_long_texts_are_cut() -> None:
    assert len(fault(500, b"x" * 100_000).message) == 2048
    assert len(fault(500, error("y" * 100_000)).message) == 2048


@given(st.integers(400, 599), st.binary(max_size=80))
def test_any_bytes_give_a_fault(status: int, body: bytes) -> None:
    assert reply_fault(status, {}, body).status == status
    assert embedded_fault(body).message


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "type", "detail", "details", "metadata", "loc", "msg", "innererror", "raw"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.integers(400, 599), JSONS)
def test_any_json_gives_a_fault(status: int, body: Any) -> None:
    found = fault(status, body)
    assert found.status == status
    assert all(value is None or isinstance(value, str) for value in (found.type, found.code, found.param))
    assert embedded_fault(json.dumps(body).encode()).message


def test_nesting_without_end_is_only_text() -> None:
    deep = b'{"error":' * 3000 + b"1" + b"}" * 3000
    assert fault(500, deep).failure is Failure.SERVER_ERROR
    assert fault(500, b"[" * 900 + b"]" * 900).failure is Failure.SERVER_ERROR


# --- credentials --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcDEF123456",
        "sk-ant-api03-AAAA_BBBB-cc",
        "gsk_abcdefghijklmnop",
        "xai-abcdefghijkl",
        "AIzaSyA1234567890abcdef",
        "pplx-0123456789abcdef",
        "sk-ab***************yz",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    ],
)
def test_keys_do_not_get_through(secret: str) -> None:
    for text in (f"Incorrect API key provided: {secret}.", f"key {secret} is bad", f"Authorization: Bearer {secret}"):
        assert secret not in scrubbed(text)
        assert secret not in fault(401, error(text)).message
        assert secret not in fault(401, text.encode()).message


@pytest.mark.parametrize(
    "text",
    [
        "API key provided: my-very-own-token-77.",
        "Bearer my-very-own-token-77 was refused",
        "url https://x/v1?key=my-very-own-token-77&alt=sse",
        "api_key=my-very-own-token-77",
        "api-key: 'my-very-own-token-77'",
    ],
)
def test_keys_without_a_known_form_do_not_get_through_where_named(text: str) -> None:
    assert "my-very-own-token-77" not in scrubbed(text)
    assert "[redacted]" in scrubbed(text)


def test_ordinary_texts_stay() -> None:
    text = "The model `gpt-4o-mini-2024-07-18` does not exist. Ask for max_tokens: 100, see https://example.com/task-force."
    assert scrubbed(text) == text


# --- hints to wait ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),  # seen at Azure
        ({"retry-after-ms": "junk", "retry-after": "2"}, 2.0),
        ({"retry-after": "100000"}, 120.0),
        ({"retry-after-ms": "99999999"}, 120.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "٣"}, None),
        ({}, None),
    ],
)
def test_hints(headers: dict[str, str], expected_s: float | None) -> None:
    assert retry_hint_s(headers) == expected_s


def test_a_date_counts_from_the_providers_own_clock() -> None:
    headers = {"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    assert retry_hint_s(headers, now_wall_s=0.0) == 30.0
    assert retry_hint_s({**headers, "retry-after": "Wed, 21 Oct 2026 09:28:00 GMT"}) == 120.0
    assert retry_hint_s({**headers, "retry-after": "Wed, 21 Oct 2026 07:27:00 GMT"}) is None, "gone by"


def test_a_date_counts_from_our_clock_where_the_provider_gives_none() -> None:
    headers = {"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}
    assert retry_hint_s(headers, now_wall_s=90.0) == 10.0
    assert retry_hint_s(headers) is None


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
def test_hints_are_read_where_the_status_can_pass(status: int) -> None:
    assert fault(status, error(), retry_after="4").retry_after_s == 4.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_hints_are_not_read_elsewhere(status: int) -> None:
    assert fault(status, error(), retry_after="4").retry_after_s is None


def test_geminis_hint_is_in_the_body() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "29.5s"}]
    assert fault(429, error("x", code=429, details=details)).retry_after_s == 29.5
    assert fault(429, error("x", details=details), retry_after="3").retry_after_s == 3.0
    assert fault(429, error("x", details=[{"retryDelay": "9999s"}])).retry_after_s == 120.0
    assert fault(429, error("x", details=[{"retryDelay": "soon"}, 7])).retry_after_s is None


# --- inside a 200 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "failure", "status"),
    [
        (error("x", code=429), Failure.RATE_LIMITED, 429),
        (error("x", code=502), Failure.SERVER_ERROR, 502),
        (error("x", code="529"), Failure.OVERLOADED, 529),
        (error("x", code="tool_use_failed", status_code=400), Failure.GENERATION_FAILED, 400),
        (error("x", type="overloaded_error"), Failure.OVERLOADED, 400),
        (error("x", code="context_length_exceeded"), Failure.CONTEXT_LENGTH, 400),
        (error("x", type="invalid_request_error"), Failure.BAD_REQUEST, 400),
        (error("x", status="UNAVAILABLE"), Failure.OVERLOADED, 503),
        (error("something broke"), Failure.SERVER_ERROR, 500),
        ({"error": "text only"}, Failure.SERVER_ERROR, 500),
        ({"message": "bare"}, Failure.SERVER_ERROR, 500),
    ],
)
def test_embedded_errors_are_classified_by_their_own_words(body: Json, failure: Failure, status: int) -> None:
    found = embedded_fault(json.dumps(body).encode())
    assert (found.failure, found.status) == (failure, status)


def test_an_embedded_error_without_a_word_has_one() -> None:
    assert embedded_fault(b"").message
    assert embedded_fault(b"").failure is Failure.SERVER_ERROR


def test_a_complaint_is_read_once_for_all() -> None:
    said = read_complaint(b'{"error":{"message":"m","type":"t","code":"c","param":"p","status":"ABORTED"}}')
    assert (said.message, said.type, said.code, said.param, said.labels) == ("m", "t", "c", "p", ("ABORTED",))


# --- OpenAI's shape -----------------------------------------------------------------------------------------------------


def test_faults_as_error_objects() -> None:
    assert error_object(Fault(Failure.BAD_REQUEST, "bad", type="invalid_request_error", code="invalid_type", param="n")) == {
        "message": "bad",
        "type": "invalid_request_error",
        "param": "n",
        "code": "invalid_type",
    }
    assert error_object(Fault(Failure.BAD_REQUEST, "bad"))["code"] is None
    assert error_object(Fault(Failure.CONTEXT_LENGTH, "long"))["code"] == "context_length_exceeded"
    assert error_object(Fault(Failure.DEADLINE, "late")) == {
        "message": "late",
        "type": "server_error",
        "param": None,
        "code": "deadline",
    }
    assert error_object(Fault(Failure.OVERLOADED, "x", type="overloaded_error"))["type"] == "server_error"


def test_the_event_that_ends_a_broken_stream() -> None:
    event = error_event(Fault(Failure.STALL, "nothing came"), Usage(10, 5, estimated=True))
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    error = json.loads(event[6:])["error"]
    assert error["message"] == "nothing came"
    assert error["usage"]["completion_tokens"] == 5
    assert json.loads(error_event(Fault(Failure.STALL, "x"), None)[6:])["error"]["usage"] is None


def test_an_event_that_is_no_chunk() -> None:
    listed = unreadable_fault(b' [{"error":{"code":503,"message":"boom","status":"UNAVAILABLE"}}]')
    assert (listed.message, listed.failure) == ("boom", Failure.OVERLOADED)
    assert unreadable_fault(b"<html>").failure is Failure.MALFORMED
