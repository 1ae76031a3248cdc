"""Turns of a canonical conversation as Converse's `system` and `messages`.

Rules. System turns go, in order, to the top. Roles alternate: turns of one role in a row become one message. A user message
begins with its tool results, which must answer the calls before it at once and together; an assistant message begins with its
reasoning. A message that says nothing is left out. A document has a text beside it. At most four cache marks.

Source: wire notes 3.2 and traps 23 to 26; AWS's Converse API pages.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from fastroute.dialects._faults import bad_request
from fastroute.dialects.bedrock_blocks import Block, BlockMaker
from fastroute.dialects.canonical import Turn
from fastroute.dialects.turns import add, content, only_results, only_text

MAX_CACHE_MARKS = 4
_BESIDE_DOCUMENT = "See the document."


class Script(msgspec.Struct):
    """The conversation proper."""

    system: list[Block] = []
    messages: list[dict[str, Any]] = []
    dropped: list[str] = []

    @property
    def uses_tools(self) -> bool:
        return any("toolUse" in block or "toolResult" in block for block in self._blocks())

    @property
    def open_to_thinking(self) -> bool:
        """Whether Claude may think by budget here; see `anthropic_turns`."""
        last = self.messages[-1]
        if last["role"] == "assistant":
            return False
        answering = "toolResult" in last["content"][0] and len(self.messages) > 1
        return not answering or "reasoningContent" in self.messages[-2]["content"][0]

    def called_names(self) -> list[str]:
        """Names of the tools called so far, each once."""
        return list(dict.fromkeys(block["toolUse"]["name"] for block in self._blocks() if "toolUse" in block))

    def _blocks(self) -> Iterator[Block]:
        return (block for message in self.messages for block in message["content"])


def script(turns: Sequence[Turn], claude: bool) -> Script:
    """The turns in Converse's order. Raises `FaultError` naming the message."""
    out = Script([], [], [])
    maker, i = BlockMaker(out.dropped, claude), 0
    for turn in turns:
        if turn.name:
            out.dropped.append("messages[].name")
        if turn.role == "system":
            out.system += _system(turn, maker, i)
        else:
            add(out.messages, turn.role, content(turn, maker, i))
        i += len(turn.parts) if only_results(turn) else 1
    if not out.messages:
        # Nothing but instructions is a proper OpenAI request; Bedrock wants a user to speak first.
        out.system, blocks = [], out.system
        add(out.messages, "user", blocks)
    if not out.messages:
        raise bad_request("messages", "there must be at least one message that is not blank")
    for message in out.messages:
        message["content"] = _ordered(message)
    _strip_prefill(out.messages[-1])
    return out


def limit_cache_points(lists: Sequence[list[Block]], dropped: list[str]) -> None:
    """Takes surplus cache points out: the first stays, which guards the stable head of the prompt, and the last three."""
    found = [(blocks, block) for blocks in lists for block in blocks if "cachePoint" in block]
    surplus = found[1 : -(MAX_CACHE_MARKS - 1)]
    for blocks, block in surplus:
        blocks[:] = [kept for kept in blocks if kept is not block]
    if surplus:
        dropped.append("cache_control beyond four")


def _system(turn: Turn, maker: BlockMaker, i: int) -> list[Block]:
    only_text(turn, i, "Bedrock's system prompt")
    return content(turn, maker, i)


def _ordered(message: dict[str, Any]) -> list[Block]:
    """Results or reasoning first, each with the cache point behind it; a text beside documents."""
    leading = "toolResult" if message["role"] == "user" else "reasoningContent"
    first: list[Block] = []
    rest: list[Block] = []
    into = rest
    for block in message["content"]:
        if "cachePoint" not in block:
            into = first if leading in block else rest
        into.append(block)
    if any("document" in block for block in rest) and not any("text" in block for block in rest):
        rest.append({"text": _BESIDE_DOCUMENT})
    return first + rest


def _strip_prefill(last: dict[str, Any]) -> None:
    """A reply begun for the model must not end in white space."""
    block = last["content"][-1]
    if last["role"] == "assistant" and "text" in block:
        block["text"] = block["text"].rstrip()
