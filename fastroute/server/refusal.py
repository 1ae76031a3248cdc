"""Answers that the server gives by itself, in OpenAI's error shape, before or instead of the router."""

from collections.abc import Mapping

import orjson
from aiohttp import web

JSON = "application/json"
SERVER = "fastroute"


class Refused(Exception):
    """A request that is answered with an error here. `close`: the connection cannot serve another request."""

    def __init__(self, status: int, message: str, code: str, param: str | None = None, close: bool = False) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.close = status, message, code, param, close
        self.headers: dict[str, str] = {}
        self.shaped: bytes | None = None  # as clients of another API expect it

    def body(self) -> bytes:
        return self.shaped or error_body(self.status, self.message, self.code, self.param)


def error_body(status: int, message: str, code: str | None = None, param: str | None = None) -> bytes:
    """OpenAI's error object."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def respond(status: int, body: bytes, headers: Mapping[str, str], content_type: str = JSON, close: bool = False) -> web.Response:
    """A whole response. `close`: announces and does that the connection ends after it."""
    response = web.Response(status=status, body=body, headers={**headers, "content-type": content_type, "server": SERVER})
    if close:
        response.force_close()
    return response
