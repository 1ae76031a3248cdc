import pytest

from fastroute.config.catalog import MAX_ON_DEMAND, Catalog
from fastroute.core.types import Endpoint, Objective, Profile, Route

PROFILE = Profile("openai", "openai_chat", "/chat/completions")


def endpoint(name: str, provider: str = "openai", model: str = "gpt-mini") -> Endpoint:
    return Endpoint(name, provider, PROFILE, "https://x.example", model, key="sk-secret")


class Maker:
    """Stands in for `resolve`: counts what is made."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, provider: str, model: str) -> Endpoint | None:
        if provider != "openai":
            return None
        self.made.append(model)
        return endpoint(f"{provider}/{model}", provider, model)


def catalog(*endpoints: Endpoint, make: Maker | None = None, routes: tuple[Route, ...] = ()) -> Catalog:
    return Catalog({e.name: e for e in endpoints}, {r.name: r for r in routes}, (), make or Maker())


def serving(route: Route | None) -> list[str]:
    assert route is not None
    return [endpoint.name for tier in route.tiers for endpoint in tier]


EAST, WEST = endpoint("east"), endpoint("west")
OTHER = endpoint("other", "azure")
AUTO = Route("auto", ((EAST,), (OTHER,)), objective=Objective(ttft_s=1.0))


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("auto", ["east", "other"]),
        ("east", ["east"]),
        ("openai/gpt-mini", ["east", "west"]),
        ("azure/gpt-mini", ["other"]),
        ("gpt-mini", ["east", "west", "other"]),
        ("openai/new-model", ["openai/new-model"]),
        ("openai/vendor/new-model", ["openai/vendor/new-model"]),
    ],
)
def test_what_a_clients_model_leads_to(model: str, names: list[str]) -> None:
    assert serving(catalog(EAST, WEST, OTHER, routes=(AUTO,)).route_for(model)) == names


@pytest.mark.parametrize(
    "model", ["", "autos", "AUTO", "nobody/gpt-mini", "openai/", "/gpt-mini", "/", "openai", "openai/a b", "openai/é"]
)
def test_what_leads_nowhere(model: str) -> None:
    assert catalog(EAST, WEST, OTHER, routes=(AUTO,)).route_for(model) is None


@pytest.mark.parametrize("model", ["openai/a\nb", "openai/a\r\nx: y", "openai/\x00", "openai/" + "x" * 201, "openai/a\x7f"])
def test_a_made_up_model_that_no_header_could_carry(model: str) -> None:
    make = Maker()
    assert catalog(make=make).route_for(model) is None
    assert make.made == []


def test_a_route_wins_over_an_endpoint_and_an_endpoint_over_a_model() -> None:
    same_as_route, same_as_model = endpoint("auto"), endpoint("gpt-mini", "azure", "gpt-large")
    asked = catalog(same_as_route, same_as_model, EAST, routes=(AUTO,))
    assert asked.route_for("auto") is AUTO
    assert serving(asked.route_for("gpt-mini")) == ["gpt-mini"]
    assert serving(asked.route_for("gpt-large")) == ["gpt-mini"]


def test_an_endpoint_may_be_named_like_a_qualified_model() -> None:
    named = endpoint("openai/gpt-mini", "azure", "x")
    assert serving(catalog(named, EAST).route_for("openai/gpt-mini")) == ["openai/gpt-mini"]


def test_a_route_that_nobody_wrote_promises_nothing_and_waits_long_for_the_first_content() -> None:
    route = catalog(EAST).route_for("east")
    assert route is not None
    assert route.objective == Objective()
    assert (route.name, route.deadline_s, route.deadline_covers) == ("east", 60.0, "first_content")


def test_the_same_name_gives_the_same_route() -> None:
    make = Maker()
    asked = catalog(EAST, make=make)
    assert asked.route_for("east") is asked.route_for("east")
    assert asked.route_for("openai/new") is asked.route_for("openai/new")
    assert make.made == ["new"]


def test_models_made_on_demand_are_bounded_and_the_longest_unused_goes() -> None:
    make = Maker()
    asked = catalog(make=make)
    for i in range(MAX_ON_DEMAND):
        asked.route_for(f"openai/m{i}")
    asked.route_for("openai/m0")  # used again
    asked.route_for("openai/extra")  # m1 makes room
    assert len(make.made) == MAX_ON_DEMAND + 1
    asked.route_for("openai/m0")
    assert len(make.made) == MAX_ON_DEMAND + 1
    asked.route_for("openai/m1")
    assert len(make.made) == MAX_ON_DEMAND + 2
    assert len(asked._on_demand) == MAX_ON_DEMAND


def test_models_made_on_demand_are_not_listed() -> None:
    asked = catalog(EAST, OTHER, endpoint("auto"), routes=(AUTO,))
    asked.route_for("openai/new")
    assert asked.model_ids() == [("auto", "fastroute"), ("east", "openai"), ("other", "azure")]
    assert list(asked.endpoints) == ["east", "other", "auto"]


def test_showing_a_catalog_shows_no_key() -> None:
    text = repr(catalog(EAST, routes=(AUTO,))) + repr(AUTO)
    assert "1 endpoints, 1 routes" in text
    assert "sk-secret" not in text
