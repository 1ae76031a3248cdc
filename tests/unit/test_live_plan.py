"""The world, translated: nothing of it may be lost on the way to the mock."""

import json

import msgspec
import pytest
import yaml
from sim_support import CHEAP, DEAR

from bench.live import WORLD, options
from bench.live_plan import (
    Unplayable,
    control_calls,
    endpoints_of,
    fixed_trace,
    luck_seed,
    mock_config,
    request_bytes,
    routed_config,
)
from fastroute.mock.ask import count_tokens
from fastroute.mock.faults import FaultSpec
from fastroute.mock.schema import mock_config as checked
from fastroute.sim.command import route_of
from fastroute.sim.traces import Row, poisson_trace
from fastroute.sim.weather import Phase, phases
from fastroute.sim.worldfile import SHIPPED, EndpointWorld, Fault, World, load_world

PORTS = {"cheap": 4101, "dear": 4102, "control": 4103}
KNOWN = {"cheap": CHEAP, "dear": DEAR}


def mocked(**spec: object) -> object:
    world = World(endpoints={"cheap": EndpointWorld(**spec)}, default=EndpointWorld())
    return checked(mock_config(world, KNOWN, PORTS, 7)).endpoints[0]


def call(fault: Fault) -> dict[str, object]:
    return control_calls([Phase(fault, 10.0, 40.0)])[0]


def test_an_endpoint_keeps_its_distributions_limits_and_prices():
    found = mocked(
        ttft_ms=550, per_input_token_ms=0.1, sigma=0.3, straggler_ratio=0.01, straggler_factor=6, tpot_ms=11, tpot_sigma=0.2,
        knee_in_flight=4, slope_ratio=0.05, requests_per_minute=60, cancel_stops_billing=False, price_factor=2.0,
    )  # fmt: skip
    latency = found.latency
    assert (latency.ttft_ms, latency.per_input_token_ms, latency.sigma, latency.scatter_all) == (550, 0.1, 0.3, True)
    assert (latency.straggler_ratio, latency.straggler_factor) == (0.01, 6)
    assert (latency.tpot_ms, latency.tpot_sigma, latency.knee_in_flight, latency.slope_ratio) == (11, 0.2, 4, 0.05)
    assert (found.limits.requests_per_minute, found.limits.burst_s) == (60, 10.0)
    assert found.bills_after_cancel
    assert found.price.charge_pusd(1000, 100) == 2 * (1000 * CHEAP.price.input_pusd + 100 * CHEAP.price.output_pusd)


def test_what_the_mock_cannot_do_is_said():
    with pytest.raises(Unplayable, match="tokens_per_minute"):
        mocked(tokens_per_minute=1000)
    for kind in ("price_change", "clock_step"):
        with pytest.raises(Unplayable, match=kind):
            call(Fault(kind, 1.0, endpoints=("cheap",), factor=2.0))


@pytest.mark.parametrize(
    ("fault", "members"),
    [
        (Fault("brownout", 0, factor=4), {"fault": "brownout", "factor": 4}),
        (Fault("spike", 0, factor=20), {"fault": "brownout", "factor": 20}),
        (Fault("cold_start", 0, factor=3), {"fault": "late_start", "factor": 3}),
        (Fault("slow_drip", 0, factor=9), {"fault": "slow_drip", "factor": 9}),
        (Fault("rate_cut", 0, factor=0.1), {"fault": "rate_cut", "factor": 0.1}),
        (Fault("tail_shape", 0, factor=2, share=0.1), {"fault": "tail_shape", "factor": 2, "straggler_ratio": 0.1}),
        (Fault("cut", 0, share=0.2), {"fault": "reset", "at_ratio": "any", "ratio": 0.2}),
        (Fault("down", 0, how="refuse"), {"fault": "refuse", "cuts": True}),
        (Fault("down", 0, how="hang"), {"fault": "hang_before_headers", "cuts": True}),
        (Fault("down", 0, how="error"), {"fault": "status", "status": 500, "delay_ms": 150.0, "cuts": True}),
        (Fault("gray", 0, share=0.25, how="hang"), {"fault": "hang_before_headers", "ratio": 0.25}),
        (Fault("gray", 0, share=0.5, how="error"), {"fault": "status", "status": 500, "delay_ms": 150.0, "ratio": 0.5}),
        (Fault("gray", 0, share=0.5, how="refuse"), {"fault": "reset", "ratio": 0.5}),
    ],
)
def test_every_fault_has_its_like_and_the_control_port_takes_it(fault, members):
    made = call(msgspec.structs.replace(fault, endpoints=("cheap",)))
    assert made == {"endpoint": "cheap", "at_s": 10.0, "for_s": 30.0, **members}
    assert msgspec.convert({k: v for k, v in made.items() if k != "endpoint"}, FaultSpec)


