"""The dialect of OpenAI's Responses: a request as HTTP, and what comes back.

Rules. A Responses client's members travel as they came, but for the model and for members of ours; so `previous_response_id` and
the provider's own tools work. Its reply's events are the provider's bytes; one that reports a failure is not sent: the engine
decides what the client is told. Everybody else's request is put as items (`responses_items_out`), and nothing of it is stored.

Source: OpenAI's reference of `POST /v1/responses` (November 2026).
"""

from collections.abc import Callable, Mapping

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.core.ports import Translator
from fastroute.core.types import ChatRequest, Endpoint, UpstreamRequest
from fastroute.dialects._http import PerEndpoint, auth_headers, checked_headers, endpoint_url
from fastroute.dialects._sse import SseParser
from fastroute.dialects.bridge import TRUNCATED, Bridge
from fastroute.dialects.elsewhere import as_chat, retold
from fastroute.dialects.openai_conversation import conversation
from fastroute.dialects.openai_faults import reply_fault
from fastroute.dialects.openai_writer import OpenAIWriter
from fastroute.dialects.responses_api import NAME
from fastroute.dialects.responses_chat import asked_of
from fastroute.dialects.responses_items_out import responses_body
from fastroute.dialects.responses_reply import ResponsesReader
from fastroute.dialects.responses_writer import ResponsesWriter

_OPENAI = "openai_chat"
OVERFLOW = Fault(Failure.TOO_LARGE, "an event of the provider's stream is too large")


class ResponsesDialect:
    """A `core.ports.Dialect`. `wall_s` gives epoch seconds, for replies without a creation time and for dated retry hints."""

    name = NAME

    def __init__(self, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s
        self._outlets = PerEndpoint(_outlet)

    def encode(self, request: ChatRequest, endpoint: Endpoint) -> UpstreamRequest:
        url, headers = self._outlets.of(endpoint)
        return UpstreamRequest(url, headers, self._body(request, endpoint))

    def _body(self, request: ChatRequest, endpoint: Endpoint) -> bytes:
        if request.api == self.name:
            fields = {name: raw for name, raw in request.fields.items() if not name.startswith("fastroute")}
            return msgspec.json.encode(fields | {"model": endpoint.model})
        if request.api != _OPENAI:
            request = as_chat(request, self.name)
        return msgspec.json.encode(responses_body(conversation(request), endpoint.model))

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        return reply_fault(status, headers, body, self._wall_s())

    def translator(self, request: ChatRequest, endpoint: Endpoint) -> Translator:
        if request.api == self.name:
            return ResponsesRelay(request, endpoint.model)
        if request.api != _OPENAI:
            return retold(self.translator(as_chat(request, self.name), endpoint), request, endpoint.model)
        return Bridge(ResponsesReader(), OpenAIWriter(request, int(self._wall_s()), endpoint.model))


def _outlet(endpoint: Endpoint) -> tuple[str, tuple[tuple[str, str], ...]]:
    headers = {"content-type": "application/json", **auth_headers(endpoint)}
    for name, value in (*endpoint.profile.headers, *endpoint.headers):
        headers[name.lower()] = value
    return endpoint_url(endpoint), checked_headers(headers)


class ResponsesRelay(Bridge):
    """A `core.ports.Translator`: Responses to Responses, read on the way; one per attempt."""

    def __init__(self, request: ChatRequest, model: str) -> None:
        self._responses = ResponsesReader()
        super().__init__(self._responses, ResponsesWriter(request.id, asked_of(request), model))
        self._parser = SseParser()

    def feed(self, data: bytes) -> bytes:
        out = b"".join([self._passed(frame.name, frame.data) for frame in self._parser.feed(data)])
        if self._parser.overflowed and self.fault is None:
            self.fault = OVERFLOW
        return out

    def end(self) -> bytes:
        out = b"".join([self._passed(frame.name, frame.data) for frame in self._parser.end()])
        if not self.finished and self.fault is None:
            self.fault = TRUNCATED
        return out

    def whole(self, body: bytes) -> bytes:
        self._watch(self._responses.whole(body))
        if self.fault is None and not self.finished:
            self.fault = TRUNCATED
        return b"" if self.fault else body

    def interrupted(self, fault: Fault) -> bytes:
        return self._writer.interrupted(fault, self.usage)

    def _passed(self, name: bytes, data: bytes) -> bytes:
        if self.fault is not None or self.finished:
            return b""
        self._watch(self._responses.data(data))
        told = (b"event: %b\n" % name if name else b"") + b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"
        return b"" if self.fault is not None else told
