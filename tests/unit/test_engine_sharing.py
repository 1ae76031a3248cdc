import random

import pytest
from engine_world import FakeClient, endpoint, route

from fastroute.core.failures import Blame, Failure, Fault
from fastroute.core.trail import Trail
from fastroute.core.types import BreakerState, ChatRequest, Outcome, Usage
from fastroute.engine import sharing
from fastroute.engine.admission import Admission
from fastroute.engine.exchange import Exchange
from fastroute.engine.sharing import NotingBoard, Seat, Sharing
from fastroute.policy.budget import Budget
from fastroute.stats.board import Scoreboard
from fastroute.stats.lessons import Kind
from fastroute.stats.shared import Slabs

A, B, LIMITED = endpoint("a"), endpoint("b"), endpoint("l", max_in_flight=3)
ALL = (A, B, LIMITED)


class Clock:
    def __init__(self):
        self.at_s = 1000.0

    def now_s(self):
        return self.at_s

    def wall_s(self):
        return self.at_s


class Worker:
    def __init__(self, slabs, slot, clock, pid=None):
        self.clock, rng = clock, random.Random(slot)
        self.room = Admission(NotingBoard(), ALL, clock, rng)
        self.slab = slabs[slot]
        self.sharing = Sharing(Seat(slabs, slot, "t"), self.room, tuple(e.name for e in ALL), rng.random)
        self.sharing.take_over(pid or 10 + slot)

    def view(self, on=A):
        return self.room.views((on,), self.clock.now_s())[0]

    def exchange(self):
        return Exchange(
            request(self.clock),
            FakeClient(self.clock),
            route(ALL),
            Trail(request(self.clock), 0.0),
            self.clock,
            Budget(0.05, 0.05),
        )

    def fly(self, on=A, outcome=None, took_s=0.4, first_s=0.2, tokens=40):
        """One stream, from sending to its end, in no time at all for the others."""
        outcome = outcome or Outcome(usage=Usage(10, tokens))
        with self.room.flight(on, self.exchange()) as flight:
            if outcome.fault is None:
                flight.first_content(flight.sample.started_s + first_s)
            flight.land(outcome, flight.sample.started_s + took_s)


class Crew:
    def __init__(self, workers=2):
        self.clock = Clock()
        self.slabs = Slabs(memoryview(bytearray(Slabs.size_bytes(workers, len(ALL)))), workers, len(ALL))
        self.workers = [Worker(self.slabs, slot, self.clock) for slot in range(workers)]

    def settle(self, seconds=0.05, times=2):
        for _ in range(times):
            self.clock.at_s += seconds
            for worker in self.workers:
                worker.sharing.exchange(self.clock.at_s)


def request(clock):
    return ChatRequest("r", "fake", "auto", {}, clock.now_s(), 400, stream=True)


def failed(failure, **kwargs):
    return Outcome(fault=Fault(failure, "x", **kwargs))


def shown(worker, on=A):
    """What decides: rounded, since instants of the two sides differ by the lag."""
    worker.room.tick(worker.clock.now_s())
    view = worker.view(on)
    return {
        "samples": view.samples,
        "p50": round(view.ttft_quantile_s(0.5, 500), 3),
        "p99": round(view.ttft_quantile_s(0.99, 500), 3),
        "tpot": round(view.tpot_s, 4),
        "tokens": round(view.output_tokens, 1),
        "p_fail": round(view.p_fail, 4),
        "breaker": view.breaker,
        "suspect": view.suspect,
        "in_flight": view.in_flight,
    }


def agree(*views):
    """Exact where things are counted, within 2 % where they are estimated: instants differ by the lag."""
    first = views[0]
    for view in views[1:]:
        for name, value in view.items():
            exact = name in ("samples", "breaker", "suspect", "in_flight", "p_fail")
            assert value == (first[name] if exact else pytest.approx(first[name], rel=0.02)), name


def test_what_one_worker_sees_all_know():
    crew = Crew(3)
    for n in range(30):
        crew.clock.at_s += 0.3
        crew.workers[n % 2].fly(first_s=0.3 + 0.01 * (n % 7), took_s=1.0, tokens=50)
        crew.settle(0.05, 1)
    crew.settle()
    first, second, idle = (shown(w) for w in crew.workers)
    agree(first, second, idle)
    assert first["samples"] == 30
    assert 0.25 < first["p50"] < 0.45


