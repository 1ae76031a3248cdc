"""Every mock endpoint on one port, told apart by the first part of the path: `/{name}/v1/...`."""

from collections.abc import Mapping

import msgspec

from fastroute.mock.connection import Connection
from fastroute.mock.endpoint import MockEndpoint
from fastroute.mock.http1 import Request, head


class SharedPort:
    """A `connection.Service` that passes requests on. A refusing endpoint resets the connection here: the port is not its own."""

    def __init__(self, endpoints: Mapping[str, MockEndpoint]) -> None:
        self._endpoints = endpoints

    def admits(self) -> bool:
        return True

    def serve(self, request: Request, connection: Connection) -> None:
        name, _, rest = request.path.lstrip("/").partition("/")
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            body = f"no endpoint {name!r}\n".encode()
            headers = (("content-type", "text/plain"), ("content-length", str(len(body))))
            connection.send(head(404, headers, request.keep_alive) + body)
            connection.done(request.keep_alive)
        elif not endpoint.admits():
            connection.reset()
        else:
            endpoint.serve(msgspec.structs.replace(request, path=f"/{rest}"), connection)
