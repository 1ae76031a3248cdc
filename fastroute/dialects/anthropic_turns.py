"""Turns of a canonical conversation as Anthropic's `system` and `messages`.

Rules. System turns go, in order, to the top. Turns of one role in a row become one message. A user message begins with its
tool results, which must answer the calls before it at once and together; an assistant message begins with its reasoning. A
message that says nothing is left out. At most four cache marks.

Source: wire notes 3.2 and traps 18, 23, 24, 25; Anthropic's tool use and prompt caching pages.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from fastroute.dialects._faults import bad_request
from fastroute.dialects.anthropic_blocks import Block, BlockMaker, plain
from fastroute.dialects.canonical import Turn
from fastroute.dialects.turns import add, content, only_results, only_text

MAX_CACHE_MARKS = 4
_THINKING = ("thinking", "redacted_thinking")
_LEADING = {"user": ("tool_result",), "assistant": _THINKING}


class Script(msgspec.Struct):
    """The conversation proper. `messages` have lists of blocks until `shortest` has seen them."""

    system: list[Block] = []
    messages: list[dict[str, Any]] = []
    betas: set[str] = set()
    dropped: list[str] = []

    @property
    def uses_tools(self) -> bool:
        return any(block["type"] in ("tool_use", "tool_result") for block in _blocks(self.messages))

    @property
    def open_to_thinking(self) -> bool:
        """Whether the model may think by budget here: not in a reply begun for it, nor between a call and its results
        unless that turn's own reasoning is there. Anthropic refuses both.
        """
        last = self.messages[-1]
        if last["role"] == "assistant":
            return False
        answering = last["content"][0]["type"] == "tool_result" and len(self.messages) > 1
        return not answering or self.messages[-2]["content"][0]["type"] in _THINKING

    def called_names(self) -> list[str]:
        """Names of the tools called so far, each once."""
        return list(dict.fromkeys(b["name"] for b in _blocks(self.messages) if b["type"] == "tool_use"))


def script(turns: Sequence[Turn]) -> Script:
    """The turns in Anthropic's order. Raises `FaultError` naming the message."""
    out = Script([], [], set(), [])
    maker, i = BlockMaker(out.dropped), 0
    for turn in turns:
        if turn.name:
            out.dropped.append("messages[].name")
        if turn.role == "system":
            out.system += _system(turn, maker, i)
        else:
            add(out.messages, turn.role, content(turn, maker, i))
        i += len(turn.parts) if only_results(turn) else 1
    out.betas = maker.betas
    if not out.messages:
        # Nothing but instructions is a proper OpenAI request; Anthropic wants a user to speak first.
        out.system, blocks = [], out.system
        add(out.messages, "user", blocks)
    if not out.messages:
        raise bad_request("messages", "there must be at least one message that is not blank")
    for message in out.messages:
        leading = _LEADING.get(message["role"], ())
        message["content"].sort(key=lambda block: block["type"] not in leading)
    _strip_prefill(out.messages[-1])
    return out


def limit_cache_marks(marked: Sequence[Block], dropped: list[str]) -> None:
    """Takes surplus cache marks off: the first stays, which guards the stable head of the prompt, and the last three."""
    surplus = [block for block in marked if "cache_control" in block][1 : -(MAX_CACHE_MARKS - 1)]
    for block in surplus:
        del block["cache_control"]
    if surplus:
        dropped.append("cache_control beyond four")


def markable(out: Script) -> list[Block]:
    """Every block of the script that may carry a cache mark, in the order Anthropic reads them."""
    found = list(out.system)
    for block in _blocks(out.messages):
        inner = block.get("content")
        found += inner if isinstance(inner, list) else []
        found.append(block)
    return found


def shortest(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages, lone plain text as a string."""
    return [{"role": m["role"], "content": plain(m["content"])} for m in messages]


def system_text(blocks: list[Block]) -> str | list[Block] | None:
    """The system prompt: joined text, or the blocks where one carries a cache mark."""
    if any("cache_control" in block for block in blocks):
        return blocks
    return "\n\n".join(block["text"] for block in blocks) or None


def _blocks(messages: list[dict[str, Any]]) -> Iterator[Block]:
    return (block for message in messages for block in message["content"])


def _system(turn: Turn, maker: BlockMaker, i: int) -> list[Block]:
    only_text(turn, i, "Anthropic's system prompt")
    return content(turn, maker, i)


def _strip_prefill(last: dict[str, Any]) -> None:
    """A reply begun for the model must not end in white space."""
    block = last["content"][-1]
    if last["role"] == "assistant" and block["type"] == "text":
        block["text"] = block["text"].rstrip()
