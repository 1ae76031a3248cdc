"""What a request asks of a mock model, whatever its dialect; and the refusal of a request that a provider would not take."""

from collections.abc import Iterable
from typing import Any

import msgspec

_BYTES_PER_TOKEN = 4
_MEDIA_BYTES = 1200  # an image, file or sound counts as this much text


class Rejected(Exception):
    """The provider refuses the request. `kind` is the dialect's own error type, `code` and `param` are OpenAI's."""

    def __init__(self, status: int, message: str, kind: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.code, self.param = status, message, kind, code, param
        self.retry_after_s: float | None = None


class Tool(msgspec.Struct, frozen=True):
    name: str
    schema: dict[str, Any]  # of the arguments


class Ask(msgspec.Struct, frozen=True):
    """One chat request, as far as a mock model cares. None: not said."""

    model: str
    transcript: str  # roles and texts in order: what the answer depends on
    input_tokens: int
    stream: bool = False
    include_usage: bool = False
    max_output_tokens: int | None = None
    choices: int = 1
    tools: tuple[Tool, ...] = ()
    tool_mode: str = "auto"  # auto | required | none | named
    named_tool: str | None = None
    parallel: bool = True
    tool_results: tuple[str, ...] = ()  # of the last turn
    schema: dict[str, Any] | None = None  # the answer must be an instance of it
    stop: tuple[str, ...] = ()
    logprobs: bool = False

    @property
    def called_tools(self) -> tuple[Tool, ...]:
        """The tools this request makes the model call: two at once where it may."""
        if not self.tools or self.tool_mode == "none" or self.tool_results:
            return ()
        if self.tool_mode == "named":
            return tuple(t for t in self.tools if t.name == self.named_tool)[:1]
        return (self.tools * 2)[:2] if self.parallel else self.tools[:1]


def count_tokens(*texts: str) -> int:
    """About four characters each, at least one."""
    return max(1, sum(map(len, texts)) // _BYTES_PER_TOKEN)


def content_texts(content: Any) -> Iterable[str]:
    """The texts of a message's content, a string or a list of parts, in either dialect; media stand as filler."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            yield from _part_texts(part)


def _part_texts(part: dict[str, Any]) -> Iterable[str]:
    match part.get("type"):
        case "text" | "refusal" | "thinking":
            yield str(part.get("text") or part.get("refusal") or part.get("thinking") or "")
        case "tool_use":
            yield f"{part.get('name')} {msgspec.json.encode(part.get('input')).decode()}"
        case "tool_result":
            yield from content_texts(part.get("content"))
        case _:
            yield "#" * _MEDIA_BYTES
