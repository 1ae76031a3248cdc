"""From groups of deployments, fallbacks and router settings to routes."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from fastroute.config.schema import RouteConfig
from fastroute.importing.deployments import Deployment
from fastroute.importing.remarks import At, Remarks
from fastroute.importing.values import complaint, milliseconds, number_of

DEFAULT_DEADLINE_MS = 600_000
_MOST_ATTEMPTS = 10
_STRATEGIES = {
    "simple-shuffle": ("weighted", ""),
    "latency-based-routing": ("least_latency", ""),
    "cost-based-routing": ("cost_slo", ""),
    "usage-based-routing": ("weighted", "shares by weight; rpm and tpm bound each endpoint"),
    "usage-based-routing-v2": ("weighted", "shares by weight; rpm and tpm bound each endpoint"),
    "least-busy": ("least_latency", "a busy endpoint shows in its latency"),
}


class Settings:
    """What applies to every route: `router_settings`, with `litellm_settings` behind them."""

    def __init__(self, router: At | None, litellm: At | None, remarks: Remarks) -> None:
        self._sections = [section for section in (router, litellm) if section is not None]
        self._remarks = remarks
        self.timeout_s = self._number("timeout", "request_timeout")
        self.stream_timeout_s = self._number("stream_timeout")
        self.retries = self._number("num_retries")
        self.strategy = self._strategy()
        self.chains = self._chains("fallbacks")
        for group, names in self._chains("context_window_fallbacks").items():
            self.chains[group] = list(dict.fromkeys([*self.chains.get(group, []), *names]))
        if any(section.below("context_window_fallbacks") for section in self._sections):
            at = next(at for at in self._all("context_window_fallbacks"))
            remarks.approximate(at, "written as fallback tiers: what does not fit an endpoint's context goes to the next one")
        self.default_chain = [name for at in self._all("default_fallbacks") for name in self._names(at)]

    def chain(self, group: str) -> list[str]:
        """The groups that serve when `group` cannot."""
        return self.chains.get(group) or self.chains.get("*") or self.default_chain

    def _all(self, key: str) -> Iterator[At]:
        return (at for section in self._sections if (at := section.below(key)) is not None)

    def _number(self, *keys: str) -> Decimal | None:
        found = [number_of(at, self._remarks) for key in keys for at in self._all(key)]
        return next((number for number in found if number is not None), None)

    def _strategy(self) -> str:
        at = next(self._all("routing_strategy"), None)
        if at is None:
            return "weighted"
        chosen = _STRATEGIES.get(at.value) if isinstance(at.value, str) else None
        if chosen is None:
            self._remarks.unmapped(at, "no such strategy here; weighted is written", "choose a `strategy` for each route")
            return "weighted"
        if chosen[1]:
            self._remarks.approximate(at, f"written as {chosen[0]}: {chosen[1]}")
        return chosen[0]

    def _chains(self, key: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for at in self._all(key):
            for element in at.elements() or [at]:
                if not isinstance(element.value, dict):
                    self._remarks.unmapped(element, "a mapping of a name to fallbacks was expected")
                for group, names in element.members():
                    found.setdefault(group, []).extend(self._names(names))
        return found

    def _names(self, at: At) -> list[str]:
        found = []
        for element in at.elements() or [at]:
            if isinstance(element.value, str):
                found.append(element.value)
            else:
                self._remarks.unmapped(element, "the name of a model group was expected", "make a route for it")
        return found


class Routes:
    """Makes routes of groups."""

    def __init__(self, groups: dict[str, list[Deployment]], settings: Settings, remarks: Remarks) -> None:
        self._groups, self._settings, self._remarks = groups, settings, remarks

    def route(self, group: str, endpoints: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """The route of a group. Weights go to its endpoints."""
        own, settings = self._groups[group], self._settings
        tiers = _tiers(own)
        tiers += self._fallbacks(group, {name for tier in tiers for name in tier})
        made: dict[str, Any] = {"tiers": tiers}
        if any(len(tier) > 1 for tier in tiers):
            made["strategy"] = settings.strategy
            if settings.strategy == "weighted":
                self._weigh(own, endpoints)
        self._put_times(made, own)
        self._put_attempts(made, own, len(tiers))
        return made

    def _fallbacks(self, group: str, seen: set[str]) -> list[list[str]]:
        tiers = []
        for name in self._settings.chain(group):
            if name not in self._groups:
                self._remarks.unmapped(self._groups[group][0].at, f"a fallback of this group is no route: {name[:60]!a}")
                continue
            for tier in _tiers(self._groups[name]):
                if fresh := [endpoint for endpoint in tier if endpoint not in seen]:
                    tiers.append(fresh)
                    seen.update(fresh)
        return tiers

    def _weigh(self, own: list[Deployment], endpoints: dict[str, dict[str, Any]]) -> None:
        """LiteLLM weighs by the first of these that its first deployment has; who lacks it gets no traffic."""
        key = next((key for key in ("weight", "rpm", "tpm") if key in own[0].numbers), None)
        if key is None or len(own) == 1:
            return
        most = max(d.numbers.get(key, Decimal(0)) for d in own)
        scale = 1 if most <= 1_000_000 else 1_000_000 / most
        for deployment in own:
            weight = round(deployment.numbers.get(key, Decimal(0)) * scale, 6)
            endpoints[deployment.endpoint]["weight"] = int(weight) if weight == int(weight) else weight
        if key != "weight":
            self._remarks.approximate(own[0].at, f"shares follow {key}, as simple-shuffle does; written as weights")

    def _put_times(self, made: dict[str, Any], own: list[Deployment]) -> None:
        at = own[0].at
        total = _largest(own, "timeout") or _largest(own, "request_timeout") or self._settings.timeout_s
        first = _largest(own, "stream_timeout") or self._settings.stream_timeout_s
        deadline = milliseconds(total) if total else DEFAULT_DEADLINE_MS
        if not total or complaint(RouteConfig, "deadline_ms", deadline):
            deadline = DEFAULT_DEADLINE_MS
            self._remarks.approximate(at, "no usable timeout; a deadline of 600 s is written", "set `deadline_ms` of the route")
        else:
            self._remarks.approximate(at, "the timeout is one deadline for all attempts together; LiteLLM's is for each")
        made["deadline_ms"], made["deadline_covers"] = deadline, "first_content"
        if (
            first
            and not complaint(RouteConfig, "first_content_timeout_ms", milliseconds(first))
            and milliseconds(first) < deadline
        ):
            made["first_content_timeout_ms"] = milliseconds(first)
        elif first:
            self._remarks.unmapped(at, "stream_timeout is not below the timeout, or no usable time; the deadline holds")

    def _put_attempts(self, made: dict[str, Any], own: list[Deployment], tiers: int) -> None:
        said = _largest(own, "num_retries")
        retries = self._settings.retries if said is None else said
        if retries is None and tiers <= 3:
            return
        wanted = (2 if retries is None else int(min(retries, Decimal(_MOST_ATTEMPTS)))) + tiers
        made["max_attempts"] = min(wanted, _MOST_ATTEMPTS)
        if tiers > 1 or wanted > _MOST_ATTEMPTS:
            self._remarks.approximate(own[0].at, "retries and fallback tiers share one budget, max_attempts, of at most 10")


def _tiers(own: list[Deployment]) -> list[list[str]]:
    """A group's endpoints by `order`, the smallest first; without it, one tier. Those that lack it come last."""
    by_order: dict[Decimal, list[str]] = {}
    for deployment in own:
        by_order.setdefault(deployment.numbers.get("order", Decimal("Infinity")), []).append(deployment.endpoint)
    return [by_order[order] for order in sorted(by_order)]


def _largest(own: list[Deployment], key: str) -> Decimal | None:
    found = [d.numbers[key] for d in own if key in d.numbers]
    return max(found) if found else None
