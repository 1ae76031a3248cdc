"""Strategies by name, third parties' too."""

from importlib.metadata import EntryPoint

import pytest
from policy_cases import rng, situation, view

from fastroute.core.types import Decision
from fastroute.policy import registry
from fastroute.policy.registry import UnknownStrategy, names, strategies, strategy


class Mine:
    name = "mine"

    def decide(self, situation, rng) -> Decision:
        return Decision(self.name, (), (), "mine")


MINE = Mine()
NOT_ONE = object()


@pytest.fixture
def plugins(monkeypatch):
    """Installs entry points that point into this file."""
    here = __name__
    found = [
        EntryPoint("mine", f"{here}:Mine", registry.GROUP),
        EntryPoint("ready", f"{here}:MINE", registry.GROUP),
        EntryPoint("cost_slo", f"{here}:Mine", registry.GROUP),
    ]
    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group, name=None: [e for e in found if group == registry.GROUP and name in (None, e.name)],
    )
    return found


@pytest.mark.parametrize("name", ["cost_slo", "least_latency", "weighted", "round_robin"])
def test_the_built_in_ones(name):
    found = strategy(name)
    assert found.name == name
    assert found.decide(situation(view()), rng()).strategy == name
    assert name in names()


def test_all_of_them_by_name():
    assert set(strategies()) >= {"cost_slo", "least_latency", "weighted", "round_robin"}
    assert all(s.name == name for name, s in strategies().items() if name in registry.BUILT_IN)


def test_an_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(UnknownStrategy, match="did you mean 'cost_slo'"):
        strategy("cost-slo")
    with pytest.raises(UnknownStrategy, match="known: cost_slo, least_latency"):
        strategy("zzz")


def test_an_entry_point_may_be_a_class_or_an_object(plugins):
    assert strategy("mine").decide(situation(view()), rng()).why == "mine"
    assert strategy("ready") is MINE
    assert {"mine", "ready"} <= set(names())


def test_a_built_in_name_cannot_be_taken_over(plugins):
    assert not isinstance(strategy("cost_slo"), Mine)


def test_an_entry_point_that_is_no_strategy_is_refused(plugins):
    plugins.append(EntryPoint("wrong", f"{__name__}:NOT_ONE", registry.GROUP))
    with pytest.raises(UnknownStrategy, match="has no decide"):
        strategy("wrong")
