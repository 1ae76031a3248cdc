"""The dialect of OpenAI's chat completions, as two dozen providers speak it: a chat request as HTTP, and what comes back.

Theory of operation. Most requests need a new `model` and nothing else: their members are written out again as raw JSON, which
costs a copy of the bytes. What depends on the endpoint alone is built once per endpoint.

Rules. Members of the client's body travel as they came; only what the provider's profile asks for is changed: the model, the
spelling of the output limit, the `developer` role, usage reports of streams, and its departures (`openai_departures`). Members
named `fastroute...` stay here.

Source: wire notes 3.1 and 3.2.
"""

from collections.abc import Callable, Mapping

import msgspec

from fastroute.core.failures import Fault
from fastroute.core.ports import Translator
from fastroute.core.types import ChatRequest, Endpoint, UpstreamRequest
from fastroute.dialects._faults import bad_request
from fastroute.dialects._http import PerEndpoint, auth_headers, checked_headers, endpoint_url
from fastroute.dialects.elsewhere import as_chat, retold
from fastroute.dialects.openai_departures import Departing
from fastroute.dialects.openai_faults import reply_fault
from fastroute.dialects.openai_frames import is_null
from fastroute.dialects.openai_relay import OpenAIRelay

Raw = msgspec.Raw
encode = msgspec.json.encode

_LIMITS = ("max_tokens", "max_completion_tokens")
_OURS = "fastroute"
_TRUE, _SYSTEM = Raw(b"true"), Raw(b'"system"')
_USAGE_ASKED = Raw(b'{"include_usage":true}')
_ASKS_FOR_USAGE = (bytes(_USAGE_ASKED), b'{"include_usage": true}')
_KNOWN = frozenset(  # common members, none of them ours: a quick look that mostly saves the long one
    (
        *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "stop", "seed", "user"),
        *("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "logit_bias"),
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format", "reasoning_effort"),
        *("logprobs", "top_logprobs", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"),
    )
)
_members = msgspec.json.Decoder(dict[str, Raw])
_list_of_members = msgspec.json.Decoder(list[dict[str, Raw]])


class _Outlet(msgspec.Struct, frozen=True):
    """What all requests to one endpoint share."""

    url: str
    headers: tuple[tuple[str, str], ...]
    stream_headers: tuple[tuple[str, str], ...]
    model: Raw
    other_limit: str | None  # the spelling of the output limit that the provider does not take
    departing: Departing | None


class OpenAIDialect:
    """A `core.ports.Dialect`. `wall_s` gives epoch seconds, for chunks without a creation time and for dated retry hints."""

    name = "openai_chat"

    def __init__(self, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s
        self._outlets = PerEndpoint(_outlet)

    def encode(self, request: ChatRequest, endpoint: Endpoint) -> UpstreamRequest:
        if request.api != self.name:
            request = as_chat(request, self.name)
        outlet, profile = self._outlets.of(endpoint), endpoint.profile
        fields = request.fields.copy()
        if not _KNOWN.issuperset(fields):
            fields = {name: raw for name, raw in fields.items() if not name.startswith(_OURS)}
        fields["model"] = outlet.model
        if outlet.other_limit is not None and outlet.other_limit in fields:
            _spell_limit(fields, outlet.other_limit, profile.max_tokens_field)
        if request.stream:
            _ask_for_usage(fields, profile.stream_usage)
        if request.has_developer and not profile.developer_role:
            _without_developer(fields)
        if outlet.departing is not None:
            outlet.departing.mend(fields, request)
        return UpstreamRequest(outlet.url, outlet.stream_headers if request.stream else outlet.headers, encode(fields))

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        return reply_fault(status, headers, body, self._wall_s())

    def translator(self, request: ChatRequest, endpoint: Endpoint) -> Translator:
        if request.api != self.name:
            return retold(self.translator(as_chat(request, self.name), endpoint), request, endpoint.model)
        return OpenAIRelay(request, endpoint, int(self._wall_s()))


def _outlet(endpoint: Endpoint) -> _Outlet:
    spelling, ways = endpoint.profile.max_tokens_field, endpoint.profile.departures
    return _Outlet(
        url=endpoint_url(endpoint),
        headers=_headers(endpoint, "application/json"),
        stream_headers=_headers(endpoint, "text/event-stream"),
        model=Raw(encode(endpoint.model)),
        other_limit=_LIMITS[1 - _LIMITS.index(spelling)] if spelling in _LIMITS else None,
        departing=None if ways is None else Departing(ways),
    )


def _spell_limit(fields: dict[str, Raw], other: str, spelling: str) -> None:
    """The limit under the name that the provider takes; its own spelling wins where the client sent both."""
    limit = fields.pop(other)
    if is_null(fields.get(spelling)):
        fields[spelling] = limit


def _ask_for_usage(fields: dict[str, Raw], accepted: bool) -> None:
    """Streams report usage, or the bill is an estimate; a provider that refuses the option is spared it."""
    raw = fields.get("stream_options")
    if raw is None:
        if accepted:
            fields["stream_options"] = _USAGE_ASKED
        return
    if accepted and bytes(raw) in _ASKS_FOR_USAGE:
        return
    try:
        options = {} if is_null(raw) else _members.decode(raw)
    except msgspec.DecodeError:
        raise bad_request("stream_options", "'stream_options' must be an object") from None
    if accepted:
        options["include_usage"] = _TRUE
    else:
        options.pop("include_usage", None)
    if options:
        fields["stream_options"] = Raw(encode(options))
    else:
        fields.pop("stream_options", None)


def _without_developer(fields: dict[str, Raw]) -> None:
    raw = fields.get("messages")
    if raw is None or b"developer" not in bytes(raw):
        return
    messages = _list_of_members.decode(raw)
    for message in messages:
        role = message.get("role")
        if role is not None and bytes(role) == b'"developer"':
            message["role"] = _SYSTEM
    fields["messages"] = Raw(encode(messages))


def _headers(endpoint: Endpoint, accept: str) -> tuple[tuple[str, str], ...]:
    """Ours first; the profile's and then the endpoint's own replace ours."""
    headers = {"content-type": "application/json", "accept": accept}
    headers |= auth_headers(endpoint)
    for name, value in (*endpoint.profile.headers, *endpoint.headers):
        headers[name.lower()] = value
    return checked_headers(headers)
