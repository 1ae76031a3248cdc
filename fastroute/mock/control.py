"""The control port: the bill, the request log, and switches for faults, as JSON over HTTP under `/__mock/`.

`GET bill`, `GET requests?last=N`, `GET faults`, `GET health`; `POST faults` with `{"endpoint": name or "*", "fault": kind}`
and the fault's parameters; `DELETE faults?endpoint=&fault=` (or the same members as a JSON body), without them all.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from fastroute.mock.connection import Connection
from fastroute.mock.dialect import json_object
from fastroute.mock.endpoint import MockEndpoint
from fastroute.mock.faults import FaultKind, FaultSpec
from fastroute.mock.http1 import Request, head
from fastroute.mock.ledger import Ledger

_PREFIX = "/__mock/"
_EVERY = "*"


class BadCall(Exception):
    """A control call that cannot be done; the message says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Control:
    """A `connection.Service` for the control port."""

    def __init__(self, endpoints: Mapping[str, MockEndpoint], ledger: Ledger) -> None:
        self._endpoints, self._ledger = endpoints, ledger
        self._calls: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("GET", "bill"): lambda request: ledger.bill(),
            ("GET", "requests"): self._requests,
            ("GET", "health"): self._health,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._set_fault,
            ("DELETE", "faults"): self._clear_faults,
        }

    def admits(self) -> bool:
        return True

    def serve(self, request: Request, connection: Connection) -> None:
        try:
            status, reply = 200, self._call(request)
        except BadCall as bad:
            status, reply = bad.status, {"error": {"message": str(bad)}}
        body = msgspec.json.encode(reply)
        headers = (("content-type", "application/json"), ("content-length", str(len(body))))
        connection.send(head(status, headers, request.keep_alive) + body)
        connection.done(request.keep_alive)

    def named(self, name: str) -> list[MockEndpoint]:
        """The endpoint of that name, or all for `*`. Raises `BadCall`."""
        if name == _EVERY:
            return list(self._endpoints.values())
        if name not in self._endpoints:
            raise BadCall(404, f"no endpoint {name!r}; there are: {', '.join(self._endpoints)}")
        return [self._endpoints[name]]

    def _call(self, request: Request) -> Any:
        what = request.path.removeprefix(_PREFIX)
        call = self._calls.get((request.method, what)) if request.path.startswith(_PREFIX) else None
        if call is None:
            known = sorted(f"{method} {_PREFIX}{path}" for method, path in self._calls)
            raise BadCall(404, f"no such call; there are: {', '.join(known)}")
        return call(request)

    def _health(self, request: Request) -> Any:
        return {"status": "ok", "in_flight": {name: e.in_flight for name, e in self._endpoints.items()}}

    def _requests(self, request: Request) -> Any:
        last = dict(parse_qsl(request.query)).get("last")
        if last is not None and not last.isdigit():
            raise BadCall(400, "last: a whole number")
        return {"requests": self._ledger.requests(None if last is None else int(last))}

    def _faults(self, request: Request) -> Any:
        return {"faults": [{"endpoint": name, **f} for name, e in self._endpoints.items() for f in e.faults()]}

    def _set_fault(self, request: Request) -> Any:
        members = _members(request)
        endpoints = self.named(str(members.pop("endpoint", None)))
        try:
            spec = msgspec.convert(members, FaultSpec)
        except msgspec.ValidationError as error:
            raise BadCall(400, str(error)) from None
        for endpoint in endpoints:
            endpoint.set_fault(spec)
        return {"set": [e.spec.name for e in endpoints], **msgspec.to_builtins(spec)}

    def _clear_faults(self, request: Request) -> Any:
        members = {**dict(parse_qsl(request.query)), **(_members(request) if request.body else {})}
        try:
            kind = FaultKind(members["fault"]) if "fault" in members else None
        except ValueError:
            raise BadCall(400, f"fault: one of {', '.join(FaultKind)}") from None
        endpoints = self.named(str(members.get("endpoint", _EVERY)))
        return {"cleared": sum(e.clear_faults(kind) for e in endpoints)}


def _members(request: Request) -> dict[str, Any]:
    members = json_object(request.body)
    if members is None:
        raise BadCall(400, "the body must be a JSON object")
    return members
