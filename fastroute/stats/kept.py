"""What is kept of the statistics over a restart, as bytes: the long run, not the moment.

Rules. Kept: per endpoint the long-run distribution of ratios, how TTFT depends on the prompt, the pace, answer lengths and how
many samples all that rests on. Not kept: the short horizon, failures, breakers, suspicion, gates, requests in flight. What
is read back is believed half: `WEIGHT` of every weight and count.

Theory of operation. Each class of `stats` gives its own part (`kept`) and takes it back (`recall`); what the parts may hold is
said here, with bounds, so that nothing absurd can come in by a damaged file. `BUCKETS` and `form` say what the numbers are
sums of: a file with other buckets is another version, and sums of another form are left out.

What can go wrong. Anything at all may be in the file: `decode` raises `NotKept` for whatever is not whole and sane.
"""

import math
from typing import Annotated

import msgspec
from msgspec import Meta

VERSION = 1
WEIGHT = 0.5
OLDEST_S = 86_400.0
BUCKETS = 136

Positive = Annotated[float, Meta(ge=1e-6, le=1e5)]
Sum = Annotated[float, Meta(ge=0.0, le=1e15)]
Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Buckets = Annotated[list[Sum], Meta(min_length=BUCKETS, max_length=BUCKETS)]


class NotKept(ValueError):
    """The bytes are no statistics of this version. The message says why."""


class KeptScale(msgspec.Struct, frozen=True):
    """A quantity that drifts: its long run, what it read when it was kept, and samples."""

    long: Positive
    now: Positive
    n: Count


class KeptSums(msgspec.Struct, frozen=True):
    """Decayed sums, whatever their owner means by them. `form` changes when the meaning does."""

    form: Annotated[str, Meta(max_length=40)]
    sums: Annotated[list[Annotated[float, Meta(ge=-1e18, le=1e18)]], Meta(max_length=512)]


class KeptSlope(msgspec.Struct, frozen=True):
    """How TTFT grows with the prompt."""

    per_token: Annotated[float, Meta(ge=0.0, le=1e3)]
    usual: Annotated[float, Meta(ge=0.0, le=1e9)]
    n: Count
    fit: KeptSums


class KeptTail(msgspec.Struct, frozen=True):
    """The long horizon's ratios, in samples as of when they were kept."""

    events: Buckets
    censored: Buckets
    samples: Count


class KeptPace(msgspec.Struct, frozen=True):
    """Time per output token. `replies`: the last whole ones, (tokens, seconds)."""

    scale: KeptScale
    streams: Count
    wholes: Count
    replies: Annotated[list[tuple[Annotated[int, Meta(ge=0, le=1 << 31)], Positive]], Meta(max_length=256)] = []


class KeptEndpoint(msgspec.Struct, frozen=True):
    """One endpoint. `place`: base URL, model, region and dialect; at another place it is another endpoint."""

    place: tuple[str, str, str | None, str]
    age_s: Annotated[float, Meta(ge=0.0, le=1e9)]  # of its last sample, when it was kept
    ttft: KeptScale
    slope: KeptSlope
    tail: KeptTail
    pace: KeptPace
    lengths: KeptSums


class KeptBoard(msgspec.Struct, frozen=True):
    """Everything. `kept_s`: seconds since the epoch."""

    fastroute_statistics: int  # the version; first, so that the file says what it is
    kept_s: Annotated[float, Meta(ge=0.0, le=1e11)]
    endpoints: dict[str, KeptEndpoint]
    lengths: KeptSums


def encode(board: KeptBoard) -> bytes:
    """The bytes of a file."""
    return msgspec.json.encode(board)


def decode(data: bytes) -> KeptBoard:
    """What `encode` wrote. Raises `NotKept`."""
    try:
        version = _DECODE_VERSION.decode(data).fastroute_statistics
        if version != VERSION:
            raise NotKept(f"version {version} of the format, not {VERSION}")
        return _DECODE.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotKept(str(error)) from None


def age_s(board: KeptBoard, wall_s: float) -> float:
    """How long ago it was kept; 0.0 where the wall clock has gone back since."""
    return max(0.0, wall_s - board.kept_s)


def half(n: int) -> int:
    """What a count is worth when it is read back."""
    return math.ceil(n * WEIGHT)


class _Version(msgspec.Struct, frozen=True):
    fastroute_statistics: int


_DECODE_VERSION = msgspec.json.Decoder(_Version)
_DECODE = msgspec.json.Decoder(KeptBoard)
