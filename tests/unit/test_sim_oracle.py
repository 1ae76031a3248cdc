"""The state oracle knows the true state: faults, limits, lengths, prices; and what to do about failures."""

import math

import pytest
from sim_support import CHEAP, DEAR, STEADY

from fastroute.core.types import EndpointView, Objective, Situation
from fastroute.sim.oracle import StateOracle, current_job
from fastroute.sim.traces import Row
from fastroute.sim.weather import phases
from fastroute.sim.world import Provider, job_of
from fastroute.sim.worldfile import EndpointWorld, Fault, World
from fastroute.stats.board import Scoreboard

OBJECTIVE = Objective(ttft_s=2.0, total_s=8.0)


class Scene:
    """Two endpoints in a world, and an oracle that looks at them."""

    def __init__(self, *faults: Fault, worth: float = 100.0, lengths: tuple[int, ...] = (100,), **specs: EndpointWorld) -> None:
        specs = {"cheap": STEADY, "dear": STEADY, **specs}
        schedule = phases(World(endpoints=specs, faults=faults), 1000.0, 1)
        self.providers = {e.name: Provider(e, specs[e.name], schedule, i, 1) for i, e in enumerate((CHEAP, DEAR))}
        self.now_s = 50.0
        self.oracle = StateOracle(self.providers, lambda: self.now_s, lengths, worth)
        board = Scoreboard()
        for e in (CHEAP, DEAR):
            board.add(e)
        self.views: tuple[EndpointView, ...] = tuple(board.view(e, 0.0) for e in (CHEAP, DEAR))

    def decide(self, objective: Objective = OBJECTIVE, left_s: float = 10.0, elapsed_s: float = 0.0):
        current_job.set(job_of(0, Row(0.0, 400, 100)))
        return self.oracle.decide(Situation(self.views, objective, elapsed_s, left_s, 400), None)

    def first(self, **kwargs: object) -> str:
        return self.decide(**kwargs).ranked[0].endpoint.name

    def p_miss(self, endpoint: str = "cheap", **kwargs: object) -> float:
        return next(c.p_miss for c in self.decide(**kwargs).ranked if c.endpoint.name == endpoint)


def fault(kind: str, **kwargs: object) -> Fault:
    return Fault(kind, 10.0, 80.0, ("cheap",), **kwargs)


def test_in_fair_weather_the_cheap_one():
    decision = Scene().decide()
    assert [c.endpoint.name for c in decision.ranked] == ["cheap", "dear"]
    assert decision.ranked[0].cost_pusd == 400 * CHEAP.price.input_pusd + 100 * CHEAP.price.output_pusd
    assert not decision.lasts


@pytest.mark.parametrize(
    "trouble",
    [
        fault("brownout", factor=8.0),
        fault("down", how="refuse"),
        fault("down", how="hang"),
        fault("gray", share=0.3, how="hang"),
        fault("cut", share=0.3),
        fault("slow_drip", factor=9.0),
        fault("tail_shape", factor=3.0, share=0.3),
    ],
    ids=lambda f: f.kind,
)
def test_it_leaves_at_onset_and_returns_at_the_end(trouble):
    slow = EndpointWorld(ttft_ms=700, tpot_ms=12)
    scene = Scene(trouble, cheap=slow)
    assert scene.first() == "dear"
    scene.now_s = 91.0
    assert scene.first() == "cheap"


def test_quick_errors_of_a_few_are_worth_their_price_where_another_can_follow():
    assert Scene(fault("gray", share=0.05, how="error")).first() == "cheap"


def test_a_miss_that_is_worth_little_moves_nobody():
    scene = Scene(fault("gray", share=0.05, how="hang"), worth=1.0)
    assert scene.first() == "cheap"
    assert Scene(fault("gray", share=0.05, how="hang"), worth=1000.0).first() == "dear"


def test_a_full_rate_limit_is_known():
    scene = Scene(cheap=EndpointWorld(requests_per_minute=6))
    assert scene.first() == "cheap"
    scene.providers["cheap"].receive(job_of(5, Row(0.0, 400, 100)), scene.now_s)
    assert scene.first() == "dear"


def test_p_miss_is_the_log_normal_tail():
    scene = Scene(cheap=EndpointWorld(ttft_ms=1000, sigma=0.5, tpot_ms=1))
    z = math.log(2.0) / 0.5
    assert scene.p_miss() == pytest.approx(0.5 * math.erfc(z / math.sqrt(2)), rel=1e-6)


def test_p_miss_with_stragglers():
    scene = Scene(cheap=EndpointWorld(ttft_ms=500, sigma=0.01, tpot_ms=1, straggler_ratio=0.07, straggler_factor=10))
    assert scene.p_miss() == pytest.approx(0.07)


def test_long_answers_miss_the_total():
    scene = Scene(lengths=(100, 100, 100, 2000), cheap=EndpointWorld(ttft_ms=300, sigma=0.1, tpot_ms=10))
    assert scene.p_miss() == pytest.approx(0.25, abs=0.001)


def test_load_counts():
    scene = Scene(cheap=EndpointWorld(ttft_ms=900, sigma=0.1, knee_in_flight=2, slope_ratio=1.0))
    assert scene.p_miss() < 0.01
    scene.providers["cheap"].in_flight = 5
    assert scene.p_miss() > 0.99


def test_what_is_lost_already_is_lost_everywhere():
    assert Scene().p_miss(elapsed_s=2.5) == 1.0


def test_without_an_objective_only_the_deadline_can_be_missed():
    assert Scene().p_miss(objective=Objective()) < 1e-6


def test_a_price_change_is_known_at_once():
    assert Scene(fault("price_change", factor=20.0)).first() == "dear"


def test_agrees_with_the_world_it_describes():
    """Its P(miss) is the frequency with which attempts really miss."""
    spec = EndpointWorld(ttft_ms=900, sigma=0.4, straggler_ratio=0.03, straggler_factor=4, tpot_ms=20)
    lengths = tuple(range(10, 400, 10))
    scene = Scene(cheap=spec, lengths=lengths)
    predicted = scene.p_miss()
    missed = 0
    for i in range(6000):
        course = scene.providers["cheap"].plan(job_of(i, Row(0.0, 400, lengths[i % len(lengths)])), 50.0)
        missed += course.ttft_s > 2.0 or course.end_s > 8.0
    assert missed / 6000 == pytest.approx(predicted, abs=0.01)
