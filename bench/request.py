"""What is asked of the upstream, and how: the size and pace of one chat request, carried in its prompt.

The marker in the prompt tells `bench.canned` what to answer, whichever router passes the request on.
"""

import re
from functools import lru_cache
from typing import Annotated

import msgspec

WORDS = "Summarise the following support conversation in two sentences for the next agent. "
CHARS_PER_TOKEN = 4
MARKER = re.compile(rb"#bench ([a-z0-9_=. ]+)#")
PATH = "/v1/chat/completions"

Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Pause = Annotated[float, msgspec.Meta(ge=0, le=60_000)]


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of chat request. `chunks`, and `pause_ms` between them, matter to streams; `think_ms` comes before any answer."""

    stream: bool = False
    input_tokens: Count = 500
    output_tokens: Count = 100
    chunks: Count = 32
    pause_ms: Pause = 0.0
    think_ms: Pause = 0.0
    stamp: bool = False
    """Every content chunk carries the instant at which the upstream wrote it: its way through the router is then measured."""

    def marker(self) -> str:
        told = f"#bench reply={self.output_tokens} chunks={self.chunks} think_ms={self.think_ms:g}"
        return f"{told} pause_ms={self.pause_ms:g} stamp={int(self.stamp)}#"


def read_marker(body: bytes) -> Kind | None:
    """The kind that a request body asks for; None where it does not say."""
    found = MARKER.search(body)
    if found is None:
        return None
    told = dict(pair.split("=", 1) for pair in found[1].decode().split())
    return Kind(
        output_tokens=int(told["reply"]),
        chunks=int(told["chunks"]),
        pause_ms=float(told["pause_ms"]),
        think_ms=float(told["think_ms"]),
        stamp=told["stamp"] == "1",
    )


@lru_cache(maxsize=4096)
def request_bytes(kind: Kind, path: str = PATH, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    """The whole HTTP request, ready to write."""
    chars = kind.input_tokens * CHARS_PER_TOKEN
    prompt = (kind.marker() + " " + WORDS * (chars // len(WORDS) + 1))[: max(chars, len(kind.marker()))]
    tail = ',"stream":true' if kind.stream else ""
    body = f'{{"model":"auto","messages":[{{"role":"user","content":"{prompt}"}}],"max_tokens":{kind.output_tokens}{tail}}}'
    lines = [f"POST {path} HTTP/1.1", "host: bench", "content-type: application/json", f"content-length: {len(body)}"]
    lines += ["authorization: Bearer bench", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def sized(kind: Kind, input_tokens: int | None, output_tokens: int | None) -> Kind:
    """`kind` with a trace's sizes, rounded to two digits so that few requests need to be built. None changes nothing."""
    if input_tokens is None and output_tokens is None:
        return kind
    return msgspec.structs.replace(
        kind,
        input_tokens=_rounded(input_tokens) if input_tokens is not None else kind.input_tokens,
        output_tokens=_rounded(output_tokens) if output_tokens is not None else kind.output_tokens,
    )


def _rounded(tokens: int) -> int:
    return max(1, int(float(f"{tokens:.1e}")))
