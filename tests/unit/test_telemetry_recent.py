"""`telemetry.recent`: the last requests, by id, without their contents."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from fastroute.core.failures import Failure, Fault
from fastroute.core.trail import Trail
from fastroute.core.types import (
    Candidate,
    Decision,
    Endpoint,
    EndpointView,
    Exclusion,
    Outcome,
    Profile,
    Role,
    TailTable,
    Usage,
)
from fastroute.stats.window import BOUNDS
from fastroute.telemetry.recent import CUT_TABLES_KEPT, RecentTrails, cut, without_content

MakeTrail = Callable[..., Trail]


def test_found_by_id(make_trail: MakeTrail) -> None:
    recent = RecentTrails(3)
    for name in "abc":
        recent.emit(make_trail(name))
    found = recent.lookup("b")
    assert found is not None
    assert found.request.id == "b"
    assert recent.lookup("z") is None


def test_the_oldest_goes_first(make_trail: MakeTrail) -> None:
    recent = RecentTrails(2)
    for name in "abc":
        recent.emit(make_trail(name))
    assert recent.lookup("a") is None
    assert len(recent) == 2
    assert [t.request.id for t in recent.last(5)] == ["c", "b"]


def test_last_gives_the_newest_first_and_no_more_than_asked(make_trail: MakeTrail) -> None:
    recent = RecentTrails(10)
    for name in "abcd":
        recent.emit(make_trail(name))
    assert [t.request.id for t in recent.last(2)] == ["d", "c"]
    assert recent.last(0) == []
    assert RecentTrails(1).last(3) == []


def test_an_id_used_twice_finds_the_later_request(make_trail: MakeTrail) -> None:
    recent = RecentTrails(2)
    recent.emit(make_trail("a", status=200))
    recent.emit(make_trail("b"))
    recent.emit(make_trail("a", status=503))
    found = recent.lookup("a")
    assert found is not None
    assert found.status == 503
    assert [t.request.id for t in recent.last(9)] == ["a", "b"]
    recent.emit(make_trail("c"))
    assert recent.lookup("b") is None


def test_many_requests_do_not_pile_up(make_trail: MakeTrail) -> None:
    recent = RecentTrails(16)
    for i in range(1000):
        recent.emit(make_trail(str(i)))
    assert len(recent) == 16


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_capacity_of_nothing_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity"):
        RecentTrails(capacity)


def with_contents(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> Trail:
    failed = make_attempt("flash", outcome=Outcome(Fault(Failure.MALFORMED, "no answer"), body=b"half an ANSWER"))
    won = make_attempt("sonnet", Role.FAILOVER, outcome=Outcome(status=200, usage=Usage(1, 2), body=b"the ANSWER"))
    trail = make_trail(attempts=[failed, won])
    trail.request.fields = {"messages": msgspec.Raw(b'"the PROMPT"'), "model": msgspec.Raw(b'"auto"')}
    return trail


def test_neither_prompt_nor_answer_is_kept(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    recent = RecentTrails(1)
    recent.emit(with_contents(make_trail, make_attempt))
    kept = recent.lookup("req-1")
    assert kept is not None
    assert "PROMPT" not in repr(kept)
    assert "ANSWER" not in repr(kept)
    assert kept.winner is kept.attempts[1]


def test_what_the_trail_says_is_the_same(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    trail = with_contents(make_trail, make_attempt)
    assert without_content(trail).to_dict() == trail.to_dict()


def test_other_sinks_still_see_the_whole_trail(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    trail = with_contents(make_trail, make_attempt)
    before = repr(trail)
    RecentTrails(1).emit(trail)
    assert repr(trail) == before
    assert trail.request.fields


def test_a_trail_without_a_winner(make_trail: MakeTrail) -> None:
    kept = without_content(make_trail(attempts=[], winner=None, status=503))
    assert kept.winner is None
    assert kept.attempts == []


def test_a_winner_that_is_not_among_the_attempts_is_stripped_too(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    stray = make_attempt(outcome=Outcome(body=b"ANSWER"))
    kept = without_content(make_trail(attempts=[], winner=stray))
    assert "ANSWER" not in repr(kept)


def test_the_prompt_can_be_freed_once_the_request_is_over(make_trail: MakeTrail) -> None:
    class Prompt(dict):  # type: ignore[type-arg]
        """A dict that can be watched."""

    recent = RecentTrails(1)
    trail = make_trail()
    trail.request.fields = Prompt(messages=msgspec.Raw(b"[]"))
    watched = weakref.ref(trail.request.fields)
    recent.emit(trail)
    del trail
    gc.collect()
    assert watched() is None


def table(mean: float) -> TailTable:
    """A full-size table, of an exponential tail."""
    return TailTable(BOUNDS, tuple(2.0 ** (-bound / mean) for bound in BOUNDS))


def decision(*tables: TailTable) -> Decision:
    endpoint = Endpoint("flash", "acme", Profile("acme", "openai", "/chat"), "http://127.0.0.1:1", "m", key="the-KEY")
    views = [
        EndpointView(endpoint, tail, 0.2, 0.0004, 0.01, 200.0, 0.02, samples=9, output_points=((100.0, 1.0),)) for tail in tables
    ]
    return Decision("cost_slo", tuple(Candidate(v, 0.01, None, 1.0) for v in views), (Exclusion(endpoint, "no"),), "cheapest")


@pytest.mark.parametrize("mean", [0.06, 0.3, 1.0, 20.0])
def test_a_cut_table_answers_the_shown_quantiles_as_the_whole_one(mean: float) -> None:
    whole = table(mean)
    assert [cut(whole).quantile(q) for q in (0.5, 0.99)] == [whole.quantile(q) for q in (0.5, 0.99)]


def test_decisions_are_kept_small_and_say_the_same(make_trail: MakeTrail) -> None:
    trail = make_trail(decisions=[decision(table(1.0), table(0.4)), decision(table(1.0))])
    recent = RecentTrails(1)
    recent.emit(trail)
    kept = recent.lookup("req-1")
    assert kept is not None
    assert kept.to_dict() == trail.to_dict()
    assert max(len(c.view.ttft_tail.bounds) for d in kept.decisions for c in d.ranked) == 2
    assert all(c.view.output_points == () for d in kept.decisions for c in d.ranked)
    assert len(trail.decisions[0].ranked[0].view.ttft_tail.bounds) == len(BOUNDS)


def test_requests_of_one_tick_share_a_cut(make_trail: MakeTrail) -> None:
    recent, tick = RecentTrails(10), table(1.0)
    for name in "ab":
        recent.emit(make_trail(name, decisions=[decision(tick)]))
    one, other = (t.decisions[0].ranked[0].view.ttft_tail for t in recent.last(2))
    assert one is other


def test_tables_of_many_ticks_are_told_apart_and_let_go(make_trail: MakeTrail) -> None:
    recent = RecentTrails(5)
    medians = []
    for i in range(3 * CUT_TABLES_KEPT):
        tick = table(0.05 * 1.01**i)
        medians.append(tick.quantile(0.5))
        recent.emit(make_trail(str(i), decisions=[decision(tick)]))
    assert [t.decisions[0].ranked[0].view.ttft_tail.quantile(0.5) for t in recent.last(5)] == medians[:-6:-1]
    assert len(recent._cuts._known) <= CUT_TABLES_KEPT