def test_alone_and_together_they_learn_the_same():
    crew, alone = Crew(2), Crew(1)
    for n in range(60):
        for world in (crew, alone):
            world.clock.at_s += 0.5
            worker = world.workers[n % len(world.workers)]
            if n % 9 == 4:
                worker.fly(outcome=failed(Failure.SERVER_ERROR))
            elif n % 9 == 7:
                worker.fly(outcome=failed(Failure.CLIENT_GONE))
            else:
                worker.fly(first_s=0.2 + 0.02 * (n % 5), took_s=2.0, tokens=80)
            world.settle(0.05, 1)
    for world in (crew, alone):
        world.settle()
    agree(*(shown(w) for w in (*crew.workers, *alone.workers)))


def test_whole_replies_are_shared_too():
    crew = Crew()
    for n in range(40):
        crew.clock.at_s += 1.0
        worker = crew.workers[0]
        x = worker.exchange()
        x.request.stream = False
        with worker.room.flight(A, x) as flight:
            flight.land(Outcome(usage=Usage(10, 20 + n)), flight.sample.started_s + 0.3 + 0.01 * n)
        crew.settle(0.05, 1)
    crew.settle()
    agree(*(shown(w) for w in crew.workers))
    assert crew.workers[1].view().samples == 40


def test_a_lesson_is_told_once_and_not_passed_on():
    crew = Crew(3)
    crew.workers[0].fly()
    crew.settle(times=6)
    assert [w.slab.written for w in crew.workers] == [2, 0, 0]  # first content and end
    assert [w.view().samples for w in crew.workers] == [1, 1, 1]


def test_no_sample_is_its_own_teacher():
    crew = Crew(1)
    crew.workers[0].fly()
    crew.settle(times=4)
    assert crew.workers[0].view().samples == 1


def test_a_breaker_opens_everywhere_and_closes_everywhere():
    crew = Crew()
    for _ in range(3):
        crew.workers[0].fly(outcome=failed(Failure.CONNECT))
    crew.settle(0.01)
    assert [w.view().breaker for w in crew.workers] == [BreakerState.OPEN] * 2
    crew.clock.at_s += 3.0
    assert [w.view().breaker for w in crew.workers] == [BreakerState.HALF_OPEN] * 2
    for _ in range(2):
        crew.workers[1].fly()
        crew.settle(0.01)
    assert [w.view().breaker for w in crew.workers] == [BreakerState.CLOSED] * 2


def test_failures_here_and_there_in_turn_are_no_row_of_failures():
    crew = Crew()
    for _ in range(12):
        crew.workers[0].fly(outcome=failed(Failure.CONNECT))
        for _ in range(4):
            crew.workers[0].fly()
        crew.settle(0.2, 1)
    crew.settle()
    assert [w.view().breaker for w in crew.workers] == [BreakerState.CLOSED] * 2


def test_at_high_rates_samples_are_thinned_and_counts_stay_exact():
    crew = Crew()
    (busy, other), chance = crew.workers, random.Random(5)
    for n in range(4000):
        busy.fly(outcome=failed(Failure.SERVER_ERROR) if n % 20 == 3 else None, first_s=chance.uniform(0.2, 0.3))
        if n % 200 == 199:
            crew.settle(0.05, 1)
    crew.settle()
    assert other.view().p_fail == pytest.approx(busy.view().p_fail, abs=1e-9)
    assert other.view().breaker is BreakerState.CLOSED
    assert 0 < other.view().samples < 400
    assert shown(other)["p50"] == pytest.approx(shown(busy)["p50"], rel=0.1)
    assert shown(other)["tpot"] == pytest.approx(shown(busy)["tpot"], rel=0.1)
    assert busy.slab.written < 1200


def test_an_overdue_flight_makes_a_suspect_everywhere_and_counts_once():
    crew = Crew()
    flights = [crew.workers[0].room.flight(A, crew.workers[0].exchange()) for _ in range(3)]
    entered = [flight.__enter__() for flight in flights]
    crew.clock.at_s += 2.1
    for worker in crew.workers:
        worker.room.tick(crew.clock.now_s())
    crew.settle()
    assert [w.view().suspect for w in crew.workers] == [True, True]
    for flight, block in zip(entered, flights, strict=True):
        flight.first_content(crew.clock.now_s())
        flight.land(Outcome(usage=Usage(10, 40)), crew.clock.now_s() + 0.5)
        block.__exit__(None, None, None)
    crew.settle()
    a, b = (shown(w) for w in crew.workers)
    agree(a, b)
    assert b["samples"] == 3


