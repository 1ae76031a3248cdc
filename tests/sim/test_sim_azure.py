"""The recorded trace, where it is at hand: a smoke test of the shipped evaluation."""

from pathlib import Path

import pytest

from fastroute.sim.command import route_of
from fastroute.sim.measures import numbers, reactions
from fastroute.sim.run import Contender, Setting, play
from fastroute.sim.traces import load_trace
from fastroute.sim.worldfile import SHIPPED, find_world, load_world

TRACE = Path(__file__).resolve().parents[3] / "shared" / "traces" / "azure_conv.csv"


@pytest.fixture(scope="module")
def azure():
    if not TRACE.exists():
        pytest.skip(f"no {TRACE.name} beside the checkout")
    return load_trace(str(TRACE))


def test_the_trace_is_what_its_description_says(azure):
    inputs = sorted(r.input_tokens for r in azure.rows)
    outputs = sorted(r.output_tokens for r in azure.rows)
    assert len(azure.rows) == 19_366
    assert (inputs[len(inputs) // 2], outputs[len(outputs) // 2]) == (1020, 129)
    assert azure.rows[-1].at_s == pytest.approx(58 * 60, abs=60)


@pytest.mark.parametrize("world", ["six-phases", "other-faults"])
def test_the_shipped_evaluation_runs_and_attains_most(azure, world):
    route = route_of(SHIPPED / "five-endpoints.yaml", None)
    run = play(Contender("it", route), Setting(load_world(find_world(world)), azure, 2000, 1.0), 1)
    found = numbers(run)
    assert found.requests == 2000
    assert found.attainment > 0.96
    assert found.attempts_per_request < 1.1
    judged = [r for r in reactions(run) if r.in_use]
    assert judged
    assert sum(r.detect_s is not None for r in judged) >= 0.75 * len(judged)
