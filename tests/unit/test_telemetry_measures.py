"""`telemetry.measures`: the numbers are the Trail's own."""

from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.failures import Failure, Fault
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import ChatRequest, Objective, Role
from fastroute.telemetry.measures import measure

INSTANTS = st.none() | st.floats(0.0, 100.0)
COSTS = st.none() | st.integers(0, 10**15)
FAULTS = st.none() | st.sampled_from(list(Failure)).map(lambda failure: Fault(failure, "said"))


@st.composite
def trails(draw: st.DrawFn) -> Trail:
    request = ChatRequest("r", "openai_chat", "auto", {}, draw(st.floats(0.0, 50.0)), 4)
    attempts = [Attempt("e", "p", "m", 0, Role.PRIMARY, 0.0, cost_pusd=cost) for cost in draw(st.lists(COSTS, max_size=3))]
    objective = draw(st.none() | st.builds(Objective, INSTANTS, INSTANTS))
    ends = {"first_content_s": draw(INSTANTS), "ended_s": draw(INSTANTS), "upstream_s": draw(st.floats(0.0, 50.0))}
    return Trail(request, 0.0, objective=objective, attempts=attempts, fault=draw(FAULTS), **ends)


@given(trails())
def test_what_is_measured_is_what_the_trail_says(trail: Trail) -> None:
    overhead_s = None if trail.ended_s is None else trail.overhead_s(trail.ended_s)
    assert measure(trail) == (trail.ttft_s, trail.total_s, overhead_s, trail.objective_met, trail.cost_pusd)


@given(trails())
def test_costs_add_up_where_all_are_known(trail: Trail) -> None:
    costs = [a.cost_pusd for a in trail.attempts]
    known = bool(costs) and all(c is not None for c in costs)
    assert measure(trail)[4] == (sum(c or 0 for c in costs) if known else None)