def test_a_client_that_left_says_how_long_it_had_waited():
    crew = Crew()
    with crew.workers[0].room.flight(A, crew.workers[0].exchange()) as flight:
        crew.clock.at_s += 1.5
        flight.land(failed(Failure.CLIENT_GONE), crew.clock.now_s())
    crew.settle()
    agree(*(shown(w) for w in crew.workers))
    assert crew.workers[1].view().age_s is not None


def test_the_requests_own_fault_is_nobodys_lesson():
    crew = Crew()
    crew.workers[0].fly(outcome=failed(Failure.BAD_REQUEST))
    crew.settle()
    assert crew.workers[0].slab.written == 0


def test_a_gate_closes_everywhere_for_as_long_as_the_provider_asked():
    crew = Crew()
    crew.workers[0].fly(outcome=failed(Failure.RATE_LIMITED, retry_after_s=9.0))
    crew.settle(0.01)
    left = [w.view().gate_left_s for w in crew.workers]
    assert left[0] == left[1] > 8.9
    assert [w.room.keeper(A).refusals for w in crew.workers] == [1, 1]
    crew.clock.at_s += 12.0
    assert [w.view().gate_left_s for w in crew.workers] == [0.0, 0.0]


def test_refusals_in_different_workers_back_off_together():
    crew = Crew()
    for n in range(4):
        crew.workers[n % 2].fly(outcome=failed(Failure.RATE_LIMITED))
        crew.settle(0.01)
    assert [w.room.keeper(A).refusals for w in crew.workers] == [4, 4]
    crew.workers[1].fly()
    crew.settle(0.01)
    assert [w.room.keeper(A).refusals for w in crew.workers] == [0, 0]


def test_limits_see_the_requests_in_flight_of_all():
    crew = Crew()
    first, second = crew.workers
    with first.room.flight(LIMITED, first.exchange()), first.room.flight(LIMITED, first.exchange()):
        crew.settle()
        assert [w.view(LIMITED).in_flight for w in crew.workers] == [2, 2]
        with second.room.flight(LIMITED, second.exchange()):
            crew.settle()
            assert [w.view(LIMITED).in_flight for w in crew.workers] == [3, 3]
            assert [w.view(LIMITED).admits for w in crew.workers] == [False, False]
        crew.settle()
        assert [w.view(LIMITED).admits for w in crew.workers] == [True, True]
    crew.settle()
    assert [w.view(LIMITED).in_flight for w in crew.workers] == [0, 0]
    assert [w.room.keeper(LIMITED).in_flight for w in crew.workers] == [0, 0]


def test_a_dead_workers_requests_in_flight_vanish():
    crew = Crew()
    first, second = crew.workers
    killed = first.room.flight(LIMITED, first.exchange())
    killed.__enter__()
    crew.settle()
    assert second.view(LIMITED).in_flight == 1
    first.slab.reclaim()
    second.sharing.exchange(crew.clock.at_s)
    assert second.view(LIMITED).in_flight == 0


def test_a_successor_begins_with_everybodys_experience():
    crew = Crew()
    for n in range(30):
        crew.clock.at_s += 0.2
        crew.workers[n % 2].fly(first_s=0.5, took_s=1.5)
        crew.settle(0.05, 1)
    crew.workers[0].fly(B, failed(Failure.RATE_LIMITED, retry_after_s=60.0))
    crew.workers[0].room.keeper(LIMITED).enabled = False
    crew.workers[0].sharing.switched(crew.clock.now_s())
    crew.settle()
    before = shown(crew.workers[1])
    crew.slabs[0].reclaim()
    crew.workers[0] = Worker(crew.slabs, 0, crew.clock, pid=99)
    heir = crew.workers[0]
    assert (heir.slab.pid, heir.slab.generation) == (99, 2)
    agree(shown(heir), before)
    assert heir.view(B).gate_left_s > 59.0
    assert not heir.room.keeper(LIMITED).enabled
    written = heir.slab.written
    crew.settle(times=4)
    assert heir.slab.written == written  # what it inherited is not told again
    assert shown(crew.workers[1])["samples"] == before["samples"]


