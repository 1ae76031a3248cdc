"""`core.failures`: every provider's way of failing has its class, and every class its consequences."""

import json
from pathlib import Path
from typing import Any

import pytest

from fastroute.core.failures import RULES, Blame, Failure, Fault, FaultError, classify

F = Failure


@pytest.mark.parametrize(
    ("status", "labels", "message", "failure"),
    [
        # OpenAI
        (401, ("invalid_api_key", "invalid_request_error"), "Incorrect API key provided: x.", F.AUTH),
        (404, ("model_not_found", "invalid_request_error"), "The model `x` does not exist", F.NOT_FOUND),
        (429, ("rate_limit_exceeded", "requests"), "Rate limit reached", F.RATE_LIMITED),
        (429, ("insufficient_quota", "insufficient_quota"), "You exceeded your current quota", F.QUOTA_EXHAUSTED),
        (400, ("context_length_exceeded", "invalid_request_error"), "too long", F.CONTEXT_LENGTH),
        (400, ("unknown_parameter", "invalid_request_error"), "Unknown parameter: 'x'.", F.BAD_REQUEST),
        (400, (None, "invalid_request_error"), "-1 is less than the minimum of 1", F.BAD_REQUEST),
        (400, ("content_policy_violation", "invalid_request_error"), "rejected", F.CONTENT_FILTER),
        (500, ("server_error", "server_error"), "The server had an error", F.SERVER_ERROR),
        (503, (None, None), "The engine is currently overloaded", F.OVERLOADED),
        # Azure
        (401, ("401",), "Access denied due to invalid subscription key", F.AUTH),
        (404, ("DeploymentNotFound",), "The API deployment does not exist", F.NOT_FOUND),
        (429, ("RateLimitReached",), "have exceeded rate limit", F.RATE_LIMITED),
        (429, ("429",), "Requests have exceeded call rate limit", F.RATE_LIMITED),
        (400, ("content_filter",), "The response was filtered", F.CONTENT_FILTER),
        # Anthropic
        (400, ("invalid_request_error",), "max_tokens: field required", F.BAD_REQUEST),
        (400, ("invalid_request_error",), "prompt is too long: 210000 tokens > 200000 maximum", F.CONTEXT_LENGTH),
        (401, ("authentication_error",), "invalid x-api-key", F.AUTH),
        (402, ("billing_error",), "payment required", F.QUOTA_EXHAUSTED),
        (403, ("permission_error",), "not allowed", F.AUTH),
        (404, ("not_found_error",), "model: x", F.NOT_FOUND),
        (413, ("request_too_large",), "Request exceeds the maximum size", F.BAD_REQUEST),
        (429, ("rate_limit_error",), "would exceed your rate limit", F.RATE_LIMITED),
        (500, ("api_error",), "Internal server error", F.SERVER_ERROR),
        (504, ("timeout_error",), "timed out", F.SERVER_ERROR),
        (529, ("overloaded_error",), "Overloaded", F.OVERLOADED),
        # Gemini, Vertex
        (403, ("PERMISSION_DENIED",), "Method doesn't allow unregistered callers", F.AUTH),
        (404, ("NOT_FOUND",), "models/x is not found", F.NOT_FOUND),
        (429, ("RESOURCE_EXHAUSTED",), "Quota exceeded, please retry in 29s", F.RATE_LIMITED),
        # Bedrock
        (400, ("ValidationException",), "The provided model identifier is invalid.", F.BAD_REQUEST),
        (403, ("AccessDeniedException",), "You don't have access to the model", F.AUTH),
        (408, ("ModelTimeoutException",), "", F.SERVER_ERROR),
        (424, ("ModelErrorException",), "", F.SERVER_ERROR),
        (429, ("ThrottlingException",), "Too many requests", F.RATE_LIMITED),
        (429, ("ModelNotReadyException",), "", F.RATE_LIMITED),
        (503, ("ServiceUnavailableException",), "", F.OVERLOADED),
        # Cohere
        (400, ("TOO_MANY_TOKENS",), "too many tokens: size limit exceeded by 25836 tokens.", F.CONTEXT_LENGTH),
        (498, (), "invalid token", F.AUTH),
        (499, (), "request cancelled", F.SERVER_ERROR),
        (501, (), "not implemented", F.SERVER_ERROR),
        # the others
        (400, ("tool_use_failed", "invalid_request_error"), "Tool call validation failed", F.GENERATION_FAILED),  # Groq
        (402, (), "Insufficient Balance", F.QUOTA_EXHAUSTED),  # DeepSeek
        (422, (), "Invalid Parameters", F.BAD_REQUEST),  # DeepSeek, Mistral
        (429, ("429",), "Provider returned error", F.RATE_LIMITED),  # OpenRouter
        (400, ("400", "too_many_prompt_tokens"), "The total length of all messages is too long.", F.CONTEXT_LENGTH),  # Perplexity
        (401, ("401", "invalid_api_key"), "Invalid API key provided.", F.AUTH),  # Perplexity
        (400, (None, "invalid_request_error"), "prompt too long; exceeded max context length", F.CONTEXT_LENGTH),  # Ollama
        (404, (), "model 'x' not found", F.NOT_FOUND),  # Ollama
        (400, ("400", "exceed_context_size_error"), "exceeds the available context size", F.CONTEXT_LENGTH),  # llama.cpp
        (400, (None, "BadRequestError"), "This model's maximum context length is 4096 tokens.", F.CONTEXT_LENGTH),  # vLLM
        # gateways and CDNs
        (502, (), "<html>Bad Gateway</html>", F.SERVER_ERROR),
        (503, (), "", F.OVERLOADED),
        (524, (), "A timeout occurred", F.SERVER_ERROR),
    ],
)
def test_how_providers_fail(status: int, labels: tuple[str | None, ...], message: str, failure: Failure) -> None:
    assert classify(status, *labels, message=message) is failure


