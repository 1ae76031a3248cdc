"""The dialect of OpenAI's chat completions, as two dozen providers speak it: a chat request as HTTP, and what comes back.

Rules. Members of the client's body travel as they came; only what the provider's profile asks for is changed: the model, the
spelling of the output limit, the `developer` role, usage reports of streams. Members named `fastroute...` stay here.

Source: wire notes 3.1 and 3.2.
"""

from collections.abc import Callable, Mapping

import msgspec

from fastroute.core.failures import Fault
from fastroute.core.ports import Translator
from fastroute.core.types import ChatRequest, Endpoint, UpstreamRequest
from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects._http import auth_headers, checked_headers, endpoint_url
from fastroute.dialects.openai_faults import reply_fault
from fastroute.dialects.openai_frames import is_null
from fastroute.dialects.openai_relay import OpenAIRelay

Raw = msgspec.Raw
encode = msgspec.json.encode

_LIMITS = ("max_tokens", "max_completion_tokens")
_TRUE, _SYSTEM = Raw(b"true"), Raw(b'"system"')
_members = msgspec.json.Decoder(dict[str, Raw])
_list_of_members = msgspec.json.Decoder(list[dict[str, Raw]])


class OpenAIDialect:
    """A `core.ports.Dialect`. `wall_s` gives epoch seconds, for chunks without a creation time and for dated retry hints."""

    name = "openai_chat"

    def __init__(self, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s

    def encode(self, request: ChatRequest, endpoint: Endpoint) -> UpstreamRequest:
        if request.api != self.name:
            raise unsupported("api", f"requests of {request.api} clients cannot be put to {self.name}")
        fields = {name: raw for name, raw in request.fields.items() if not name.startswith("fastroute")}
        fields["model"] = Raw(encode(endpoint.model))
        fields = _output_limit(fields, endpoint.profile.max_tokens_field)
        if request.stream:
            _ask_for_usage(fields, endpoint.profile.stream_usage)
        if not endpoint.profile.developer_role:
            _without_developer(fields)
        return UpstreamRequest(endpoint_url(endpoint), _headers(request, endpoint), encode(fields))

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        return reply_fault(status, headers, body, self._wall_s())

    def translator(self, request: ChatRequest, endpoint: Endpoint) -> Translator:
        return OpenAIRelay(request, endpoint, int(self._wall_s()))


def _output_limit(fields: dict[str, Raw], spelling: str) -> dict[str, Raw]:
    """The limit under the name that the provider takes; its own spelling wins where the client sent both."""
    if spelling not in _LIMITS:
        return fields
    other = _LIMITS[1 - _LIMITS.index(spelling)]
    if other not in fields:
        return fields
    if not is_null(fields.get(spelling)):
        return {name: raw for name, raw in fields.items() if name != other}
    return {(spelling if name == other else name): raw for name, raw in fields.items() if name != spelling}


def _ask_for_usage(fields: dict[str, Raw], accepted: bool) -> None:
    """Streams report usage, or the bill is an estimate; a provider that refuses the option is spared it."""
    raw = fields.get("stream_options")
    if not accepted and raw is None:
        return
    try:
        options = {} if is_null(raw) else _members.decode(raw or b"{}")
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


def _headers(request: ChatRequest, endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    """Ours first; the profile's and then the endpoint's own replace ours."""
    headers = {"content-type": "application/json", "accept": "text/event-stream" if request.stream else "application/json"}
    headers |= auth_headers(endpoint)
    for name, value in (*endpoint.profile.headers, *endpoint.headers):
        headers[name.lower()] = value
    return checked_headers(headers)
