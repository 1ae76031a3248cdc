"""Rules between places of a configuration: names that must exist, keys that need or exclude each other.

Works on the located tree, so that it can report beside the errors of types; it therefore takes nothing about a value's type
for granted and stays silent where `check.py` has already spoken.
"""

import ipaddress
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from fastroute.config.nodes import Node
from fastroute.config.presets import Preset, presets
from fastroute.config.problems import Problems, Spot, closest, listed, shown
from fastroute.config.yaml_strict import scalar


def check_references(root: Node, problems: Problems) -> None:
    """Adds a problem for every name that leads nowhere and every combination that cannot work."""
    endpoints, routes = _names(root, "endpoints"), _names(root, "routes")
    _check_listen(root.get("listen"), problems)
    for name, provider in _sections(root, "providers"):
        _check_provider(name, provider, root.get("providers"), problems)
    for _, endpoint in _sections(root, "endpoints"):
        _known(endpoint.get("provider"), "provider", _names(root, "providers"), problems)
    for name, route in _sections(root, "routes"):
        _check_route(name, route, endpoints, problems)
    for rule in _elements(root.get("rules")):
        _check_each(rule.get("use", "endpoints"), "endpoint", endpoints, problems)
        _known(rule.get("use", "route"), "route", routes, problems)
    for sensitive in _elements(root.get("sensitive")):
        _check_each(sensitive.get("allow"), "endpoint", endpoints, problems)


def _names(root: Node, section: str) -> list[str]:
    node = root.get(section)
    return [] if node is None else [name for name, _ in node.items()]


def _sections(root: Node, section: str) -> list[tuple[str, Node]]:
    node = root.get(section)
    return [] if node is None else [(name, child) for name, child in node.items() if isinstance(child.value, dict)]


def _elements(node: Node | None) -> list[Node]:
    return [] if node is None else list(node.elements())


def _known(node: Node | None, what: str, names: Iterable[str], problems: Problems) -> None:
    """The text of `node` must be one of `names`."""
    known = list(names)
    if node is None or not isinstance(node.value, str) or not node.value or node.value in known:
        return
    if node.from_env:
        problems.add(node.spot, f"{what}: the name from the environment is not defined; defined: {listed(known) or 'none'}")
        return
    near = closest(node.value, known)
    defined = "" if near else f"; defined: {listed(known) or 'none'}"
    problems.add(node.spot, f"{what} {shown(node.value)} is not defined{defined}", near)


def _check_each(node: Node | None, what: str, names: list[str], problems: Problems) -> None:
    for element in _elements(node):
        _known(element, what, names, problems)


# --- listen ---


def _check_listen(listen: Node | None, problems: Problems) -> None:
    """An admin port that others can reach needs a token; two servers cannot share one port."""
    if listen is None:
        return
    admin_host, token = listen.get("admin_host"), listen.get("admin_token")
    if admin_host is not None and not is_loopback(admin_host.value) and (token is None or not token.value):
        problems.add(admin_host.spot, "listen.admin_host: an address that others can reach needs listen.admin_token")
    port, admin_port = (_number(listen.get(key)) for key in ("port", "admin_port"))
    if admin_port is not None and port == admin_port != 0:
        problems.add(listen.key_spot("admin_port"), "listen.admin_port: the same as listen.port")


def is_loopback(host: object) -> bool:
    """Whether only this machine can reach a server bound to `host`. Names other than localhost count as reachable."""
    if not isinstance(host, str):
        return False
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _number(node: Node | None) -> object:
    if node is None:
        return None
    return scalar(node.value) if isinstance(node.value, str) else node.value


# --- providers ---


def _check_provider(name: str, provider: Node, providers: Node | None, problems: Problems) -> None:
    preset = _check_preset(name, provider, providers, problems)
    base_url = provider.get("base_url")
    if base_url is not None and isinstance(base_url.value, str) and base_url.value:
        complaint = url_complaint(base_url.value)
        if complaint:
            problems.add(base_url.spot, f"providers.{name}.base_url: {complaint}")
    elif preset is not None:
        _check_without_base_url(name, provider, preset, problems)
    _check_way(name, provider, problems)
    if preset is not None:
        _check_signing(name, provider, preset, problems)
    if preset is not None and preset.name == "azure-foundry" and provider.get("api_version") is None:
        problems.add(provider.spot, f"providers.{name}: preset 'azure-foundry' needs 'api_version'")


def _check_signing(name: str, provider: Node, preset: Preset, problems: Problems) -> None:
    """That an access key goes to nobody but who checks its signature: elsewhere it would be sent as it is."""
    auth, dialect = provider.get("auth"), provider.get("dialect")
    spoken = preset.profile.dialect if dialect is None or dialect.value is None else dialect.value
    if auth is not None and auth.value == "sigv4" and spoken != "bedrock_converse":
        problems.add(auth.spot, f"providers.{name}.auth: 'sigv4' is for Bedrock only")


