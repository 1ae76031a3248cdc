"""From one entry of `model_list` to an endpoint, and to what its route has to know of it."""

import re
from decimal import Decimal
from typing import Any

import msgspec

from fastroute.config.schema import CapabilitiesOverride, EndpointConfig, Limits, PriceOverride
from fastroute.importing.accounts import ACCOUNT_KEYS, Accounts, Place, Said
from fastroute.importing.left_behind import REASONS, UNKNOWN
from fastroute.importing.remarks import At, Remarks
from fastroute.importing.values import complaint, number_of, plain, text_of, usd_per_mtok

_NUMBERS = ("rpm", "tpm", "weight", "order", "timeout", "stream_timeout", "request_timeout", "num_retries")
_LIMITS = {"rpm": "rpm", "tpm": "tpm", "max_parallel_requests": "max_in_flight"}
_PRICES = {
    "input_cost_per_token": "input_usd_per_mtok",
    "output_cost_per_token": "output_usd_per_mtok",
    "cache_read_input_token_cost": "cached_input_usd_per_mtok",
    "cache_creation_input_token_cost": "cache_write_usd_per_mtok",
}
_FLAGS = {"supports_vision": "vision", "supports_function_calling": "tools", "supports_response_schema": "json_schema"}
_LENGTHS = {"max_input_tokens": "context_tokens", "max_output_tokens": "max_output_tokens", "max_tokens": "max_output_tokens"}
_LONGEST_NAME = 100


class Deployment(msgspec.Struct, frozen=True):
    """One deployment as its route sees it."""

    group: str
    endpoint: str
    numbers: dict[str, Decimal]
    at: At


def leave(at: At, remarks: Remarks, key: str | None = None) -> None:
    """Reports a key that has no counterpart, with the reason."""
    reason = REASONS.get(key or at.path.rpartition(".")[2], UNKNOWN)
    remarks.unmapped(at, reason.why, reason.instead)