def test_a_switch_reaches_everybody_and_the_last_hand_counts():
    crew = Crew(3)

    def switch(slot, enabled):
        crew.clock.at_s += 1.0
        crew.workers[slot].room.keeper(A).enabled = enabled
        crew.workers[slot].sharing.switched(crew.clock.now_s())
        crew.settle()
        return [w.room.keeper(A).enabled for w in crew.workers]

    assert switch(0, False) == [False] * 3
    assert switch(2, True) == [True] * 3
    assert switch(2, False) == [False] * 3
    assert switch(0, True) == [True] * 3
    assert [w.room.keeper(B).enabled for w in crew.workers] == [True] * 3


def test_endpoints_made_on_demand_are_kept_to_oneself():
    crew = Crew()
    crew.workers[0].fly(endpoint("p/whatever"))
    crew.settle()
    assert crew.workers[0].slab.written == 0
    assert len(crew.workers[1].room.keepers()) == len(ALL)


def test_what_was_lost_is_counted(monkeypatch):
    monkeypatch.setattr("fastroute.stats.shared.RING_LESSONS", 16)
    monkeypatch.setattr(sharing, "LESSONS_PER_EXCHANGE", 10_000)
    crew = Crew()
    for _ in range(30):
        crew.workers[0].fly()
    crew.workers[0].sharing.exchange(crew.clock.at_s)
    crew.workers[1].sharing.exchange(crew.clock.at_s)
    assert crew.workers[1].slab.lost == crew.workers[0].slab.written - 16
    assert crew.workers[1].view().samples > 0


def test_bounds_of_overdue_flights_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(sharing, "BOUNDS_KEPT", 10)
    crew = Crew()
    first, second = crew.workers
    kept = []
    for _ in range(30):
        kept.append(first.room.flight(A, first.exchange()))
        kept[-1].__enter__()
        crew.clock.at_s += 2.1
        first.room.tick(crew.clock.now_s())
        crew.settle(0.001, 1)
    assert len(second.sharing._replay._bounds) == 10


def test_a_board_notes_what_its_flights_teach_and_nothing_twice():
    board = NotingBoard()
    board.add(A)
    board.share(["a"])
    flight = board.begin(A, 10.0, 100, 2.0)
    board.first_content(flight, 10.5)
    board.first_content(flight, 10.6)
    board.finish(flight, 11.0, ok=True, stream=True, output_tokens=7)
    board.finish(flight, 11.0, ok=True, stream=True, output_tokens=7)
    board.abandon(flight, 11.0)
    late = board.begin(A, 20.0, 100, 2.0)
    board.tick(23.0)
    board.abandon(late, 24.0)
    assert [note[0] for note in board.news] == [Kind.FIRST_CONTENT, Kind.GOOD, Kind.OVERDUE, Kind.GONE]


def told(board):
    return [(note[0], note[5]) for note in board.news]


def ends(board, count, ok=True):
    for _ in range(count):
        flight = board.begin(A, 10.0, 100, 2.0, False)
        board.finish(flight, 11.0, ok=ok, stream=False, output_tokens=7, blame=Blame.NONE if ok else Blame.ERROR)


def test_a_success_that_is_noted_stands_for_those_that_were_not():
    board = NotingBoard()
    board.add(A)
    board.share(["a"])
    (tally,) = board.tallies.values()
    tally.stride = 5
    ends(board, 12)
    assert told(board) == [(Kind.GOOD, 5), (Kind.GOOD, 5)]
    assert tally.untold == 2


def test_failures_keep_their_place_among_the_successes():
    board = NotingBoard()
    board.add(A)
    board.share(["a"])
    (tally,) = board.tallies.values()
    tally.stride = 5
    for goods, bads in ((2, 1), (0, 1), (4, 1), (1, 0)):
        ends(board, goods)
        ends(board, bads, ok=False)
    assert told(board) == [
        (Kind.GOODS, 2),
        (Kind.BAD, 1),
        (Kind.BAD, 1),
        (Kind.GOOD, 3),
        (Kind.GOODS, 1),
        (Kind.BAD, 1),
    ]
    assert tally.untold == 1


