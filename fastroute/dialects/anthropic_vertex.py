"""Claude on Vertex: Anthropic's messages in Google's envelope.

Rules. The model is in the URL and not in the body; the version is in the body and not in a header; streams have a method of their
own. All else, replies and stream events too, is Anthropic's; errors of the envelope are Google's.

Source: wire notes 3.1; anthropic-sdk-python `lib/vertex`.
"""

from collections.abc import Mapping

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import ChatRequest, Endpoint, UpstreamRequest
from fastroute.dialects.anthropic_messages import AnthropicDialect
from fastroute.dialects.gemini_terms import reread

VERSION = "vertex-2023-10-16"
_WHOLE, _STREAM = ":rawPredict", ":streamRawPredict"
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class AnthropicVertexDialect(AnthropicDialect):
    """A `core.ports.Dialect`."""

    name = "anthropic_vertex"

    def encode(self, request: ChatRequest, endpoint: Endpoint) -> UpstreamRequest:
        sent = super().encode(request, endpoint)
        body = _members.decode(sent.body)
        del body["model"]
        versioned = {"anthropic_version": msgspec.Raw(msgspec.json.encode(VERSION)), **body}
        headers = tuple((name, value) for name, value in sent.headers if name != "anthropic-version")
        path, mark, query = sent.url.partition("?")
        if request.stream:
            path = path.removesuffix(_WHOLE) + _STREAM
        return UpstreamRequest(path + mark + query, headers, msgspec.json.encode(versioned))

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        fault = super().fault(status, headers, body)
        return fault if fault.failure is not Failure.RATE_LIMITED else reread(fault, body)
