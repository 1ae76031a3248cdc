"""The dialect as HTTP: addresses, keys, signatures, and what Bedrock says when it fails."""

import json

import pytest
from bedrock_support import DIALECT, chat, endpoint

from fastroute.core.failures import Failure, FaultError
from fastroute.dialects.bedrock_converse import BedrockDialect

ACCESS_KEY = "AKIDEXAMPLE:sec/ret+:tok=="


def headers_of(**changes) -> dict[str, str]:
    return dict(DIALECT.encode(chat(), endpoint(**changes)).headers)


def test_addresses() -> None:
    arn = "arn:aws:bedrock:us-east-1:123:inference-profile/us.anthropic.claude:0"
    place = endpoint(arn)
    path = "https://bedrock-runtime.us-east-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123%3Ainference-profile%2F"
    assert DIALECT.encode(chat(), place).url == path + "us.anthropic.claude%3A0/converse"
    assert DIALECT.encode(chat(stream=True), place).url == path + "us.anthropic.claude%3A0/converse-stream"
    assert DIALECT.encode(chat(stream=True), endpoint("m", query=(("a", "b"),))).url.endswith("/model/m/converse-stream?a=b")


def test_a_bearer_key() -> None:
    assert headers_of(key="abc") == {"content-type": "application/json", "authorization": "Bearer abc"}


def test_an_access_key_signs() -> None:
    headers = headers_of(auth="sigv4", key=ACCESS_KEY)
    assert headers["x-amz-security-token"] == "tok=="
    assert headers["x-amz-date"] == "20231114T221320Z"
    assert headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/us-east-1/bedrock/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="
    )
    assert "x-amz-security-token" not in headers_of(auth="sigv4", key="AKID:secret")


def test_each_attempt_has_its_own_time() -> None:
    times = iter((1_700_000_000.0, 1_700_000_300.0))
    dialect, place = BedrockDialect(lambda: next(times)), endpoint(auth="sigv4", key=ACCESS_KEY)
    first, second = (dict(dialect.encode(chat(), place).headers) for _ in range(2))
    assert first["x-amz-date"] != second["x-amz-date"]
    assert first["authorization"] != second["authorization"]


@pytest.mark.parametrize(
    ("base_url", "region", "expected"),
    [
        ("https://bedrock-runtime.eu-west-3.amazonaws.com", "us-east-1", "eu-west-3"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", None, "us-gov-west-1"),
        ("https://vpce-1-2.bedrock-runtime.us-west-2.vpce.amazonaws.com", None, "us-west-2"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", None, "cn-north-1"),
        ("http://127.0.0.1:8080", "ap-south-1", "ap-south-1"),
    ],
)
def test_regions(base_url: str, region: str | None, expected: str) -> None:
    assert f"/{expected}/bedrock/" in headers_of(auth="sigv4", key=ACCESS_KEY, base_url=base_url, region=region)["authorization"]


@pytest.mark.parametrize(
    "changes",
    [{"key": "only-one-part"}, {"key": ":secret"}, {"key": ""}, {"key": ACCESS_KEY, "base_url": "http://x"}, {"key": "a:b:c\nd"}],
)
def test_what_cannot_be_signed_is_told_without_secrets(changes: dict[str, str]) -> None:
    with pytest.raises(FaultError) as caught:
        headers_of(auth="sigv4", **changes)
    assert caught.value.fault.failure is Failure.AUTH
    assert not any(part and part in caught.value.fault.message for part in ("only-one-part", "sec/ret", "tok=="))


def test_own_headers_are_sent_and_signed() -> None:
    headers = headers_of(auth="sigv4", key=ACCESS_KEY, headers=(("X-Amzn-Bedrock-Trace", "ENABLED"),))
    assert headers["x-amzn-bedrock-trace"] == "ENABLED"
    assert ";x-amzn-bedrock-trace," in headers["authorization"]


@pytest.mark.parametrize(
    ("status", "name", "message", "failure"),
    [
        (400, "ValidationException", "Malformed input request", Failure.BAD_REQUEST),
        (400, "ValidationException", "Input is too long for requested model.", Failure.CONTEXT_LENGTH),
        (400, "ValidationException", "prompt is too long: 250000 tokens > 200000 maximum", Failure.CONTEXT_LENGTH),
        (400, "ValidationException", "The provided model identifier is invalid.", Failure.NOT_FOUND),
        (400, "ValidationException", "Invocation with on-demand throughput isn\u2019t supported.", Failure.NOT_FOUND),
        (400, "ValidationException", "This model doesn't support tool use.", Failure.UNSUPPORTED),
        (400, "ServiceQuotaExceededException", "quota", Failure.QUOTA_EXHAUSTED),
        (403, "AccessDeniedException", "You don't have access to the model", Failure.AUTH),
        (403, "ExpiredTokenException", "expired", Failure.AUTH),
        (403, "InvalidSignatureException", "Signature expired", Failure.AUTH),
        (404, "ResourceNotFoundException", "gone", Failure.NOT_FOUND),
        (408, "ModelTimeoutException", "slow", Failure.SERVER_ERROR),
        (424, "ModelErrorException", "broke", Failure.SERVER_ERROR),
        (429, "ThrottlingException", "Too many requests", Failure.RATE_LIMITED),
        (429, "ThrottlingException", "Too many tokens per day", Failure.QUOTA_EXHAUSTED),
        (429, "ModelNotReadyException", "loading", Failure.OVERLOADED),
        (500, "InternalServerException", "oops", Failure.SERVER_ERROR),
        (503, "ServiceUnavailableException", "busy", Failure.OVERLOADED),
        (400, "ThrottlingException", "Rate exceeded", Failure.RATE_LIMITED),
    ],
)
def test_errors(status: int, name: str, message: str, failure: Failure) -> None:
    fault = DIALECT.fault(
        status, {"x-amzn-errortype": name + ":http://internal.amazon.com/"}, json.dumps({"message": message}).encode()
    )
    assert (fault.failure, fault.message, fault.type, fault.status) == (failure, message, name, status)


def test_other_shapes_of_errors() -> None:
    fault = DIALECT.fault(400, {}, b'{"__type": "com.amazon.coral#ThrottlingException", "Message": "slow down"}')
    assert (fault.failure, fault.message) == (Failure.RATE_LIMITED, "slow down")
    assert DIALECT.fault(502, {}, b"<html><h1>Bad Gateway</h1></html>").failure is Failure.SERVER_ERROR
    assert DIALECT.fault(403, {}, b"").failure is Failure.AUTH
    assert DIALECT.fault(429, {"retry-after": "7"}, b"{}").retry_after_s == 7.0


def test_endpoints_are_worked_out_once() -> None:
    place = endpoint(auth="bearer")
    assert DIALECT.encode(chat(), place).headers is DIALECT.encode(chat(), place).headers