def test_a_correlated_fault_is_a_call_for_each_endpoint():
    calls = control_calls([Phase(Fault("brownout", 0, endpoints=("cheap", "dear"), factor=4), 0.0, 5.0)])
    assert [c["endpoint"] for c in calls] == ["cheap", "dear"]


def test_the_routed_configuration_differs_in_addresses_only(tmp_path):
    source = SHIPPED / "five-endpoints.yaml"
    known = endpoints_of(route_of(source, None))
    text = routed_config(source, {name: f"http://127.0.0.1:{5000 + i}/v1" for i, name in enumerate(known)}, 6000, 6001)
    (tmp_path / "live.yaml").write_text(text)
    routed = route_of(tmp_path / "live.yaml", None)
    assert yaml.safe_load(text)["listen"] == {"host": "127.0.0.1", "port": 6000, "admin_port": 6001}
    assert [e.base_url for e in endpoints_of(routed).values()] == [f"http://127.0.0.1:{5000 + i}/v1" for i in range(5)]
    assert routed.objective == route_of(source, None).objective
    assert {n: e.price for n, e in endpoints_of(routed).items()} == {n: e.price for n, e in known.items()}


@pytest.mark.parametrize("tokens", [100, 1000, 4142])
def test_a_request_has_the_rows_size_and_asks_for_its_answer(tokens):
    head, body = request_bytes(Row(0.0, tokens, 77), 5, "auto").split(b"\r\n\r\n", 1)
    plain = json.loads(body)
    prompt = plain["messages"][0]["content"]
    assert plain["stream"] is True
    assert "#reply=77#" in prompt
    assert count_tokens("user", prompt) == pytest.approx(tokens, abs=2)
    assert len(body) / 4 == pytest.approx(tokens, abs=30)  # what the router goes by
    assert f"content-length: {len(body)}".encode() in head
    assert b"x-request-id: live-5" in head


def test_simulations_of_a_fixed_trace_share_arrivals_and_differ_in_luck():
    fixed = fixed_trace(poisson_trace(), 5.0, 20.0, 3)
    n = len(fixed.rows)
    assert 60 < n < 140
    assert all(row.at_s < 20.0 for row in fixed.rows)
    for times in (1, 2, 9):
        again = tuple(fixed.arrivals(None, n, luck_seed(times, n)))
        assert [r.input_tokens for r in again] == [r.input_tokens for r in fixed.rows]
        assert [r.at_s for r in again] == pytest.approx([r.at_s for r in fixed.rows])


def test_the_shipped_world_can_be_played_and_fits_its_time():
    world, known = load_world(WORLD), endpoints_of(route_of(SHIPPED / "five-endpoints.yaml", None))
    schedule = phases(world, 300.0, 1)
    assert schedule == phases(world, 300.0, 99)  # no jitter: every draw has the same faults
    assert max(p.end_s for p in schedule) < options().get_default("seconds")
    assert len(control_calls(schedule)) == 7
    ports = {name: 4200 + i for i, name in enumerate((*known, "control"))}
    assert len(checked(mock_config(world, known, ports, 1)).endpoints) == 5
