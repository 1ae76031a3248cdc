"""How long one attempt may take. With the usual tail p50 is 0.5, p90 1.0 and p99 2.0 times the predicted TTFT."""

from typing import Any

import pytest
from policy_support import a_view

from fastroute.core.types import ChatRequest, EndpointView, Objective, Overrides, Route
from fastroute.policy.timeouts import first_content_timeout_s, quantile_s, stall_timeout_s

POINTS = ((50.0, 0.5), (200.0, 0.4), (1000.0, 0.1))


def request(stream: bool = True, **members: Any) -> ChatRequest:
    return ChatRequest("r", "openai_chat", "auto", {}, 0.0, 4_000, stream=stream, **members)


def route(**members: Any) -> Route:
    return Route("auto", ((),), **members)


def timeout_s(view: EndpointView, *others: EndpointView, left_s: float = 10.0, attempts_left: int = 2, **members: Any) -> float:
    return first_content_timeout_s(route(), view, others, left_s, request(**members), attempts_left)


def unknown(**members: Any) -> EndpointView:
    return a_view("unknown", samples=0, age_s=None, **members)


# --- who says how long ------------------------------------------------------------------------------------------------


def test_the_routes_own_limit_goes_before_everything():
    fixed = route(first_content_timeout_s=0.2)
    assert first_content_timeout_s(fixed, a_view(), [a_view("b")], 10.0, request(), 2) == 0.2
    assert first_content_timeout_s(fixed, a_view(), [], 10.0, request(), 0) == 0.2


def test_the_routes_own_limit_does_not_outlive_the_deadline():
    assert first_content_timeout_s(route(first_content_timeout_s=60.0), a_view(), [], 3.0, request(), 0) == 3.0


def test_where_nobody_could_follow_an_attempt_has_all_the_time_there_is():
    assert timeout_s(a_view()) == 10.0
    assert timeout_s(a_view(), a_view("b"), attempts_left=0) == 10.0
    assert timeout_s(unknown()) == 10.0


# --- a successor needs its time ---------------------------------------------------------------------------------------


def test_what_is_left_less_what_the_next_one_needs():
    slow = a_view(ttft_base_s=5.0)  # far beyond its p99 is 40 s: no limit here
    following = a_view("b", ttft_base_s=2.0)
    assert timeout_s(slow, following) == pytest.approx(10.0 - 2.0 - 0.3)


def test_the_fastest_that_could_follow_counts():
    slow = a_view(ttft_base_s=5.0)
    others = [a_view("b", ttft_base_s=4.0), a_view("c", ttft_base_s=1.0), a_view("d", ttft_base_s=6.0)]
    assert timeout_s(slow, *others) == pytest.approx(10.0 - 1.0 - 0.3)


def test_the_prompt_counts_for_the_next_one():
    following = a_view("b", ttft_base_s=1.0, ttft_per_token_s=0.002)  # 1,000 tokens
    assert timeout_s(a_view(ttft_base_s=5.0), following) == pytest.approx(10.0 - 3.0 - 0.3)


def test_never_under_a_second():
    following = a_view("b", ttft_base_s=1.7)
    assert timeout_s(a_view(ttft_base_s=5.0), following, left_s=3.0) == pytest.approx(1.0)
    assert timeout_s(a_view(ttft_base_s=5.0), following, left_s=3.5) == pytest.approx(1.5)


def test_too_little_for_two_is_left_to_one():
    following = a_view("b", ttft_base_s=1.7)  # needs 2 s, and this one a second
    assert timeout_s(a_view(ttft_base_s=5.0), following, left_s=2.99) == 2.99
    assert timeout_s(a_view(ttft_base_s=5.0), following, left_s=0.2) == 0.2


def test_an_unknown_successor_is_left_half_at_most():
    known, new = a_view("b", ttft_base_s=8.0), unknown(ttft_base_s=8.0)
    assert timeout_s(a_view(ttft_base_s=5.0), known) == pytest.approx(1.7)
    assert timeout_s(a_view(ttft_base_s=5.0), new) == pytest.approx(5.0)
    assert timeout_s(a_view(ttft_base_s=5.0), unknown(ttft_base_s=1.0)) == pytest.approx(8.7)


# --- far beyond its own tail ------------------------------------------------------------------------------------------


def test_a_known_endpoint_is_given_up_far_beyond_its_tail():
    assert timeout_s(a_view(ttft_base_s=0.4), a_view("b")) == pytest.approx(4.0 * 2.0 * 0.4)


def test_but_not_before_two_seconds():
    assert timeout_s(a_view(ttft_base_s=0.01), a_view("b")) == pytest.approx(2.0)


def test_far_beyond_its_tail_never_takes_the_next_ones_time():
    assert timeout_s(a_view(ttft_base_s=0.4), a_view("b"), left_s=3.0) == pytest.approx(3.0 - 0.5 - 0.3)


@pytest.mark.parametrize(("samples", "expected_s"), [(0, 5.0), (19, 5.0), (20, 2.0), (21, 2.0)])
def test_twenty_samples_make_it_known(samples, expected_s):
    assert timeout_s(a_view(ttft_base_s=0.01, samples=samples), a_view("b")) == pytest.approx(expected_s)


