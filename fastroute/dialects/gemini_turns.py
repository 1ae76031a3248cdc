"""Turns of a canonical conversation as Gemini's `systemInstruction` and `contents`.

Rules. System turns go, in order, to the top. Turns of one role in a row become one content, but results stay in a content of
their own, which follows their calls at once, in the order of the calls. A content that says nothing is left out.

Theory of operation. Gemini 3 refuses history whose first call of a step has no thought signature. Where a client did not bring it
back, or another provider made the call, the word Google documents for such history stands in for it.

Source: wire notes 3.2 and traps 19, 24, 25, 30; Google's thought signatures page (November 2026).
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from fastroute.core.types import Endpoint
from fastroute.dialects._faults import bad_request
from fastroute.dialects.canonical import Part, Thinking, ToolCall, ToolResult, Turn
from fastroute.dialects.gemini_parts import PartMaker
from fastroute.dialects.gemini_terms import generation
from fastroute.dialects.turns import only_results, only_text

Json = dict[str, Any]

NO_SIGNATURE = "skip_thought_signature_validator"
_ROLES = {"user": "user", "assistant": "model"}


class Script(msgspec.Struct):
    """The conversation proper."""

    system: list[Json] = []
    contents: list[Json] = []
    dropped: list[str] = []


def script(turns: Sequence[Turn], endpoint: Endpoint) -> Script:
    """The turns in Gemini's order. Raises `FaultError` naming the message."""
    out = Script([], [], [])
    maker, i = PartMaker(endpoint, out.dropped), 0
    for turn in turns:
        if turn.name:
            out.dropped.append("messages[].name")
        if turn.role == "system":
            out.system += _system(turn, maker, i)
        else:
            _say(out.contents, turn, maker, i)
        i += len(turn.parts) if only_results(turn) else 1
    if not out.contents:
        # Nothing but instructions is a proper OpenAI request; Gemini wants a user to speak first.
        out.system, parts = [], out.system
        _add(out.contents, "user", parts)
    if not out.contents:
        raise bad_request("messages", "there must be at least one message that is not blank")
    if generation(endpoint.model) >= (3, 0):
        _vouch(out.contents)
    return out


def _say(contents: list[Json], turn: Turn, maker: PartMaker, i: int) -> None:
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    if results:
        contents.append({"role": "user", "parts": _results(results, contents, maker, i)})
    others = _parts([part for part in turn.parts if not isinstance(part, ToolResult)], maker, i)
    _add(contents, _ROLES[turn.role], others, apart=bool(results))


def _results(results: list[ToolResult], contents: list[Json], maker: PartMaker, i: int) -> list[Json]:
    """The responses in the order of their calls, then whatever media stand beside them."""
    rendered = [part for j, result in enumerate(results) for part in maker.parts(result, f"messages[{i + j}].content")]
    called = [part["functionCall"]["name"] for part in contents[-1]["parts"] if "functionCall" in part] if contents else []
    responses = [part for part in rendered if "functionResponse" in part]
    if len(set(called)) == len(called):
        place = {name: place for place, name in enumerate(called)}
        responses.sort(key=lambda part: place.get(part["functionResponse"]["name"], len(place)))
    return responses + [part for part in rendered if "functionResponse" not in part]


def _parts(parts: Sequence[Part], maker: PartMaker, i: int) -> list[Json]:
    """The parts but results. `i`: their message in the client's request, to name in faults."""
    out: list[Json] = []
    said = calls = 0
    for part in parts:
        where = f"messages[{i}].content[{said}]"
        if isinstance(part, ToolCall):
            where = f"messages[{i}].tool_calls[{calls}].function.arguments"
            calls += 1
        elif not isinstance(part, Thinking):
            said += 1
        out += maker.parts(part, where)
    return out


def _system(turn: Turn, maker: PartMaker, i: int) -> list[Json]:
    only_text(turn, i, "Gemini's system instruction")
    return _parts(turn.parts, maker, i)


def _add(contents: list[Json], role: str, parts: list[Json], apart: bool = False) -> None:
    if not parts:
        return
    last = contents[-1] if contents and not apart else None
    if last is not None and last["role"] == role and not any("functionResponse" in part for part in last["parts"]):
        last["parts"] += parts
    else:
        contents.append({"role": role, "parts": list(parts)})


def _vouch(contents: list[Json]) -> None:
    """Marks the first call of each step that came without any signature."""
    for content in contents:
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and "thoughtSignature" not in calls[0]:
            calls[0]["thoughtSignature"] = NO_SIGNATURE
