"""Comparisons: estimates over seeds, the table, JSON, the page."""

import json
import math
import re
import xml.etree.ElementTree as ET

import pytest
from sim_support import ROUTE, route, setting

from fastroute.core.types import Objective
from fastroute.sim.page import html
from fastroute.sim.report import Comparison, Estimate, compare, estimate
from fastroute.sim.run import Contender
from fastroute.sim.table import HEADINGS, markdown, shown, text
from fastroute.sim.worldfile import Fault

BROWN = Fault("brownout", 60.0, 40.0, ("cheap",), factor=10.0)
STRICT = route(objective=Objective(ttft_s=0.5, total_s=8.0))


@pytest.fixture(scope="module")
def compared() -> Comparison:
    contenders = [Contender("two seconds", ROUTE), Contender("half a <second>", STRICT)]
    return compare(contenders, setting(BROWN, requests=240), 2, processes=1)


# --- estimates ---


def test_an_interval_is_students():
    found = estimate([1.0, 2.0, 3.0])
    half = 4.303 * 1.0 / math.sqrt(3)
    assert (found.mean, found.lo, found.hi) == (2.0, pytest.approx(2.0 - half), pytest.approx(2.0 + half))


def test_one_value_has_no_interval_and_none_has_no_mean():
    assert estimate([4.0]) == Estimate(4.0, None, None)
    assert estimate([None, None]) == Estimate(None)
    assert estimate([None, 1.0]) == Estimate(1.0)


def test_many_values_fall_back_on_the_normal():
    values = [float(i % 2) for i in range(100)]
    found = estimate(values)
    assert found.hi - found.mean == pytest.approx(1.96 * 0.0503, rel=0.01)


# --- the comparison ---


def test_a_comparison_has_every_contender_with_its_numbers(compared):
    assert [c.name for c in compared.configs] == ["two seconds", "half a <second>"]
    relaxed, strict = compared.configs
    assert relaxed.requests == strict.requests == 480
    assert 0.9 < relaxed.attainment.mean < 1.0
    assert relaxed.calibration != strict.calibration
    assert relaxed.cost_usd.lo <= relaxed.cost_usd.mean <= relaxed.cost_usd.hi
    assert relaxed.cost_vs_state_oracle.mean > 0.9
    assert 0.0 <= relaxed.hedge_ratio.mean < 0.05
    assert relaxed.attempts_per_request.mean >= 1.0
    assert relaxed.faults[0].fault == "brownout cheap"
    assert relaxed.faults[0].detected == relaxed.faults[0].times > 0
    assert len(compared.oracle) == 2


def test_processes_change_nothing():
    alone, together = (
        compare([Contender("a", ROUTE)], setting(BROWN, requests=60), 2, oracle=False, processes=n) for n in (1, 2)
    )
    assert alone.to_dict() == together.to_dict()


def test_without_the_oracle_the_ratio_is_unknown():
    found = compare([Contender("a", ROUTE)], setting(requests=50), 1, oracle=False, processes=1)
    assert found.configs[0].cost_vs_state_oracle == Estimate(None)
    assert found.oracle == {}


def test_without_an_objective_there_is_no_attainment():
    found = compare([Contender("a", route(objective=Objective()))], setting(requests=50), 1, processes=1)
    assert found.configs[0].attainment == Estimate(None)
    assert found.configs[0].cost_vs_state_oracle == Estimate(None)


def test_json_has_what_the_interface_promises(compared):
    plain = json.loads(json.dumps(compared.to_dict()))
    promised = {
        "name", "requests", "attainment", "cost_usd", "cost_vs_state_oracle", "hedge_ratio", "waste_ratio",
        "attempts_per_request", "detect_s", "recover_s", "calibration",
    }  # fmt: skip
    for config in plain["configs"]:
        assert promised <= set(config)
        assert set(config["attainment"]) == {"mean", "lo", "hi"}
    assert plain["about"]["seeds"] == 2


# --- text ---


def test_the_table_is_markdown_with_a_row_a_contender(compared):
    lines = text(compared).splitlines()
    assert lines[0] == "even at 2 requests a second, 240 requests on each of 2 seeds"
    table = [line for line in lines if line.startswith("|")]
    assert table[0].count("|") == len(HEADINGS) + 1
    assert table[2].startswith("| two seconds ")
    assert any("brownout cheap" in line for line in lines)
    assert any(line.startswith("| a fault, its endpoint trusted ") for line in lines)
    assert "brownout" not in text(compared, faults=False)


@pytest.mark.parametrize(
    ("value", "told"),
    [(Estimate(None), "-"), (Estimate(0.5), "50.0"), (Estimate(0.5, 0.4, 0.6), "50.0 ± 10.0")],
)
def test_how_an_estimate_is_shown(value, told):
    assert shown(value, 1, 100.0) == told


def test_columns_line_up():
    assert len({len(line) for line in markdown(("a", "long heading"), [["a long cell", "b"]]).splitlines()}) == 1


# --- the page ---


def test_the_page_stands_alone_and_escapes_names(compared):
    page = html(compared)
    assert "half a &lt;second&gt;" in page
    assert "<second>" not in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=", page)
    assert "prefers-color-scheme: dark" in page


def test_charts_are_well_formed_with_a_line_a_contender_and_the_fault_shaded(compared):
    charts = re.findall(r"<svg.*?</svg>", html(compared), re.DOTALL)
    assert len(charts) == 2
    for chart in charts:
        root = ET.fromstring(chart)
        assert len(root.findall("polyline")) == 2
        shades = [r for r in root.findall("rect") if r.get("opacity")]
        assert [s.find("title").text for s in shades] == ["brownout cheap"]
        for line in root.findall("polyline"):
            xs = [float(p.split(",")[0]) for p in line.get("points").split()]
            assert xs == sorted(xs)


def test_a_page_without_an_objective_says_so():
    found = compare([Contender("a", route(objective=Objective()))], setting(requests=50), 1, oracle=False, processes=1)
    assert "Nothing to show." in html(found)


def test_flat_lines_can_be_drawn():
    found = compare([Contender("a", ROUTE)], setting(requests=50), 1, oracle=False, processes=1)
    assert found.configs[0].attainment.mean == 1.0
    assert "polyline" in html(found)
