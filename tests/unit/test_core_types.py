"""`core.types`: no secret in any print, tables that read as they say, roots of estimates."""

import pytest

from fastroute.core.types import Candidate, ChatRequest, Decision, Endpoint, EndpointView, Profile, TailTable, UpstreamRequest

ENDPOINT = Endpoint("flash", "acme", Profile("acme", "openai", "/chat"), "http://127.0.0.1:1", "m", key="the-KEY")
TABLE = TailTable(bounds=(0.5, 1.0, 2.0, 4.0), survival=(0.9, 0.5, 0.1, 0.005))


def view() -> EndpointView:
    return EndpointView(ENDPOINT, TABLE, 0.2, 0.001, 0.01, 100.0, 0.0)


def test_an_endpoints_key_is_never_printed() -> None:
    decision = Decision("s", (Candidate(view(), 0.0, None, 0.0),), (), "why")
    for printed in (repr(ENDPOINT), str(ENDPOINT), f"{ENDPOINT}", repr(view()), repr(decision)):
        assert "KEY" not in printed
        assert "flash" in printed


def test_an_upstream_requests_headers_are_never_printed() -> None:
    request = UpstreamRequest("http://127.0.0.1:1/chat", (("authorization", "Bearer the-KEY"),), b"the PROMPT")
    assert repr(request) == str(request) == "UpstreamRequest(POST http://127.0.0.1:1/chat, 10 bytes)"


@pytest.mark.parametrize(("input_bytes", "tokens"), [(0, 1), (3, 1), (4, 1), (8, 2), (4000, 1000)])
def test_prompt_tokens_are_estimated_from_bytes(input_bytes: int, tokens: int) -> None:
    assert ChatRequest("r", "openai_chat", "auto", {}, 0.0, input_bytes).input_tokens == tokens


@pytest.mark.parametrize(
    ("ratio", "p"),
    [(-1.0, 1.0), (0.0, 1.0), (0.5, 0.9), (0.7, 0.5), (1.0, 0.5), (1.5, 0.1), (2.0, 0.1), (4.0, 0.005), (9.0, 0.005)],
)
def test_survival_is_read_at_the_next_bound(ratio: float, p: float) -> None:
    assert TABLE.p_over(ratio) == p


@pytest.mark.parametrize(
    ("q", "bound"), [(0.0, 0.5), (0.1, 0.5), (0.11, 1.0), (0.5, 1.0), (0.51, 2.0), (0.99, 4.0), (0.999, 4.0)]
)
def test_quantiles(q: float, bound: float) -> None:
    assert TABLE.quantile(q) == bound


def test_a_prediction_grows_with_the_prompt() -> None:
    assert view().predicted_ttft_s(0) == 0.2
    assert view().predicted_ttft_s(300) == pytest.approx(0.5)
    assert view().ttft_quantile_s(0.99, 300) == pytest.approx(2.0)
