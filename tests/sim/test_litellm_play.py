"""The installed LiteLLM in the simulated world; skipped where it is not installed (it is in no usual set-up)."""

import pytest
from sim_support import ROUTE, setting, world

from bench.baselines import litellm_time
from fastroute.core.failures import Failure
from fastroute.sim.measures import numbers
from fastroute.sim.worldfile import EndpointWorld, Fault

why = litellm_time.missing()
if why is not None:
    pytest.skip(why, allow_module_level=True)

from bench.baselines.litellm_play import STRATEGIES, play_litellm  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # it has warnings of its own

STEADY = EndpointWorld(ttft_ms=300, sigma=0.0, tpot_ms=10, tpot_sigma=0.0)
QUICK = EndpointWorld(ttft_ms=100, sigma=0.0, tpot_ms=5, tpot_sigma=0.0)


def played(strategy, *faults, **changes):
    return play_litellm(
        strategy, ROUTE, setting(*faults, **{"requests": 40, "world": world(*faults, cheap=STEADY, dear=QUICK)} | changes), 1
    )


def firsts(found):
    return [line.tries[0].endpoint for line in found.lines]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_request_is_served_and_charged_and_repeats_exactly(strategy):
    found = played(strategy)
    assert numbers(found).attainment == 1.0
    assert all(line.tries[0].bill_pusd > 0 for line in found.lines)
    spans = {"cheap": 0.3 + 99 * 0.01, "dear": 0.1 + 99 * 0.005}
    assert all(
        line.total_s == pytest.approx(spans[line.tries[0].endpoint], abs=0.001) for line in found.lines
    )  # work costs no time
    assert found.lines == played(strategy).lines


def test_lowest_cost_takes_the_cheap_one_and_latency_the_quick_one():
    assert set(firsts(played("cost-based-routing"))) == {"cheap"}
    assert firsts(played("latency-based-routing"))[-10:] == ["dear"] * 10


def test_its_own_retry_leads_around_an_endpoint_that_is_down():
    found = played("cost-based-routing", Fault("down", 5.0, 60.0, ("cheap",), how="refuse"))
    late = [line for line in found.lines if line.at_s > 5.0]
    assert any(line.tries[0].failure is Failure.CONNECT and line.tries[-1].endpoint == "dear" for line in late)
    assert all(line.tries[-1].won for line in late if len(line.tries) > 1 and line.tries[-1].endpoint == "dear")


def test_a_hanging_endpoint_ends_by_litellms_time_limit_or_the_clients():
    found = played("cost-based-routing", Fault("down", 0.0, 600.0, ("cheap", "dear"), how="hang"), requests=3)
    assert numbers(found).attainment == 0.0
    assert found.lines[0].tries[0].failure is Failure.FIRST_CONTENT_TIMEOUT
    assert max(line.total_s for line in found.lines) <= ROUTE.deadline_s + 0.01
