"""What the OpenAI client inside LiteLLM speaks to: an httpx transport whose servers are the simulator's endpoints.

Theory of operation. A deployment's base URL names its endpoint (`http://nano.sim/v1`). Everything above the transport is
LiteLLM's own and the OpenAI SDK's: requests, headers, server-sent events, errors, timeouts. httpx leaves timeouts to its
transport, so this one keeps them as a socket would: `read` is the longest wait for the next bytes.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from bench.baselines.litellm_sent import Sent, sent
from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import UpstreamRequest
from fastroute.sim.oracle import current_job
from fastroute.sim.wire import END, SimulatedReply, SimulatedTransport
from fastroute.sim.world import Job


class SimulatedHttp(httpx.AsyncBaseTransport):
    """Sends to the endpoint that the host names. Needs `current_job` and `sent` in the context."""

    def __init__(self, transports: Mapping[str, SimulatedTransport], loop: asyncio.AbstractEventLoop) -> None:
        self._transports, self._loop = transports, loop

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name, job = request.url.host.removesuffix(".sim"), current_job.get()
        attempt = Sent(name, self._loop.time())
        sent.get().append(attempt)
        try:
            async with asyncio.timeout(_read_s(request)):
                reply = await self._transports[name].open(UpstreamRequest(name, (), b"%ds" % job.number))
        except TimeoutError:
            attempt.failure = Failure.FIRST_CONTENT_TIMEOUT
            raise httpx.ReadTimeout("no bytes in time", request=request) from None
        except FaultError as error:
            attempt.failure = error.fault.failure
            kind = httpx.ConnectError if attempt.failure is Failure.CONNECT else httpx.ReadError
            raise kind(error.fault.message, request=request) from None
        attempt.reply = reply
        if reply.status != 200:
            attempt.failure = Failure.RATE_LIMITED if reply.status == 429 else Failure.SERVER_ERROR
            await reply.read()
            reply.close()
            return httpx.Response(reply.status, headers=dict(reply.headers), content=_error(reply.status), request=request)
        stream = _Events(reply, attempt, job, request, self._loop)
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=stream, request=request)


class _Events(httpx.AsyncByteStream):
    """A reply's pieces as chat completion chunks."""

    def __init__(
        self, reply: SimulatedReply, attempt: Sent, job: Job, request: httpx.Request, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._reply, self._attempt, self._job, self._request, self._loop = reply, attempt, job, request, loop

    async def __aiter__(self) -> AsyncIterator[bytes]:
        attempt, seen = self._attempt, 0
        while data := await self._piece():
            if attempt.ttft_s is None:
                attempt.ttft_s = self._loop.time() - attempt.started_s
            ends = data.endswith(END)
            tokens = int(data[:-1] if ends else data)
            seen += tokens
            yield _chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": "w " * tokens}, "finish_reason": None}])
            if ends:
                attempt.complete = True
                yield _chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
                yield _chunk(choices=[], usage=_usage(self._job.input_tokens, seen)) + b"data: [DONE]\n\n"

    async def _piece(self) -> bytes:
        try:
            async with asyncio.timeout(_read_s(self._request)):
                return await self._reply.read()
        except TimeoutError:
            self._attempt.failure = Failure.STALL
            raise httpx.ReadTimeout("no bytes in time", request=self._request) from None
        except FaultError as error:
            self._attempt.failure = error.fault.failure
            raise httpx.ReadError(error.fault.message, request=self._request) from None

    async def aclose(self) -> None:
        self._reply.close()


def _read_s(request: httpx.Request) -> float | None:
    timeouts: Mapping[str, float | None] = request.extensions.get("timeout", {})
    return timeouts.get("read")


def _chunk(**members: Any) -> bytes:
    plain = {"id": "chatcmpl-sim", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "sim", **members}
    return b"data: " + json.dumps(plain).encode() + b"\n\n"


def _usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    total = input_tokens + output_tokens
    return {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": total}


def _error(status: int) -> bytes:
    return json.dumps({"error": {"message": "simulated", "type": "simulated", "code": str(status)}}).encode()
