"""What a mock model says: text, two tool calls, or JSON, as the tokens it would emit. Pure: same ask, same seed, same answer.

Rules. One token is one thing to emit and one token of usage: a word, the start of a tool call, a piece of its arguments.
`max_tokens` cuts the token sequence, so a cut tool call has broken arguments and a cut JSON answer is broken: as in life.
"""

import hashlib
import math
import re
from random import Random
from typing import Any

import msgspec

from fastroute.mock.ask import Ask, Tool
from fastroute.mock.instances import instance
from fastroute.mock.schema import OutputSpec
from fastroute.mock.words import prose

_PIECE_CHARS = 9  # of JSON, in one token
_RESULT_CHARS = 200  # of each tool result, in the final text
_ASKED = re.compile(r"#reply=(\d{1,6})#")
_ID_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


class Word(msgspec.Struct, frozen=True):
    text: str


class CallStart(msgspec.Struct, frozen=True):
    index: int  # of the call, from 0
    id: str  # without the dialect's prefix
    name: str


class CallPiece(msgspec.Struct, frozen=True):
    index: int
    text: str  # of the arguments' JSON


Token = Word | CallStart | CallPiece


class Said(msgspec.Struct, frozen=True):
    """One choice of an answer. `finish`: stop, length or tool_calls; `stop_sequence` where one of those ended it."""

    tokens: tuple[Token, ...]
    finish: str
    stop_sequence: str | None = None

    @property
    def text(self) -> str:
        return "".join(t.text for t in self.tokens if isinstance(t, Word))

    @property
    def calls(self) -> list[tuple[CallStart, str]]:
        """Each call with its arguments' JSON."""
        pieces = [t for t in self.tokens if isinstance(t, CallPiece)]
        starts = [t for t in self.tokens if isinstance(t, CallStart)]
        return [(s, "".join(p.text for p in pieces if p.index == s.index)) for s in starts]


class Answer(msgspec.Struct, frozen=True):
    """A whole answer. `id` is unique to the request; the rest depends on seed and prompt alone."""

    id: str
    said: tuple[Said, ...]

    @property
    def output_tokens(self) -> int:
        return sum(len(s.tokens) for s in self.said)

    def interleaved(self) -> list[tuple[int, Token]]:
        """Tokens with their choice, in the order in which a stream emits them."""
        longest = max(len(s.tokens) for s in self.said)
        return [(i, s.tokens[k]) for k in range(longest) for i, s in enumerate(self.said) if k < len(s.tokens)]


def compose(ask: Ask, salt: str, output: OutputSpec, id_rng: Random) -> Answer:
    """The answer to `ask`. `salt` is seed and endpoint; ids come from `id_rng` and differ from request to request."""
    digest = hashlib.blake2b(f"{salt}\0{ask.transcript}".encode(), digest_size=8).hexdigest()
    said = tuple(_say(ask, output, Random(f"{digest}:{choice}"), id_rng) for choice in range(ask.choices))
    return Answer(new_id(id_rng), said)


def new_id(rng: Random, length: int = 24) -> str:
    """The random part of an id, as providers make them."""
    return "".join(rng.choices(_ID_ALPHABET, k=length))


def _say(ask: Ask, output: OutputSpec, rng: Random, id_rng: Random) -> Said:
    tools = ask.called_tools
    if tools:
        tokens, finish = _calls(tools, rng, id_rng), "tool_calls"
    else:
        tokens, finish = _words(ask, output, rng), "stop"
    limit = ask.max_output_tokens
    if limit is not None and len(tokens) > limit:
        tokens, finish = tokens[:limit], "length"
    return _stopped(Said(tuple(tokens), finish), ask.stop)


def _words(ask: Ask, output: OutputSpec, rng: Random) -> list[Token]:
    if ask.schema is not None:
        return [Word(p) for p in _pieces(_json(instance(ask.schema, rng)))]
    length = max(1, _asked(ask, output) or round(output.mean * math.exp(output.sigma * rng.gauss(0.0, 1.0))))
    if not ask.tool_results:
        return [Word(w) for w in prose(length, rng)]
    found = "; ".join(r[:_RESULT_CHARS] for r in ask.tool_results)
    reported = f"The tools returned: {found}.".split(" ")
    start: list[Token] = [Word(w if i == 0 else f" {w}") for i, w in enumerate(reported)]
    return start + [Word(w if i else f" {w}") for i, w in enumerate(prose(length, rng))]


def _asked(ask: Ask, output: OutputSpec) -> int | None:
    """The length that the prompt itself asks for; None: it does not, or is not heard."""
    found = _ASKED.search(ask.transcript) if output.as_asked else None
    return None if found is None else int(found[1])


def _calls(tools: tuple[Tool, ...], rng: Random, id_rng: Random) -> list[Token]:
    tokens: list[Token] = []
    for index, tool in enumerate(tools):
        tokens.append(CallStart(index, new_id(id_rng, 22), tool.name))
        tokens += [CallPiece(index, p) for p in _pieces(_json(instance(tool.schema, rng)))]
    return tokens


def _stopped(said: Said, stop: tuple[str, ...]) -> Said:
    """The same choice, ended before the first stop sequence in its text."""
    text = said.text
    at, sequence = min(((text.find(s), s) for s in stop if s and s in text), default=(-1, ""))
    if at < 0:
        return said
    kept: list[Token] = []
    for token in said.tokens:
        assert isinstance(token, Word)
        if at <= 0:
            break
        kept.append(Word(token.text[:at]))
        at -= len(token.text)
    return Said(tuple(kept), "stop", sequence)


def _json(value: Any) -> str:
    if isinstance(value, dict) and not value:
        return "{}"
    return msgspec.json.encode(value).decode()


def _pieces(text: str) -> list[str]:
    return [text[i : i + _PIECE_CHARS] for i in range(0, len(text), _PIECE_CHARS)] or [""]
