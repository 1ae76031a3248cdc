"""The dialect of Bedrock's Converse and ConverseStream: a chat request as HTTP, and what comes back.

Rules. The endpoint's key is either a Bedrock API key, sent as a bearer token, or, where the profile's `auth` is `sigv4`, an
access key as `ID:SECRET` or `ID:SECRET:TOKEN`: then every attempt is signed for itself, with the exact bytes it sends.

What can go wrong. A model's id has `:` and, as an ARN, `/`, both quoted in the path. The region that is signed for must be that
of the address; an address that does not tell it (a proxy, a VPC endpoint's own name) needs `region`.

Source: wire notes 3.1, 3.5 and 3.6; botocore's `bedrock-runtime` service model (2023-09-30).
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.ports import Translator
from fastroute.core.types import ChatRequest, Endpoint, UpstreamRequest
from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects._http import PerEndpoint, auth_headers, checked_headers, endpoint_url
from fastroute.dialects.anthropic_names import renamed
from fastroute.dialects.aws_sigv4 import Credentials, Scope, signed
from fastroute.dialects.bedrock_reply import ConverseReader
from fastroute.dialects.bedrock_request import ConverseRequest, converse_request
from fastroute.dialects.bedrock_terms import converse_fault
from fastroute.dialects.bridge import Bridge
from fastroute.dialects.elsewhere import as_chat, retold
from fastroute.dialects.openai_conversation import conversation
from fastroute.dialects.openai_writer import OpenAIWriter

SIGV4 = "sigv4"
_SERVICE = "bedrock"
_OPENAI = "openai_chat"
_WHOLE, _STREAM = "/converse", "/converse-stream"
_REGION = re.compile(r"(?:^|\.)bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws|api\.aws)")


class _Function(msgspec.Struct, frozen=True):
    name: str = ""


class _NamedTool(msgspec.Struct, frozen=True):
    type: str | None = None
    function: _Function = _Function()


_named_tools = msgspec.json.Decoder(list[_NamedTool] | None)


class _Outlet(msgspec.Struct, frozen=True):
    """What all requests to one endpoint share. `credentials` None: nothing is signed."""

    url: str
    stream_url: str
    headers: tuple[tuple[str, str], ...]
    credentials: Credentials | None
    scope: Scope


class BedrockDialect:
    """A `core.ports.Dialect`. `wall_s` gives epoch seconds: signatures carry the time, and replies need a creation time."""

    name = "bedrock_converse"

    def __init__(self, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s
        self._outlets = PerEndpoint(_outlet)

    def encode(self, request: ChatRequest, endpoint: Endpoint) -> UpstreamRequest:
        outlet = self._outlets.of(endpoint)
        body = self.translate(request, endpoint).body
        sent = UpstreamRequest(outlet.stream_url if request.stream else outlet.url, outlet.headers, body)
        return sent if outlet.credentials is None else signed(sent, outlet.credentials, outlet.scope, self._wall_s())

    def translate(self, request: ChatRequest, endpoint: Endpoint) -> ConverseRequest:
        """The body alone, with the list of what could not be said. Raises as `encode` does."""
        if request.api != _OPENAI:
            request = as_chat(request, self.name)
        for i, tool in enumerate(_tools(request)):
            if tool.type not in (None, "function"):
                raise unsupported(f"tools[{i}]", f"Bedrock has no tools of type {tool.type!r}")
        functions = request.fields.get("functions")
        if functions is not None and bytes(functions) not in (b"null", b"[]"):
            raise unsupported("functions", "Bedrock's calls come as tool_calls: use tools instead of functions")
        try:
            return converse_request(conversation(request), endpoint)
        except msgspec.ValidationError as error:
            raise bad_request("additionalModelRequestFields", f"'additionalModelRequestFields' is wrong: {error}") from error

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        return converse_fault(status, headers, body, self._wall_s())

    def translator(self, request: ChatRequest, endpoint: Endpoint) -> Translator:
        if request.api != _OPENAI:
            return retold(self.translator(as_chat(request, self.name), endpoint), request, endpoint.model)
        names = renamed(tool.function.name for tool in _tools(request))
        writer = OpenAIWriter(request, int(self._wall_s()), endpoint.model)
        return Bridge(ConverseReader(request.id, names), writer)


def _tools(request: ChatRequest) -> list[_NamedTool]:
    """The client's tools as far as they can be read; whoever translates them says what is wrong with the others."""
    raw = request.fields.get("tools")
    try:
        return [] if raw is None else _named_tools.decode(raw) or []
    except msgspec.DecodeError:
        return []


def _outlet(endpoint: Endpoint) -> _Outlet:
    url = endpoint_url(endpoint)
    path, mark, query = url.partition("?")
    stream_url = path.removesuffix(_WHOLE) + _STREAM + mark + query
    signs = endpoint.profile.auth == SIGV4
    headers = {"content-type": "application/json", **({} if signs else auth_headers(endpoint))}
    for name, value in (*endpoint.profile.headers, *endpoint.headers):
        headers[name.lower()] = value
    scope = Scope(_region(endpoint) if signs else "", _SERVICE)
    return _Outlet(url, stream_url, checked_headers(headers), _credentials(endpoint) if signs else None, scope)


def _credentials(endpoint: Endpoint) -> Credentials:
    """The access key. Raises `FaultError` (AUTH), in words without any of it, where it is none."""
    key_id, _, rest = (endpoint.key or "").strip().partition(":")
    secret, _, token = rest.partition(":")
    credentials = Credentials(key_id, secret, token or None)
    if not key_id or not secret:
        raise FaultError(Fault(Failure.AUTH, "the endpoint's key is not ID:SECRET or ID:SECRET:TOKEN, as SigV4 needs"))
    checked_headers({"authorization": key_id, "x-amz-security-token": token})
    return credentials


def _region(endpoint: Endpoint) -> str:
    """The region to sign for: the address's, else the configured one. Raises `FaultError` (AUTH) where neither tells."""
    found = _REGION.search(urlsplit(endpoint.base_url).hostname or "")
    region = found[1] if found else endpoint.region
    if not region:
        raise FaultError(Fault(Failure.AUTH, "the endpoint needs 'region': its address does not tell what to sign for"))
    return region
