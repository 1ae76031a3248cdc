"""Requests of client APIs that are answered here at once, from their body alone; and refused bodies in the shape of an API."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.ports import ClientApi
from fastroute.server.body import BodyReader
from fastroute.server.headers import failure_headers
from fastroute.server.refusal import Refused, respond


async def body_of(bodies: BodyReader, request: web.BaseRequest, api: ClientApi) -> bytes:
    """The whole body, to be released. Raises `Refused`, in the shape that clients of the API expect, or `ClientGone`."""
    try:
        return await bodies.read(request)
    except Refused as refused:
        refused.shaped = api.error(Fault(Failure.BAD_REQUEST, refused.message, code=refused.code), refused.status)
        raise


def at_once(
    bodies: BodyReader, api: ClientApi, answer: Callable[[bytes], bytes]
) -> Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]:
    """What serves such a path. `answer` makes the reply's body of the request's; its `FaultError` is told in the API's shape."""

    async def serve(request: web.BaseRequest, rid: str) -> web.StreamResponse:
        body = await body_of(bodies, request, api)
        try:
            return respond(200, answer(body), {"x-request-id": rid})
        except FaultError as error:
            status = error.fault.rule.status
            headers = {"x-request-id": rid, **failure_headers(status, error.fault)}
            return respond(status, api.error(error.fault, status), headers)
        finally:
            bodies.release(len(body))

    return serve