def test_an_unknown_stream_may_use_half_of_what_is_left():
    assert timeout_s(unknown(), a_view("b"), left_s=6.0) == pytest.approx(3.0)
    assert timeout_s(unknown(), a_view("b", ttft_base_s=4.0), left_s=6.0) == pytest.approx(1.7)  # the next one needs more
    assert timeout_s(unknown(), a_view("b", ttft_base_s=0.2), left_s=1.6) == pytest.approx(1.0)


def test_an_unknown_whole_reply_may_use_all_but_the_next_ones_time():
    following = a_view("b", ttft_base_s=0.5, tpot_s=0.0)
    assert timeout_s(unknown(), following, stream=False) == pytest.approx(10.0 - 0.5 - 0.3)


@pytest.mark.parametrize("left_s", [0.0, 0.1, 0.99, 1.0, 1.5, 2.0, 5.0, 100.0])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("view", [a_view(), unknown(), a_view(ttft_base_s=50.0)])
def test_never_longer_than_what_is_left(view, stream, left_s):
    for others in ([], [a_view("b")], [unknown(), a_view("c", ttft_base_s=0.001)]):
        assert 0.0 <= timeout_s(view, *others, left_s=left_s, stream=stream) <= left_s


# --- whole replies ----------------------------------------------------------------------------------------------------


def test_a_stream_waits_for_its_first_token_only():
    slow_writer = a_view(tpot_s=9.0)
    assert quantile_s(slow_writer, 0.9, request()) == pytest.approx(0.5)
    assert quantile_s(slow_writer, 0.99, request()) == pytest.approx(1.0)


@pytest.mark.parametrize(("q", "tokens"), [(0.4, 50.0), (0.5, 50.0), (0.51, 200.0), (0.9, 200.0), (0.91, 1000.0), (0.99, 1000.0)])
def test_a_whole_reply_takes_its_length_too(q, tokens):
    view = a_view(tpot_s=0.01, output_points=POINTS)
    length_s = quantile_s(view, q, request(stream=False)) - view.ttft_quantile_s(q, 1_000)
    assert length_s == pytest.approx(tokens * 0.01 * 1.15)


def test_a_cap_on_the_answer_caps_its_time():
    view = a_view(tpot_s=0.01, output_points=POINTS)
    capped = quantile_s(view, 0.99, request(stream=False, max_output_tokens=100))
    assert capped == pytest.approx(1.0 + 100 * 0.01 * 1.15)
    roomy = quantile_s(view, 0.99, request(stream=False, max_output_tokens=5_000))
    assert roomy == pytest.approx(1.0 + 1000 * 0.01 * 1.15)


def test_without_points_lengths_spread_around_the_mean():
    view = a_view(tpot_s=0.01, output_tokens=100.0)
    median_s, rare_s = (quantile_s(view, q, request(stream=False)) - view.ttft_quantile_s(q, 1_000) for q in (0.5, 0.99))
    assert median_s < 100 * 0.01 * 1.15 < rare_s


def test_a_whole_reply_waits_for_its_end():
    view, following = a_view(output_points=POINTS), a_view("b", output_points=POINTS)
    streamed_s = timeout_s(view, following, left_s=120.0)
    whole_s = timeout_s(view, following, left_s=120.0, stream=False)
    assert streamed_s == pytest.approx(4.0)
    assert whole_s == pytest.approx(4.0 * (1.0 + 11.5))


# --- stalls -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tpot_s", "expected_s"), [(0.0, 3.0), (0.01, 3.0), (0.15, 3.0), (0.2, 4.0), (1.0, 20.0)])
def test_a_stream_has_stalled_after_twenty_tokens_time_or_three_seconds(tpot_s, expected_s):
    assert stall_timeout_s(a_view(tpot_s=tpot_s)) == pytest.approx(expected_s)


# --- suspects ---------------------------------------------------------------------------------------------------------


PROMISE = Objective(ttft_s=2.0)


def suspect_timeout_s(left_s: float = 10.0, objective: Objective = PROMISE, **asked: Any) -> float:
    suspect, other = a_view(suspect=True), a_view("b")
    return first_content_timeout_s(route(objective=objective), suspect, [other], left_s, request(**asked), 2)


def test_a_suspect_is_given_up_while_the_next_one_can_still_keep_the_promise():
    """A request that is sent to find out whether a sick endpoint has recovered need not be late for it."""
    q90_s = quantile_s(a_view("b"), 0.9, request())
    assert suspect_timeout_s() == pytest.approx(max(1.0, 2.0 - q90_s - 0.05))
    assert suspect_timeout_s() < timeout_s(a_view(), a_view("b"))


def test_time_already_gone_is_gone():
    assert suspect_timeout_s(9.5, Objective(ttft_s=4.0)) == pytest.approx(suspect_timeout_s(10.0, Objective(ttft_s=4.0)) - 0.5)


def test_a_client_may_ask_for_another_promise():
    assert suspect_timeout_s(overrides=Overrides(ttft_s=6.0)) == pytest.approx(suspect_timeout_s(objective=Objective(ttft_s=6.0)))


def test_without_a_promise_a_suspect_waits_as_others_do():
    assert suspect_timeout_s(objective=Objective()) > 3.0


def test_a_whole_reply_from_a_suspect_has_no_first_content_to_wait_for():
    whole = suspect_timeout_s(stream=False)
    assert whole == pytest.approx(
        first_content_timeout_s(route(objective=PROMISE), a_view(), [a_view("b")], 10.0, request(False), 2)
    )
