"""The dialect of Anthropic's Messages API: a chat request as HTTP, and what comes back.

What can go wrong. Anthropic says with `x-should-retry` what its status does not: a 429 that waiting will not cure, or a 4xx that
it will. A proxy before it answers in HTML.

Source: wire notes 3.1 and 3.6; Anthropic's versions, errors and beta headers pages.
"""

from collections.abc import Callable, Mapping

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.core.ports import Translator
from fastroute.core.types import ChatRequest, Endpoint, UpstreamRequest
from fastroute.dialects._faults import unsupported
from fastroute.dialects._http import auth_headers, checked_headers, endpoint_url
from fastroute.dialects.anthropic_names import renamed
from fastroute.dialects.anthropic_reply import AnthropicReader
from fastroute.dialects.anthropic_request import MessagesRequest, messages_request
from fastroute.dialects.anthropic_terms import reread
from fastroute.dialects.bridge import Bridge
from fastroute.dialects.elsewhere import as_chat, retold
from fastroute.dialects.messages_api import NAME as MESSAGES
from fastroute.dialects.messages_relay import MessagesRelay, own_betas, own_body
from fastroute.dialects.openai_conversation import conversation
from fastroute.dialects.openai_faults import reply_fault
from fastroute.dialects.openai_writer import OpenAIWriter

VERSION = "2023-06-01"
_OPENAI = "openai_chat"
_RETRYABLE_IF_TOLD = (Failure.BAD_REQUEST, Failure.QUOTA_EXHAUSTED)


class _Function(msgspec.Struct, frozen=True):
    name: str = ""


class _NamedTool(msgspec.Struct, frozen=True):
    type: str | None = None
    function: _Function = _Function()


_named_tools = msgspec.json.Decoder(list[_NamedTool] | None)


class AnthropicDialect:
    """A `core.ports.Dialect`. `wall_s` gives epoch seconds, for replies that need a creation time and for dated retry hints."""

    name = "anthropic_messages"

    def __init__(self, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s

    def encode(self, request: ChatRequest, endpoint: Endpoint) -> UpstreamRequest:
        translated = self.translate(request, endpoint)
        return UpstreamRequest(endpoint_url(endpoint), _headers(request, endpoint, translated.betas), translated.body)

    def translate(self, request: ChatRequest, endpoint: Endpoint) -> MessagesRequest:
        """The body alone, with the list of what could not be said. Raises as `encode` does."""
        if request.api == MESSAGES:
            return MessagesRequest(own_body(request, endpoint), own_betas(request))
        if request.api != _OPENAI:
            request = as_chat(request, self.name)
        _refuse_tools(request)
        return messages_request(conversation(request), endpoint)

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        fault = reread(reply_fault(status, headers, body, self._wall_s()))
        told = headers.get("x-should-retry")
        if told == "false" and fault.failure is Failure.RATE_LIMITED:
            return msgspec.structs.replace(fault, failure=Failure.QUOTA_EXHAUSTED)
        if told == "true" and fault.failure in _RETRYABLE_IF_TOLD:
            return msgspec.structs.replace(fault, failure=Failure.SERVER_ERROR)
        return fault

    def translator(self, request: ChatRequest, endpoint: Endpoint) -> Translator:
        if request.api == MESSAGES:
            return MessagesRelay(request, endpoint.model)
        if request.api != _OPENAI:
            return retold(self.translator(as_chat(request, self.name), endpoint), request, endpoint.model)
        writer = OpenAIWriter(request, int(self._wall_s()), endpoint.model)
        return Bridge(AnthropicReader(_names_back(request)), writer)


def _headers(request: ChatRequest, endpoint: Endpoint, betas: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Ours first; the profile's and then the endpoint's own replace ours, but betas of all are joined."""
    accept = "text/event-stream" if request.stream else "application/json"
    headers = {"content-type": "application/json", "accept": accept, "anthropic-version": VERSION, **auth_headers(endpoint)}
    wanted = list(betas)
    for name, value in (*endpoint.profile.headers, *endpoint.headers):
        if name.lower() == "anthropic-beta":
            wanted += [beta.strip() for beta in value.split(",")]
        else:
            headers[name.lower()] = value
    if any(wanted):
        headers["anthropic-beta"] = ",".join(dict.fromkeys(filter(None, wanted)))
    return checked_headers(headers)


def _tools(request: ChatRequest) -> list[_NamedTool]:
    """The client's tools as far as they can be read; whoever translates them says what is wrong with the others."""
    raw = request.fields.get("tools")
    try:
        return [] if raw is None else _named_tools.decode(raw) or []
    except msgspec.DecodeError:
        return []


def _refuse_tools(request: ChatRequest) -> None:
    """Refuses tools Anthropic has no word for, and `functions`, whose clients would look for the calls elsewhere."""
    for i, tool in enumerate(_tools(request)):
        if tool.type not in (None, "function"):
            raise unsupported(f"tools[{i}]", f"Anthropic has no tools of type {tool.type!r}")
    functions = request.fields.get("functions")
    if functions is not None and bytes(functions) not in (b"null", b"[]"):
        raise unsupported("functions", "Anthropic's calls come as tool_calls: use tools instead of functions")


def _names_back(request: ChatRequest) -> dict[str, str]:
    """Tool names that had to be changed on the way out -> the client's own."""
    return renamed(tool.function.name for tool in _tools(request))
