"""What a mock endpoint needs to stand for an endpoint of a simulated world: same distributions, same limits, same faults."""

import itertools
import math
import statistics
from random import Random
from typing import Any

import msgspec
import pytest

from fastroute.mock.answer import compose
from fastroute.mock.ask import Ask
from fastroute.mock.faults import FaultBoard, FaultSpec
from fastroute.mock.gate import Gate
from fastroute.mock.latency import Pace, PaceSource, Tail
from fastroute.mock.mischief import instead, paced, rate_left, spoiled, tail_of
from fastroute.mock.openai_chat import OpenAIChat
from fastroute.mock.schema import LatencySpec, LimitsSpec, OutputSpec
from fastroute.mock.script import Draft, Ending
from fastroute.sim.world import Bucket


def spec(kind: str, **parameters: Any) -> FaultSpec:
    return msgspec.convert({"fault": kind, **parameters}, FaultSpec)


def source(seed: int = 1, **members: Any) -> PaceSource:
    return PaceSource(LatencySpec(**members), Random(seed))


# --- latencies ---


def test_the_share_of_the_prompt_straggles_only_where_all_is_scattered():
    slow = {"ttft_ms": 100, "sigma": 0, "per_input_token_ms": 1, "straggler_ratio": 1, "straggler_factor": 10}
    assert source(**slow).draw(100, 0).first_s == pytest.approx(1.1)
    assert source(**slow, scatter_all=True).draw(100, 0).first_s == pytest.approx(2.0)


def test_times_per_token_scatter_around_the_median():
    paces = source(sigma=0, tpot_ms=10, tpot_sigma=0.2)
    logs = [math.log(paces.draw(1, 0).tpot_s / 0.01) for _ in range(2000)]
    assert statistics.fmean(logs) == pytest.approx(0.0, abs=0.02)
    assert statistics.stdev(logs) == pytest.approx(0.2, rel=0.1)


def test_a_tail_changes_spread_and_stragglers_but_not_the_median():
    paces = source(ttft_ms=100, sigma=0.2, straggler_ratio=0.0, straggler_factor=100)
    drawn = sorted(paces.draw(0, 0, Tail(2.0, 0.1)).first_s for _ in range(4000))
    usual = [s for s in drawn if s < 2.0]
    assert len(usual) / len(drawn) == pytest.approx(0.9, abs=0.02)
    assert statistics.median(usual) == pytest.approx(0.1, rel=0.05)
    assert statistics.stdev(math.log(s) for s in usual) == pytest.approx(0.4, rel=0.1)


def test_a_late_start_delays_the_first_token_only():
    assert paced(Pace(0.5, 0.1, 0.2), [spec("late_start", factor=4)]) == Pace(2.0, 0.1, 0.8)


def test_the_tail_of_a_request_is_that_of_its_fault():
    assert tail_of([spec("brownout")]) == Tail()
    assert tail_of([spec("brownout"), spec("tail_shape", factor=1.5, straggler_ratio=0.12)]) == Tail(1.5, 0.12)


# --- answer lengths ---


def said(text: str, **output: Any) -> int:
    ask = Ask("m", text, 10, stream=True)
    return compose(ask, "salt", OutputSpec(**output), Random(1)).output_tokens


def test_a_prompt_may_ask_for_a_length_where_the_endpoint_listens():
    assert said("user\n#reply=321# and so on", as_asked=True) == 321
    assert said("user\n#reply=321# and so on", mean=8) == 8
    assert said("user\nnothing asked", as_asked=True, mean=8) == 8


# --- rate limits ---


def test_a_bucket_admits_what_the_simulators_bucket_admits():
    gate, bucket, rng, now_s = Gate(LimitsSpec(requests_per_minute=60, burst_s=10)), Bucket(60), Random(7), 1000.0
    bucket.lacks_s(0.0, 1.0, now_s)
    both = []
    for _ in range(600):
        now_s += rng.expovariate(1.5)
        ratio = 0.25 if 1100 < now_s < 1200 else 1.0
        wait_s = bucket.lacks_s(1.0, ratio, now_s)
        if wait_s <= 0.0:
            bucket.take(1.0)
        both.append((gate.refuse_for_s(now_s, 0, ratio), None if wait_s <= 0.0 else float(math.ceil(wait_s))))
    assert sum(a != b for a, b in both) <= 3  # a float's last digit
    assert any(a is not None for a, _ in both)


def test_a_cut_rate_shrinks_the_sliding_window_too():
    gate = Gate(LimitsSpec(requests_per_minute=10))
    assert [gate.refuse_for_s(0.0, 0, 0.2) is None for _ in range(3)] == [True, True, False]
    assert gate.refuse_for_s(1.0, 0) is None


def test_rate_cuts_multiply():
    assert rate_left([spec("rate_cut", factor=0.5), spec("brownout"), spec("rate_cut", factor=0.1)]) == pytest.approx(0.05)
    assert rate_left([]) == 1.0


# --- cuts ---


def streamed(tokens: int = 10) -> Draft:
    ask = Ask("m", "user\nhello", 10, stream=True)
    dialect = OpenAIChat()
    answer = compose(ask, "salt", OutputSpec(mean=tokens), Random(1))
    from fastroute.mock.dialect import Bill

    return Draft(Pace(1.0, 0.1, 1.0), tokens, dialect.stream(ask, answer, Bill(10, 0, tokens)))


@pytest.mark.parametrize(("ratio", "tokens"), [(0.0, 0), (0.2, 0), (0.6, 2), (1.0, 10)])
def test_a_reset_can_come_at_a_share_of_the_answers_time(ratio: float, tokens: int):
    script = spoiled(spec("reset", at_ratio=ratio), streamed())
    steps = list(script.steps)
    assert script.ending is Ending.RESET
    assert sum(step.tokens for step in steps) == tokens
    assert steps[-1].at_s == pytest.approx(1.9 * ratio)


def test_a_reset_at_a_place_needs_the_answer_and_one_without_does_not():
    assert instead(spec("reset"), OpenAIChat(), 0.0) is not None
    assert instead(spec("reset", at_ratio=0.5), OpenAIChat(), 0.0) is None


def test_any_place_is_drawn_anew_for_each_request():
    board = FaultBoard(Random(3))
    board.add(spec("reset", at_ratio="any"), 0.0)
    places = [board.drawn(1.0)[0].at_ratio for _ in range(200)]
    assert all(isinstance(p, float) for p in places)
    assert statistics.fmean(p for p in places if isinstance(p, float)) == pytest.approx(0.5, abs=0.1)
    assert len(set(places)) == 200
    assert all(a != b for a, b in itertools.pairwise(places))