def _check_preset(name: str, provider: Node, providers: Node | None, problems: Problems) -> Preset | None:
    """The provider's preset; without the key, that of the provider's own name."""
    node = provider.get("preset")
    if node is not None and node.value is not None:
        _known(node, "preset", presets(), problems)
        return presets().get(node.value) if isinstance(node.value, str) else None
    if name not in presets() and providers is not None:
        message = f"providers.{name}: required key 'preset' is missing"
        problems.add(provider.spot if provider.value else providers.key_spot(name), message, closest(name, presets()))
    return presets().get(name)


def _check_without_base_url(name: str, provider: Node, preset: Preset, problems: Problems) -> None:
    if preset.base_url is None:
        example = f", like {preset.example_base_url}" if preset.example_base_url else ""
        problems.add(_place_of(provider, "preset"), f"providers.{name}: preset {preset.name!r} needs 'base_url'{example}")
    dialect = provider.get("dialect")
    if dialect is not None and isinstance(dialect.value, str) and dialect.value != preset.profile.dialect:
        problems.add(dialect.spot, f"providers.{name}: a dialect other than the preset's needs 'base_url'")


def _check_way(name: str, provider: Node, problems: Problems) -> None:
    """The proxy, and the files of its TLS."""
    proxy, tls = provider.get("proxy"), provider.get("tls")
    if proxy is not None and isinstance(proxy.value, str) and proxy.value and (complaint := proxy_complaint(proxy.value)):
        problems.add(proxy.spot, f"providers.{name}.proxy: {complaint}")
    if tls is None or not isinstance(tls.value, dict):
        return
    for key in ("ca_file", "client_cert", "client_key"):
        file = tls.get(key)
        if file is not None and isinstance(file.value, str) and file.value and not Path(file.value).is_file():
            problems.add(file.spot, f"providers.{name}.tls.{key}: no such file")
    key_file, certificate = tls.get("client_key"), tls.get("client_cert")
    if key_file is not None and key_file.value and (certificate is None or not certificate.value):
        problems.add(key_file.spot, f"providers.{name}.tls.client_key: needs 'client_cert'")


def proxy_complaint(url: str) -> str | None:
    """Why `url` is no proxy; None where it is one. Never repeats the URL: it may hold a password."""
    parts = _server_of(url)
    if isinstance(parts, str):
        return parts
    return None if parts.path in ("", "/") and not parts.query and not parts.fragment else "must end with the host or its port"


def _server_of(url: str) -> SplitResult | str:
    """The parts of an HTTP(S) URL with a host; or why it is none."""
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or 0 < parts.port <= 65_535
    except ValueError:
        return "not a URL"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must begin with http:// or https:// and a host"
    return parts if port_ok else "not a port"


def _place_of(section: Node, key: str) -> Spot:
    child = section.get(key)
    return section.spot if child is None else child.spot


def url_complaint(url: str) -> str | None:
    """Why a provider cannot be reached at `url`; None where it is fine. Never repeats the URL: it may hold a password."""
    parts = _server_of(url)
    if isinstance(parts, str):
        return parts
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password; use 'api_key' or 'headers'"
    if parts.query or parts.fragment:
        return "must end with the path; use 'query' for parameters"
    return None if url.isascii() and url.isprintable() and " " not in url else "holds a character that no URL may hold"


# --- routes ---


def _check_route(name: str, route: Node, endpoints: list[str], problems: Problems) -> None:
    tiers, shorthand = route.get("tiers"), route.get("endpoints")
    if tiers is not None and shorthand is not None:
        problems.add(route.key_spot("endpoints"), f"routes.{name}: give either 'tiers' or 'endpoints', not both")
    if tiers is None and shorthand is None:
        problems.add(route.spot, f"routes.{name}: required key 'tiers' is missing")
    if shorthand is not None:
        _check_tier(f"routes.{name}.endpoints", shorthand, endpoints, problems)
    if tiers is None or not isinstance(tiers.value, list):
        return
    if not tiers.value:
        problems.add(tiers.spot, f"routes.{name}.tiers: needs at least one tier")
    for i, tier in enumerate(tiers.value):
        _check_tier(f"routes.{name}.tiers[{i}]", tier, endpoints, problems)


def _check_tier(where: str, tier: Node, endpoints: list[str], problems: Problems) -> None:
    """A tier is a list of names, or one name."""
    if isinstance(tier.value, str):
        _known(tier, "endpoint", endpoints, problems)
        return
    if isinstance(tier.value, list) and not tier.value:
        problems.add(tier.spot, f"{where}: needs at least one endpoint")
    seen: set[str] = set()
    for element in _elements(tier):
        _known(element, "endpoint", endpoints, problems)
        if isinstance(element.value, str) and element.value in seen:
            problems.add(element.spot, f"{where}: the same endpoint twice")
        elif isinstance(element.value, str):
            seen.add(element.value)