class Deployments:
    """Reads entries; keeps the endpoints made of them, under names that are unique and can be read."""

    def __init__(self, accounts: Accounts, credentials: dict[str, At], reserved: set[str], remarks: Remarks) -> None:
        self._accounts, self._credentials, self._remarks = accounts, credentials, remarks
        self._taken = set(reserved)
        self._next_number: dict[str, int] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.listed: list[str] = []  # providers that stand for a wildcard

    def read(self, entry: At) -> Deployment | None:
        """The deployment of an entry; None, with a remark, where there is none or it is a wildcard."""
        group_at, params = entry.below("model_name"), entry.below("litellm_params")
        group = text_of(group_at, self._remarks)
        self._leave_strays(entry)
        if group_at is None or group is None or params is None or not isinstance(params.value, dict):
            self._remarks.unmapped(entry, "an entry needs model_name and litellm_params", "nothing is made of it")
            return None
        info = entry.below("model_info")
        if not self._is_chat(info):
            return None
        said = self._said(params)
        wildcard = "*" in group or "*" in str(said["model"].value if "model" in said else "")
        place = self._accounts.place(params, said, _provider_hint(group) if wildcard else None)
        if place is None:
            return None
        if wildcard:
            self._wildcard(group_at, params, place)
            return None
        return self._endpoint(group, params, said, info, place)

    def _leave_strays(self, entry: At) -> None:
        for key, member in entry.members():
            if key not in ("model_name", "litellm_params", "model_info"):
                leave(member, self._remarks, key)

    def _said(self, params: At) -> Said:
        """The parameters, over those of the named credential."""
        said = dict(params.members())
        name_at = said.get("litellm_credential_name")
        if name_at is None:
            return said
        credential = self._credentials.get(name_at.value) if isinstance(name_at.value, str) else None
        if credential is None:
            self._remarks.unmapped(name_at, "no credential of this name in credential_list")
            return said
        return dict(credential.members()) | said

    def _is_chat(self, info: At | None) -> bool:
        mode = info.below("mode") if info is not None else None
        if mode is None or mode.value in ("chat", "completion", "responses"):
            return True
        self._remarks.unmapped(mode, "only chat models are served; the deployment is left out")
        return False

    def _wildcard(self, at: At, params: At, place: Place) -> None:
        name = place.provider
        self._accounts.providers[name]["list_models"] = True
        self.listed.append(name)
        said = "/" not in at.value or at.value.partition("/")[0] != name
        why = f"a wildcard: provider {name} without endpoints; clients ask for {name}/MODEL"
        self._remarks.approximate(at, why + (", not for other names" if said else ""), "make a route for each other name in use")
        for key, member in params.members():
            if key not in ACCOUNT_KEYS:
                self._remarks.unmapped(member, "a wildcard has no endpoint that could hold it", "make an endpoint for each model")

    def _endpoint(self, group: str, params: At, said: Said, info: At | None, place: Place) -> Deployment | None:
        model = said["model"]
        if wrong := complaint(EndpointConfig, "model", place.model):
            self._remarks.unmapped(model, f"{wrong}; the deployment is left out")
            return None
        made: dict[str, Any] = {"provider": place.provider, "model": place.model}
        numbers = {k: n for k in _NUMBERS if k in said and (n := number_of(said[k], self._remarks)) is not None}
        about = dict(info.members()) if info is not None else {}
        self._put_price(made, said, about)
        self._put_limits(made, said)
        self._put_capabilities(made, about)
        read = {*ACCOUNT_KEYS, *_NUMBERS, *_LIMITS, *_PRICES}
        for key, member in params.members():
            if key not in read:
                leave(member, self._remarks, key)
        for key, member in about.items():
            if key not in {"mode", *_PRICES, *_FLAGS, *_LENGTHS}:
                leave(member, self._remarks, key)
        name = self._name(place)
        self.endpoints[name] = made
        return Deployment(group, name, numbers, model)

    def _put_price(self, made: dict[str, Any], said: Said, about: Said) -> None:
        given = {key: said.get(key) or about.get(key) for key in _PRICES}
        price: dict[str, Any] = {}
        for key, at in given.items():
            number = number_of(at, self._remarks)
            if at is not None and number is not None and self._fits(at, PriceOverride, _PRICES[key], usd_per_mtok(number)):
                price[_PRICES[key]] = usd_per_mtok(number)
        if "input_usd_per_mtok" in price and "output_usd_per_mtok" in price:
            made["price"] = price
            return
        for key, at in given.items():
            if at is not None and _PRICES[key] in price:
                self._remarks.unmapped(at, "a price needs both input and output", "give the endpoint its `price`")

    def _put_limits(self, made: dict[str, Any], said: Said) -> None:
        limits: dict[str, Any] = {}
        for theirs, ours in _LIMITS.items():
            at = said.get(theirs)
            number = number_of(at, self._remarks) if at is not None else None
            if at is not None and number is not None and self._fits(at, Limits, ours, plain(number)):
                limits[ours] = plain(number)
        if limits:
            made["limits"] = limits

    def _put_capabilities(self, made: dict[str, Any], about: Said) -> None:
        able: dict[str, Any] = {}
        for theirs, ours in _FLAGS.items():
            at = about.get(theirs)
            if at is not None and self._fits(at, CapabilitiesOverride, ours, at.value):
                able[ours] = at.value
        for theirs, ours in _LENGTHS.items():
            at = about.get(theirs)
            number = number_of(at, self._remarks)
            if at is None or number is None or not self._fits(at, CapabilitiesOverride, ours, plain(number)):
                continue
            if ours in able:
                self._remarks.unmapped(at, "max_output_tokens says it already")
                continue
            able[ours] = plain(number)
            if theirs != ours:
                self._remarks.approximate(at, f"taken as {ours}")
        if able:
            made["capabilities"] = able

    def _fits(self, at: At, section: type, key: str, value: Any) -> bool:
        wrong = complaint(section, key, value)
        if wrong:
            self._remarks.unmapped(at, f"not a value that {key} can have: {wrong}")
        return wrong is None

    def _name(self, place: Place) -> str:
        short = re.sub(r"[^A-Za-z0-9_.:+-]", "-", place.model.rstrip("/").rpartition("/")[2])[
            : _LONGEST_NAME - len(place.provider)
        ]
        wanted = f"{short.lstrip('.:+-') or 'model'}@{place.provider}"
        name, number = wanted, self._next_number.get(wanted, 2)
        while name in self._taken:
            name, number = f"{wanted}-{number}", number + 1
        self._next_number[wanted] = number
        self._taken.add(name)
        return name


def _provider_hint(group: str) -> str | None:
    """`acme` for `acme/*`: what clients write already."""
    prefix, slash, _ = group.partition("/")
    return prefix if slash and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", prefix) else None
