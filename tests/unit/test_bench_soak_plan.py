"""The plan of a soak run: what it runs, what breaks when, and that all of it exists."""

import random

import msgspec
import pytest
import yaml

from bench.soak_client import Visitor
from bench.soak_plan import MOCK, PROVIDERS, ROUND_S, ROUNDS, ROUTES, SIDECAR, VISITS, faults
from fastroute.app import catalog_of
from fastroute.config.load import parse_config
from fastroute.mock.faults import FaultSpec
from fastroute.mock.schema import mock_config

PORTS = {name: 20_000 + i for i, name in enumerate(("port", "admin", "control", *PROVIDERS))}


def test_the_sidecar_takes_its_configuration_without_a_warning() -> None:
    config = parse_config(SIDECAR.format(**PORTS), env={})
    catalog = catalog_of(config)
    assert catalog.warnings == ()
    assert {name for name, _ in ROUTES} | {"long"} == set(config.routes)
    assert {config.providers[e.provider].base_url for e in config.endpoints.values()} == {
        f"http://127.0.0.1:{PORTS[name]}" + ("" if name == "claude" else "/v1") for name in PROVIDERS
    }


def test_the_mocks_take_theirs() -> None:
    found = mock_config(yaml.safe_load(MOCK.format(**PORTS)))
    assert {e.name: e.port for e in found.endpoints} == {name: PORTS[name] for name in PROVIDERS}


@pytest.mark.parametrize("turn", range(len(ROUNDS)))
def test_the_mocks_know_every_fault(turn: int) -> None:
    for fault in ROUNDS[turn]:
        call = fault.call()
        assert call.pop("endpoint") in (*PROVIDERS, "*")
        assert msgspec.convert(call, FaultSpec).for_s == fault.for_s
        assert fault.at_s + fault.for_s < ROUND_S  # every round ends quietly


def test_what_the_issue_names_is_there() -> None:
    found = [f for turn in ROUNDS for f in turn]
    assert {"reset", "stall_mid_stream", "half_sse_line", "brownout", "slow_drip"} <= {f.kind for f in found}
    assert any(f.parameters.get("status") == 429 and f.parameters["retry_after_s"] for f in found)
    assert any(f.parameters.get("status") == 500 for f in found)


def test_faults_come_in_order_and_end_before_the_run() -> None:
    found = faults(300)
    assert [f.at_s for f in found] == sorted(f.at_s for f in found)
    assert {f.kind for f in found} == {f.kind for turn in ROUNDS for f in turn}
    assert all(f.at_s + f.for_s <= 300 for f in found)
    assert found[-1].at_s > 280
    assert len(faults(600)) == pytest.approx(2 * len(found), abs=2)


def test_a_run_without_time_has_no_faults() -> None:
    assert faults(0) == []


def test_every_kind_of_visit_is_one_that_visitors_know() -> None:
    assert set(Visitor(1, random.Random(1)).kinds) == {kind for kind, _ in VISITS}
    assert all(weight > 0 for _, weight in VISITS)
