"""What turning a canonical conversation into a provider's messages has in common, whatever its blocks look like."""

from typing import Any, Protocol

from fastroute.dialects._faults import unsupported
from fastroute.dialects.canonical import Part, Refusal, Text, Thinking, ToolCall, ToolResult, Turn

Block = dict[str, Any]


class Maker(Protocol):
    """Turns parts into a provider's blocks."""

    def blocks(self, part: Part, where: str) -> list[Block]: ...


def only_text(turn: Turn, i: int, whose: str) -> None:
    """Refuses a system turn with anything but text in it. `whose`: as `Bedrock's system prompt`."""
    for j, part in enumerate(turn.parts):
        if not isinstance(part, Text | Refusal):
            raise unsupported(f"messages[{i}].content[{j}]", f"{whose} is text")


def only_results(turn: Turn) -> bool:
    """A turn of nothing but results stands for as many messages of an OpenAI client."""
    return bool(turn.parts) and all(isinstance(part, ToolResult) for part in turn.parts)


def content(turn: Turn, maker: Maker, i: int) -> list[Block]:
    """The turn's blocks. `i`: its (first) message in the client's request, to name in faults."""
    blocks: list[Block] = []
    said = calls = 0
    for j, part in enumerate(turn.parts):
        where = f"messages[{i}].content[{said}]"
        if isinstance(part, ToolCall):
            where = f"messages[{i}].tool_calls[{calls}].function.arguments"
            calls += 1
        elif isinstance(part, ToolResult):
            where = f"messages[{i + j}].content"
        elif not isinstance(part, Thinking):
            said += 1
        blocks += maker.blocks(part, where)
    return blocks


def add(messages: list[dict[str, Any]], role: str, blocks: list[Block]) -> None:
    """Puts blocks behind the last message of the same role, or into a new one; an empty message is none."""
    if not blocks:
        return
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"] += blocks
    else:
        messages.append({"role": role, "content": list(blocks)})
