"""Several workers in one world: what they share makes them one router."""

import asyncio
import random

import msgspec
import pytest
from sim_support import CHEAP, DEAR, ROUTE, setting, world

from fastroute.engine.sharing import Sharing
from fastroute.sim.crew import ALONE, Crew, crew_of, shares
from fastroute.sim.loop import VirtualClock, run_virtual
from fastroute.sim.measures import numbers
from fastroute.sim.run import Contender, Played, Setting, play
from fastroute.sim.traces import Row, Trace
from fastroute.sim.worldfile import EndpointWorld, Fault

OUTAGES = [Fault("down", from_s, 60.0, ("cheap",), how="error") for from_s in range(100, 1000, 160)]
SLOW_STARTS = [Fault("cold_start", from_s, 60.0, ("cheap",), factor=8.0) for from_s in range(100, 1000, 160)]
BROWNOUTS = [Fault("brownout", from_s, 60.0, ("cheap",), factor=8.0) for from_s in range(100, 1000, 160)]


def played(crew: Crew, seed: int = 1, *faults: Fault, requests: int = 300, rate_per_s: float = 1.0) -> Played:
    return play(Contender("it", ROUTE, crew=crew), setting(*faults, requests=requests, rate_per_s=rate_per_s), seed)


def sent_to_the_sick(run: Played) -> int:
    """Attempts sent to the cheap endpoint while it was ill."""
    tries = (t for line in run.lines for t in line.tries if t.endpoint == "cheap")
    return sum(any(p.start_s <= t.started_s < p.end_s for p in run.phases) for t in tries)


@pytest.mark.parametrize("crew", [Crew(4), Crew(4, shared=False), Crew(3, in_turn=True)], ids=["shared", "unshared", "in turn"])
def test_every_request_is_served_once_and_the_same_seed_gives_the_same_record(crew):
    first, again = played(crew, 1, *BROWNOUTS[:2]), played(crew, 1, *BROWNOUTS[:2])
    assert len(first.lines) == 300
    assert msgspec.json.encode(first) == msgspec.json.encode(again)
    assert first.lines != played(crew, 2, *BROWNOUTS[:2]).lines


def test_a_crew_of_one_is_the_router_alone():
    assert played(Crew(1)) == played(ALONE)


def test_shares():
    assert shares(Crew(3, in_turn=True), 7, random.Random(1)) == [0, 1, 2, 0, 1, 2, 0]
    by_chance = shares(Crew(4), 4000, random.Random(1))
    assert all(900 < by_chance.count(slot) < 1100 for slot in range(4))


def test_workers_of_a_crew_have_luck_of_their_own_and_know_each_other_only_if_they_share():
    async def made():
        clock = VirtualClock(asyncio.get_running_loop())
        return crew_of(Crew(3), (CHEAP, DEAR), clock, 1), crew_of(Crew(3, shared=False), (CHEAP, DEAR), clock, 1)

    sharing, strangers = run_virtual(made())
    assert len({worker.rng.random() for worker in sharing}) == 3
    assert all(worker.sharing for worker in sharing)
    assert not any(worker.sharing for worker in strangers)
    assert len({worker.offset_ratio for worker in sharing}) == 3


def test_what_one_meets_all_know():
    """Pitfall 33. An outage costs four workers that share about as much as one, and far more if they do not."""
    runs = {
        crew: [played(crew, seed, *OUTAGES, requests=1000) for seed in (1, 2)] for crew in (ALONE, Crew(4), Crew(4, shared=False))
    }
    sent = {crew: sum(map(sent_to_the_sick, found)) for crew, found in runs.items()}
    attained = {crew: sum(numbers(run).attainment for run in found) / 2.0 for crew, found in runs.items()}
    assert sent[Crew(4)] <= 1.25 * sent[ALONE]
    assert attained[Crew(4)] >= attained[ALONE] - 0.004
    assert sent[Crew(4, shared=False)] >= 2.5 * sent[ALONE], "else this shows nothing"


def test_a_suspect_is_probed_by_all_together_no_oftener_than_by_one(monkeypatch):
    """Pitfall 40. Without telling each other who probes, four send it more."""
    told = [played(Crew(4), seed, *SLOW_STARTS, requests=1000) for seed in (1, 2)]
    monkeypatch.setattr(Sharing, "_compare_probes", lambda self, others: None)
    untold = [played(Crew(4), seed, *SLOW_STARTS, requests=1000) for seed in (1, 2)]
    alone = [played(ALONE, seed, *SLOW_STARTS, requests=1000) for seed in (1, 2)]
    sent = [sum(map(sent_to_the_sick, runs)) for runs in (alone, told, untold)]
    assert sent[1] <= 1.25 * sent[0]
    assert sent[2] > sent[1], "else this shows nothing"


def test_four_do_not_stampede_to_the_same_endpoint():
    """Pitfall 32. Two equal endpoints with a knee: ties go to the emptier one, whoever filled the other."""
    busy = EndpointWorld(ttft_ms=400, sigma=0.2, tpot_ms=10, knee_in_flight=7, slope_ratio=0.25)
    equal = msgspec.structs.replace(DEAR, price=CHEAP.price)
    pair = msgspec.structs.replace(ROUTE, tiers=((CHEAP, equal),))
    trace = Trace(tuple(Row(i / 8.0, 400, 100) for i in range(400)), name="even")
    where = Setting(world(cheap=busy, dear=busy), trace, 2000, 8.0)
    one, eight = (numbers(play(Contender("it", pair, crew=crew), where, 1)) for crew in (ALONE, Crew(8)))
    assert eight.ttft_p99_s <= 1.3 * one.ttft_p99_s
