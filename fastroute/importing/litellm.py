"""LiteLLM's proxy configuration as ours, with a remark for every key that did not come along or only roughly.

Theory of operation. The file is read by our strict reader, so that every remark has a place; deployments become accounts
(`accounts`) and endpoints (`deployments`), groups become routes (`routes`), what is left is explained (`left_behind`); the
result is checked as `fastroute check` would, with stand-ins for environment variables that are not set.

What can go wrong. The result can fail the check where two things that are each fine do not go together; it is then written
all the same and the problems are told.
"""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import msgspec

from fastroute.config.load import parse_config
from fastroute.config.nodes import MAX_BYTES, Node
from fastroute.config.problems import START, ConfigError, Problems
from fastroute.config.schema import Config
from fastroute.config.section import Name
from fastroute.config.yaml_strict import parse_yaml
from fastroute.importing.accounts import Accounts
from fastroute.importing.deployments import Deployment, Deployments, leave
from fastroute.importing.remarks import At, Kind, Remark, Remarks
from fastroute.importing.routes import Routes, Settings
from fastroute.importing.writing import lines_of

_ROUTER_KEYS = {"routing_strategy", "fallbacks", "context_window_fallbacks", "default_fallbacks", "model_group_alias"}
_SHARED_KEYS = {"timeout", "request_timeout", "stream_timeout", "num_retries"}
_READ = {
    "router_settings": _ROUTER_KEYS | _SHARED_KEYS,
    "litellm_settings": (_ROUTER_KEYS - {"model_group_alias", "routing_strategy"}) | _SHARED_KEYS,
    "general_settings": set(),
    "environment_variables": set(),
}
_VARIABLE = re.compile(r"(.?)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Imported(msgspec.Struct, frozen=True):
    """The outcome. `problems`: what the check said of `yaml`; `unset`: variables that it needed and that are not set."""

    yaml: str
    remarks: tuple[Remark, ...]
    config: Config | None
    problems: tuple[str, ...]
    unset: tuple[str, ...]

    def of_kind(self, kind: Kind) -> tuple[Remark, ...]:
        return tuple(remark for remark in self.remarks if remark.kind is kind)


def import_litellm(data: bytes, filename: str, env: Mapping[str, str]) -> Imported:
    """Rewrites a file. Raises `ConfigError`, with places, where it cannot be read or holds no deployment to import."""
    root = At("", _read(data, filename))
    remarks = Remarks()
    made = _made(root, remarks)
    if not made["providers"]:
        why = [f"{filename}:{remark}" for remark in remarks.sorted()][:20]
        raise _error(filename, "\n".join(["no deployment in model_list can be imported", *why]))
    found = remarks.sorted()
    yaml = _written(made, PurePath(filename).name, found)
    stand_ins = _stand_ins(yaml)
    unset = tuple(sorted(name for name in stand_ins if name not in env))
    try:
        config, problems = parse_config(yaml, "fastroute.yaml", {**stand_ins, **env}), ()
    except ConfigError as error:
        return Imported(yaml, found, None, tuple(str(problem) for problem in error.problems), unset)
    return Imported(yaml, found, config, problems, unset)


def _read(data: bytes, filename: str) -> Node:
    problems = Problems(filename)
    if len(data) > MAX_BYTES:
        raise _error(filename, f"the file has more than {MAX_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _error(filename, "not UTF-8 text") from None
    root = parse_yaml(text, problems)
    if root is not None and not isinstance(root.value, dict):
        problems.add(root.spot, "a mapping with model_list was expected")
    problems.raise_if_any()
    if root is None:
        raise _error(filename, "the file is empty")
    return root


def _error(filename: str, message: str) -> ConfigError:
    problems = Problems(filename)
    problems.add(START, message)
    return ConfigError(problems.sorted())


def _made(root: At, remarks: Remarks) -> dict[str, Any]:
    """The sections of our file, as plain values."""
    entries = _entries(root, remarks)
    accounts = Accounts(remarks)
    reserved = {name.value for entry in entries if (name := entry.below("model_name")) and isinstance(name.value, str)}
    deployments = Deployments(accounts, _credentials(root), reserved, remarks)
    groups: dict[str, list[Deployment]] = {}
    for entry in sorted(entries, key=lambda e: not _is_wildcard(e)):  # these have a name that clients know: it must be free
        deployment = deployments.read(entry)
        if deployment is not None:
            groups.setdefault(deployment.group, []).append(deployment)
    settings = Settings(root.below("router_settings"), root.below("litellm_settings"), remarks)
    maker = Routes(groups, settings, remarks)
    routes: dict[str, Any] = {}
    for group, own in groups.items():
        routes[_route_name(group, own[0].at, routes, remarks)] = maker.route(group, deployments.endpoints)
    _put_aliases(root, routes, remarks)
    _leave_rest(root, remarks)
    return {"providers": accounts.providers, "endpoints": deployments.endpoints, "routes": routes}


def _entries(root: At, remarks: Remarks) -> list[At]:
    models = root.below("model_list")
    if models is not None and not isinstance(models.value, list):
        remarks.unmapped(models, "a list was expected")
    return models.elements() if models is not None else []


def _is_wildcard(entry: At) -> bool:
    name = entry.below("model_name")
    return name is not None and "*" in str(name.value)


def _credentials(root: At) -> dict[str, At]:
    found: dict[str, At] = {}
    listed = root.below("credential_list")
    for entry in listed.elements() if listed is not None else ():
        name, values = entry.below("credential_name"), entry.below("credential_values")
        if name is not None and values is not None and isinstance(name.value, str):
            found[name.value] = values
    return found


def _route_name(group: str, at: At, taken: dict[str, Any], remarks: Remarks) -> str:
    name = group
    if _bad_name(name):
        name = re.sub(r"[^A-Za-z0-9_.:/@+-]", "-", name).lstrip(".:/@+-")[:100] or "route"
        remarks.approximate(at, f"its model_name cannot be a route's name; written as {name}", "clients must ask for that")
    number, wanted = 2, name
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name


def _bad_name(name: str) -> bool:
    pattern = next(meta.pattern for meta in Name.__metadata__)  # type: ignore[attr-defined]
    return len(name) > 128 or re.fullmatch(pattern, name) is None


def _put_aliases(root: At, routes: dict[str, Any], remarks: Remarks) -> None:
    settings = root.below("router_settings")
    aliases = settings.below("model_group_alias") if settings is not None else None
    for name, at in aliases.members() if aliases is not None else ():
        target = at.below("model") if isinstance(at.value, dict) else at
        if target is None or not isinstance(target.value, str) or target.value not in routes or name in routes or _bad_name(name):
            remarks.unmapped(at, "an alias needs a name of its own and an existing model group")
            continue
        routes[name] = dict(routes[target.value])
        hidden = at.below("hidden") if isinstance(at.value, dict) else None
        if hidden is not None:
            remarks.unmapped(hidden, "every route is listed")


def _leave_rest(root: At, remarks: Remarks) -> None:
    for key, section in root.members():
        if key in ("model_list", "credential_list"):
            continue
        if key not in _READ or not isinstance(section.value, dict):
            leave(section, remarks, key)
            continue
        for name, member in section.members():
            if name not in _READ[key]:
                leave(member, remarks, "environment_variables" if key == "environment_variables" else name)


def _written(made: dict[str, Any], source: str, remarks: tuple[Remark, ...]) -> str:
    count = sum(remark.kind is Kind.UNMAPPED for remark in remarks)
    shown = source if source.isprintable() else "config"
    lines = [
        f"# Imported from LiteLLM's {shown}. Keys that were not mapped: {count}; `fastroute import litellm` lists them.",
        "version: 1",
    ]
    for key, section in made.items():
        if section:
            lines += ["", *lines_of(key, section)]
    return "\n".join(lines) + "\n"


def _stand_ins(yaml: str) -> dict[str, str]:
    """A value for each variable, good enough to check everything else: an address where it begins one, else a word."""
    found: dict[str, str] = {}
    for line in yaml.splitlines():
        for match in _VARIABLE.finditer(line):
            if match[1] != "$":
                address = line[: match.start()].endswith("base_url: ") and match[1] == '"'
                found.setdefault(match[2], "http://stand-in.example" if address else "stand-in")
    return found