@pytest.mark.parametrize("label", ["insufficient_quota", "invalid_request_error", "context_length_exceeded", "content_filter"])
@pytest.mark.parametrize("status", [500, 502, 504])
def test_nothing_overrules_a_server_error(status: int, label: str) -> None:
    """A gateway that cannot place a request may call it invalid: no verdict on the request, another endpoint may serve it."""
    assert classify(status, label, message="maximum context length") is F.SERVER_ERROR


def test_the_most_telling_label_comes_first() -> None:
    assert classify(400, "context_length_exceeded", "content_filter") is F.CONTEXT_LENGTH
    assert classify(400, "content_filter", "context_length_exceeded") is F.CONTENT_FILTER
    assert classify(400, None, "", "unheard of", "content_filter") is F.CONTENT_FILTER


def test_labels_are_read_in_any_case() -> None:
    assert classify(429, "INSUFFICIENT_QUOTA") is F.QUOTA_EXHAUSTED


@pytest.mark.parametrize("status", [401, 404, 429])
def test_a_general_word_does_not_hide_a_telling_status(status: int) -> None:
    assert classify(status, "invalid_request_error") is classify(status)


def test_a_text_about_context_tells_only_of_bad_requests() -> None:
    assert classify(429, message="prompt is too long") is F.RATE_LIMITED
    assert classify(422, message="Prompt Is Too Long") is F.CONTEXT_LENGTH
    assert classify(400, "content_filter", message="prompt is too long") is F.CONTENT_FILTER


@pytest.mark.parametrize(
    ("status", "failure"), [(418, F.BAD_REQUEST), (451, F.BAD_REQUEST), (599, F.SERVER_ERROR), (302, F.SERVER_ERROR)]
)
def test_an_unheard_of_status_goes_by_its_hundred(status: int, failure: Failure) -> None:
    assert classify(status) is failure


def test_an_error_inside_a_200_goes_by_its_code() -> None:
    assert classify(200, "server_error") is F.SERVER_ERROR
    assert classify(200, "rate_limit_exceeded") is F.RATE_LIMITED
    assert classify(200, "invalid_request_error") is F.BAD_REQUEST
    assert classify(200) is F.SERVER_ERROR


def test_recorded_errors_of_the_api_whose_codes_we_share(shared: Path) -> None:
    """Each recorded error is about the request, the key or the model as its status says; none is a server error."""
    by_status = {
        400: {F.BAD_REQUEST, F.CONTEXT_LENGTH, F.GENERATION_FAILED},
        401: {F.AUTH},
        404: {F.NOT_FOUND},
        429: {F.RATE_LIMITED},
    }
    seen = 0
    for path in sorted((shared / "wire").glob("*/*.json")):
        response = json.loads(path.read_text())["response"]
        error = error_in(response.get("body"))
        if error is None or response["status"] not in by_status:
            continue
        labels = [v if isinstance(v, str) else None for v in (error.get("code"), error.get("type"))]
        failure = classify(response["status"], *labels, message=str(error.get("message", "")))
        assert failure in by_status[response["status"]], path.name
        seen += 1
    assert seen > 20


def error_in(body: Any) -> dict[str, Any] | None:
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else None


def test_every_failure_has_its_rule() -> None:
    assert set(RULES) == set(Failure)


@pytest.mark.parametrize("failure", [F.BAD_REQUEST, F.CONTENT_FILTER, F.CLIENT_GONE, F.DEADLINE, F.NO_CAPACITY, F.INTERNAL])
def test_no_other_endpoint_is_tried_where_it_could_not_help(failure: Failure) -> None:
    assert not RULES[failure].failover


@pytest.mark.parametrize("failure", [f for f in Failure if RULES[f].status < 500])
def test_an_endpoint_is_not_blamed_for_its_clients(failure: Failure) -> None:
    assert RULES[failure].blame is Blame.NONE


def test_clients_never_see_our_trouble_with_keys_as_their_own() -> None:
    """A 401 or 402 from a provider is about the router's key: towards the client it is a 503."""
    assert {RULES[f].status for f in (F.AUTH, F.QUOTA_EXHAUSTED, F.NOT_FOUND, F.RATE_LIMITED)} == {503}


def test_statuses_are_ones_a_client_can_act_on() -> None:
    assert {rule.status for rule in RULES.values()} == {400, 499, 500, 503, 504}


def test_what_asks_for_patience_closes_the_gate() -> None:
    assert {f for f, rule in RULES.items() if rule.gate} == {F.RATE_LIMITED, F.OVERLOADED}


def test_a_fault_carries_its_rule_and_travels_as_an_error() -> None:
    fault = Fault(F.RATE_LIMITED, "slow down", 429, retry_after_s=2.5)
    assert fault.rule is RULES[F.RATE_LIMITED]
    with pytest.raises(FaultError, match="slow down") as raised:
        raise FaultError(fault)
    assert raised.value.fault is fault