def test_what_is_told_of_overdue_flights_is_told_whole():
    board = NotingBoard()
    board.add(A)
    board.share(["a"])
    (tally,) = board.tallies.values()
    tally.stride = 99
    late = [board.begin(A, 10.0, 100, 1.0) for _ in range(3)]
    board.tick(12.0)
    board.first_content(late[0], 12.5)
    board.finish(late[0], 13.0, ok=True, stream=True, output_tokens=7)
    board.abandon(late[1], 13.0)
    board.finish(late[2], 13.0, ok=False, stream=True, output_tokens=None, blame=Blame.SLOW)
    kinds = [kind for kind, _ in told(board)]
    assert kinds == [*[Kind.OVERDUE] * 3, Kind.FIRST_CONTENT, Kind.GOOD, Kind.GONE, Kind.BAD]


def test_what_an_exchange_changes_makes_decisions_old():
    crew = Crew()
    for _ in range(80):
        crew.workers[0].fly()
        crew.settle()
    epochs = [w.room.epoch for w in crew.workers]
    crew.workers[0].fly()
    crew.settle()
    assert [w.room.epoch for w in crew.workers] == epochs  # one more sample of many
    crew.workers[0].fly(outcome=failed(Failure.RATE_LIMITED, retry_after_s=9.0))
    crew.settle()
    assert crew.workers[1].room.epoch > epochs[1]


def test_sharing_wants_a_board_that_takes_notes():
    crew = Crew(1)
    room = Admission(Scoreboard(), ALL, crew.clock, random.Random(1))
    with pytest.raises(AssertionError):
        Sharing(Seat(crew.slabs, 0, "t"), room, ("a", "b", "l"), random.random)


def suspects(crew, on=A):
    """Makes the endpoint a suspect everywhere, and waits until all may probe it."""
    for _ in range(3):
        crew.workers[0].fly(on, outcome=failed(Failure.FIRST_CONTENT_TIMEOUT), took_s=3.0)
        crew.settle()
    crew.clock.at_s += 5.0
    keepers = [worker.room.keeper(on) for worker in crew.workers]
    assert all(k.suspicion.suspect and k.breaker.closed and k.admits(crew.clock.at_s, False) for k in keepers)
    return keepers


def test_one_workers_probe_of_a_suspect_makes_all_wait():
    """Pitfall 40: one that is hedged and loses teaches nothing, and yet nobody else follows at once."""
    crew = Crew(3)
    keepers = suspects(crew)
    crew.workers[1].fly(outcome=failed(Failure.SUPERSEDED))
    crew.settle()
    assert not any(k.admits(crew.clock.at_s, False) for k in keepers)
    crew.clock.at_s += 10.0
    assert all(k.admits(crew.clock.at_s, False) for k in keepers)


def test_after_a_good_probe_the_next_may_follow_at_once_everywhere():
    crew = Crew(3)
    keepers = suspects(crew)
    crew.workers[1].fly(first_s=0.01, took_s=0.02)
    crew.settle()
    assert all(k.suspicion.suspect and k.admits(crew.clock.at_s, False) for k in keepers)


def test_a_probe_that_fails_there_opens_a_half_open_breaker_here():
    crew = Crew(2)
    for _ in range(3):
        crew.workers[0].fly(outcome=failed(Failure.SERVER_ERROR))
    crew.settle()
    crew.clock.at_s += 2.0
    breakers = [worker.room.keeper(A).breaker for worker in crew.workers]
    assert [b.state(crew.clock.at_s) for b in breakers] == [BreakerState.HALF_OPEN] * 2
    crew.workers[1].fly(outcome=failed(Failure.SERVER_ERROR), took_s=0.1)
    crew.settle()
    assert [b.state(crew.clock.at_s) for b in breakers] == [BreakerState.OPEN] * 2


def test_a_late_failure_from_before_the_opening_says_nothing_new():
    crew = Crew(2)
    slow = crew.workers[1].room.flight(A, crew.workers[1].exchange())
    with slow:
        for _ in range(3):
            crew.workers[0].fly(outcome=failed(Failure.SERVER_ERROR))
        crew.settle()
        crew.clock.at_s += 2.0
        slow.land(failed(Failure.SERVER_ERROR), crew.clock.at_s)
    crew.settle()
    assert all(w.room.keeper(A).breaker.state(crew.clock.at_s) is BreakerState.HALF_OPEN for w in crew.workers)
