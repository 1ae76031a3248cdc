"""The HTTP side of speaking to an endpoint, the same in every dialect: its URL, and headers that are safe to send.

Theory of operation. What depends on the endpoint alone is built once, by `PerEndpoint`, and given out as the same objects every
time: a transport may know a request's head by their identity. Endpoints live until the configuration is read again.

What can go wrong. A key pasted with its line end would split the header: it is stripped, and any other control character in a
header is refused before anything is sent.
"""

import re
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import Endpoint

MAX_KEPT = 1024
T = TypeVar("T")
_NOT_IN_HEADERS = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


def endpoint_url(endpoint: Endpoint) -> str:
    """The chat URL: base, path with the model put in where it asks for one, query."""
    path = endpoint.profile.chat_path
    if "{" in path:
        model = quote(endpoint.model, safe="")
        path = path.replace("{model}", model).replace("{deployment}", model)
    url = endpoint.base_url + path
    if endpoint.query:
        url += ("&" if "?" in url else "?") + urlencode(endpoint.query)
    return url


def auth_headers(endpoint: Endpoint) -> dict[str, str]:
    """The header that carries the endpoint's key, as its profile wants it; none where there is no key."""
    key = (endpoint.key or "").strip()
    if not key or endpoint.profile.auth == "none":
        return {}
    return {"authorization": f"Bearer {key}"} if endpoint.profile.auth == "bearer" else {endpoint.profile.auth: key}


def checked_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The headers, ready to send. Raises `FaultError` (AUTH) for one that would break the request apart."""
    for name, value in headers.items():
        if _NOT_IN_HEADERS.search(name) or _NOT_IN_HEADERS.search(value):
            raise FaultError(Fault(Failure.AUTH, f"the endpoint's header {name[:64]!r} holds a control character"))
    return tuple(headers.items())


class PerEndpoint(Generic[T]):
    """What `build` makes of an endpoint, made once for each. Raises what `build` raises, then and every time."""

    def __init__(self, build: Callable[[Endpoint], T]) -> None:
        self._build = build
        self._built: dict[int, tuple[Endpoint, T]] = {}  # by id, which holding the endpoint keeps taken

    def __len__(self) -> int:
        return len(self._built)

    def of(self, endpoint: Endpoint) -> T:
        found = self._built.get(id(endpoint))
        if found is None:
            if len(self._built) >= MAX_KEPT:
                self._built.clear()
            found = self._built[id(endpoint)] = (endpoint, self._build(endpoint))
        return found[1]
