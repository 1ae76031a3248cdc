"""AWS Signature Version 4: the headers that sign a request. Pure: the time is passed in.

Rules. What is signed are the very bytes that are sent: path and query as they stand in the URL, the host as the transport will
write it, the hash of the body. A signature is good for some minutes only, so every attempt is signed anew.

What can go wrong. The path is encoded a second time in the canonical request (`:` in a model's id is `%3A` on the wire and
`%253A` there); of AWS's services only S3 does without. A clock that is minutes off gives a 403.

Source: AWS General Reference, "Create a signed AWS API request"; botocore's `auth.py`, which the tests compare with.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, urlsplit

import msgspec

from fastroute.core.types import UpstreamRequest

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = frozenset(  # what a proxy or the transport may write anew
    (
        "authorization",
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "transfer-encoding",
        "user-agent",
        "x-amzn-trace-id",
    )
)
_TERMINATOR = "aws4_request"


class Credentials(msgspec.Struct, frozen=True):
    """An access key. `token` belongs to temporary ones. All but the id is secret: never printed."""

    access_key_id: str
    secret_access_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id[:4]!r}...)"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("access_key_id", self.access_key_id[:4])]


class Scope(msgspec.Struct, frozen=True):
    """What a signature is good for."""

    region: str
    service: str


def signed(request: UpstreamRequest, credentials: Credentials, scope: Scope, wall_s: float) -> UpstreamRequest:
    """The request with the host, the date, the token and the signature of them all among its headers.

    `wall_s`: seconds since the epoch. The request's own headers have lower-case names.
    """
    stamp = datetime.fromtimestamp(wall_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": urlsplit(request.url).netloc.rpartition("@")[2], **dict(request.headers), "x-amz-date": stamp}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    to_sign = {name: value for name, value in headers.items() if name not in UNSIGNED}
    asked = canonical_request(request, to_sign)
    place = f"{stamp[:8]}/{scope.region}/{scope.service}/{_TERMINATOR}"
    text = "\n".join((ALGORITHM, stamp, place, hashlib.sha256(asked.encode()).hexdigest()))
    key = _signing_key(credentials.secret_access_key, stamp[:8], scope.region, scope.service)
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    who = f"{ALGORITHM} Credential={credentials.access_key_id}/{place}"
    headers["authorization"] = f"{who}, SignedHeaders={';'.join(sorted(to_sign))}, Signature={signature}"
    return UpstreamRequest(request.url, tuple(headers.items()), request.body, request.method)


def canonical_request(request: UpstreamRequest, headers: Mapping[str, str]) -> str:
    """The request in the one form that both sides hash. `headers`: those to sign, by lower-case name."""
    parts = urlsplit(request.url)
    lines = (f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers))
    return "\n".join(
        (
            request.method,
            quote(_without_dots(parts.path), safe="/~"),
            _canonical_query(parts.query),
            *lines,
            "",
            ";".join(sorted(headers)),
            hashlib.sha256(request.body).hexdigest(),
        )
    )


def _without_dots(path: str) -> str:
    """The path as AWS reads it: no `.`, `..` or empty segments."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _canonical_query(query: str) -> str:
    """The members as they stand, sorted by name and then by value."""
    pairs: Iterable[tuple[str, str, str]] = (member.partition("=") for member in query.split("&") if member)
    return "&".join(f"{name}={value}" for name, value in sorted((name, value) for name, _, value in pairs))


@lru_cache(maxsize=64)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = ("AWS4" + secret).encode()
    for step in (date, region, service, _TERMINATOR):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return key
