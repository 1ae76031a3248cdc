"""What can be asked for, by the name a client puts in `model`.

Theory of operation. Every name that is known when the configuration is loaded is one dictionary look-up. Only a model that no
endpoint names, `provider/model`, is made on demand: the name comes from a client, so it is checked, quoted where it enters a
URL, and the number that are kept is bounded.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from fastroute.core.types import Endpoint, Objective, Route

IMPLICIT_DEADLINE_S = 60.0
"""A client that names a model, not a route, states no objective: it gets what slow models need, not a route's 10 s."""
IMPLICIT_DEADLINE_COVERS: Final = "first_content"
"""And a stream that has begun is not cut, since nobody asked for it to end by then."""
MAX_ON_DEMAND = 1000
"""Models made on demand that are kept; the one longest unused makes room."""

_MODEL = re.compile(r"[\x21-\x7e]{1,200}")

MakeEndpoint = Callable[[str, str], Endpoint | None]
"""(provider name, model) -> an endpoint; None where there is no such provider."""
Offered = Callable[[], Iterable[tuple[str, str]]]
"""(provider name, model) of everything else that `provider/model` leads to, as far as it is known."""


class Catalog:
    """Endpoints and routes of one configuration, and how a client's `model` leads to them. Replaced whole on reload.

    `warnings`: what `serve` and `check` should tell the operator.
    """

    def __init__(
        self,
        endpoints: dict[str, Endpoint],
        routes: dict[str, Route],
        warnings: tuple[str, ...],
        make: MakeEndpoint,
        offered: Offered = tuple,
    ) -> None:
        self.endpoints = endpoints
        self.routes = routes
        self.warnings = warnings
        self._make, self._offered = make, offered
        self._by_name = _implicit_routes(endpoints) | routes
        self._on_demand: dict[str, Route] = {}

    def __repr__(self) -> str:
        return f"Catalog({len(self.endpoints)} endpoints, {len(self.routes)} routes)"

    def route_for(self, model: str) -> Route | None:
        """The route that a client's `model` names, in this order: a route, an endpoint, `provider/model`, a provider's own
        name of a model that endpoints serve, any model at a known provider. None: nothing of that name.
        """
        return self._by_name.get(model) or self._route_on_demand(model)

    def model_ids(self) -> list[tuple[str, str]]:
        """(id, owner) for `/v1/models`: routes first, then the endpoints that no route hides, then what else providers offer."""
        owners = dict.fromkeys(self.routes, "fastroute")
        owners |= {name: endpoint.provider for name, endpoint in self.endpoints.items() if name not in owners}
        offered = {f"{provider}/{model}": provider for provider, model in self._offered()}
        return list((owners | {name: owner for name, owner in offered.items() if name not in owners}).items())

    def _route_on_demand(self, model: str) -> Route | None:
        route = self._on_demand.pop(model, None) or self._make_route(model)
        if route is not None:
            self._on_demand[model] = route  # last again: the first one is the longest unused
            if len(self._on_demand) > MAX_ON_DEMAND:
                del self._on_demand[next(iter(self._on_demand))]
        return route

    def _make_route(self, name: str) -> Route | None:
        provider, slash, model = name.partition("/")
        if not slash or _MODEL.fullmatch(model) is None:
            return None
        endpoint = self._make(provider, model)
        return None if endpoint is None else _implicit_route(name, [endpoint])


def _implicit_routes(endpoints: dict[str, Endpoint]) -> dict[str, Route]:
    """Routes that nobody wrote down, the weaker claim to a name first so that the stronger one replaces it."""
    claims: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints.values():
        claims.setdefault(endpoint.model, []).append(endpoint)
    qualified: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints.values():
        qualified.setdefault(f"{endpoint.provider}/{endpoint.model}", []).append(endpoint)
    claims |= qualified
    claims |= {name: [endpoint] for name, endpoint in endpoints.items()}
    return {name: _implicit_route(name, serving) for name, serving in claims.items()}


def _implicit_route(name: str, endpoints: list[Endpoint]) -> Route:
    return Route(
        name,
        (tuple(endpoints),),
        objective=Objective(),
        deadline_s=IMPLICIT_DEADLINE_S,
        deadline_covers=IMPLICIT_DEADLINE_COVERS,
    )
