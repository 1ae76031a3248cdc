"""`telemetry.recent`: the last requests, by id, without their contents."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fastroute.core.failures import Failure, Fault
from fastroute.core.trail import Trail
from fastroute.core.types import (
    Candidate,
    ChatRequest,
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
from fastroute.telemetry.recent import CUT_TABLES_KEPT, TABLE_SHARE, RecentTrails, cut

MakeTrail = Callable[..., Trail]


def test_found_by_id(make_trail: MakeTrail) -> None:
    recent = RecentTrails(3)
    for name in "abc":
        recent.extend([make_trail(name)])
    found = recent.lookup("b")
    assert found is not None
    assert found.request.id == "b"
    assert recent.lookup("z") is None


def test_it_is_a_sink_of_its_own(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    recent = RecentTrails(3)
    recent.emit(with_contents(make_trail, make_attempt))
    assert "PROMPT" not in repr(recent.lookup("req-1"))


def test_the_oldest_goes_first(make_trail: MakeTrail) -> None:
    recent = RecentTrails(2)
    for name in "abc":
        recent.extend([make_trail(name)])
    assert recent.lookup("a") is None
    assert len(recent) == 2
    assert [t.request.id for t in recent.last(5)] == ["c", "b"]


def test_last_gives_the_newest_first_and_no_more_than_asked(make_trail: MakeTrail) -> None:
    recent = RecentTrails(10)
    for name in "abcd":
        recent.extend([make_trail(name)])
    assert [t.request.id for t in recent.last(2)] == ["d", "c"]
    assert recent.last(0) == []
    assert RecentTrails(1).last(3) == []


def test_an_id_used_twice_finds_the_later_request(make_trail: MakeTrail) -> None:
    recent = RecentTrails(2)
    recent.extend([make_trail("a", status=200)])
    recent.extend([make_trail("b")])
    recent.extend([make_trail("a", status=503)])
    found = recent.lookup("a")
    assert found is not None
    assert found.status == 503
    assert [t.request.id for t in recent.last(9)] == ["a", "b"]
    recent.extend([make_trail("c")])
    assert recent.lookup("b") is None


def test_many_requests_do_not_pile_up(make_trail: MakeTrail) -> None:
    recent = RecentTrails(16)
    for i in range(1000):
        recent.extend([make_trail(str(i))])
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
    recent.extend([with_contents(make_trail, make_attempt)])
    kept = recent.lookup("req-1")
    assert kept is not None
    assert "PROMPT" not in repr(kept)
    assert "ANSWER" not in repr(kept)
    assert kept.winner is kept.attempts[1]


def test_what_the_trail_says_is_the_same(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    trail = with_contents(make_trail, make_attempt)
    before = trail.to_dict()
    RecentTrails(1).extend([trail])
    assert trail.to_dict() == before


def test_a_trail_without_a_winner(make_trail: MakeTrail) -> None:
    recent = RecentTrails(1)
    recent.extend([make_trail(attempts=[], winner=None, status=503)])
    (kept,) = recent.last(1)
    assert kept.winner is None
    assert kept.attempts == []


def test_a_winner_that_is_not_among_the_attempts_is_stripped_too(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    stray = make_trail(attempts=[], winner=make_attempt(outcome=Outcome(status=200, body=b"ANSWER")))
    RecentTrails(1).extend([stray])
    assert "ANSWER" not in repr(stray)
    assert stray.winner is not None
    assert stray.winner.outcome == Outcome(status=200)


def test_an_attempt_under_way_when_its_request_ended_is_kept_as_it_is(
    make_trail: MakeTrail, make_attempt: Callable[..., Any]
) -> None:
    attempt = make_attempt()
    attempt.outcome = None
    recent = RecentTrails(1)
    recent.extend([make_trail(attempts=[attempt], winner=None)])
    assert recent.last(1)[0].attempts == [attempt]


def test_the_prompt_can_be_freed_once_the_request_is_over(make_trail: MakeTrail) -> None:
    class Prompt(dict):  # type: ignore[type-arg]
        """A dict that can be watched."""

    recent = RecentTrails(1)
    trail = make_trail()
    trail.request.fields = Prompt(messages=msgspec.Raw(b"[]"))
    watched = weakref.ref(trail.request.fields)
    recent.extend([trail])
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


def tables_of(trails: list[Trail]) -> list[TailTable]:
    return [c.view.ttft_tail for trail in trails for d in trail.decisions for c in d.ranked]


def test_decisions_are_kept_small_and_say_the_same(make_trail: MakeTrail) -> None:
    trail = make_trail(decisions=[decision(table(1.0), table(0.4)), decision(table(1.0))])
    before = trail.to_dict()
    recent = RecentTrails(1)
    recent.extend([trail])
    kept = recent.lookup("req-1")
    assert kept is not None
    assert kept.to_dict() == before
    assert max(len(t.bounds) for t in tables_of([kept])) == 2
    assert all(c.view.output_points == () for d in kept.decisions for c in d.ranked)


def test_the_views_a_decision_was_made_on_are_not_touched(make_trail: MakeTrail) -> None:
    """Views may be shared with requests still to come."""
    made = decision(table(1.0))
    view, before = made.ranked[0].view, repr(made)
    RecentTrails(1).extend([make_trail(decisions=[made])])
    assert repr(made) == before
    assert len(view.ttft_tail.bounds) == len(BOUNDS)


def test_requests_of_one_tick_share_a_cut(make_trail: MakeTrail) -> None:
    recent, tick = RecentTrails(10), table(1.0)
    for name in "ab":
        recent.extend([make_trail(name, decisions=[decision(tick)])])
    one, other = tables_of(recent.last(2))
    assert one is other
    assert len(one.bounds) == 2


def test_tables_that_many_share_are_kept_as_they_are(make_trail: MakeTrail) -> None:
    recent, tick = RecentTrails(100), table(1.0)
    batch = [make_trail(str(i), decisions=[decision(tick)]) for i in range(64)]
    before = [trail.decisions[0] for trail in batch]
    recent.extend(batch)
    assert all(trail.decisions[0] is was for trail, was in zip(batch, before, strict=True))


def test_tables_that_few_share_are_cut_however_long_the_batch(make_trail: MakeTrail) -> None:
    """Many routes, each with endpoints of its own: little is shared."""
    recent = RecentTrails(100)
    recent.extend([make_trail(str(i), decisions=[decision(*(table(1.0) for _ in range(8)))]) for i in range(64)])
    assert {len(t.bounds) for t in tables_of(recent.last(64))} == {2}


@pytest.mark.parametrize("per_tick", [1, 3, 10, 64])
def test_what_ten_thousand_requests_hold_is_bounded_at_any_rate(make_trail: MakeTrail, per_tick: int) -> None:
    """Whole tables are at most one for every `TABLE_SHARE` requests."""
    recent = RecentTrails(200)
    for tick in range(200 // per_tick):
        shared = [table(1.0) for _ in range(3)]
        recent.extend([make_trail(f"{tick}-{i}", decisions=[decision(*shared)]) for i in range(per_tick)])
    whole = {id(t) for t in tables_of(recent.last(200)) if len(t.bounds) > 2}
    assert len(whole) * TABLE_SHARE <= 200


def test_tables_of_many_ticks_are_told_apart_and_let_go(make_trail: MakeTrail) -> None:
    recent = RecentTrails(5)
    medians = []
    for i in range(3 * CUT_TABLES_KEPT):
        tick = table(0.05 * 1.01**i)
        medians.append(tick.quantile(0.5))
        recent.extend([make_trail(str(i), decisions=[decision(tick)])])
    assert [t.quantile(0.5) for t in tables_of(recent.last(5))] == medians[:-6:-1]
    assert len(recent._cuts._known) <= CUT_TABLES_KEPT


class Ring(RuleBasedStateMachine):
    """Whatever is added and asked, in any order: the same as a plain list of all that was added."""

    def __init__(self) -> None:
        super().__init__()
        self.recent, self.all = RecentTrails(4), list[Trail]()

    @rule(ids=st.lists(st.sampled_from("abcdefgh"), max_size=9))
    def extend(self, ids: list[str]) -> None:
        batch = [Trail(ChatRequest(name, "openai_chat", "auto", {}, 0.0, 4), 0.0) for name in ids]
        self.recent.extend(list(batch))
        self.all += batch

    @rule(name=st.sampled_from("abcdefgh"))
    def lookup(self, name: str) -> None:
        kept = [t for t in self.all[-4:] if t.request.id == name]
        assert self.recent.lookup(name) is (kept[-1] if kept else None)

    @rule(n=st.integers(0, 6))
    def last(self, n: int) -> None:
        newest: dict[str, Trail] = {}
        for trail in reversed(self.all[-4:]):
            newest.setdefault(trail.request.id, trail)
        assert [id(t) for t in self.recent.last(n)] == [id(t) for t in list(newest.values())[:n]]

    @invariant()
    def bounded(self) -> None:
        assert len(self.recent) == min(4, len(self.all))
        assert len(self.recent._places) <= 3 * 4


TestRing = Ring.TestCase
