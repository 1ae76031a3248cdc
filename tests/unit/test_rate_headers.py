import pytest

from fastroute.dialects.rate_headers import rate_limits, reset_s
from fastroute.policy.pacing import Allowance, Reading

NOW_S = 1_750_000_000.0


def openai(**of):
    return {f"x-ratelimit-{name.replace('_', '-')}": value for name, value in of.items()}


def test_openai_tells_requests_and_tokens():
    headers = openai(
        limit_requests="60", remaining_requests="59", reset_requests="1s",
        limit_tokens="150000", remaining_tokens="149984", reset_tokens="6m0s",
    )  # fmt: skip
    assert rate_limits(headers, NOW_S) == Reading(Allowance(60.0, 59.0, 1.0), Allowance(150_000.0, 149_984.0, 360.0))


def test_anthropic_tells_instants():
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2025-06-15T15:06:50Z",
        "anthropic-ratelimit-tokens-limit": "80000",
        "anthropic-ratelimit-tokens-remaining": "1000",
        "anthropic-ratelimit-tokens-reset": "2025-06-15T15:07:40+00:00",
    }
    assert rate_limits(headers, NOW_S) == Reading(Allowance(50.0, 49.0, 10.0), Allowance(80_000.0, 1000.0, 60.0))


def test_an_instant_is_read_by_the_providers_own_clock_where_it_is_told():
    assert reset_s("2025-06-15T15:07:00Z", "Sun, 15 Jun 2025 15:06:55 GMT", NOW_S - 5000.0) == 5.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("1h2m3.5s", 3723.5),
        ("2m59.56s", 179.56),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("0s", 0.0),
        ("17", 17.0),
        ("0.5", 0.5),
        ("2025-06-15T15:06:30Z", 0.0),  # past
        ("999999999", 604_800.0),  # capped at a week
        ("-5s", None),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("5 s", None),
        ("1.2.3s", None),
        ("9999-99-99T00:00:00Z", None),
    ],
)
def test_resets_in_all_their_forms(text, seconds):
    assert reset_s(text, None, NOW_S) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("limit", ["-1", "0", "", "many", "1e9", "nan", "inf", None])
def test_a_limit_that_is_not_known_tells_nothing(limit):
    """Azure sends -1, or 0."""
    headers = openai(remaining_requests="5", reset_requests="1s") | ({} if limit is None else openai(limit_requests=limit))
    assert rate_limits(headers, NOW_S) is None


@pytest.mark.parametrize("left", ["-1", "x"])
def test_what_is_left_may_be_unknown(left):
    assert rate_limits(openai(limit_requests="60", remaining_requests=left, reset_requests="1s"), NOW_S) is None


def test_one_of_two_may_be_unknown():
    headers = openai(limit_requests="-1", remaining_requests="-1", limit_tokens="1000", remaining_tokens="10", reset_tokens="59s")
    assert rate_limits(headers, NOW_S) == Reading(None, Allowance(1000.0, 10.0, 59.0))


@pytest.mark.parametrize("reset", ["garbage", "0", "0s", None])
def test_without_a_usable_reset_a_minute_fills_it(reset):
    headers = openai(limit_requests="60", remaining_requests="15") | ({} if reset is None else openai(reset_requests=reset))
    assert rate_limits(headers, NOW_S) == Reading(Allowance(60.0, 15.0, 45.0), None)


def test_more_left_than_the_limit_is_the_limit():
    headers = openai(limit_requests="60", remaining_requests="90", reset_requests="1s")
    assert rate_limits(headers, NOW_S) == Reading(Allowance(60.0, 60.0, 1.0), None)


def test_other_headers_tell_nothing():
    assert rate_limits({"content-type": "text/event-stream", "x-ratelimit-limit": "5"}, NOW_S) is None
