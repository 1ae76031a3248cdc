"""The dialect of Google's `generateContent`, on AI Studio and on Vertex: a chat request as HTTP, and what comes back.

Theory of operation. The profile's path names the method for whole replies; streams go to its sibling, as event streams. Vertex is
data: another address, with project and location in it, and a bearer token for a key.

What can go wrong. An invalid key is a 400, and so is a country Google does not serve; a 429 may mean a minute or a day. The retry
hint is in the body.

Source: wire notes 3.1 and 3.6; Google's reference of `generateContent` and troubleshooting page (November 2026).
"""

from collections.abc import Callable, Mapping

import msgspec

from fastroute.core.failures import Fault
from fastroute.core.ports import Translator
from fastroute.core.types import ChatRequest, Endpoint, UpstreamRequest
from fastroute.dialects._faults import unsupported
from fastroute.dialects._http import PerEndpoint, auth_headers, checked_headers, endpoint_url
from fastroute.dialects.bridge import Bridge
from fastroute.dialects.elsewhere import as_chat, retold
from fastroute.dialects.gemini_names import renamed
from fastroute.dialects.gemini_relay import GeminiRelay
from fastroute.dialects.gemini_reply import GeminiReader
from fastroute.dialects.gemini_request import GeminiRequest, gemini_request
from fastroute.dialects.gemini_terms import reread
from fastroute.dialects.openai_conversation import conversation
from fastroute.dialects.openai_faults import reply_fault
from fastroute.dialects.openai_writer import OpenAIWriter

_OPENAI = "openai_chat"
_WHOLE, _STREAM = ":generateContent", ":streamGenerateContent"


class _Outlet(msgspec.Struct, frozen=True):
    """What all requests to one endpoint share."""

    url: str
    stream_url: str
    headers: tuple[tuple[str, str], ...]


class GeminiDialect:
    """A `core.ports.Dialect`. `wall_s` gives epoch seconds, for replies that need a creation time."""

    name = "gemini"

    def __init__(self, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s
        self._outlets = PerEndpoint(_outlet)

    def encode(self, request: ChatRequest, endpoint: Endpoint) -> UpstreamRequest:
        outlet = self._outlets.of(endpoint)
        url = outlet.stream_url if request.stream else outlet.url
        if request.api == self.name:
            return UpstreamRequest(url, outlet.headers, _own(request))
        return UpstreamRequest(url, outlet.headers, self.translate(request, endpoint).body)

    def translate(self, request: ChatRequest, endpoint: Endpoint) -> GeminiRequest:
        """The body alone, with the list of what could not be said. Raises as `encode` does."""
        if request.api not in (_OPENAI, self.name):
            request = as_chat(request, self.name)
        if request.api != _OPENAI:
            raise unsupported("api", f"requests of {request.api} clients cannot be put to {self.name}")
        functions = request.fields.get("functions")
        if functions is not None and bytes(functions) not in (b"null", b"[]"):
            raise unsupported("functions", "Gemini's calls come as tool_calls: use tools instead of functions")
        return gemini_request(conversation(request), endpoint)

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        return reread(reply_fault(status, headers, body, self._wall_s()), body)

    def translator(self, request: ChatRequest, endpoint: Endpoint) -> Translator:
        if request.api == self.name:
            return GeminiRelay(request, endpoint.model)
        if request.api != _OPENAI:
            return retold(self.translator(as_chat(request, self.name), endpoint), request, endpoint.model)
        writer = OpenAIWriter(request, int(self._wall_s()), endpoint.model)
        return Bridge(GeminiReader(request.id, _names_back(request)), writer)


def _own(request: ChatRequest) -> bytes:
    """A Gemini client's body, as it came but for members of ours and the model, which is in the URL."""
    return msgspec.json.encode({k: v for k, v in request.fields.items() if k != "model" and not k.startswith("fastroute")})


def _outlet(endpoint: Endpoint) -> _Outlet:
    model = endpoint.model.removeprefix("models/")
    url = endpoint_url(msgspec.structs.replace(endpoint, model=model))
    path, _, query = url.partition("?")
    stream = path.removesuffix(_WHOLE) + _STREAM + "?alt=sse" + ("&" + query if query else "")
    headers = {"content-type": "application/json", **auth_headers(endpoint)}
    for name, value in (*endpoint.profile.headers, *endpoint.headers):
        headers[name.lower()] = value
    return _Outlet(url, stream, checked_headers(headers))


class _Function(msgspec.Struct, frozen=True):
    name: str = ""


class _NamedTool(msgspec.Struct, frozen=True):
    function: _Function = _Function()


_named_tools = msgspec.json.Decoder(list[_NamedTool] | None)


def _names_back(request: ChatRequest) -> dict[str, str]:
    """Tool names that had to be changed on the way out -> the client's own."""
    raw = request.fields.get("tools")
    try:
        tools = [] if raw is None else _named_tools.decode(raw) or []
    except msgspec.DecodeError:
        return {}
    return renamed(tool.function.name for tool in tools)
