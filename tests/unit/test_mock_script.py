"""Scripts: a healthy answer laid out in time."""

import pytest

from fastroute.mock.dialect import Rendered
from fastroute.mock.latency import Pace
from fastroute.mock.script import Draft, Ending, Step, fixed, healthy, paused, stream_steps, torn_steps

PACE = Pace(first_s=0.5, tpot_s=0.1, headers_s=0.2)
RENDERED = Rendered(b"<role>", [b"<0>", b"<1>", b"<2>"], b"<end>")
STREAM = Draft(PACE, 3, RENDERED)
WHOLE = Draft(PACE, 4, None, b"0123456789")


def times(steps: list[Step]) -> list[float]:
    return [pytest.approx(s.at_s) for s in steps]


def test_a_stream_opens_early_and_gives_one_token_a_step() -> None:
    steps = list(stream_steps(RENDERED, PACE))
    assert [s.payload for s in steps] == [b"<role>", b"<0>", b"<1>", b"<2>", b"<end>"]
    assert times(steps) == [0.2, 0.5, 0.6, 0.7, 0.7]
    assert [s.tokens for s in steps] == [0, 1, 1, 1, 0]


def test_a_stream_without_tokens_still_opens_and_ends() -> None:
    steps = list(stream_steps(Rendered(b"<role>", [], b"<end>"), PACE))
    assert [s.payload for s in steps] == [b"<role>", b"<end>"]
    assert times(steps) == [0.2, 0.5]


def test_a_healthy_stream_is_chunked_and_complete() -> None:
    script = healthy(STREAM)
    assert (script.status, script.ending, script.declared_bytes) == (200, Ending.COMPLETE, None)
    assert script.billed
    assert dict(script.headers)["content-type"].startswith("text/event-stream")


def test_a_healthy_whole_reply_comes_when_its_last_token_is_ready() -> None:
    script = healthy(WHOLE)
    (step,) = script.steps
    assert step.at_s == pytest.approx(0.8)
    assert (step.payload, step.tokens, step.since_s) == (b"0123456789", 4, 0.5)
    assert script.declared_bytes == 10


@pytest.mark.parametrize(("elapsed_s", "tokens"), [(0.0, 0), (0.5, 0), (0.6, 2), (0.7, 4), (0.75, 5), (0.9, 8), (9.0, 8)])
def test_a_step_knows_how_many_of_its_tokens_exist(elapsed_s: float, tokens: int) -> None:
    assert Step(0.9, b"", 8, 0.5).generated(elapsed_s + 1e-9) == tokens


def test_tokens_of_one_instant_exist_only_then() -> None:
    assert Step(0.9, b"", 1).generated(5.0) == 0


def test_a_torn_stream_is_the_stream() -> None:
    assert list(torn_steps(STREAM)) == list(stream_steps(RENDERED, PACE))


def test_a_torn_whole_reply_is_its_head_and_two_halves() -> None:
    steps = list(torn_steps(WHOLE))
    assert [s.payload for s in steps] == [b"", b"01234", b"56789"]
    assert sum(s.tokens for s in steps) == 4
    assert times(steps) == [0.2, 0.65, 0.8]


def test_a_fixed_response_costs_nothing() -> None:
    script = fixed(503, (("a", "b"),), b"sorry", 0.25)
    (step,) = script.steps
    assert (script.status, script.declared_bytes, script.billed) == (503, 5, False)
    assert (step.at_s, step.payload, step.tokens) == (0.25, b"sorry", 0)


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0, [10.2, 10.5, 10.6, 10.7, 10.7]), (1, [0.2, 10.5, 10.6, 10.7, 10.7]), (3, [0.2, 0.5, 0.6, 10.7, 10.7])],
)
def test_a_pause_moves_what_comes_after_it(after: int, expected: list[float]) -> None:
    steps = list(paused(stream_steps(RENDERED, PACE), after, 10))
    assert times(steps) == expected
    assert [s.payload for s in steps] == [b"<role>", b"<0>", b"<1>", b"<2>", b"<end>"]


def test_a_later_step_generates_its_tokens_later() -> None:
    assert Step(1.0, b"x", 2, 0.5).later(2.0) == Step(3.0, b"x", 2, 2.5)
    assert Step(1.0, b"x", 2).later(2.0) == Step(3.0, b"x", 2)
